package tutti_test

import (
	"context"
	"testing"
	"testing/synctest"

	"github.com/tutti-rt/tutti"
)

// A handler's context ends with its socket, whether somebody waits for that
// already, begins to later, or has derived another from it.
func TestHandlerContextEnds(t *testing.T) {
	inWorld(t, tutti.Config{}, func(w *world) {
		type key struct{}
		var seen context.Context
		ns := w.srv.Namespace("/")
		ns.Guard(func(ctx context.Context, s *tutti.Socket) (context.Context, error) {
			return context.WithValue(ctx, key{}, "guarded"), nil
		})
		ns.OnConnect(func(ctx context.Context, s *tutti.Socket) { seen = ctx })
		c := w.connect("/")
		if _, ok := seen.Deadline(); ok || seen.Err() != nil || seen.Value(key{}) != "guarded" {
			t.Errorf("deadline %v, err %v, value %v", ok, seen.Err(), seen.Value(key{}))
		}
		before := seen.Done()
		derived, cancel := context.WithCancel(seen)
		defer cancel()
		var told bool
		context.AfterFunc(seen, func() { told = true })
		c.send("1")
		synctest.Wait()
		for name, done := range map[string]<-chan struct{}{"before": before, "derived": derived.Done(), "after": seen.Done()} {
			select {
			case <-done:
			default:
				t.Errorf("%s: not done when the socket is over", name)
			}
		}
		if seen.Err() != context.Canceled || !told || seen.Value(key{}) != "guarded" {
			t.Errorf("err %v, told %v", seen.Err(), told)
		}
	})
	inWorld(t, tutti.Config{}, func(w *world) { // nobody waits until it is over
		var seen context.Context
		w.srv.Namespace("/").OnConnect(func(ctx context.Context, s *tutti.Socket) { seen = ctx })
		c := w.connect("/")
		c.send("1")
		synctest.Wait()
		select {
		case <-seen.Done():
		default:
			t.Error("not done")
		}
	})
}
