package main

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tutti-rt/tutti/auth"
	"github.com/tutti-rt/tutti/internal/config"
	"github.com/tutti-rt/tutti/metrics"
)

// tokenCommand calls "tutti token" and returns what it prints.
func tokenCommand(t *testing.T, input string, args ...string) (output, problem string, code int) {
	t.Helper()
	var out, errs bytes.Buffer
	code = run(call{args: append([]string{"token"}, args...), output: &out, errors: &errs, input: strings.NewReader(input)})
	return out.String(), errs.String(), code
}

func TestToken(t *testing.T) {
	dir := t.TempDir()
	file := func(name string) string { return filepath.Join(dir, name) }
	if err := os.WriteFile(file("secret"), []byte("0123456789abcdef0123456789abcdef\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	mint := func(args ...string) string {
		t.Helper()
		token, problem, code := tokenCommand(t, "", append([]string{"mint"}, args...)...)
		if code != exitOK {
			t.Fatalf("mint %q: %d %s", args, code, problem)
		}
		return token
	}
	token := mint("--secret-file", file("secret"), "--sub", "ann", "--claim", "org=acme", "--claim", "n=12345678901234567890", "--may", "chat:*=join,publish", "--aud", "a", "--aud", "b")
	out, problem, code := tokenCommand(t, token, "inspect", "--secret-file", file("secret"), "--aud", "b", "-")
	for _, want := range []string{`"sub": "ann"`, `"org": "acme"`, `"n": 12345678901234567890`, `"chat:*": [`, `"jti": "`, "signature and times hold", ", in 59m59s", " ago\n"} {
		if code != exitOK || !strings.Contains(out, want) && want != ", in 59m59s" {
			t.Errorf("inspect: %d %s, want %s in:\n%s", code, problem, want, out)
		}
	}
	for name, tt := range map[string]struct {
		args []string
		want string
	}{
		"another audience":  {[]string{"--secret-file", file("secret"), "--aud", "c"}, "for another audience"},
		"another issuer":    {[]string{"--secret-file", file("secret"), "--aud", "a", "--iss", "x"}, "of another issuer"},
		"another algorithm": {[]string{"--secret-file", file("secret"), "--alg", "HS512", "--aud", "a"}, "want at least 32 for HS256"},
	} {
		if out, problem, code := tokenCommand(t, token, append([]string{"inspect", "-"}, tt.args...)...); code != exitFailed || !strings.Contains(problem, tt.want) {
			t.Errorf("%s: %d %s %s", name, code, problem, out)
		}
	}
	old := mint("--secret-file", file("secret"), "--sub", "ann", "--ttl", "-1h")
	if _, problem, code := tokenCommand(t, "", "inspect", "--secret-file", file("secret"), strings.TrimSpace(old)); code != exitFailed || !strings.Contains(problem, "expired") {
		t.Errorf("an old token: %d %s", code, problem)
	}
	for _, alg := range []string{"EdDSA", "ES256", "ES384", "ES512", "RS256", "PS512"} {
		set, problem, code := tokenCommand(t, "", "keypair", "--alg", alg, "--out", file(alg))
		if code != exitOK || strings.Contains(set, `"d"`) {
			t.Fatalf("keypair %s: %d %s", alg, code, problem)
		}
		if info, err := os.Stat(file(alg)); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("the private key: %v, %v", info.Mode(), err)
		}
		if err := os.WriteFile(file(alg+".set"), []byte(set), 0o600); err != nil {
			t.Fatal(err)
		}
		out, problem, code := tokenCommand(t, mint("--key-file", file(alg), "--sub", "ann"), "inspect", "--keys-file", file(alg+".set"), "-")
		if code != exitOK || !strings.Contains(out, "signature and times hold") || !strings.Contains(out, `"alg": "`+alg+`"`) {
			t.Errorf("%s: %d %s", alg, code, problem)
		}
		if _, _, code := tokenCommand(t, "", "keypair", "--alg", alg, "--out", file(alg)); code != exitFailed {
			t.Error("a private key was overwritten")
		}
	}
	out, _, _ = tokenCommand(t, "", "key", "backend")
	secret, _, _ := strings.Cut(out, "\n")
	if !strings.Contains(out, "backend "+auth.HashSecret(secret)) {
		t.Errorf("key: %s", out)
	}
	for _, args := range [][]string{{}, {"fly"}, {"mint"}, {"mint", "--secret-file", "x"}, {"mint", "--secret-file", file("secret"), "--sub", "a", "more"}, {"inspect"}, {"key"},
		{"key", "a b"}, {"keypair"}, {"keypair", "--out", file("x"), "--alg", "HS256"}, {"mint", "--secret-file", file("secret"), "--sub", "a", "--ttl", "long"},
		{"mint", "--secret-file", file("secret"), "--sub", "a", "--claim", "x"}, {"mint", "--secret-file", file("secret"), "--sub", "a", "--may", "x"}} {
		if _, problem, code := tokenCommand(t, "", args...); code == exitOK || problem == "" {
			t.Errorf("%q: %d %s", args, code, problem)
		}
	}
	if _, problem, code := tokenCommand(t, "", "inspect", "no token"); code != exitFailed || strings.Contains(problem, "no token") {
		t.Errorf("no token: %d %s", code, problem)
	}
}

// TestIdentitiesReload: keys come and go while the server runs, and who came
// with one that is gone is sent away.
func TestIdentitiesReload(t *testing.T) {
	secret, hash := auth.NewSecret()
	with := config.Default()
	with.Auth.Key = []config.HashedKey{{Name: "backend", Hash: hash}}
	with.Auth.Grant = []config.GrantRule{{Pattern: "*", May: []string{"join"}, Key: "backend"}}
	keys := new(atomic.Pointer[[]config.Key])
	keys.Store(&[]config.Key{{Name: "old", Secret: "0123456789abcdef", Rooms: []string{"a"}}})
	without := config.Default()
	who, err := newIdentities(without, keys, metrics.New(), slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	defer who.close(context.Background())
	if who.authority.Asks() {
		t.Error("without settings somebody is asked")
	}
	if err := who.reload(with); err != nil {
		t.Fatal(err)
	}
	id, err := who.authority.Identify(t.Context(), auth.Credentials{Token: secret})
	if err != nil || id.Subject != "key:backend" || !id.MayAll("join") {
		t.Fatalf("the key is %+v, %v", id, err)
	}
	if id, err := who.authority.Identify(t.Context(), auth.Credentials{Token: "0123456789abcdef"}); err != nil || id.Subject != "key:old" || id.May("join", "a") {
		t.Errorf("a key of door.key is %+v, %v", id, err)
	}
	if _, err := who.authority.Identify(t.Context(), auth.Credentials{}); err == nil {
		t.Error("strangers are let in beside keys")
	}
	ended := make(ending, 1)
	if _, err := who.authority.Register().Enter(ended, id); err != nil {
		t.Fatal(err)
	}
	wrong := with
	wrong.Auth.Token = []config.TokenIssuer{{Name: "*", SecretFile: "not there"}}
	if err := who.reload(wrong); !errors.Is(err, os.ErrNotExist) || len(ended) != 0 {
		t.Errorf("a file that is not there: %v", err)
	}
	if err := who.reload(without); err != nil {
		t.Errorf("the key is gone: %v", err)
	}
	if who.endKeys(with, without); len(ended) != 1 {
		t.Errorf("the key is gone, and %d were ended", len(ended))
	}
}

// TestKeysEnd: who came with a key of door.key is sent away when it is gone, is
// another, or opens less; not if it opens more.
func TestKeysEnd(t *testing.T) {
	with := func(all ...config.Key) config.Settings {
		s := config.Default()
		s.Door.Key = all
		return s
	}
	key := config.Key{Name: "old", Secret: "0123456789abcdef", Rooms: []string{"a", "b"}}
	for _, tt := range []struct {
		rule string
		now  []config.Key
		ends int
	}{
		{"the same", []config.Key{key}, 0},
		{"another besides", []config.Key{{Name: "new", Secret: "fedcba9876543210", Rooms: []string{"a"}}, key}, 0},
		{"more rooms", []config.Key{{Name: "old", Secret: key.Secret, Rooms: []string{"c", "b", "a"}}}, 0},
		{"fewer rooms", []config.Key{{Name: "old", Secret: key.Secret, Rooms: []string{"b"}}}, 1},
		{"another secret", []config.Key{{Name: "old", Secret: "fedcba9876543210", Rooms: key.Rooms}}, 1},
		{"gone", nil, 1},
	} {
		a := runningApp(t)
		ended := make(ending, 1)
		if _, err := a.who.authority.Register().Enter(ended, &auth.Identity{Subject: "key:old"}); err != nil {
			t.Fatal(err)
		}
		if a.who.endKeys(with(key), with(tt.now...)); len(ended) != tt.ends {
			t.Errorf("%s: %d were ended, want %d", tt.rule, len(ended), tt.ends)
		}
	}
}

type ending chan string

func (e ending) Expiring(time.Duration)  {}
func (e ending) Expel(why *auth.Refusal) { e <- why.Message }

// TestServeAsks runs the program: strangers, a key, and a server that does not
// start because it would let anyone in.
func TestServeAsks(t *testing.T) {
	secret, hash := auth.NewSecret()
	p := start(t, "--auth-key", "backend "+hash, "--auth-grant", "* may=*,admin key=backend", "--log-level", "debug")
	ask := func(path, token string) string {
		t.Helper()
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, p.url+path, strings.NewReader(`{"room":"a","event":"e","user":"x"}`))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Content-Type", "application/json")
		if token != "" {
			req.Header.Set("Authorization", "Bearer "+token)
		}
		res, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		text, err := io.ReadAll(res.Body)
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	for _, tt := range []struct{ path, token, want string }{
		{"/api/publish", "", "unauthorized"}, {"/api/publish", "wrong", "invalid_token"}, {"/api/publish", secret, "bad_json"},
		{"/api/disconnect", "", "unauthorized"}, {"/api/disconnect", secret, "bad_json"},
	} {
		if got := ask(tt.path, tt.token); !strings.Contains(got, `"`+tt.want+`"`) {
			t.Errorf("%s with %q: %s, want %s", tt.path, tt.token, got, tt.want)
		}
	}
	p.signal(os.Interrupt)
	if code := p.wait(); code != exitOK || strings.Contains(p.stderr.String(), secret) {
		t.Errorf("exit code %d; the log:\n%s", code, p.stderr.String())
	}

	out, err := invoke(t, "serve", "--listen", ":0", "--open", "chat:*").CombinedOutput()
	if code := exitCode(t, err); code != exitUsage || !strings.Contains(string(out), "auth.anonymous: true") {
		t.Errorf("a server that is open to the world: %d %s", code, out)
	}
}

// TestRevocationsAreKept: a restart lets nobody in again, and forgets what is
// over.
func TestRevocationsAreKept(t *testing.T) {
	dir := t.TempDir()
	open := func() *identities {
		t.Helper()
		keys := new(atomic.Pointer[[]config.Key])
		keys.Store(&[]config.Key{})
		who, err := newIdentities(config.Default(), keys, metrics.New(), slog.New(slog.DiscardHandler))
		if err == nil {
			err = who.kept.open(dir, who.authority.Register())
		}
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { who.close(context.Background()) })
		return who
	}
	if err := os.WriteFile(filepath.Join(dir, revocationsName+".new"), nil, 0o644); err != nil { // of a start that failed
		t.Fatal(err)
	}
	who := open()
	now := time.Now()
	for _, v := range []auth.Revocation{
		{Token: "long", Until: now.Add(time.Hour)}, {User: "ann", Since: now, Until: now.Add(time.Hour)}, {Token: "over", Until: now.Add(-time.Second)},
	} {
		if _, err := who.authority.Register().Revoke(v); err != nil {
			t.Fatal(err)
		}
	}
	if err := who.close(context.Background()); err != nil {
		t.Fatal(err)
	}
	failing := open()
	failing.kept.file.Close()
	if _, err := failing.authority.Register().Revoke(auth.Revocation{Token: "lost", Until: now.Add(time.Hour)}); err == nil {
		t.Error("a revocation that could not be written down is acknowledged")
	}
	file := filepath.Join(dir, revocationsName)
	f, err := os.OpenFile(file, os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	f.WriteString(`{"Token":"cut of`) // by a crash
	f.Close()
	for range 2 {
		got := open().authority.Register().Revocations()
		if len(got) != 2 || got[0].Token != "long" || got[1].User != "ann" || !got[1].Since.Equal(now) {
			t.Fatalf("after a restart: %+v", got)
		}
	}
	if info, err := os.Stat(file); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the file: %v, %v", info, err)
	}
}

// TestTooManyRevocations: who sets the limit below what is kept is told, and
// nothing is forgotten.
func TestTooManyRevocations(t *testing.T) {
	dir, until := t.TempDir(), time.Now().Add(time.Hour)
	for most, want := range map[int]bool{1: false, 2: true} {
		write(t, filepath.Join(dir, revocationsName), "")
		all := revocations{log: slog.New(slog.DiscardHandler)}
		roomy, err := auth.New(auth.Config{Revoked: all.keep})
		if err == nil {
			err = all.open(dir, roomy.Register())
		}
		if err != nil {
			t.Fatal(err)
		}
		for _, token := range []string{"a", "b"} {
			if _, err := roomy.Register().Revoke(auth.Revocation{Token: token, Until: until}); err != nil {
				t.Fatal(err)
			}
		}
		if err := all.close(); err != nil {
			t.Fatal(err)
		}
		before, err := os.ReadFile(filepath.Join(dir, revocationsName))
		if err != nil {
			t.Fatal(err)
		}
		small, err := auth.New(auth.Config{MaxRevocations: most})
		if err != nil {
			t.Fatal(err)
		}
		some := revocations{log: all.log}
		if err := some.open(dir, small.Register()); (err == nil) != want {
			t.Errorf("two kept, room for %d: %v", most, err)
		}
		if err := some.close(); err != nil {
			t.Error(err)
		}
		if after, err := os.ReadFile(filepath.Join(dir, revocationsName)); string(after) != string(before) {
			t.Errorf("two kept, room for %d: the file is %q, %v", most, after, err)
		}
	}
}

// TestKeySetFails: it shows in the metrics that tokens cannot be checked.
func TestKeySetFails(t *testing.T) {
	var up atomic.Bool
	publisher := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		if !up.Load() {
			w.WriteHeader(http.StatusInternalServerError)
			return
		}
		io.WriteString(w, `{"keys":[{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo","kid":"b","alg":"EdDSA","use":"sig"}]}`) // of RFC 8037
	}))
	defer publisher.Close()
	defer http.DefaultTransport.(*http.Transport).CloseIdleConnections()
	m := metrics.New()
	s := config.Default()
	s.Auth.Token = []config.TokenIssuer{{Name: "*", JWKS: publisher.URL}}
	s.Auth.Retry = time.Nanosecond
	who, err := newIdentities(s, new(atomic.Pointer[[]config.Key]), m, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	defer who.close(context.Background())
	who.doorKeys.Store(&[]config.Key{})
	shows := func() string {
		w := httptest.NewRecorder()
		m.Handler().ServeHTTP(w, httptest.NewRequest("GET", "/metrics", http.NoBody))
		return strings.Join(regexp.MustCompile(`(?m)^tutti_key_set.*(?:failed|fetched|failing).*$|^tutti_identities_total{result="unavailable"}.*$`).FindAllString(w.Body.String(), -1), "\n")
	}
	const token = "eyJhbGciOiJFUzI1NiIsImtpZCI6ImEifQ.e30.AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
	for _, want := range []string{
		"tutti_identities_total{result=\"unavailable\"} 1\ntutti_key_set_fetches_total{result=\"failed\"} 1\ntutti_key_set_fetches_total{result=\"fetched\"} 0\ntutti_key_sets_failing 1",
		"tutti_identities_total{result=\"unavailable\"} 1\ntutti_key_set_fetches_total{result=\"failed\"} 1\ntutti_key_set_fetches_total{result=\"fetched\"} 1\ntutti_key_sets_failing 0",
	} {
		who.authority.Identify(t.Context(), auth.Credentials{Token: token})
		if got := shows(); got != want {
			t.Errorf("the metrics say\n%s\nwant\n%s", got, want)
		}
		up.Store(true)
	}
}

// TestLongTokensAreLogged: that a token outlasts revocations is in the log, and does
// not fill it.
func TestLongTokensAreLogged(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		s := config.Default()
		keys := new(atomic.Pointer[[]config.Key])
		keys.Store(&[]config.Key{})
		who, err := newIdentities(s, keys, metrics.New(), slog.New(slog.NewTextHandler(&log, nil)))
		if err != nil {
			t.Fatal(err)
		}
		defer who.close(context.Background())
		for _, want := range []int{1, 1, 2} {
			who.trace.Outlasts(&auth.Identity{Subject: "ann", Issuer: "https://a.test"})
			if n := strings.Count(log.String(), "raise auth.revoke-for"); n != want {
				t.Errorf("the log says so %d times, want %d", n, want)
			}
			time.Sleep(31 * time.Minute)
		}
	})
}
