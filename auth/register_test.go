package auth_test

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tutti-rt/tutti/auth"
)

// link is a connection that writes down what happens to it.
type link struct {
	mu   sync.Mutex
	told []string
}

func (l *link) note(what string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.told = append(l.told, what)
}

func (l *link) Lapsed(grace time.Duration) { l.note(fmt.Sprint("lapsed ", grace)) }
func (l *link) Expel(why *auth.Refusal)    { l.note(string(why.Code)) }

func (l *link) want(t *testing.T, rule string, told ...string) {
	t.Helper()
	l.mu.Lock()
	defer l.mu.Unlock()
	if !slices.Equal(l.told, told) {
		t.Errorf("%s: told %q, want %q", rule, l.told, told)
	}
	l.told = nil
}

func enter(t *testing.T, r *auth.Register, id auth.Identity) (*link, *auth.Entry) {
	t.Helper()
	l := &link{}
	e, err := r.Enter(l, &id)
	if err != nil {
		t.Fatal(err)
	}
	return l, e
}

func TestRegister(t *testing.T) {
	r := auth.NewRegister(0)
	var links []*link
	var entries []*auth.Entry
	for i := range 9 {
		l, e := enter(t, r, auth.Identity{Subject: fmt.Sprint("user", i%3), TokenID: fmt.Sprint("token", i%2)})
		links, entries = append(links, l), append(entries, e)
	}
	stranger, _ := enter(t, r, auth.Identity{})
	if users := slices.Collect(r.Users()); strings.Join(users, " ") != "user0 user1 user2" {
		t.Errorf("users are %v", users)
	}
	entries[0].Leave()
	entries[0].Leave()
	if n := r.Disconnect("user0", "bye"); n != 2 || len(r.Connections("user0")) != 2 {
		t.Errorf("%d were ended", n)
	}
	for i, l := range links {
		if i == 3 || i == 6 {
			l.want(t, "the user's", "disconnected")
		} else {
			l.want(t, "others")
		}
	}
	if n := r.Disconnect("", "all strangers at once"); n != 0 {
		t.Errorf("%d strangers were ended", n)
	}
	n, err := r.Revoke(auth.Revocation{Token: "token1", Until: time.Now().Add(time.Hour)})
	if n != 4 || err != nil {
		t.Errorf("%d were revoked, %v", n, err)
	}
	stranger.want(t, "strangers")
	for _, e := range entries {
		e.Leave()
	}
	if users := slices.Collect(r.Users()); len(users) != 0 {
		t.Errorf("users are %v at the end", users)
	}
	if _, err := r.Enter(&link{}, &auth.Identity{Subject: "ann", TokenID: "token1"}); code(err) != auth.Revoked {
		t.Errorf("a revoked token enters: %v", err)
	}
}

func TestExpiryAndRenewal(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := auth.NewRegister(10 * time.Second)
		now := time.Now()
		short, _ := enter(t, r, auth.Identity{Subject: "ann", Expiry: now.Add(time.Minute)})
		renewed, e := enter(t, r, auth.Identity{Subject: "ann", Expiry: now.Add(time.Minute)})
		gone, e2 := enter(t, r, auth.Identity{Subject: "ann", Expiry: now.Add(time.Minute)})
		e2.Leave()
		time.Sleep(time.Minute)
		synctest.Wait()
		short.want(t, "at the expiry", "lapsed 10s")
		renewed.want(t, "at the expiry", "lapsed 10s")
		if err := e.Renew(&auth.Identity{Subject: "ann", Expiry: now.Add(time.Hour)}); err != nil {
			t.Error(err)
		}
		time.Sleep(10 * time.Second)
		synctest.Wait()
		short.want(t, "after the grace", "token_expired")
		renewed.want(t, "after the renewal")
		gone.want(t, "who has left")
		time.Sleep(time.Hour)
		synctest.Wait()
		renewed.want(t, "at the next expiry", "lapsed 10s", "token_expired")

		at := auth.NewRegister(0)
		l, _ := enter(t, at, auth.Identity{Expiry: time.Now().Add(time.Second)})
		time.Sleep(time.Second)
		synctest.Wait()
		l.want(t, "without grace", "lapsed 0s", "token_expired")
	})
}

func TestRevocations(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, err := auth.New(auth.Config{MaxRevocations: 2, Verifiers: []auth.Verifier{fixed{&auth.Identity{Subject: "ann", Issued: time.Now()}}}})
		if err != nil {
			t.Fatal(err)
		}
		r := a.Register()
		_, e := enter(t, r, auth.Identity{Subject: "ann", Issued: time.Now()})
		time.Sleep(time.Minute)
		n, err := r.Revoke(auth.Revocation{User: "ann", Since: time.Now(), Until: time.Now().Add(time.Hour)})
		if n != 1 || err != nil {
			t.Errorf("ended %d, %v", n, err)
		}
		if _, err := a.Identify(t.Context(), auth.Credentials{}); code(err) != auth.Revoked {
			t.Errorf("a token of before: %v", err)
		}
		if err := e.Renew(&auth.Identity{Subject: "ann"}); code(err) != auth.Revoked {
			t.Errorf("a credential of nobody knows when: %v", err)
		}
		if err := e.Renew(&auth.Identity{Subject: "ann", Issued: time.Now().Add(time.Second)}); err != nil {
			t.Errorf("a token of after: %v", err)
		}
		e.Leave()
		r.Revoke(auth.Revocation{Token: "a", Until: time.Now().Add(time.Minute)})
		if _, err := r.Revoke(auth.Revocation{Token: "b", Until: time.Now().Add(time.Minute)}); code(err) != auth.Unavailable {
			t.Errorf("more than may be remembered: %v", err)
		}
		if got := r.Revocations(); len(got) != 2 {
			t.Errorf("remembered: %v", got)
		}
		time.Sleep(time.Minute)
		if _, err := r.Revoke(auth.Revocation{Token: "b", Until: time.Now().Add(time.Minute)}); err != nil {
			t.Errorf("when one is over: %v", err)
		}
		time.Sleep(time.Hour)
		if _, err := a.Identify(t.Context(), auth.Credentials{}); err != nil {
			t.Errorf("when it is over: %v", err)
		}
	})
}

// TestRegisterConcurrently is for the race detector.
func TestRegisterConcurrently(t *testing.T) {
	r := auth.NewRegister(0)
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			for j := range 200 {
				id := &auth.Identity{Subject: fmt.Sprint(j % 5), TokenID: fmt.Sprint(j % 7), Expiry: time.Now().Add(time.Duration(j%3) * time.Millisecond)}
				e, err := r.Enter(&link{}, id)
				if err != nil {
					continue
				}
				if i%2 == 0 {
					e.Renew(&auth.Identity{Subject: fmt.Sprint(j % 3)})
				}
				r.Disconnect(fmt.Sprint(i), "")
				e.Leave()
			}
		})
	}
	wg.Wait()
	if users := slices.Collect(r.Users()); len(users) != 0 {
		t.Errorf("left behind: %v", users)
	}
}

// BenchmarkDisconnect: what it takes to end one user's two connections among
// those of many others.
func BenchmarkDisconnect(b *testing.B) {
	for _, others := range []int{0, 100_000} {
		b.Run(fmt.Sprint(others), func(b *testing.B) {
			r := auth.NewRegister(0)
			for i := range others {
				r.Enter(&link{}, &auth.Identity{Subject: fmt.Sprint("other", i)})
			}
			l := &link{}
			r.Enter(l, &auth.Identity{Subject: "ann"})
			r.Enter(l, &auth.Identity{Subject: "ann"})
			for b.Loop() {
				r.Disconnect("ann", "")
				l.told = l.told[:0]
			}
		})
	}
}
