package config_test

import (
	"bytes"
	"path/filepath"
	"strings"
	"testing"

	"github.com/tutti-rt/tutti/internal/config"
)

const hash = "sha256:b24d0fd73e33f761e322e39d2fca62c79cf2eed76b1d43bde05d256a71ee1239"

func TestAuth(t *testing.T) {
	inFolder(t, map[string]string{"conf/tutti.yaml": `
auth:
  token:
    - issuer: https://a.example
      jwks: https://a.example/keys
      aud: [tutti, "other one"]
      alg: [ES256, RS256]
      prefix: a/
    - "* secret-file=secret"
  key:
    - backend ` + hash + `
  grant:
    - pattern: chat:{org}:*
      may: [join, publish]
      claim: ["role:editor", "https://x.example/y:1"]
      issuer: https://a.example
    - "* may=*,admin key=backend"
`})
	l, err := config.Load([]string{"--config", "conf/tutti.yaml"}, nil, config.Facts{})
	if err != nil {
		t.Fatal(err)
	}
	a := l.Auth
	if one, two := a.Token[0], a.Token[1]; one.Name != "https://a.example" || one.JWKS != "https://a.example/keys" || strings.Join(one.Audience, ",") != "tutti,other one" ||
		strings.Join(one.Algorithms, ",") != "ES256,RS256" || one.Prefix != "a/" || two.Name != "*" || two.SecretFile != filepath.Join("conf", "secret") {
		t.Errorf("issuers are %+v", a.Token)
	}
	if g := a.Grant[0]; g.Pattern != "chat:{org}:*" || strings.Join(g.May, ",") != "join,publish" || g.Claims["role"] != "editor" || g.Claims["https://x.example/y"] != "1" || g.Issuer != "https://a.example" {
		t.Errorf("the first grant is %+v", g)
	}
	if g := a.Grant[1]; strings.Join(g.May, ",") != "*,admin" || g.Key != "backend" {
		t.Errorf("the second grant is %+v", g)
	}
	if l.AllowsAnonymous() || !a.Identifies() {
		t.Error("strangers are let in")
	}
	var printed bytes.Buffer
	if _, err := l.WriteTo(&printed); err != nil {
		t.Fatal(err)
	}
	inFolder(t, map[string]string{"again.yaml": printed.String()})
	again, err := config.Load([]string{"--config", "again.yaml"}, nil, config.Facts{})
	if err != nil || len(config.Changes(l.Settings, again.Settings)) != 0 {
		t.Errorf("printed and read again: %v, %v\n%s", err, config.Changes(l.Settings, again.Settings), printed.String())
	}
}

// TestAuthSecrets: no mistake and no printed settings show a secret.
func TestAuthSecrets(t *testing.T) {
	inFolder(t, nil)
	const secret = "SECRET-SECRET-SECRET-SECRET-SECRET"
	l, err := config.Load([]string{"--auth-token", "* secret=" + secret, "--auth-session-secret", secret,
		"--auth-session-url", "https://a.example/", "--auth-session-cookie", "sid"}, nil, config.Facts{})
	if err != nil {
		t.Fatal(err)
	}
	var printed bytes.Buffer
	if _, err := l.WriteTo(&printed); err != nil || strings.Contains(printed.String(), "SECRET") || l.Auth.Token[0].Secret != secret || string(l.Auth.SessionSecret) != secret {
		t.Errorf("%v; printed:\n%s", err, printed.String())
	}
	for _, wrong := range []string{"* secret=SECRET", "* SECRET", "* secret=" + secret + " secret=" + secret, "* secret=\"SECRET", "* secret=" + secret + " jwks=x", "SECRET=x", "* SECRET=" + secret} {
		_, err := config.Load([]string{"--auth-token", wrong}, nil, config.Facts{})
		if err == nil || strings.Contains(err.Error(), "SECRET") {
			t.Errorf("%s: %v", wrong, err)
		}
	}
	for _, wrong := range []string{"SECRET", "backend SECRET", "backend sha256:SECRET", "a b SECRET"} {
		_, err := config.Load([]string{"--auth-key", wrong}, nil, config.Facts{})
		if err == nil || strings.Contains(err.Error(), "SECRET") {
			t.Errorf("%s: %v", wrong, err)
		}
	}
}

func TestAuthMistakes(t *testing.T) {
	inFolder(t, nil)
	for _, tt := range []struct{ args, want string }{
		{"--auth-token|* jwks=https://a.example|--auth-token|b jwks=https://b.example", "the same prefix= as *"},
		{"--auth-key|a " + hash + "|--auth-key|a " + hash, `another key has the name "a"`},
		{"--auth-key|a " + hash + "|--door-key|a 0123456789abcdef x", `another key has the name "a"`},
		{"--auth-grant|a may=join", "nobody is asked who he is"},
		{"--auth-key|a " + hash + "|--auth-grant|a may=fly", "want join, publish, history, presence, state, admin or *"},
		{"--auth-key|a " + hash + "|--auth-grant|a may=join key=b", "key=b: no auth.key has that name"},
		{"--auth-key|a " + hash + "|--auth-grant|a may=join issuer=b", "issuer=b: no auth.token has that name"},
		{"--auth-key|a " + hash + "|--auth-grant|a{b may=join", "want a claim between { and }"},
		{"--auth-key|a " + hash + "|--auth-grant|a may=join claim=x", "as in role:editor"},
		{"--auth-session-url|https://a.example", "auth.session-cookie names none"},
		{"--auth-session-cookie|a", "is sent to auth.session-url, which is not there"},
		{"--auth-session-cookie|io|--auth-session-url|https://a.example|--cookie|io", "the cookie that the server sets itself"},
		{"--auth-key|a " + hash + "|--relay|join", "which auth makes a verb"},
		{"--auth-grace|2h", "want 0s to 1h"},
		{"--auth-max-life|25h", "auth.max-life is 25h, longer than revocations are remembered by auth.revoke-for: 24h"},
		{"--auth-revoke-for|1s", "want 1m to 87600h"},
		{"--auth-anonymous|perhaps", "want true, false or auto"},
		{"--auth-claim|", "or none"},
	} {
		_, err := config.Load(strings.Split(tt.args, "|"), nil, config.Facts{})
		if err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %v, want %s", tt.args, err, tt.want)
		}
	}
}

// TestStrangers is the table in docs/auth.md.
func TestStrangers(t *testing.T) {
	inFolder(t, nil)
	const refused = "which others can reach, and rooms are open to anyone"
	for _, tt := range []struct {
		args    string
		let     bool
		mistake string
	}{
		{"", true, ""},
		{"--open|a", true, ""},
		{"--listen|localhost:80|--open|a", true, ""},
		{"--listen|[::1]:80|--open|a", true, ""},
		{"--listen|:80", true, ""},
		{"--listen|0.0.0.0:80|--allow|a join=token", true, ""},
		{"--listen|:80|--open|a", false, refused},
		{"--listen|192.0.2.1:80|--allow|a history=anyone", false, refused},
		{"--trusted-proxies|127.0.0.1", true, ""},
		{"--trusted-proxies|127.0.0.1|--open|a", false, "trusted-proxies say that others can reach"},
		{"--trusted-proxies|127.0.0.1|--open|a|--auth-anonymous|true", true, ""},
		{"--listen|:80|--door-listen|a", false, refused},
		{"--listen|:80|--door-publish|a", false, refused},
		{"--listen|:80|--relay|a", false, refused},
		{"--listen|:80|--relay-text", false, refused},
		{"--listen|:80|--open|a|--auth-anonymous|true", true, ""},
		{"--listen|:80|--open|a|--auth-anonymous|false", false, ""},
		{"--listen|:80|--demo|chat", true, ""},
		{"--listen|:80|--open|a|--auth-key|k " + hash, false, ""},
		{"--auth-key|k " + hash, false, ""},
		{"--auth-key|k " + hash + "|--auth-anonymous|true", true, ""},
		{"--auth-anonymous|false", false, ""},
		{"--demo|chat|--auth-key|k " + hash, true, ""},
	} {
		var args []string
		if tt.args != "" {
			args = strings.Split(tt.args, "|")
		}
		l, err := config.Load(args, nil, config.Facts{Demos: []string{"chat"}})
		switch {
		case tt.mistake != "":
			if err == nil || !strings.Contains(err.Error(), tt.mistake) {
				t.Errorf("%s: %v, want %s", tt.args, err, tt.mistake)
			}
		case err != nil:
			t.Errorf("%s: %v", tt.args, err)
		case l.AllowsAnonymous() != tt.let:
			t.Errorf("%s: strangers are let in: %v, want %v", tt.args, !tt.let, tt.let)
		}
	}
}
