package tutti_test

import (
	"context"
	"slices"
	"strings"
	"testing"

	"github.com/tutti-rt/tutti"
	"github.com/tutti-rt/tutti/hub"
	"github.com/tutti-rt/tutti/internal/limit"
	"github.com/tutti-rt/tutti/verb"
)

// TestSenders: who follows messages knows whose they are, and which are the
// application's own.
func TestSenders(t *testing.T) {
	var senders []string
	cfg := tutti.Config{Hub: hub.Config{Trace: &hub.Trace{Publishing: func(ctx context.Context, _ *hub.Message) any {
		sender, _ := ctx.Value(hub.SenderKey{}).(string)
		senders = append(senders, sender)
		return nil
	}}}}
	inWorld(t, cfg, func(w *world) {
		w.serve(verb.Open("chat:*"))
		c := w.connect("/")
		c.wantAnswer("a verb", "publish", `{"room":"chat:a","event":"said","traceparent":"x"}`, "{")
		if _, err := w.srv.Namespace("/").To("chat:a").Emit("said"); err != nil {
			t.Error(err)
		}
		s, _ := w.srv.Namespace("/").Socket(c.id)
		want := []string{limit.Network(s.Handshake().Remote).String(), ""} // whatever connections it has
		if !slices.Equal(senders, want) || !strings.HasSuffix(want[0], "/32") {
			t.Errorf("the senders are %q, want %q", senders, want)
		}
	})
}
