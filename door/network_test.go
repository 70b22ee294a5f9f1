package door_test

import (
	"net/http"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/tutti-rt/tutti/door"
)

// TestDisconnectNetwork: who comes from a network is disconnected and told why,
// known to the register of users or not, once, and nobody else is.
func TestDisconnectNetwork(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		events, sockets := w.events(door.EventsConfig{Listen: open}), w.sockets(chatty)
		for _, path := range []string{"/events", "/ws"} { // who comes is in the query, as behind a proxy
			d := events
			if path == "/ws" {
				d = sockets
			}
			w.mux.HandleFunc("/from"+path, func(rw http.ResponseWriter, r *http.Request) {
				r.RemoteAddr = r.URL.Query().Get("from")
				d.ServeHTTP(rw, r)
			})
		}
		listen := func(from string) *listener { return w.listen("/from/events?room=chat:a&from=" + from) }
		connect := func(from string) *socket { return w.connect("/from/ws?room=chat:a&from=" + from) }

		near, near6, far, nobody := listen("192.0.2.7:5"), listen("[2001:db8::7]:5"), listen("192.0.3.7:5"), listen("@")
		plain, mapped := connect("192.0.2.8:5"), connect("[::ffff:192.0.2.9]:5")
		framed := w.connect("/from/ws?room=chat:a&framing=json&from=192.0.2.8:6")
		distant := connect("[2001:db9::7]:5")
		w.told()
		disconnect := func(network, reason string, onEvents, onSockets int) {
			t.Helper()
			p := netip.MustParsePrefix(network)
			if a, b := events.DisconnectNetwork(p, reason), sockets.DisconnectNetwork(p, reason); a != onEvents || b != onSockets {
				t.Errorf("%s: %d streams and %d WebSockets, want %d and %d", network, a, b, onEvents, onSockets)
			}
		}
		disconnect("198.51.100.0/24", "", 0, 0)
		disconnect("192.0.2.0/24", "attack", 1, 3)
		disconnect("192.0.2.0/24", "again", 0, 0) // though WebSockets have not answered yet
		disconnect("2001:db8::7/128", "", 1, 0)
		for l, want := range map[*listener]string{near: "attack", near6: "disconnected by the server"} {
			if text := l.rest(); !strings.Contains(text, "event: auth\ndata: {\"code\":\"disconnected\",\"error\":\""+want+"\"}\n\n") {
				t.Errorf("the stream ends with %q, want %s", text, want)
			}
		}
		for _, s := range []*socket{plain, mapped, framed} {
			s.wantClose(1008, "attack")
		}
		synctest.Wait()
		for _, line := range w.told() {
			if line != "closed: expelled" {
				t.Errorf("the trace is told %q", line)
			}
		}
		if a, b := events.Streams(), sockets.Streams(); a != 2 || b != 1 {
			t.Errorf("%d streams and %d WebSockets are left, want 2 and 1", a, b)
		}
		w.publish(w.event("e", "on"), "chat:a")
		far.want("e", `"on"`)
		nobody.want("e", `"on"`)
		distant.want("on")
		disconnect("0.0.0.0/0", "", 1, 0)
		disconnect("::/0", "", 0, 1)
	})
}
