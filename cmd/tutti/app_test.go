package main

import (
	"log/slog"
	"net"
	"reflect"
	"strings"
	"testing"

	"github.com/tutti-rt/tutti/door"
	"github.com/tutti-rt/tutti/hub"
	"github.com/tutti-rt/tutti/internal/config"
	"github.com/tutti-rt/tutti/quota"
	"github.com/tutti-rt/tutti/schema"
	"github.com/tutti-rt/tutti/verb"
)

// configs is what the settings become.
type configs struct {
	memory  *hub.Memory // of "/"
	verbs   verb.Config
	server  any
	events  door.EventsConfig
	sockets door.WebSocketConfig
	publish door.PublishConfig
	read    door.ReadConfig
	schemas schema.Config
	quota   quota.Config
}

func configsOf(t *testing.T, args ...string) configs {
	t.Helper()
	l, err := config.Load(args, nil, config.Facts{Demos: demoNames()})
	if err != nil {
		t.Fatal(err)
	}
	log := slog.New(slog.DiscardHandler)
	cfg := serverConfig(l.Settings, log)
	cfg.Log, cfg.Engine.Log = nil, nil
	cfg.Hub.Memory = nil // a function, which can't be compared
	var memory *hub.Memory
	if f := memoryConfig(l.Settings); f != nil {
		memory = f("/")
	}
	together := quotaConfig(l.Settings)
	together.Shared = nil
	verbs := verbConfig(l.Settings)
	verbs.Permit = nil
	return configs{memory, verbs, cfg, eventsConfig(l.Settings, nil), webSocketConfig(l.Settings, nil), publishConfig(l.Settings, nil), readConfig(l.Settings, nil), schemaConfig(l.Settings), together}
}

// TestEverySetting: a setting that changes nothing has been forgotten.
func TestEverySetting(t *testing.T) {
	values := map[string]string{
		"--origin": "https://a.example", "--credentials": "true", "--allow-eio3": "true", "--transport": "polling", "--cookie": "io",
		"--door-listen": "news", "--door-publish": "news", "--door-key": "backend 0123456789abcdef news",
		"--ping-interval": "7s", "--ping-timeout": "7s", "--timeout-upgrade": "7s", "--timeout-connect": "7s", "--timeout-write": "7s",
		"--limit-payload": "70000", "--limit-packet": "7MB", "--limit-queue": "7MB", "--limit-inbox": "7MB", "--limit-auth": "7", "--limit-sessions": "7",
		"--limit-namespaces": "7", "--limit-rooms": "7", "--limit-calls": "7", "--limit-attachments": "7",
		"--timeout-attachment": "7s", "--limit-dynamic": "7", "--limit-batch": "7", "--limit-depth": "7", "--limit-binaries": "7",
		"--limit-namespace-name": "7", "--limit-room-name": "7", "--limit-event-name": "7",
		"--door-streams": "7", "--door-rooms": "7", "--door-retry": "7s", "--door-rate": "7", "--door-burst": "7",
		"--door-publish-rate": "7", "--door-publish-burst": "7", "--door-key-rate": "7", "--door-key-burst": "7",
		"--data": "data", "--memory": "/", "--allow": "a join=anyone", "--open": "a", "--presence-grace": "7s", "--presence-tick": "7s",
		"--limit-data": "7", "--limit-state": "7", "--limit-page": "7", "--limit-page-bytes": "7",
		"--schema": "a schema={}", "--limit-schema": "7",
		"--compress-http": "7", "--compress-websocket": "7",
		"--limit-address": "7", "--limit-user": "7", "--limit-busy": "7000", "--limit-waiting": "7MB", "--limit-exempt": "192.0.2.1",
		"--rate-handshakes": "7/s", "--rate-address-handshakes": "7/s",
		"--rate-connection-events": "7/s", "--rate-connection-publishes": "7/s", "--rate-connection-joins": "7/s", "--rate-connection-reads": "7/s",
		"--rate-user-events": "7/s", "--rate-user-publishes": "7/s", "--rate-user-joins": "7/s", "--rate-user-reads": "7/s",
		"--rate-address-events": "7/s", "--rate-address-publishes": "7/s", "--rate-address-joins": "7/s", "--rate-address-reads": "7/s",
		"--timeout-engine":      "7s",
		"--timeout-refusal":     "3s",
		"--rate-room-publishes": "7/s", "--rate-room-joins": "7/s",
	}
	// These are used where the program is put together, and tested there.
	elsewhere := []string{
		"--listen", "--path", "--demo", "--static", "--namespace", "--relay", "--relay-text", "--metrics", "--timeout-drain", "--timeout-pace",
		"--timeout-header", "--timeout-idle", "--limit-header", "--hosts", "--trusted-proxies", "--limit-requests", "--limit-reserve",
		"--engine", "--cluster", "--advertise", "--engine-loss",
		"--log-format", "--log-level", "--config", "--print-config",
		"--node-cluster", "--node-adapter", "--node-prefix", "--node-streams", // conformance/cluster/node.test.mjs, moving.test.mjs
		"--node-stream-length", "--node-timeout", "--node-waiting", "--node-calls", // TestNodesConfig
		"--auth-anonymous", "--auth-token", "--auth-key", "--auth-grant", "--auth-claim", "--auth-leeway", "--auth-grace", "--auth-max-life", "--auth-revoke-for", "--auth-refresh", "--auth-retry",
		"--auth-revoked", "--auth-session-url", "--auth-session-cookie", "--auth-session-header", "--auth-session-secret",
		"--auth-session-timeout", "--auth-session-cache", "--auth-session-life", "--auth-session-asked",
		"--tls-cert", "--tls-key", "--tls-domain", "--tls-email", "--tls-directory", "--tls-roots", "--tls-redirect", "--tls-min", "--tls-hsts",
		"--traces-endpoint", "--traces-ratio", "--traces-rate", "--admin", "--admin-keys", "--admin-payloads", "--admin-audit", "--admin-ui", "--admin-ui-user", "--admin-ui-password", "--admin-ui-readonly",
	}
	// These need another, without which there is nothing that they are about.
	with := map[string]string{"--window": "7s", "--durable": "a", "--limit-tape": "7MB", "--limit-gone": "7", "--limit-ids": "7"}
	withData := configsOf(t, "--data=data")
	standard := configsOf(t)
	for line := range strings.Lines(config.Usage()) {
		if !strings.HasPrefix(line, "    --") {
			continue
		}
		flag := strings.Fields(line)[0]
		value, mapped := values[flag]
		switch {
		case strings.Contains(" "+strings.Join(elsewhere, " ")+" ", " "+flag+" "):
		case with[flag] != "":
			if reflect.DeepEqual(configsOf(t, "--data=data", flag+"="+with[flag]), withData) {
				t.Errorf("%s %s changes nothing", flag, with[flag])
			}
		case !mapped:
			t.Errorf("%s is a new setting: add a value here", flag)
		case reflect.DeepEqual(configsOf(t, flag+"="+value), standard):
			t.Errorf("%s %s changes nothing", flag, value)
		}
	}
}

// TestEveryLimit: a limit of the library that no setting sets has been
// forgotten.
func TestEveryLimit(t *testing.T) {
	c := configsOf(t)
	for _, cfg := range []any{*configsOf(t, "--data=data").memory, c.verbs, c.server, c.events, c.sockets, c.publish, c.read} {
		unset(t, reflect.ValueOf(cfg))
	}
}

// unset reports numbers that are zero: the settings' defaults never are.
func unset(t *testing.T, v reflect.Value) {
	for i := range v.NumField() {
		name, field := v.Type().String()+"."+v.Type().Field(i).Name, v.Field(i)
		switch field.Kind() {
		case reflect.Struct:
			unset(t, field)
		case reflect.Int, reflect.Int64, reflect.Float64:
			if field.IsZero() && name != "hub.PresenceConfig.Grace" { // whose default depends on the memory
				t.Errorf("no setting sets %s", name)
			}
		}
	}
}

// TestNone: "none" and 0 mean in the settings what they say, whatever zero
// means to the library.
func TestNone(t *testing.T) {
	load := func(args ...string) config.Settings {
		l, err := config.Load(args, nil, config.Facts{})
		if err != nil {
			t.Fatal(err)
		}
		return l.Settings
	}
	none := serverConfig(load("--compress-http=none", "--limit-queue=none", "--limit-rooms=none"), nil)
	if none.Engine.HTTPCompression >= 0 || none.Engine.Deflate != nil || none.Engine.MaxQueue >= 0 || none.Hub.MaxRooms >= 0 {
		t.Errorf("none is not none: %+v", none)
	}
	all := serverConfig(load("--compress-http=0", "--compress-websocket=0"), nil)
	if all.Engine.HTTPCompression != 1 || all.Engine.Deflate == nil || all.Engine.Deflate.Threshold >= 0 {
		t.Errorf("0 is not everything: %+v", all.Engine)
	}
}

func TestURL(t *testing.T) {
	tests := []struct{ ip, want string }{
		{"127.0.0.1", "http://127.0.0.1:80"},
		{"::1", "http://[::1]:80"},
		{"0.0.0.0", "http://localhost:80"},
		{"::", "http://localhost:80"},
	}
	for _, tt := range tests {
		if got := urlOf(&net.TCPAddr{IP: net.ParseIP(tt.ip), Port: 80}); got != tt.want {
			t.Errorf("%s: got %s, want %s", tt.ip, got, tt.want)
		}
	}
}

// Panics of handlers and a listener that can't accept are for operators; what
// else net/http complains of is what peers do.
func TestComplaints(t *testing.T) {
	var out strings.Builder
	log := slog.New(slog.NewTextHandler(&out, &slog.HandlerOptions{Level: slog.LevelInfo}))
	complain := newHTTPServer(nil, nil, config.Settings{}, log).ErrorLog
	complain.Print("http: TLS handshake error from 192.0.2.1:1: EOF")
	complain.Print("http: panic serving 192.0.2.1:1: oh")
	complain.Print("http: Accept error: too many open files; retrying in 5ms")
	if got := out.String(); strings.Count(got, "\n") != 2 || !strings.Contains(got, `level=ERROR msg="http: panic`) ||
		!strings.Contains(got, `level=WARN msg="http: Accept`) {
		t.Errorf("logged: %s", got)
	}
}
