package quota_test

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tutti-rt/tutti/quota"
)

const (
	home  = "192.0.2.1:1000"
	other = "192.0.2.2:1000"
)

// refused fails unless err is the limit of that name, "" being none.
func refused(t *testing.T, rule string, err error, limit string) {
	t.Helper()
	e, ok := errors.AsType[*quota.Exceeded](err)
	switch {
	case limit == "" && err != nil:
		t.Errorf("%s: refused: %v", rule, err)
	case limit != "" && (!ok || e.Limit != limit):
		t.Errorf("%s: got %v, want the limit %q", rule, err, limit)
	case limit != "" && (e.Text == "" || e.Wait <= 0 || e.Milliseconds() < 1 || !slices.Contains(quota.Limits(), limit)):
		t.Errorf("%s: %+v does not say enough", rule, e)
	}
}

func enter(t *testing.T, q *quota.Quota, remote string) *quota.Peer {
	t.Helper()
	p, err := q.Enter(remote)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Leave)
	return p
}

func TestRates(t *testing.T) {
	two := quota.Rate{PerSecond: 1, Burst: 2}
	for _, k := range []quota.Kind{quota.Event, quota.Publish, quota.Join, quota.Read} {
		rates := quota.Rates{Events: two, Publishes: two, Joins: two, Reads: two}
		t.Run("connection "+k.String(), func(t *testing.T) {
			q := quota.New(quota.Config{Connection: rates})
			p, second := enter(t, q, home), enter(t, q, home)
			refused(t, "first", p.Take(k, "u"), "")
			refused(t, "second", p.Take(k, "u"), "")
			refused(t, "third", p.Take(k, "u"), "connection "+k.String())
			refused(t, "another connection", second.Take(k, "u"), "")
		})
		t.Run("user "+k.String(), func(t *testing.T) {
			q := quota.New(quota.Config{User: rates, Shared: func(user string) bool { return user == "many" }})
			p, second := enter(t, q, home), enter(t, q, other)
			refused(t, "first", p.Take(k, "u"), "")
			refused(t, "second", second.Take(k, "u"), "")
			refused(t, "third, over whatever connection", p.Take(k, "u"), "user "+k.String())
			refused(t, "another user", p.Take(k, "v"), "")
			for range 5 {
				refused(t, "nobody", p.Take(k, ""), "")
				refused(t, "one who is many", p.Take(k, "many"), "")
			}
		})
		t.Run("address "+k.String(), func(t *testing.T) {
			q := quota.New(quota.Config{Address: rates, Exempt: quota.Default().Exempt})
			p, request := enter(t, q, home), q.Visitor(home)
			refused(t, "first", p.Take(k, "u"), "")
			refused(t, "second", request.Take(k, "v"), "")
			refused(t, "third", p.Take(k, "w"), "address "+k.String())
			refused(t, "another address", enter(t, q, other).Take(k, "u"), "")
			for _, exempt := range []string{"127.0.0.1:9", "[::1]:9", "@"} {
				for range 5 {
					refused(t, "exempt", enter(t, q, exempt).Take(k, ""), "")
				}
			}
		})
	}
}

func TestRoomRates(t *testing.T) {
	q := quota.New(quota.Config{MaxBusy: 3, Room: quota.Rates{Joins: quota.Rate{PerSecond: 1, Burst: 1}}})
	p, second := enter(t, q, home), enter(t, q, other)
	refused(t, "first", p.TakeRoom(quota.Join, "/", "a"), "")
	refused(t, "second, whoever", second.TakeRoom(quota.Join, "/", "a"), "room joins")
	refused(t, "the same name elsewhere", second.TakeRoom(quota.Join, "/b", "a"), "")
	refused(t, "what has no limit", second.TakeRoom(quota.Publish, "/", "a"), "")
	// Names are the peers' choice: they must not cost more than was said.
	full := false
	for i := range 1000 {
		full = full || p.TakeRoom(quota.Join, "/", fmt.Sprint(i)) != nil
	}
	if !full {
		t.Error("a table of three places has room for a thousand")
	}
}

func TestConnections(t *testing.T) {
	q := quota.New(quota.Config{MaxAddress: 2, MaxUser: 1})
	first, _ := enter(t, q, home), enter(t, q, home)
	_, err := q.Enter(home)
	refused(t, "one more of the address", err, quota.LimitAddressSessions)
	refused(t, "identify", first.Identify("u"), "")
	refused(t, "again", first.Identify("u"), "")
	third := enter(t, q, other)
	refused(t, "one more of the user", third.Identify("u"), quota.LimitUserSessions)
	first.Leave()
	first.Leave()
	refused(t, "when it has left", third.Identify("u"), "")
	enter(t, q, home)
	_, err = q.Enter(home)
	refused(t, "leaving twice gives one place", err, quota.LimitAddressSessions)
}

func TestHandshakes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var hits []string
		named := map[string]int{}
		q := quota.New(quota.Config{
			Handshakes:        quota.Rate{PerSecond: 1, Burst: 4},
			AddressHandshakes: quota.Rate{PerSecond: 1, Burst: 1},
			Trace: &quota.Trace{
				LimitHit: func(limit string) { hits = append(hits, limit) },
				Refused: func(limit string, a netip.Prefix, user string) {
					named[fmt.Sprint(limit, " ", a, " ", user)]++
				},
			},
		})
		refused(t, "first", q.Handshake(home), "")
		for range 100 {
			refused(t, "second", q.Handshake(home), quota.LimitAddressHandshakes)
		}
		for i := range 3 {
			refused(t, "others are not kept out by it", q.Handshake(fmt.Sprintf("192.0.2.%d:1", 10+i)), "")
		}
		refused(t, "all", q.Handshake("192.0.2.99:1"), quota.LimitHandshakes)
		if len(hits) != 101 || len(named) != 2 || named["handshakes 192.0.2.99/32 "] != 1 {
			t.Errorf("the trace was told of %d, by %v", len(hits), named)
		}
		time.Sleep(time.Second)
		refused(t, "after a while", q.Handshake(home), "")
	})
}

func TestPatience(t *testing.T) {
	q := quota.New(quota.Config{Connection: quota.Rates{Events: quota.Rate{PerSecond: 1, Burst: 30}}})
	p := enter(t, q, home)
	for p.Take(quota.Event, "") == nil {
	}
	for i := range 3 {
		if !p.Patience() {
			t.Errorf("refusal %d ends it", i)
		}
	}
	if p.Patience() {
		t.Error("it may go on for ever")
	}
}

func TestNothing(t *testing.T) {
	var q *quota.Quota
	if err := q.Handshake(home); err != nil {
		t.Error(err)
	}
	p, err := q.Enter(home)
	if err != nil || p.Take(quota.Event, "u") != nil || p.TakeRoom(quota.Join, "/", "r") != nil || p.Identify("u") != nil || !p.Patience() {
		t.Error("no quota refuses")
	}
	p.Leave()
	if q.Waiting() != 0 || q.Budget() != nil {
		t.Error("no quota counts")
	}
}

func TestDefault(t *testing.T) {
	c := quota.Default()
	if m := quota.MemoryLimit(); m > 0 && c.MaxWaiting != m/4 {
		t.Errorf("%d may wait, of %d", c.MaxWaiting, m)
	}
	if !slices.Contains(c.Exempt, netip.MustParsePrefix("127.0.0.0/8")) {
		t.Error("loopback is held to the limits of an address")
	}
}

// TestReload: what is in use stays counted under the rules that come.
func TestReload(t *testing.T) {
	once := quota.Rates{Events: quota.Rate{PerSecond: 0.001, Burst: 1}}
	cfg := quota.Config{User: once, MaxAddress: 2}
	q := quota.New(cfg)
	first, second := enter(t, q, home), enter(t, q, home)
	refused(t, "the first event", first.Take(quota.Event, "u"), "")

	cfg.MaxAddress = 1
	q.Reload(cfg)
	refused(t, "the user's rate has not changed", first.Take(quota.Event, "u"), "user events")
	_, err := q.Enter(home)
	refused(t, "a third", err, quota.LimitAddressSessions)
	second.Leave()
	_, err = q.Enter(home)
	refused(t, "as many as there may be", err, quota.LimitAddressSessions)

	cfg.User = quota.Rates{}
	cfg.Connection = once
	cfg.Exempt = []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")}
	q.Reload(cfg)
	refused(t, "a connection that was there", first.Take(quota.Event, "u"), "")
	refused(t, "its new rate", first.Take(quota.Event, "u"), "connection events")
	enter(t, q, home)
	enter(t, q, home)
}

// TestSizes: a large message counts as several, and the largest is possible.
func TestSizes(t *testing.T) {
	q := quota.New(quota.Config{Connection: quota.Rates{Events: quota.Rate{PerSecond: 1, Burst: 10}}})
	p := enter(t, q, home)
	for range 100 {
		refused(t, "what is short counts when it is an event", p.TakeBytes(8000), "")
	}
	refused(t, "five", p.TakeBytes(5*8192), "")
	refused(t, "five more", p.TakeBytes(5*8192), "")
	refused(t, "and one", p.TakeBytes(8192), "connection events")
	refused(t, "more than there ever are", enter(t, q, home).TakeBytes(1<<30), "")
}

// TestConnectionsAreQueues: with very many of them less waits for each before it
// counts.
func TestConnectionsAreQueues(t *testing.T) {
	q := quota.New(quota.Config{MaxWaiting: 64 << 20})
	var all []*quota.Peer
	for range 4096 {
		all = append(all, enter(t, q, home))
	}
	if got := q.Budget().Heavy(); got != 4<<10 {
		t.Errorf("%d bytes are much for one of 4096, want a quarter of what may wait for all", got)
	}
	for _, p := range all {
		p.Leave()
		p.Leave()
	}
	if got := q.Budget().Heavy(); got != 16<<10 {
		t.Errorf("%d bytes are much for nobody", got)
	}
}

// TestNetworks: who has 65,536 networks of IPv6 does not count as so many.
func TestNetworks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := quota.New(quota.Config{AddressHandshakes: quota.Rate{PerSecond: 1, Burst: 2}, MaxAddress: 3, Exempt: []netip.Prefix{netip.MustParsePrefix("2001:db8:f::/48")}})
		of := func(site, network int) string { return fmt.Sprintf("[2001:db8:%x:%x::7]:1", site, network) }
		for i := range 16 {
			refused(t, "eight times as often as one", q.Handshake(of(1, i)), "")
		}
		refused(t, "and once more", q.Handshake(of(1, 100)), quota.LimitNetworkHandshakes)
		refused(t, "another network", q.Handshake(of(2, 1)), "")
		time.Sleep(time.Second)
		for i := range 8 {
			refused(t, "in the next second", q.Handshake(of(1, i)), "")
		}
		refused(t, "no more", q.Handshake(of(1, 8)), quota.LimitNetworkHandshakes)
		for i := range 100 {
			refused(t, "who is exempt", q.Handshake(of(15, i)), "")
			enter(t, q, of(15, i))
		}
		var all []*quota.Peer
		for i := range 24 {
			all = append(all, enter(t, q, of(1, i)))
		}
		for range 5 {
			_, err := q.Enter(of(1, 100))
			refused(t, "more than eight times as many as one", err, quota.LimitNetworkSessions)
		}
		all[0].Leave()
		for range 2 {
			p := enter(t, q, of(1, 100)) // who was refused was counted for nothing
			p.Leave()
		}
	})
}
