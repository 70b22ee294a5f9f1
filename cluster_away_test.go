package tutti_test

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tutti-rt/tutti"
	"github.com/tutti-rt/tutti/hub"
	"github.com/tutti-rt/tutti/hub/hubtest"
	"github.com/tutti-rt/tutti/internal/siotest"
)

// TestConnectWithoutEngine: who comes while the engine is away is not refused,
// for a stock client does not come again after that, but loses the connection,
// and is in when the engine is back.
func TestConnectWithoutEngine(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cluster := hubtest.NewCluster(time.Second)
		engine := cluster.Node()
		var why error
		srv, err := tutti.New(tutti.Config{
			Hub:   hub.Config{Engine: engine, EnginePatience: time.Second, Memory: func(string) *hub.Memory { return &hub.Memory{} }},
			Trace: &tutti.Trace{SocketRefused: func(_ string, err error) { why = err }},
			Log:   slog.New(slog.DiscardHandler),
		})
		if err != nil {
			t.Fatal(err)
		}
		w := &world{t: t, srv: srv, net: siotest.Serve(srv)}
		defer w.net.Close()
		defer srv.Shutdown(context.Background())
		srv.Namespace("/")
		if err := srv.Join(t.Context()); err != nil {
			t.Fatal(err)
		}
		before := w.travel()
		cluster.Cut(engine)
		before.Close()
		synctest.Wait()

		early := w.dial()
		early.send("0")
		if text, err := early.Receive(); err == nil {
			t.Errorf("who comes while the engine is away hears %s, want the end of the connection", text)
		}
		if refusal, ok := errors.AsType[*tutti.Refusal](why); !ok || !strings.Contains(refusal.Message, "engine") {
			t.Errorf("the trace is told %v, want a refusal that names the engine", why)
		}

		cluster.Mend(engine)
		time.Sleep(5 * time.Second)
		before.comeBack()
		if !before.recovered {
			t.Error("who was there before the engine went away has not recovered")
		}
	})
}
