package engineio_test

import (
	"context"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tutti-rt/tutti/engineio"
)

func TestMemoryIsGivenBackWhenItIsQuiet(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv, err := engineio.New(engineio.Config{
			PingInterval: time.Hour, PingTimeout: time.Hour, ConfirmTimeout: -1, ReleaseAfter: time.Second,
		}, acceptor(func(s *engineio.Session) engineio.Receiver { return ignoring{} }))
		if err != nil {
			t.Fatal(err)
		}
		var released atomic.Int64
		srv.OnRelease(func() { released.Add(1) })
		come := func(n int) {
			for range n {
				srv.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", "/?EIO=4&transport=polling", nil))
			}
		}
		after := func(d time.Duration, want int64, what string) {
			t.Helper()
			time.Sleep(d)
			synctest.Wait()
			if released := released.Load(); released != want {
				t.Errorf("%s: given back %d times, want %d", what, released, want)
			}
		}
		come(engineio.ReleaseFrom - 1)
		after(time.Minute, 0, "too few to matter")
		come(1)
		after(900*time.Millisecond, 0, "not quiet yet")
		come(1)
		after(900*time.Millisecond, 0, "nor now, since one more has come")
		after(300*time.Millisecond, 1, "quiet")
		come(1)
		after(900*time.Millisecond, 1, "and not any more")
		after(5*time.Second, 2, "quiet again")
		come(engineio.ReleaseFrom / 2)
		after(time.Minute, 2, "too few since then")
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		_ = srv.Shutdown(ctx) // cut at once: polls nobody comes for
		after(time.Minute, 2, "those who left because of Shutdown")
	})
}
