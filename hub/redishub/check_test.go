package redishub_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/tutti-rt/tutti/hub"
	"github.com/tutti-rt/tutti/hub/redishub"
)

// TestRefused: a server that breaks what is promised is refused by the name of
// the setting.
func TestRefused(t *testing.T) {
	primary := startServer(t)
	host, port, _ := strings.Cut(primary.addr, ":")
	tests := []struct {
		name    string
		args    []string
		setting string
		allowed bool // with AllowLoss
	}{
		{"no AOF", []string{"--appendonly", "no"}, "appendonly no", true},
		{"eviction", []string{"--maxmemory", "100mb", "--maxmemory-policy", "allkeys-lru"}, "maxmemory-policy allkeys-lru", true},
		{"eviction of what ends", []string{"--maxmemory", "100mb", "--maxmemory-policy", "volatile-ttl"}, "maxmemory-policy volatile-ttl", true},
		{"cluster", []string{"--cluster-enabled", "yes"}, "cluster-enabled yes", false},
		{"replica", []string{"--replicaof", host + " " + port}, "role:slave", false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := startServer(t, tt.args...)
			_, err := redishub.Open(t.Context(), quick(s.url()))
			var refused *redishub.RefusedError
			if !errors.As(err, &refused) || refused.Setting != tt.setting {
				t.Fatalf("Open: %v, want %s", err, tt.setting)
			}
			cfg := quick(s.url())
			cfg.AllowLoss = true
			e, err := redishub.Open(t.Context(), cfg)
			if (err == nil) != tt.allowed {
				t.Errorf("allowed: %v", err)
			}
			if err == nil {
				e.Close()
			}
		})
	}
}

func TestCheckKind(t *testing.T) {
	for info, setting := range map[string]string{
		"redis_version:6.2.14\r\nrole:master\r\n":                              "redis_version:6.2.14",
		"role:master\r\n":                                                      "redis_version:",
		"redis_version:7.0.15\r\nredis_mode:sentinel\r\n":                      "redis_mode:sentinel",
		"redis_version:7.2.4\r\nvalkey_version:8.0.1\r\nrole:master\r\n":       "",
		"redis_version:8.2.0\r\nredis_mode:standalone\r\nrole:master\r\nx\r\n": "",
	} {
		err := redishub.CheckKind(info)
		var refused *redishub.RefusedError
		if errors.As(err, &refused) && refused.Setting == setting && strings.Contains(err.Error(), setting) || err == nil && setting == "" {
			continue
		}
		t.Errorf("%q: %v, want %q", info, err, setting)
	}
}

// TestWarned: what is not refused, and loses something in a loss of power, is
// named.
func TestWarned(t *testing.T) {
	for _, tt := range []struct{ args, want string }{
		{"--appendfsync always", ""},
		{"--appendfsync everysec", "appendfsync everysec"},
		{"--appendfsync no", "appendfsync no"},
		{"--no-appendfsync-on-rewrite yes", "no-appendfsync-on-rewrite yes"},
		{"--maxmemory-policy allkeys-lru", "maxmemory-policy allkeys-lru"},
		{"--rename-command CONFIG x", "CONFIG GET appendfsync"},
	} {
		s := startServer(t, strings.Fields(tt.args)...)
		var log bytes.Buffer
		cfg := quick(s.url())
		cfg.Log = slog.New(slog.NewTextHandler(&log, nil))
		open(t, cfg)
		if tt.want == "" && log.Len() > 0 || !strings.Contains(log.String(), tt.want) {
			t.Errorf("%s: warned %q, want %q", tt.args, log.String(), tt.want)
		}
	}
}

func TestOpenErrors(t *testing.T) {
	for _, cfg := range []redishub.Config{
		{URL: "http://x"}, {URL: "redis://user:geheim@\x00"}, {URL: "redis://user:geheim@x/notanumber"}, {URL: "redis://x", Cluster: "a:b"},
		{URL: "redis://x", Cluster: "a/b"}, {URL: "redis://x", Lease: -1}, {URL: "redis://x", Cluster: strings.Repeat("x", 65)},
	} {
		_, err := redishub.Open(t.Context(), cfg)
		if err == nil || strings.Contains(err.Error(), "geheim") || errors.Is(err, hub.ErrUnavailable) {
			t.Errorf("%q, %q: %v", cfg.URL, cfg.Cluster, err)
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	if _, err := redishub.Open(ctx, quick("redis://"+freeAddr(t))); !errors.Is(err, hub.ErrUnavailable) {
		t.Errorf("nobody there: %v, want ErrUnavailable", err)
	}
}
