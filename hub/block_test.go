package hub_test

import (
	"fmt"
	"runtime"
	"testing"
	"time"

	"github.com/tutti-rt/tutti/hub"
)

// TestSmallTapes: very many namespaces of which each has said little cost little.
func TestSmallTapes(t *testing.T) {
	h := hub.New(hub.Config{Memory: func(string) *hub.Memory { return new(hub.Memory) }})
	defer h.Close()
	const n = 200
	for i := range n {
		h.Space(fmt.Sprint("/", i))
	}
	before := int(heap())
	for i := range n {
		say(t, h.Space(fmt.Sprint("/", i)), "hello", "a")
	}
	if each := (int(heap()) - before) / n; each > 4000 {
		t.Errorf("%d bytes each after one small message", each)
	}
	runtime.KeepAlive(h)
}

// TestLargeBodiesGo: of large messages stays what the tape keeps.
func TestLargeBodiesGo(t *testing.T) {
	log, err := hub.NewMemoryStore().Open("/")
	if err != nil {
		t.Fatal(err)
	}
	commit := func(b hub.Batch) {
		t.Helper()
		if err := log.Commit(&b); err != nil {
			t.Fatal(err)
		}
	}
	before := int(heap())
	const n, size = 32, 1 << 20
	for p := range hub.Position(n) {
		commit(hub.Batch{Messages: []hub.NewMessage{{Position: p + 1, Time: time.Now(), Body: make([]byte, size)}}})
	}
	for _, left := range []int{n / 2, 1, 0} {
		commit(hub.Batch{Trim: hub.Position(n - left)})
		if got := (int(heap()) - before + size/2) / size; got > left {
			t.Errorf("the bodies of %d messages are there, want %d", got, left)
		}
	}
	runtime.KeepAlive(log)
}
