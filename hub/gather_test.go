package hub_test

import (
	"fmt"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/tutti-rt/tutti/hub"
	"github.com/tutti-rt/tutti/internal/turn"
)

// A busyStore commits on the processor of who asks, as long as a disk takes: that of
// a system call is another's only when somebody notices.
type busyStore struct {
	hub.Store
	commits int
}

type busyLog struct {
	hub.Log
	s *busyStore
}

func (s *busyStore) Open(namespace string) (hub.Log, error) {
	log, err := s.Store.Open(namespace)
	return &busyLog{log, s}, err
}

func (l *busyLog) Commit(b *hub.Batch) error {
	for began := time.Now(); time.Since(began) < 400*time.Microsecond; {
	}
	l.s.commits++ // by the writer alone
	return l.Log.Commit(b)
}

// TestPublishersInLineShareACommit: publishers that wait in a line, since they have
// taken much, come into the groups of the others.
func TestPublishersInLineShareACommit(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	const publishers, each = 64, 20
	fewest := publishers * each
	for range 5 { // when the machine is busy with something else there are no turns for a while
		fewest = min(fewest, commitsOf(t, publishers, each))
	}
	t.Logf("%d commits", fewest)
	if most := publishers * each / 16; fewest > most {
		t.Errorf("%d commits for %d rounds of %d publishers, want %d at most", fewest, each, publishers, most)
	}
}

func commitsOf(t *testing.T, publishers, each int) int {
	store := &busyStore{Store: hub.NewMemoryStore()}
	h := hub.New(hub.Config{Store: store, Memory: func(string) *hub.Memory { return new(hub.Memory) }})
	defer h.Close()
	sp := h.Space("/")
	var line turn.Line
	defer line.Close()
	var all sync.WaitGroup
	for i := range publishers {
		all.Go(func() {
			for j := range each {
				line.WaitLittle()
				say(t, sp, fmt.Sprint(i, j), "a")
			}
		})
	}
	all.Wait()
	return store.commits
}
