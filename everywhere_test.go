package tutti_test

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"log/slog"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tutti-rt/tutti"
	"github.com/tutti-rt/tutti/auth"
	"github.com/tutti-rt/tutti/hub"
	"github.com/tutti-rt/tutti/hub/hubtest"
	"github.com/tutti-rt/tutti/packet"
)

// A dismissed connection says why.
type dismissed chan auth.Code

func (d dismissed) Expiring(time.Duration)  {}
func (d dismissed) Expel(why *auth.Refusal) { d <- why.Code }

// enter registers a connection of ann's that was opened with a token of that age.
func enter(t *testing.T, srv *tutti.Server, age time.Duration) dismissed {
	t.Helper()
	d := make(dismissed, 10)
	if _, err := srv.Users().Enter(d, &auth.Identity{Subject: "ann", Issued: time.Now().Add(-age)}); err != nil {
		t.Fatal(err)
	}
	return d
}

// joinCluster makes a server of a cluster in memory, which ends with the test.
func joinCluster(t *testing.T, cluster *hubtest.Cluster) (*tutti.Server, hub.Engine) {
	t.Helper()
	engine := cluster.Node()
	srv, err := tutti.New(tutti.Config{Log: slog.New(slog.DiscardHandler), Hub: hub.Config{Engine: engine}})
	if err == nil {
		err = srv.Join(t.Context())
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { srv.Shutdown(context.Background()) })
	return srv, engine
}

// TestEverywhere: what is disconnected and revoked on one node is on all, on
// those that could not be told as soon as they are back, and on those that come
// later. Who has come in anew meanwhile stays.
func TestEverywhere(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cluster := hubtest.NewCluster(10 * time.Second)
		one, _ := joinCluster(t, cluster)
		two, second := joinCluster(t, cluster)
		ctx, now := t.Context(), time.Now()
		here, there := enter(t, one, time.Minute), enter(t, two, time.Minute)
		if n, err := one.DisconnectUser(ctx, "ann", ""); n != 2 || err != nil || <-here != auth.Disconnected || <-there != auth.Disconnected {
			t.Errorf("disconnected %d, %v", n, err)
		}
		if n, err := two.Users().RevokeEverywhere(ctx, auth.Revocation{Token: "one", Until: now.Add(time.Hour)}); n != 0 || err != nil {
			t.Errorf("revoked a token: %d, %v", n, err)
		}

		cluster.Cut(second)
		synctest.Wait()
		old := enter(t, two, time.Minute)
		n, err := one.Users().RevokeEverywhere(ctx, auth.Revocation{User: "ann", Since: now, Until: now.Add(time.Hour)})
		if partial, ok := errors.AsType[*hub.PartialError](err); !ok || len(partial.Nodes) != 1 || n != 1 {
			t.Errorf("with a node that does not hear: %d, %v", n, err)
		}
		time.Sleep(time.Second)
		fresh := enter(t, two, 0)
		for i := range 2500 { // more than fit into an answer
			if _, err := one.Users().Revoke(auth.Revocation{Token: fmt.Sprint("t", i), Until: now.Add(time.Hour)}); err != nil {
				t.Fatal(err)
			}
		}
		cluster.Mend(second)
		synctest.Wait()
		if len(old) != 1 || len(fresh) != 0 {
			t.Errorf("on the node that is back %d old connections were ended, and %d new ones", len(old), len(fresh))
		}
		three, _ := joinCluster(t, cluster)
		for i, srv := range []*tutti.Server{one, two, three} {
			if got := srv.Users().Revocations(); len(got) != 2502 {
				t.Errorf("server %d knows %d revocations, want 2502", i+1, len(got))
			}
		}
	})
}

// TestLearnSlowly: a node learns all that is revoked, however long it takes to
// keep it and whoever does not answer; and what it knows it does not keep again.
func TestLearnSlowly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const all = 2500 // more than fit into two answers
		cluster := hubtest.NewCluster(time.Hour)
		one, _ := joinCluster(t, cluster)
		_, silent := joinCluster(t, cluster)
		for i := range all {
			if _, err := one.Users().Revoke(auth.Revocation{Token: fmt.Sprint("t", i), Until: time.Now().Add(24 * time.Hour)}); err != nil {
				t.Fatal(err)
			}
		}
		cluster.Cut(silent)
		var kept atomic.Int64
		authority, err := auth.New(auth.Config{AllowAnonymous: true, AllowUnknown: true, Revoked: func(auth.Revocation) error {
			time.Sleep(5 * time.Millisecond) // as disks take
			if kept.Add(1) == 7 {
				return errors.New("not kept")
			}
			return nil
		}})
		if err != nil {
			t.Fatal(err)
		}
		srv, err := tutti.New(tutti.Config{Log: slog.New(slog.DiscardHandler), Auth: authority, Hub: hub.Config{Engine: cluster.Node()}})
		if err != nil {
			t.Fatal(err)
		}
		defer srv.Shutdown(context.Background())
		if err := srv.Join(t.Context()); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Minute)
		if got := len(srv.Users().Revocations()); got != all {
			t.Errorf("the node knows %d revocations, want %d", got, all)
		}
		before := kept.Load()
		cluster.Mend(silent)
		time.Sleep(time.Minute)
		if again := kept.Load() - before; again > 10 {
			t.Errorf("it has kept %d again", again)
		}
	})
}

// TestLedgerPage: an answer to another node fits into a message, however long the
// names of those are whose tokens are revoked.
func TestLedgerPage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cluster := hubtest.NewCluster(time.Hour)
		one, _ := joinCluster(t, cluster)
		two, _ := joinCluster(t, cluster)
		for i := range 300 {
			user := fmt.Sprint(strings.Repeat("\x01", 1000), i)
			if _, err := one.Users().Revoke(auth.Revocation{User: user, Since: time.Now(), Until: time.Now().Add(time.Hour)}); err != nil {
				t.Fatal(err)
			}
		}
		for a, err := range two.Namespace("/").AskNodes(t.Context(), "tutti:revoked", map[string]string{"sum": "0", "after": ""}) {
			if err != nil || a.Args.Size() > 1<<20 { // what NATS takes by default
				t.Errorf("an answer of %d bytes, %v", a.Args.Size(), err)
			}
		}
		three, _ := joinCluster(t, cluster)
		if got := len(three.Users().Revocations()); got != 300 {
			t.Errorf("who comes knows %d revocations, want 300", got)
		}
	})
}

// nobody is whom a space is shared with.
type nobody struct{}

func (nobody) Cast(*hub.Message) {}
func (nobody) Close()            {}
func (nobody) Ask(context.Context, hub.Question) iter.Seq2[hub.Answer, error] {
	return func(func(hub.Answer, error) bool) {}
}

// TestOwnEvents: where a space is shared with servers of another kind, those of the
// engine tell each other of logouts all the same, and obey nobody else.
func TestOwnEvents(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cluster := hubtest.NewCluster(10 * time.Second)
		join := func() *tutti.Server {
			share := func(context.Context, *hub.Space) (hub.Others, error) { return nobody{}, nil }
			srv, err := tutti.New(tutti.Config{Log: slog.New(slog.DiscardHandler), Hub: hub.Config{Engine: cluster.Node(), Share: share}})
			if err == nil {
				err = srv.Join(t.Context())
			}
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { srv.Shutdown(context.Background()) })
			return srv
		}
		one, two := join(), join()
		ann := enter(t, two, time.Minute)
		order, err := packet.Marshal(auth.Order{User: "ann"})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := two.Namespace("/").Space().TakeEvent(t.Context(), one.Hub().Node(), "tutti:order", order); !errors.Is(err, hub.ErrNoHandler) || len(ann) > 0 {
			t.Errorf("an order of somebody else: %v, and %d connections were ended", err, len(ann))
		}
		if n, err := one.DisconnectUser(t.Context(), "ann", ""); n != 1 || err != nil || len(ann) != 1 {
			t.Errorf("a logout by a node: %d, %v", n, err)
		}
		if _, err := one.Users().Revoke(auth.Revocation{Token: "t", Until: time.Now().Add(time.Hour)}); err != nil {
			t.Fatal(err)
		}
		if three := join(); len(three.Users().Revocations()) != 1 {
			t.Error("who joins does not know what is revoked")
		}
	})
}

// TestLearnLater: what a node has revoked while it could reach nobody is known to
// the others soon after it is back, also to one that asked it before that.
func TestLearnLater(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cluster := hubtest.NewCluster(time.Hour)
		one, first := joinCluster(t, cluster)
		two, second := joinCluster(t, cluster)
		cluster.Cut(first)
		cluster.Cut(second)
		if _, err := one.Users().RevokeEverywhere(t.Context(), auth.Revocation{User: "ann", Since: time.Now(), Until: time.Now().Add(24 * time.Hour)}); err == nil {
			t.Error("there is nobody, and all have heard it")
		}
		cluster.Mend(second)
		time.Sleep(10 * time.Second)
		cluster.Mend(first)
		time.Sleep(10 * time.Second)
		if n := len(two.Users().Revocations()); n != 1 {
			t.Errorf("the other knows %d revocations, want 1", n)
		}
	})
}
