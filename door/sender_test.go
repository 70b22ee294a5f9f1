package door_test

import (
	"context"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/tutti-rt/tutti/door"
	"github.com/tutti-rt/tutti/hub"
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
