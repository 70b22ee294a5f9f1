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

func (l *link) Expiring(left time.Duration) { l.note(fmt.Sprint(left, " left")) }
func (l *link) Expel(why *auth.Refusal)     { l.note(string(why.Code)) }

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

// TestExpiryAndRenewal: who is there is told before its identity expires, and ends
// with it.
func TestExpiryAndRenewal(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := auth.NewRegister(10 * time.Second)
		now := time.Now()
		short, _ := enter(t, r, auth.Identity{Subject: "ann", Expiry: now.Add(time.Minute)})
		renewed, e := enter(t, r, auth.Identity{Subject: "ann", Expiry: now.Add(time.Minute)})
		gone, e2 := enter(t, r, auth.Identity{Subject: "ann", Expiry: now.Add(time.Minute)})
		e2.Leave()
		time.Sleep(50 * time.Second)
		synctest.Wait()
		short.want(t, "before the expiry", "10s left")
		renewed.want(t, "before the expiry", "10s left")
		if err := e.Renew(&auth.Identity{Subject: "ann", Expiry: now.Add(time.Minute)}); err != nil {
			t.Error(err)
		}
		time.Sleep(9*time.Second + 999*time.Millisecond)
		synctest.Wait()
		short.want(t, "just before it")
		renewed.want(t, "the same end once more")
		if err := e.Renew(&auth.Identity{Subject: "ann", Expiry: now.Add(time.Hour)}); err != nil {
			t.Error(err)
		}
		time.Sleep(time.Millisecond)
		synctest.Wait()
		short.want(t, "at the expiry", "token_expired")
		renewed.want(t, "after the renewal")
		gone.want(t, "who has left")
		time.Sleep(time.Hour)
		synctest.Wait()
		renewed.want(t, "at the next expiry", "10s left", "token_expired")
		brief, _ := enter(t, r, auth.Identity{Subject: "ann", Expiry: time.Now().Add(8 * time.Second)})
		time.Sleep(4 * time.Second)
		synctest.Wait()
		brief.want(t, "a short one, when half of it is over", "4s left")

		at := auth.NewRegister(0)
		l, _ := enter(t, at, auth.Identity{Expiry: time.Now().Add(time.Second)})
		time.Sleep(time.Second)
		synctest.Wait()
		l.want(t, "without a notice", "token_expired")
	})
}

// TestSleep: a machine that slept has slept with the identities on it.
func TestSleep(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := auth.NewRegister(10 * time.Second)
		over, e := enter(t, r, auth.Identity{Subject: "ann", Expiry: time.Now().Add(10 * time.Minute)})
		near, e2 := enter(t, r, auth.Identity{Subject: "ann", Expiry: time.Now().Add(time.Hour + 5*time.Second)})
		far, e3 := enter(t, r, auth.Identity{Subject: "ann", Expiry: time.Now().Add(3 * time.Hour)})
		defer e.Leave()
		defer e2.Leave()
		defer e3.Leave()
		time.Sleep(2500 * time.Millisecond)
		r.Suspend(time.Hour)
		time.Sleep(time.Second)
		synctest.Wait()
		over.want(t, "who has expired meanwhile", "token_expired")
		near.want(t, "who is about to", "2s left")
		far.want(t, "who has not")
		time.Sleep(2 * time.Second)
		synctest.Wait()
		near.want(t, "at the expiry", "token_expired")
		time.Sleep(2*time.Hour - 15*time.Second)
		synctest.Wait()
		far.want(t, "later", "10s left")
		r.Suspend(-time.Hour) // somebody has set it back by two
		time.Sleep(time.Minute)
		synctest.Wait()
		far.want(t, "the clock was set back")
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

// TestRevokeFor: how long revocations are remembered can change, and who accepts
// tokens that last longer is told so.
func TestRevokeFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		outlasting := 0
		cfg := auth.Config{
			Verifiers: []auth.Verifier{fixed{&auth.Identity{Subject: "ann", Method: auth.ByToken, Expiry: time.Now().Add(48 * time.Hour)}}},
			Trace:     &auth.Trace{Outlasts: func(*auth.Identity) { outlasting++ }},
		}
		a, err := auth.New(cfg)
		if err != nil {
			t.Fatal(err)
		}
		if d := a.Register().RevokeFor(); d != 24*time.Hour {
			t.Errorf("it is %v", d)
		}
		if _, err := a.Identify(t.Context(), auth.Credentials{}); err != nil || outlasting != 1 {
			t.Errorf("told of %d, %v", outlasting, err)
		}
		cfg.RevokeFor = 72 * time.Hour
		if err := a.Reload(cfg); err != nil || a.Register().RevokeFor() != 72*time.Hour {
			t.Errorf("after a reload it is %v, %v", a.Register().RevokeFor(), err)
		}
		if _, err := a.Identify(t.Context(), auth.Credentials{}); err != nil || outlasting != 1 {
			t.Errorf("told of %d, %v", outlasting, err)
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

// reviewed is a link that is told of other grants.
type reviewed struct {
	link
	id *auth.Identity
}

func (r *reviewed) Regrant(review auth.Review) {
	now, less, err := review(r.id)
	r.note(fmt.Sprint(now.May("join", "a"), now.May("join", "b"), less, err))
}

// TestReloadMeetsNewcomers: who was identified before a reload, and is entered
// after it, is not forgotten.
func TestReloadMeetsNewcomers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		grants := func(rooms ...string) auth.Config {
			cfg := auth.Config{Verifiers: []auth.Verifier{fixed{&auth.Identity{Subject: "ann", Method: auth.ByToken}}}}
			for _, room := range rooms {
				cfg.Grants = append(cfg.Grants, auth.Grant{Rooms: room, May: []auth.Permission{"join"}})
			}
			return cfg
		}
		a, err := auth.New(grants("a", "b"))
		if err != nil {
			t.Fatal(err)
		}
		come := func() *reviewed {
			id, err := a.Identify(t.Context(), auth.Credentials{})
			if err != nil {
				t.Fatal(err)
			}
			return &reviewed{id: id}
		}
		enter := func(r *reviewed) {
			if _, err := a.Register().Enter(r, r.id); err != nil {
				t.Fatal(err)
			}
			synctest.Wait()
		}
		there, late := come(), come()
		enter(there)
		there.want(t, "without a reload")
		if err := a.Reload(grants("a", "b")); err != nil {
			t.Fatal(err)
		}
		there.want(t, "the same grants")
		if err := a.Reload(grants("a")); err != nil {
			t.Fatal(err)
		}
		there.want(t, "fewer", "true false true <nil>")
		enter(late)
		late.want(t, "who comes too late", "true false true <nil>")
		after := come()
		enter(after)
		after.want(t, "who comes after it")
		if err := a.Reload(grants("a", "b")); err != nil {
			t.Fatal(err)
		}
		after.want(t, "more", "true true false <nil>")
	})
}
