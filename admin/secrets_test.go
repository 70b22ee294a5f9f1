package admin_test

import (
	"context"
	"strings"
	"sync"
	"testing"

	"github.com/tutti-rt/tutti/admin"
)

// TestTokensAreNotShown: who follows a socket or looks at the admin UI, payloads
// and all, does not see the token that its client shows.
func TestTokensAreNotShown(t *testing.T) {
	k := newKit(t, func(c *admin.Config) {
		c.Payloads = true
		c.UI = &admin.UI{User: "admin", PasswordHash: uiHash, Development: true}
	})
	ui, err := k.network.Dial()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(ui.Close)
	if err := ui.Send("0" + admin.UINamespace + `,{"username":"admin","password":"changeit"}`); err != nil {
		t.Fatal(err)
	}
	for seen := ""; !strings.Contains(seen, `"server_stats"`); { // it has been told what there is
		if seen, err = ui.Receive(); err != nil {
			t.Fatal(err)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	defer wg.Wait()
	defer cancel()
	wg.Go(func() { k.admin.Run(ctx) })
	g := k.join("ada", "tea")
	k.key = viewKey
	w := k.watch("/api/follow/socket?id=" + g.id)
	if event, _ := w.next(); event != "ready" {
		t.Fatalf("got %q", event)
	}
	for _, packet := range []string{`2["auth",{"token":"SECRET"}]`, `2["said","words"]`} {
		if err := g.Send(packet); err != nil {
			t.Fatal(err)
		}
	}
	if _, data := w.next(); !strings.Contains(data, `"event":"auth"`) || strings.Contains(data, "SECRET") {
		t.Errorf("who follows the socket sees %s", data)
	}
	if _, data := w.next(); !strings.Contains(data, `["words"]`) {
		t.Errorf("what is no secret is shown as ever: %s", data)
	}
	for seen := ""; !strings.Contains(seen, `["said","words"]`); {
		if seen, err = ui.Receive(); err != nil {
			t.Fatal(err)
		}
		if strings.Contains(seen, "SECRET") {
			t.Errorf("the admin UI sees %s", seen)
		}
	}
}
