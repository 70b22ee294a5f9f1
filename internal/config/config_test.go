package config_test

import (
	"cmp"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tutti-rt/tutti/internal/config"
)

var update = flag.Bool("update", false, "write the golden files and docs/configuration.md anew")

var facts = config.Facts{
	Demos:    []string{"chat"},
	Reserved: func(event string) bool { return event == "connect" || event == "disconnect" },
}

// inFolder makes the files given and the test run beside them, so that places
// in messages are short and the same everywhere.
func inFolder(t *testing.T, files map[string]string) {
	t.Helper()
	t.Chdir(t.TempDir())
	for name, text := range files {
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

func load(t *testing.T, args, environ []string) *config.Loaded {
	t.Helper()
	l, err := config.Load(args, environ, facts)
	if err != nil {
		t.Fatalf("Load(%q, %q):\n%v", args, environ, err)
	}
	return l
}

func TestDefaults(t *testing.T) {
	l := load(t, nil, []string{"HOME=/", "PATH=/bin"})
	if !reflect.DeepEqual(l.Settings, config.Default()) {
		t.Errorf("got %+v, want the defaults", l.Settings)
	}
}

func TestSources(t *testing.T) {
	inFolder(t, map[string]string{
		"tutti.yaml": `
# all of them
listen: localhost:4000
log:
  level: debug
  format: json
relay: [one, two, "three, four"]
origin: https://a.example
allow-eio3: TRUE
ping:
  interval: 5s
limit:
  payload: 64KiB
  sessions: 100
static: public
`,
		"public/index.html": "hello",
		"etc/sub.yaml":      "static: ../public\n",
	})
	environ := []string{"TUTTI_PING_INTERVAL=6s", "TUTTI_ORIGIN=https://b.example, https://c.example", "TUTTI_LOG_LEVEL=warn", "TUTTI_CONFIG=tutti.yaml"}
	args := []string{"--log-level", "error", "--relay=five", "--relay", "six", "-credentials"}
	l := load(t, args, environ)
	want := config.Default()
	want.Listen = "localhost:4000"
	want.Log = config.Log{Format: "json", Level: config.Level(slog.LevelError)}
	want.Relay = []string{"five", "six"}
	want.Origin = []string{"https://b.example", "https://c.example"}
	want.AllowEIO3, want.Credentials = true, true
	want.Ping.Interval = 6 * time.Second
	want.Limit.Payload, want.Limit.Sessions = 64<<10, 100
	want.Static = "public"
	if !reflect.DeepEqual(l.Settings, want) {
		t.Errorf("got  %+v\nwant %+v", l.Settings, want)
	}

	l = load(t, nil, []string{"TUTTI_CONFIG=tutti.yaml"})
	if want := []string{"one", "two", "three, four"}; !slices.Equal(l.Relay, want) {
		t.Errorf("relay is %q, want %q", l.Relay, want)
	}
	l = load(t, []string{"--config=etc/sub.yaml"}, []string{"TUTTI_CONFIG=gone.yaml"})
	if l.Static != "public" {
		t.Errorf("static is %q, want it relative to its file", l.Static)
	}
}

func TestHelp(t *testing.T) {
	for _, args := range [][]string{{"-h"}, {"--help"}, {"--lisen", "x", "--help"}} {
		if l := load(t, args, nil); !l.Help {
			t.Errorf("%q: Help is not set", args)
		}
	}
	usage := config.Usage()
	for _, want := range []string{"--listen HOST:PORT", "--limit-payload SIZE", "Default: 1MB.", "--config FILE", "--print-config"} {
		if !strings.Contains(usage, want) {
			t.Errorf("the help text lacks %q", want)
		}
	}
}

func TestServiceLinks(t *testing.T) {
	l := load(t, nil, []string{"TUTTI_PORT=tcp://10.0.0.1:80", "TUTTI_PORT_80_TCP_ADDR=10.0.0.1", "TUTTI_SERVICE_HOST=10.0.0.1", "TUTTI_BIN=x", "TUTTI_WHATEVER=1", "TUTTI_URL=x", "TUTTI_KEY=x", "TUTTI_ADMIN=x", "TUTTI_ADMIN_KEY=x"})
	if want := []string{"TUTTI_BIN", "TUTTI_WHATEVER"}; !slices.Equal(l.Ignored, want) {
		t.Errorf("ignored %q, want %q to be mentioned", l.Ignored, want)
	}
}

func TestEmptyFiles(t *testing.T) {
	inFolder(t, map[string]string{"empty.yaml": "", "comments.yaml": "# listen: x\n", "group.yaml": "log:\n  # level: debug\n", "marker.yaml": "---\n"})
	for _, name := range []string{"empty.yaml", "comments.yaml", "group.yaml", "marker.yaml"} {
		if l := load(t, []string{"--config", name}, nil); !reflect.DeepEqual(l.Settings, config.Default()) {
			t.Errorf("%s: got %+v, want the defaults", name, l.Settings)
		}
	}
}

// golden compares got with a file of testdata.
func golden(t *testing.T, name, got string) {
	t.Helper()
	if *update {
		if err := os.WriteFile(name, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("%s is not up to date (go test -update):\n%s", name, got)
	}
}

func testdata(t *testing.T, name string) string {
	t.Helper()
	path, err := filepath.Abs(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// TestMistakes has a file with all the mistakes we can think of.
func TestMistakes(t *testing.T) {
	want := testdata(t, "mistakes.txt")
	text, err := os.ReadFile(testdata(t, "mistakes.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	inFolder(t, map[string]string{"mistakes.yaml": string(text), "a-file": ""})
	_, err = config.Load(
		[]string{"--config", "mistakes.yaml", "stray", "--lissten", ":1", "--relay", "own", "--ping-timeout", "soon", "--log-format=xml", "--allow-eio3=maybe", "--origin"},
		[]string{"TUTTI_LOG_LEVL=debug", "TUTTI_TIMEOUT_WRITE=forever", "TUTTI_TRANSPORT=polling,pigeon", "TUTTI_WHATEVER=1"},
		facts)
	mistakes, ok := errors.AsType[config.Mistakes](err)
	if !ok {
		t.Fatalf("got %v, want Mistakes", err)
	}
	golden(t, want, mistakes.Error()+"\n")
}

func TestBadFiles(t *testing.T) {
	inFolder(t, map[string]string{
		"syntax.yaml": "listen: :1\nlog: [\n",
		"tab.yaml":    "log:\n\tlevel: debug\n",
		"list.yaml":   "- listen\n",
		"word.yaml":   "hello\n",
		"two.yaml":    "listen: :1\n---\nlisten: :2\n",
		"large.yaml":  strings.Repeat("# comment\n", 200_000),
	})
	tests := []struct{ file, want string }{
		{"syntax.yaml", "syntax.yaml:2: not YAML"},
		{"tab.yaml", "tab.yaml:2: not YAML"},
		{"list.yaml", `list.yaml:1: a settings file is a list: want keys, such as "listen: 127.0.0.1:3000"`},
		{"word.yaml", `word.yaml:1: a settings file is "hello"`},
		{"two.yaml", "two.yaml:2: a second document"},
		{"large.yaml", "is it the right one?"},
		{"gone.yaml", "--config: settings file: open gone.yaml"},
		{".", "--config: settings file"},
	}
	for _, tt := range tests {
		_, err := config.Load([]string{"--config", tt.file}, nil, facts)
		if err == nil || !strings.Contains(err.Error(), tt.want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: got %v, want one line with %q", tt.file, err, tt.want)
		}
	}
}

func TestSingle(t *testing.T) {
	tests := []struct{ flag, value, want string }{
		{"--path", "/events/", "what begins with /events is served already"},
		{"--path", "/a b/", "want a path with / at both ends"},
		{"--path", "/", "want a path with / at both ends"},
		{"--namespace", "/a/../b", "want a name of letters"},
		{"--namespace", "/", "want a name of letters"},
		{"--listen", "localhost", "want HOST:PORT"},
		{"--listen", "localhost:65536", "want HOST:PORT"},
		{"--metrics", "9090", "want HOST:PORT, such as 127.0.0.1:9090"},
		{"--metrics", "127.0.0.1:3000", "the same address"},
		{"--cookie", "a;b", "want letters"},
		{"--door-listen", "", "want the pattern of a room"},
		{"--relay", "", "want the name of an event"},
		{"--static", "gone", "want a folder"},
		{"--limit-header", "none", "limit.header is none: want 4KiB to 16MiB"},
		{"--limit-room-name", "0", "limit.room-name is 0: want 1 or more, or none"},
		{"--door-publish-rate", "0", "door.publish-rate is 0: want 1 or more, or none"},
		{"--door-burst", "none", "want 1 or more; the rate can be none"},
		{"--node-cluster", "http://127.0.0.1", "is not redis://HOST:PORT"},
		{"--node-adapter", "mongo", "want classic"},
		{"--node-prefix", "", "is empty"},
		{"--node-streams", "0", "want 1 to 1024"},
		{"--node-stream-length", "0", "want 1 or more"},
		{"--node-timeout", "0s", "want more than 0"},
		{"--node-waiting", "none", "want a size"},
		{"--node-calls", "none", "want 1 or more"},
	}
	t.Chdir(t.TempDir())
	for _, tt := range tests {
		_, err := config.Load([]string{tt.flag, tt.value}, nil, facts)
		if err == nil || !strings.HasPrefix(err.Error(), tt.flag+": ") || !strings.Contains(err.Error(), tt.want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s %q:\ngot  %v\nwant %s", tt.flag, tt.value, err, tt.want)
		}
	}
	for _, ok := range [][]string{
		{"--path=/a/b/"}, {"--namespace", "/a/b.c"}, {"--listen", ":0", "--metrics", ":0"}, {"--listen", "[::1]:80"},
		{"--relay-text"}, {"--relay-text", "--relay", "x"}, {"--demo", "chat", "--namespace=/x"}, {"--origin=https://a.example:8443/"},
	} {
		load(t, ok, nil)
	}
}

func TestConflicts(t *testing.T) {
	inFolder(t, map[string]string{"a.yaml": "credentials: true\nlimit:\n  payload: 8MB\n", "public/x": ""})
	tests := []struct {
		args []string
		want string
	}{
		{[]string{"--demo", "chat", "--static", "public"}, "--static: static and demo both serve /: choose one (demo: --demo)"},
		{[]string{"--demo", "chat", "--relay", "x"}, "--relay: relay and demo can't go together"},
		{[]string{"--relay-text", "--demo", "chat"}, "--relay-text: relay-text opens /ws to everyone, demo opens it for some rooms: choose one (demo: --demo)"},
		{[]string{"--config", "a.yaml", "--limit-payload", "1KB", "--origin", "*"}, "--origin: origin * can't go with credentials"},
		{[]string{"--config", "a.yaml", "--limit-inbox", "none"}, "a.yaml:3: limit.queue is 1MiB, less than the 8MB that one message may have: want at least that (limit.queue: default)"},
		{[]string{"--config", "a.yaml", "--limit-inbox", "none", "--limit-queue", "1MB"}, "--limit-queue: limit.queue is 1MB, less than the 8MB that one message may have: want at least that (limit.payload: a.yaml:3)"},
	}
	for _, tt := range tests {
		_, err := config.Load(tt.args, nil, facts)
		if err == nil || !strings.Contains(err.Error(), tt.want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%q:\ngot  %v\nwant %s", tt.args, err, tt.want)
		}
	}
}

// TestPrint is the golden test of --print-config; what it prints is read back
// as the same settings.
func TestPrint(t *testing.T) {
	want := testdata(t, "print.yaml")
	inFolder(t, map[string]string{"tutti.yaml": "listen: localhost:4000\nlog:\n  level: debug\n"})
	l := load(t, []string{"--config", "tutti.yaml", "--print-config", "--relay", "chat message", "--relay", "yes", "--limit-queue", "2MiB", "--credentials"},
		[]string{"TUTTI_COOKIE=io", "TUTTI_TIMEOUT_CONNECT=1m"})
	if !l.Print {
		t.Error("Print is not set")
	}
	var b strings.Builder
	if _, err := l.WriteTo(&b); err != nil {
		t.Fatal(err)
	}
	golden(t, want, b.String())
	if err := os.WriteFile("printed.yaml", []byte(b.String()), 0o644); err != nil {
		t.Fatal(err)
	}
	back := load(t, []string{"--config", "printed.yaml"}, nil)
	if !reflect.DeepEqual(back.Settings, l.Settings) {
		t.Errorf("read back as %+v\nwant %+v", back.Settings, l.Settings)
	}
}

// TestDocs keeps docs/configuration.md as the settings are.
func TestDocs(t *testing.T) {
	golden(t, filepath.Join("..", "..", "docs", "configuration.md"), config.Markdown())
}

// TestSecrets: a secret is neither printed nor repeated in a mistake.
func TestSecrets(t *testing.T) {
	const secret = "correct-horse-battery"
	l := load(t, nil, []string{"TUTTI_DOOR_KEY=backend " + secret + " chat:* news, ops " + secret + "2 *"})
	want := []config.Key{{Name: "backend", Secret: secret, Rooms: []string{"chat:*", "news"}}, {Name: "ops", Secret: secret + "2", Rooms: []string{"*"}}}
	if !reflect.DeepEqual(l.Door.Key, want) {
		t.Errorf("got %+v, want %+v", l.Door.Key, want)
	}
	var b strings.Builder
	if _, err := l.WriteTo(&b); err != nil {
		t.Fatal(err)
	}
	if strings.Contains(b.String(), secret) || !strings.Contains(b.String(), "backend (hidden) chat:* news") {
		t.Errorf("printed:\n%s", b.String())
	}
	inFolder(t, map[string]string{
		"printed.yaml": b.String(),
		"number.yaml":  "door:\n  key: 12345678901234567890\n",
		"twice.yaml":   "door:\n  key: [a " + secret + " x, a " + secret + " y]\n",
	})
	tests := []struct {
		args []string
		want string
	}{
		{[]string{"--config", "printed.yaml"}, `the secret of "backend" has 8 characters: want at least 16`},
		{[]string{"--config", "number.yaml"}, "number.yaml:2: door.key is a number: want KEY, in quotes"},
		{[]string{"--config", "twice.yaml"}, `twice.yaml:2: door.key: a second key has the name "a"`},
		{[]string{"--door-key", secret}, "--door-key: door.key: want a name, a secret and patterns"},
	}
	for _, tt := range tests {
		_, err := config.Load(tt.args, nil, facts)
		if err == nil || !strings.Contains(err.Error(), tt.want) || strings.Contains(err.Error(), secret) || strings.Contains(err.Error(), "1234567890") {
			t.Errorf("%q:\ngot  %v\nwant %s", tt.args, err, tt.want)
		}
	}
}

// TestPasswords: what is printed, and logged of a change, has no password of a
// URL in it; what is used has.
func TestPasswords(t *testing.T) {
	for text, want := range map[string]string{
		"redis://u:secret@127.0.0.1:1/0":                  "redis://u:(hidden)@127.0.0.1:1/0",
		"redis://:secret@127.0.0.1:1":                     "redis://:(hidden)@127.0.0.1:1",
		"nats://secret@127.0.0.1:1":                       "nats://(hidden)@127.0.0.1:1",
		"nats://a:secret@127.0.0.1:1,nats://b:secret@h:2": "nats://a:(hidden)@127.0.0.1:1,nats://b:(hidden)@h:2",
		"redis://127.0.0.1:1":                             "redis://127.0.0.1:1",
	} {
		args := []string{"--engine", text, "--advertise", "http://127.0.0.1:1"}
		l := load(t, args, nil)
		var b strings.Builder
		if _, err := l.WriteTo(&b); err != nil {
			t.Fatal(err)
		}
		if l.Engine != text || !strings.Contains(b.String(), "engine: "+want+"  #") || strings.Contains(b.String(), "secret@") {
			t.Errorf("%s is printed as\n%s", text, b.String())
		}
		for _, c := range config.Changes(config.Default(), l.Settings) {
			if strings.Contains(c.String(), "secret") {
				t.Errorf("logged: %s", c)
			}
		}
	}
}

// TestHiddenHash: the hash of the admin UI's password is for nobody who prints the
// settings, or reads what a reload has changed.
func TestHiddenHash(t *testing.T) {
	const hash = "$2a$04$OciU//4mlCNre.9/IJ53G.fOvP/qpd/Ymzz7Li3/VUMw8Agu7.knS"
	l := load(t, []string{"--admin", "127.0.0.1:1", "--admin-ui", "production", "--admin-ui-user", "ops", "--admin-ui-password", hash}, nil)
	var b strings.Builder
	if _, err := l.WriteTo(&b); err != nil {
		t.Fatal(err)
	}
	if string(l.Admin.UIPassword) != hash || strings.Contains(b.String(), "OciU") || !strings.Contains(b.String(), "ui-password: (hidden)") {
		t.Errorf("printed:\n%s", b.String())
	}
	for _, c := range config.Changes(config.Default(), l.Settings) {
		if strings.Contains(fmt.Sprintf("%+v", c), "OciU") {
			t.Errorf("logged: %+v", c)
		}
	}
	_, err := config.Load([]string{"--admin", "127.0.0.1:1", "--admin-ui", "production", "--admin-ui-user", "ops", "--admin-ui-password", hash + "x"}, nil, config.Facts{})
	if err == nil || strings.Contains(err.Error(), "OciU") {
		t.Errorf("a mistake repeats it: %v", err)
	}
}

func TestBytes(t *testing.T) {
	tests := []struct {
		text string
		want config.Bytes
		back string // "" if the same
	}{
		{"none", config.None, ""}, {"NONE", config.None, "none"}, {"0", 0, ""}, {"1000", 1000, "1KB"}, {"999", 999, ""},
		{"1KiB", 1024, ""}, {"1 kb", 1000, "1KB"}, {"64kib", 64 << 10, "64KiB"}, {"1MB", 1e6, ""}, {"12B", 12, "12"}, {"2GiB", 2 << 30, ""},
	}
	for _, tt := range tests {
		var b config.Bytes
		if err := b.UnmarshalText([]byte(tt.text)); err != nil || b != tt.want {
			t.Errorf("%q: got %d, %v, want %d", tt.text, b, err, tt.want)
		}
		back, err := b.MarshalText()
		if want := cmp.Or(tt.back, tt.text); err != nil || string(back) != want {
			t.Errorf("%d: got %q, %v, want %q", b, back, err, want)
		}
	}
	for _, text := range []string{"", "-1", "1.5MB", "MB", "1TB", "lots", "9999999999GB", "99999999999999999999"} {
		var b config.Bytes
		if err := b.UnmarshalText([]byte(text)); err == nil {
			t.Errorf("%q: got %d, want an error", text, b)
		}
	}
}

// FuzzFile: no file makes Load panic, and every mistake has a place.
func FuzzFile(f *testing.F) {
	for _, name := range []string{"mistakes.yaml", "print.yaml"} {
		text, err := os.ReadFile(filepath.Join("testdata", name))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(string(text))
	}
	f.Add("a: &a [*a]\nrelay: *a\n")
	f.Fuzz(func(t *testing.T, text string) {
		path := filepath.Join(t.TempDir(), "f.yaml")
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		_, err := config.Load([]string{"--config", path}, nil, facts)
		mistakes, _ := errors.AsType[config.Mistakes](err)
		if err != nil && len(mistakes) == 0 {
			t.Errorf("got %v, want Mistakes", err)
		}
		for _, m := range mistakes {
			if m.Text == "" || m.Place.String() == "" {
				t.Errorf("a mistake says nothing: %+v", m)
			}
		}
	})
}

// TestRules: rules are read from words and from mappings, and written so that
// they can be read again.
func TestRules(t *testing.T) {
	inFolder(t, map[string]string{"rules.yaml": `
data: kept
durable:
  - chat:* count=100 bytes=1MB
  - pattern: tea room
    age: 30d
    durability: async
    count: none
allow:
  - pattern: news:*
    join: anyone
    history: anyone
    publish: token
    event: [headline, "chat message"]
open: ["lobby:*"]
`})
	l := load(t, []string{"--config", "rules.yaml"}, nil)
	durable := []config.RoomRule{
		{Pattern: "chat:*", Count: 100, Bytes: 1e6, Durability: "fsync"},
		{Pattern: "tea room", Count: config.None, Bytes: config.None, Age: 30 * 24 * time.Hour, Durability: "async"},
	}
	allow := []config.VerbRule{{Pattern: "news:*", Join: "anyone", History: "anyone", Publish: "token", Events: []string{"headline", "chat message"}}}
	if !reflect.DeepEqual(l.Durable, durable) || !reflect.DeepEqual(l.Allow, allow) || !slices.Equal(l.Open, []string{"lobby:*"}) {
		t.Errorf("got %+v, %+v, %q", l.Durable, l.Allow, l.Open)
	}
	var b strings.Builder
	if _, err := l.WriteTo(&b); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile("printed.yaml", []byte(b.String()), 0o644); err != nil {
		t.Fatal(err)
	}
	if back := load(t, []string{"--config", "printed.yaml"}, nil); !reflect.DeepEqual(back.Settings, l.Settings) {
		t.Errorf("read back as %+v\nwant %+v", back.Settings, l.Settings)
	}
	flags := load(t, []string{"--data", "kept", "--durable", "chat:*", "--durable", `"tea room" durability=async`}, nil)
	durable = []config.RoomRule{
		{Pattern: "chat:*", Count: 10_000, Bytes: config.None, Durability: "fsync"},
		{Pattern: "tea room", Count: 10_000, Bytes: config.None, Durability: "async"},
	}
	if !reflect.DeepEqual(flags.Durable, durable) {
		t.Errorf("got %+v, want %+v", flags.Durable, durable)
	}
}

func TestMemoryMistakes(t *testing.T) {
	inFolder(t, map[string]string{"a-file": "", "public/x": "", "nested.yaml": "durable:\n  - pattern: a\n    count: {b: c}\n", "nameless.yaml": "durable:\n  - count: 1\n"})
	tests := []struct {
		args []string
		want string
	}{
		{[]string{"--durable", "a"}, "--durable: durable needs a folder to keep histories in: give data, such as --data .data"},
		{[]string{"--data", "a-file"}, `data is "a-file", which is a file: want a folder`},
		{[]string{"--data", "public/data", "--static", "public"}, "data lies in the folder of static, which is served to everyone"},
		{[]string{"--memory", "/x", "--namespace", "/y"}, `--memory: memory is "/x": want / or /y`},
		{[]string{"--window", "1ms"}, "--window: window is 1ms: want 1s to 720h"},
		{[]string{"--open", "a*b*c"}, `--open: open: the pattern "a*b*c": want the name of a room, with one * at most`},
		{[]string{"--open", "a", "--relay", "join"}, `--relay: relay is "join", which open makes a verb`},
		{[]string{"--open", "a", "--demo", "chat"}, "open and demo can't go together"},
		{[]string{"--allow", "a publish=everyone"}, `publish=everyone: want nobody, anyone, members or token`},
		{[]string{"--allow", "a read=anyone"}, `read=anyone: want join, publish, history, presence, state or event`},
		{[]string{"--allow", "a join=anyone join=token"}, "join is there twice"},
		{[]string{"--allow", "a event=connect"}, "event=connect belongs to the protocol"},
		{[]string{"--data", "d", "--durable", "a count=0"}, "count and bytes can't be 0"},
		{[]string{"--data", "d", "--durable", "a forever"}, `"forever": want name=value`},
		{[]string{"--data", "d", "--durable", `"a`}, `a word begins with "`},
		{[]string{"--data", "d", "--durable", "a age=1"}, "age=1: want an age such as 30d or 12h, or none"},
		{[]string{"--data", "d", "--durable", "a durability=maybe"}, "durability=maybe: want fsync or async"},
		{[]string{"--data", "d", "--config", "nested.yaml"}, "nested.yaml:2: durable has a mapping under count: want one value"},
		{[]string{"--data", "d", "--config", "nameless.yaml"}, "nameless.yaml:2: durable has an element without pattern"},
	}
	for _, tt := range tests {
		_, err := config.Load(tt.args, nil, facts)
		if err == nil || !strings.Contains(err.Error(), tt.want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%q:\ngot  %v\nwant %s", tt.args, err, tt.want)
		}
	}
}
