package natshub_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/tutti-rt/tutti/hub"
	"github.com/tutti-rt/tutti/hub/natshub"
)

// TestRefused: a server that breaks what is promised is refused by the name of
// the setting.
func TestRefused(t *testing.T) {
	tests := []struct{ name, config, setting string }{
		{"no JetStream", noJetStream, "jetstream"},
		{"no JetStream for the account", "accounts { A { users [{ user: u, password: p }] } }\nno_auth_user: u", "jetstream"},
		{"small messages", "max_payload: 100000", "max_payload 100000"},
		{"no headers", "no_header_support: true", "no_header_support"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := startServer(t, tt.config)
			cfg := quick(s.url())
			cfg.MaxMessage = 1 << 17
			_, err := natshub.Open(t.Context(), cfg)
			var refused *natshub.RefusedError
			if !errors.As(err, &refused) || refused.Setting != tt.setting {
				t.Fatalf("Open: %v, want %s", err, tt.setting)
			}
		})
	}
}

// TestNoReplicas: what is asked of a server that it cannot do is said.
func TestNoReplicas(t *testing.T) {
	s := startServer(t, "")
	_, err := natshub.Open(t.Context(), quick(s.url()+"?replicas=3"))
	var refused *natshub.RefusedError
	if !errors.As(err, &refused) || !strings.Contains(err.Error(), "repl") {
		t.Errorf("Open: %v, want a refusal", err)
	}
}

// TestFormat: a cluster whose nodes are of a later version is refused, at the start
// and by those that were there.
func TestFormat(t *testing.T) {
	s := startServer(t, "")
	a := join(t, quick(s.url()), "r")
	nc := s.client()
	for _, tt := range []struct {
		charter string
		refused bool
	}{{`{"format":1,"more":[1]}`, false}, {`{"format":2}`, true}, {"x", true}, {"{}", false}} {
		if _, err := nc.Request(natshub.Charter("tutti"), []byte(tt.charter), 5*time.Second); err != nil {
			t.Fatal(err)
		}
		if natshub.Disconnect(a.engine) {
			a.until("it to notice", func() bool { return a.away })
		}
		e, err := natshub.Open(t.Context(), quick(s.url()))
		var refused *natshub.RefusedError
		if err == nil {
			e.Close()
		}
		if errors.As(err, &refused) != tt.refused {
			t.Errorf("%s: %v", tt.charter, err)
		}
		if tt.refused && a.engine.Tell("", nil) == nil {
			t.Errorf("%s: the node that was there goes on", tt.charter)
		}
	}
	a.say("r", "0")
	a.wants([]string{"0"})
}

// TestWarned: what is not refused, and may lose something, is named.
func TestWarned(t *testing.T) {
	for _, tt := range []struct{ config, query, want string }{
		{"max_payload: 1MB", "", "setting=sync_interval"},
		{"", "", "setting=sync_interval"},
		{"max_payload: 100000", "?sync=always", "max_payload 100000"},
	} {
		s := startServer(t, tt.config)
		var log bytes.Buffer
		cfg := quick(s.url() + tt.query)
		cfg.MaxPacket = 500_000
		cfg.Log = slog.New(slog.NewTextHandler(&log, nil))
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		e, err := natshub.Open(ctx, cfg)
		cancel()
		if err == nil {
			e.Close()
		}
		if !strings.Contains(log.String(), tt.want) {
			t.Errorf("%q, %q: %v; warned %q, want %q", tt.config, tt.query, err, log.String(), tt.want)
		}
	}
}

func TestOpenErrors(t *testing.T) {
	for _, cfg := range []natshub.Config{
		{URL: "http://x"}, {URL: "nats://user:geheim@\x00"}, {URL: "nats://user:geheim@x/path"}, {URL: "nats://"}, {URL: "nats://x", Cluster: "a:b"},
		{URL: "nats://x", Cluster: "a/b"}, {URL: "nats://x", Lease: -1}, {URL: "nats://x", Cluster: strings.Repeat("x", 65)},
		{URL: "nats://geheim@x?replicas=0"}, {URL: "nats://geheim@x?replicas=x"}, {URL: "nats://x?sync=no"}, {URL: "nats://x?domain=a.b"}, {URL: "nats://x?nkey=/none"},
		{URL: "nats://x?replica=3"},
	} {
		_, err := natshub.Open(t.Context(), cfg)
		if err == nil || strings.Contains(err.Error(), "geheim") || errors.Is(err, hub.ErrUnavailable) {
			t.Errorf("%q, %q: %v", cfg.URL, cfg.Cluster, err)
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	if _, err := natshub.Open(ctx, quick("nats://"+freeAddr(t))); !errors.Is(err, hub.ErrUnavailable) {
		t.Errorf("nobody there: %v, want ErrUnavailable", err)
	}
}

// TestAccess: a server with users. The password is in the URL, and a wrong one is
// said at once.
func TestAccess(t *testing.T) {
	s := startServer(t, "authorization { users [{ user: u, password: geheim, permissions { publish: [\"tutti.>\", \"$JS.API.>\"], subscribe: [\"tutti.>\", \"_INBOX.>\"] } }] }")
	cfg := quick("nats://u:falsch@" + s.addr)
	if _, err := natshub.Open(t.Context(), cfg); err == nil || strings.Contains(err.Error(), "falsch") || errors.Is(err, hub.ErrUnavailable) {
		t.Errorf("a wrong password: %v", err)
	}
	cfg.URL = "nats://u:geheim@" + freeAddr(t) + "," + s.addr // the first is not there
	a := join(t, cfg, "h")
	a.say("h", "0")
	m := &hub.SharedMessage{Rooms: []string{"h"}, Body: []byte("1"), Histories: []hub.RoomHistory{{Room: "h"}}}
	a.Commit(t.Context(), &hub.SharedBatch{Messages: []*hub.SharedMessage{m}, Erase: []hub.Erasure{{Room: "h"}}})
	if m.Err != nil {
		t.Errorf("Commit: %v", m.Err)
	}
	if list, err := a.History(t.Context(), "h", hub.HistoryQuery{Limit: 1}); err != nil || len(list) != 0 {
		t.Errorf("history: %v, %v", list, err)
	}
	a.wants([]string{"0", "1"})
}
