package jwt_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/tutti-rt/tutti/auth"
	"github.com/tutti-rt/tutti/auth/jwt"
)

// publisher answers with a key set, in the place of a network.
type publisher struct {
	mu      sync.Mutex
	fetched int
	status  int
	body    string
	delay   time.Duration
	err     error
}

func (p *publisher) RoundTrip(r *http.Request) (*http.Response, error) {
	p.mu.Lock()
	p.fetched++
	status, body, delay, err := p.status, p.body, p.delay, p.err
	p.mu.Unlock()
	select {
	case <-time.After(delay):
	case <-r.Context().Done():
		return nil, r.Context().Err()
	}
	if err != nil {
		return nil, err
	}
	return &http.Response{StatusCode: max(status, 200), Body: io.NopCloser(strings.NewReader(body)), Header: http.Header{}, Request: r}, nil
}

func (p *publisher) set(change func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	change()
}

func (p *publisher) publishes(t *testing.T, keys ...jose.JSONWebKey) {
	t.Helper()
	var public []jose.JSONWebKey
	for _, k := range keys {
		public = append(public, k.Public())
	}
	text, err := json.Marshal(jose.JSONWebKeySet{Keys: public})
	if err != nil {
		t.Fatal(err)
	}
	p.set(func() { p.body = string(text) })
}

func (p *publisher) wantFetched(t *testing.T, n int, rule string) {
	t.Helper()
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.fetched != n {
		t.Errorf("%s: fetched %d times, want %d", rule, p.fetched, n)
	}
}

func newJWK(t *testing.T, id string) jose.JSONWebKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return jose.JSONWebKey{Key: key, KeyID: id, Algorithm: "ES256", Use: "sig"}
}

// inRotation is a verifier of a set that is published under a clock of the
// test's own. Signing outside of it would take real time.
func inRotation(t *testing.T, f func(t *testing.T, p *publisher, verify func(k jose.JSONWebKey) error)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		p := &publisher{}
		v := verifier(t, jwt.Config{Issuers: []jwt.Issuer{{Name: "a", KeySet: "https://a.test/keys"}}, Client: &http.Client{Transport: p}})
		f(t, p, func(k jose.JSONWebKey) error {
			t.Helper()
			token := sign(t, jose.ES256, k.Key, k.KeyID, claims(map[string]any{"iss": "a"}))
			_, err := v.Verify(t.Context(), auth.Credentials{Token: token})
			return err
		})
		v.Close()
	})
}

func TestRotation(t *testing.T) {
	inRotation(t, func(t *testing.T, p *publisher, verify func(k jose.JSONWebKey) error) {
		one, two := newJWK(t, "1"), newJWK(t, "2")
		p.publishes(t, one)
		for range 10 {
			if err := verify(one); err != nil {
				t.Fatal(err)
			}
		}
		p.wantFetched(t, 1, "one set for many tokens")
		time.Sleep(time.Minute)
		p.publishes(t, one, two)
		if err := verify(two); err != nil {
			t.Errorf("a new key: %v", err)
		}
		p.wantFetched(t, 2, "a key that is not known is looked for")
		p.publishes(t, two)
		if err := verify(one); err != nil {
			t.Errorf("an old key while the set holds: %v", err)
		}
		time.Sleep(5 * time.Minute)
		verify(two) // has the set fetched behind its back
		synctest.Wait()
		p.wantFetched(t, 3, "the set is fetched again after a while")
		time.Sleep(time.Minute)
		if err := verify(one); code(err) != auth.InvalidToken {
			t.Errorf("a key that was taken back: %v", err)
		}
	})
}

// TestFlood: tokens with ids of keys that nobody has cost one fetch now and
// then, and not one each.
func TestFlood(t *testing.T) {
	inRotation(t, func(t *testing.T, p *publisher, verify func(k jose.JSONWebKey) error) {
		one, bad := newJWK(t, "1"), newJWK(t, "")
		p.publishes(t, one)
		p.set(func() { p.delay = time.Second })
		var wg sync.WaitGroup
		for i := range 100 {
			k := bad
			k.KeyID = fmt.Sprint("made up ", i)
			wg.Go(func() {
				if err := verify(k); code(err) != auth.InvalidToken {
					t.Errorf("made up: %v", err)
				}
			})
		}
		wg.Wait()
		p.wantFetched(t, 1, "all wait for one fetch")
		for i := range 100 {
			bad.KeyID = fmt.Sprint("later ", i)
			verify(bad)
		}
		p.wantFetched(t, 1, "no fetch comes too soon after the last")
		if err := verify(one); err != nil {
			t.Errorf("others meanwhile: %v", err)
		}
		time.Sleep(10 * time.Second)
		verify(bad)
		p.wantFetched(t, 2, "after a while one may")
	})
}

func TestPublisherFails(t *testing.T) {
	inRotation(t, func(t *testing.T, p *publisher, verify func(k jose.JSONWebKey) error) {
		one := newJWK(t, "1")
		down := errors.New("no route")
		p.set(func() { p.err = down })
		if err := verify(one); code(err) != auth.Unavailable || !errors.Is(err, down) {
			t.Errorf("without any set: %v", err)
		}
		verify(one)
		p.wantFetched(t, 1, "it is not asked again at once")
		p.publishes(t, one)
		p.set(func() { p.err = nil })
		time.Sleep(10 * time.Second)
		if err := verify(one); err != nil {
			t.Errorf("when it is back: %v", err)
		}
		for name, breaks := range map[string]func(){
			"gone":        func() { p.err = down },
			"500":         func() { p.status = 500 },
			"redirecting": func() { p.status = 302 },
			"no JSON":     func() { p.body = "<html>" },
			"empty":       func() { p.body = `{"keys":[]}` },
			"symmetric": func() {
				p.body = `{"keys":[{"kty":"oct","k":"MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY","kid":"1","alg":"HS256"}]}`
			},
			"encrypting": func() { p.body = strings.ReplaceAll(p.body, `"sig"`, `"enc"`) },
			"too large":  func() { p.body += strings.Repeat(" ", 1<<20) },
			"too many":   func() { p.body = `{"keys":[` + strings.Repeat(`{},`, 100) + `{}]}` },
			"too slow":   func() { p.delay = time.Hour },
		} {
			var healthy publisher
			p.set(func() { healthy.body = p.body; breaks() })
			time.Sleep(10 * time.Minute)
			if err := verify(one); err != nil {
				t.Errorf("%s: the old set does not hold: %v", name, err)
			}
			time.Sleep(time.Minute)
			synctest.Wait()
			if err := verify(one); err != nil {
				t.Errorf("%s: the old set does not hold: %v", name, err)
			}
			p.set(func() { p.status, p.body, p.delay, p.err = 0, healthy.body, 0, nil })
			time.Sleep(10 * time.Minute)
			verify(one)
			synctest.Wait()
		}
		p.set(func() { p.err = down })
		time.Sleep(25 * time.Hour)
		if err := verify(one); code(err) != auth.Unavailable {
			t.Errorf("a day later: %v", err)
		}
	})
}

// TestClose: nothing goes on behind it, and nobody waits for ever.
func TestClose(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &publisher{delay: time.Hour}
		v := verifier(t, jwt.Config{Issuers: []jwt.Issuer{{Name: "a", KeySet: "https://a.test/keys"}}, Client: &http.Client{Transport: p}, Timeout: time.Hour})
		token := sign(t, jose.ES256, newJWK(t, "1").Key, "1", claims(nil))
		ctx, cancel := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		wg.Go(func() {
			if _, err := v.Verify(ctx, auth.Credentials{Token: token}); code(err) != auth.Unavailable {
				t.Errorf("who gives up: %v", err)
			}
		})
		wg.Go(func() {
			if _, err := v.Verify(t.Context(), auth.Credentials{Token: token}); code(err) != auth.Unavailable {
				t.Errorf("who is waiting: %v", err)
			}
		})
		synctest.Wait()
		cancel()
		synctest.Wait()
		v.Close()
		wg.Wait()
	})
}
