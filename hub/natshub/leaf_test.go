package natshub_test

import (
	"fmt"
	"slices"
	"sync"
	"testing"

	"github.com/tutti-rt/tutti/hub"
)

// TestLeaf: a node at the edge, whose server is a leaf of the one with the log.
// While the way between is cut it says so, and what it has not heard comes when
// the way is there again.
func TestLeaf(t *testing.T) {
	leaves := freeAddr(t)
	center := startServer(t, fmt.Sprintf("server_name: center\nleafnodes { listen: %q }\njetstream { domain: center, store_dir: %q }", leaves, t.TempDir()))
	way := startProxy(t, leaves)
	edge := startServer(t, noJetStream+fmt.Sprintf("server_name: edge\nleafnodes { reconnect: 1, remotes: [{ url: %q }] }", "nats-leaf://"+way.listener.Addr().String()))
	a := join(t, quick(center.url()+"?domain=center"), "r")
	b := join(t, quick(edge.url()+"?domain=center"), "r")
	a.say("r", numbers(0, 50)...)
	b.say("r", numbers(50, 100)...)
	a.wants(numbers(0, 100))
	b.wants(numbers(0, 100))
	kept := &hub.SharedMessage{Rooms: []string{"h"}, Body: []byte("kept"), Histories: []hub.RoomHistory{{Room: "h"}}}
	b.Commit(t.Context(), &hub.SharedBatch{Messages: []*hub.SharedMessage{kept}})
	if list, err := b.History(t.Context(), "h", hub.HistoryQuery{Limit: 10}); kept.Err != nil || err != nil || len(list) != 1 {
		t.Errorf("Commit: %v; history: %v, %v", kept.Err, list, err)
	}
	var wg sync.WaitGroup
	want := numbers(0, 100)
	for round := range 3 {
		way.set(true, false)
		more := numbers(len(want), len(want)+30)
		want = append(want, more...)
		if round == 0 {
			b.until("to know of it", func() bool { return b.away })
		}
		wg.Go(func() { a.say("r", more[:10]...) })
		wg.Wait()
		way.set(false, false)
		wg.Go(func() { a.say("r", more[10:]...) })
		b.until("what was missed", func() bool { return slices.Contains(b.got, more[len(more)-1]) })
		wg.Wait()
	}
	a.wants(want)
	b.wants(want)
}
