package tutti_test

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/tutti-rt/tutti"
	"github.com/tutti-rt/tutti/engineio"
	"github.com/tutti-rt/tutti/hub"
	"github.com/tutti-rt/tutti/internal/siotest"
	"github.com/tutti-rt/tutti/quota"
)

// TestWhoReachesLimitsIsNamed: by address and user, of each stage.
func TestWhoReachesLimitsIsNamed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var named []string
		q := quota.New(quota.Config{Trace: &quota.Trace{Reached: func(stage, limit string, address netip.Prefix, user string) {
			named = append(named, fmt.Sprintf("%s: %s, %v, %s", stage, limit, address, user))
		}}})
		srv, err := tutti.New(tutti.Config{
			Log: slog.New(slog.DiscardHandler), MaxAuth: 50,
			Engine: engineio.Config{Quota: q, MaxPayload: 2000, MaxSessions: 3}, Hub: hub.Config{MaxRooms: 2},
		})
		if err != nil {
			t.Fatal(err)
		}
		defer srv.Shutdown(context.Background())
		srv.Namespace("/").Guard(func(_ context.Context, s *tutti.Socket) (context.Context, error) {
			s.Identify("ann")
			return nil, nil
		})
		network := siotest.Serve(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			r.RemoteAddr = "192.0.2.7:1234"
			srv.ServeHTTP(w, r)
		}))
		defer network.Close()
		w := &world{t: t, srv: srv, net: network}

		c := w.connect("/")
		s, _ := srv.Namespace("/").Socket(c.id)
		if err := s.Join("a", "b", "c"); err == nil {
			t.Error("a room too many was joined")
		}
		c.send(`2["` + strings.Repeat("x", 3000) + `"]`)
		c.wantEnd("a message that is too large")
		c = w.dial()
		c.send(`0{"token":"` + strings.Repeat("x", 50) + `"}`)
		c.want(`4{"message":"Auth too large"}`, "more than may be")
		w.dial()
		w.dial()
		if _, err := network.Dial(); err == nil {
			t.Error("a session too many began")
		}
		want := []string{
			"hub: rooms, 192.0.2.7/32, ann",
			"engine: MaxPayload, 192.0.2.7/32, ann",
			"server: auth, 192.0.2.7/32, ",
			"engine: MaxSessions, 192.0.2.7/32, ",
		}
		if !slices.Equal(named, want) {
			t.Errorf("named: %q, want %q", named, want)
		}
	})
}
