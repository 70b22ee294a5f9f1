package tutti_test

import (
	"context"
	"slices"
	"testing"

	"github.com/tutti-rt/tutti"
	"github.com/tutti-rt/tutti/hub"
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
		if want := []string{s.Handshake().Remote, ""}; !slices.Equal(senders, want) || want[0] == "" {
			t.Errorf("the senders are %q, want %q", senders, want)
		}
	})
}
