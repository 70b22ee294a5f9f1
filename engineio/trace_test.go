package engineio_test

import (
	"fmt"
	"net/http"
	"slices"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/tutti-rt/tutti/engineio"
)

func TestTrace(t *testing.T) {
	var mu sync.Mutex
	var told []string
	tell := func(format string, args ...any) {
		mu.Lock()
		defer mu.Unlock()
		told = append(told, fmt.Sprintf(format, args...))
	}
	cfg := calm
	cfg.Trace = &engineio.Trace{
		SessionOpened:   func(s *engineio.Session) { tell("opened %d", len(s.ID())) },
		SessionUpgraded: func(*engineio.Session) { tell("upgraded") },
		SessionClosed:   func(_ *engineio.Session, r engineio.Reason, _ error) { tell("closed: %s", r) },
		Refused:         func(_ *http.Request, c engineio.Code) { tell("refused: %v", c) },
		PacketReceived:  func(kind byte, size int) { tell("in %c %d", kind, size) },
		PacketSent:      func(kind byte, size int) { tell("out %c %d", kind, size) },
	}
	run(t, cfg, func(h *harness) {
		p := h.poll("")
		h.last().echo()
		p.send("4hello\x1ebAQID")
		p.want("4hello\x1ebAQID")
		w := p.upgrade()
		h.do("GET", "EIO=4", "")
		w.send("1")
		synctest.Wait()
		want := []string{"opened 20", "in 4 5", "out 4 5", "in 4 3", "out 4 3", "upgraded", "refused: Transport unknown", "in 1 0", "closed: transport close"}
		mu.Lock()
		defer mu.Unlock()
		if !slices.Equal(told, want) {
			t.Errorf("told %q, want %q", told, want)
		}
	})
}
