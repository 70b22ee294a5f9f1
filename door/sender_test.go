package door_test

import (
	"context"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/tutti-rt/tutti/door"
	"github.com/tutti-rt/tutti/hub"
	"github.com/tutti-rt/tutti/internal/pipe"
)

// TestSenders: who follows messages knows from which address they came, but for
// those of the application's backends.
func TestSenders(t *testing.T) {
	var senders []string
	h := hub.New(hub.Config{Trace: &hub.Trace{Publishing: func(ctx context.Context, _ *hub.Message) any {
		sender, _ := ctx.Value(hub.SenderKey{}).(string)
		senders = append(senders, sender)
		return nil
	}}})
	defer h.Close()
	d, err := door.Publish(h.Space("/"), door.PublishConfig{Log: quiet, Publish: door.Access{
		Rooms: []string{"*"}, Keys: []door.Key{{Name: "backend", Secret: secret, Rooms: []string{"*"}}},
	}})
	if err != nil {
		t.Fatal(err)
	}
	defer d.Shutdown(t.Context())
	for _, authorization := range []string{"", "Bearer " + secret} {
		r := httptest.NewRequest("POST", "/api/publish", strings.NewReader(`{"room":"a","event":"e"}`))
		r.Header.Set("Content-Type", "application/json")
		if authorization != "" {
			r.Header.Set("Authorization", authorization)
		}
		w := httptest.NewRecorder()
		if d.ServeHTTP(w, r); w.Code != 200 {
			t.Fatal(w.Body)
		}
	}
	if want := []string{"192.0.2.1/32", ""}; !slices.Equal(senders, want) {
		t.Errorf("the senders are %q, want %q", senders, want)
	}
}

// TestStreamSenders: all connections from an address are one sender.
func TestStreamSenders(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, pipe.DefaultBuffer)
		var senders []string
		w.hub = hub.New(hub.Config{Trace: &hub.Trace{Publishing: func(ctx context.Context, _ *hub.Message) any {
			sender, _ := ctx.Value(hub.SenderKey{}).(string)
			senders = append(senders, sender) // one message at a time
			return nil
		}}})
		w.space = w.hub.Space("/")
		defer w.hub.Close()
		defer w.close()
		w.sockets(chatty)
		for range 2 {
			s := w.connect("/ws?room=chat:a&framing=json")
			s.send(`{"event":"e","data":1}`)
			synctest.Wait()
			s.close()
		}
		if want := []string{"192.0.2.2/32", "192.0.2.2/32"}; !slices.Equal(senders, want) {
			t.Errorf("the senders are %q, want %q", senders, want)
		}
	})
}
