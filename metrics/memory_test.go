package metrics_test

import (
	"context"
	"errors"
	"testing"

	"github.com/tutti-rt/tutti/hub"
	"github.com/tutti-rt/tutti/metrics"
)

// A brokenStore fails to write once it is told so.
type brokenStore struct {
	hub.Store
	broken bool
}

type brokenLog struct {
	hub.Log
	store *brokenStore
}

func (s *brokenStore) Open(namespace string) (hub.Log, error) {
	log, err := s.Store.Open(namespace)
	return &brokenLog{log, s}, err
}

func (l *brokenLog) Commit(b *hub.Batch) error {
	if l.store.broken {
		return hub.ErrFailed
	}
	return l.Log.Commit(b)
}

// A returner is a member that can come back.
type returner struct{ ticket hub.Ticket }

func (r *returner) Deliver(*hub.Message) {}
func (r *returner) Ready() bool          { return true }
func (r *returner) Evicted(error)        {}
func (r *returner) welcome(t hub.Ticket) { r.ticket = t }
func (r *returner) arrival() hub.Arrival { return hub.Arrival{Name: "me", Welcome: r.welcome} }
func (r *returner) visitor() hub.Arrival { return hub.Arrival{Name: "me", Owner: "other"} }

// TestMemory: what a space with memory does is counted, and that it can't any
// more.
func TestMemory(t *testing.T) {
	m := metrics.New()
	store := &brokenStore{Store: hub.NewMemoryStore()}
	h := hub.New(hub.Config{
		Trace: m.Hub(),
		Store: store,
		Memory: func(string) *hub.Memory {
			return &hub.Memory{Rooms: []hub.RoomRule{{Pattern: "kept"}}}
		},
	})
	sp := h.Space("/")
	ctx := context.Background()
	publish := func(rooms ...string) (hub.Receipt, error) {
		return sp.Publish(ctx, &hub.Message{Event: "x"}, hub.Address{Rooms: rooms})
	}
	one, two := &returner{}, &returner{}
	if _, err := sp.EnterSession(ctx, one, one.arrival()); err != nil {
		t.Fatal(err)
	}
	if _, err := publish("kept"); err != nil {
		t.Fatal(err)
	}
	if _, err := publish(); err != nil {
		t.Fatal(err)
	}
	if _, err := sp.ResumeSession(ctx, two, one.ticket.Session, "", two.visitor()); !errors.Is(err, hub.ErrNotOwner) {
		t.Fatalf("got %v", err)
	}
	if _, err := sp.ResumeSession(ctx, two, one.ticket.Session, "", two.arrival()); err != nil {
		t.Fatal(err)
	}
	if _, err := sp.ResumeSession(ctx, two, "nobody's", "", two.arrival()); !errors.Is(err, hub.ErrNoSession) {
		t.Fatalf("got %v", err)
	}
	h.Close() // the returner has caught up
	got := scrape(t, m)
	for series, want := range map[string]float64{
		"tutti_store_failed":                                0,
		`tutti_commits_total{durability="fsync"}`:           1,
		`tutti_commits_total{durability="async"}`:           3, // two of them have sessions only
		"tutti_commit_messages_count":                       2,
		"tutti_commit_seconds_count":                        1,
		"tutti_sessions_kept":                               1,
		`tutti_returns_total{outcome="recovered"}`:          1,
		`tutti_returns_total{outcome="foreign session"}`:    1,
		`tutti_returns_total{outcome="unknown session"}`:    1,
		"tutti_replayed_messages_total":                     1,
		`tutti_evictions_total{cause="returned elsewhere"}`: 1,
	} {
		if got[series] != want {
			t.Errorf("%s is %v, want %v", series, got[series], want)
		}
	}
	if got["tutti_tape_bytes"] <= 0 {
		t.Errorf("tape bytes %v, want some", got["tutti_tape_bytes"])
	}
}

func TestStoreFailed(t *testing.T) {
	m := metrics.New()
	store := &brokenStore{Store: hub.NewMemoryStore(), broken: true}
	h := hub.New(hub.Config{Trace: m.Hub(), Store: store, Memory: func(string) *hub.Memory { return &hub.Memory{} }})
	_, err := h.Space("/").Publish(context.Background(), &hub.Message{Event: "x"}, hub.Address{})
	if !errors.Is(err, hub.ErrFailed) {
		t.Fatalf("got %v", err)
	}
	h.Close() // the trace has been told
	if got := scrape(t, m); got["tutti_store_failed"] != 1 || got[`tutti_commits_total{durability="failed"}`] != 1 {
		t.Errorf("got %v and %v", got["tutti_store_failed"], got[`tutti_commits_total{durability="failed"}`])
	}
}

func TestEngine(t *testing.T) {
	m := metrics.New()
	m.EngineConnected()
	m.EngineLost()
	m.EngineConnected()
	m.EngineFilled(7)
	m.EngineRetried()
	m.EngineIgnored()
	got := scrape(t, m)
	for name, want := range map[string]float64{
		"tutti_engine_up": 1, "tutti_engine_connections_lost_total": 1, "tutti_engine_filled_messages_total": 7,
		"tutti_engine_retries_total": 1, "tutti_engine_ignored_total": 1,
	} {
		if got[name] != want {
			t.Errorf("%s is %v, want %v", name, got[name], want)
		}
	}
}

func TestNodes(t *testing.T) {
	m := metrics.New()
	m.NodesConnected()
	m.NodesLost()
	m.NodesIgnored()
	m.NodesDropped()
	got := scrape(t, m)
	for name, want := range map[string]float64{
		"tutti_node_cluster_up": 0, "tutti_node_cluster_connections_lost_total": 1,
		"tutti_node_cluster_ignored_total": 1, "tutti_node_cluster_dropped_total": 1,
	} {
		if got[name] != want {
			t.Errorf("%s is %v, want %v", name, got[name], want)
		}
	}
}
