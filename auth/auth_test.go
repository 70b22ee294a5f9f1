package auth_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tutti-rt/tutti/auth"
	"github.com/tutti-rt/tutti/internal/leak"
)

func TestMain(m *testing.M) { os.Exit(leak.Run(m)) }

// fixed is a verifier that knows one identity.
type fixed struct{ id *auth.Identity }

func (f fixed) Verify(context.Context, auth.Credentials) (*auth.Identity, error) { return f.id, nil }

// identity is that of somebody with claims, in a world of these grants.
func identity(t *testing.T, id auth.Identity, claims string, grants ...auth.Grant) *auth.Identity {
	t.Helper()
	got, err := tryIdentity(t, id, claims, grants...)
	if err != nil {
		t.Fatal(err)
	}
	return got
}

func tryIdentity(t *testing.T, id auth.Identity, claims string, grants ...auth.Grant) (*auth.Identity, error) {
	t.Helper()
	if claims != "" {
		d := json.NewDecoder(strings.NewReader(claims))
		d.UseNumber()
		if err := d.Decode(&id.Claims); err != nil {
			t.Fatal(err)
		}
	}
	a, err := auth.New(auth.Config{Verifiers: []auth.Verifier{fixed{&id}}, Grants: grants})
	if err != nil {
		t.Fatal(err)
	}
	return a.Identify(t.Context(), auth.Credentials{})
}

var join = []auth.Permission{auth.Join}

func TestPatterns(t *testing.T) {
	for _, tt := range []struct {
		pattern, claims string
		opens, shuts    []string
	}{
		{"news", `{}`, []string{"news"}, []string{"new", "newss", "", "news*"}},
		{"chat:*", `{}`, []string{"chat:", "chat:a:b"}, []string{"chat", "xchat:a"}},
		{"a*b*c", `{}`, []string{"abc", "aXbYc", "abbcc"}, []string{"ab", "acb", "ac"}},
		{"chat:{org}:*", `{"org":"acme"}`, []string{"chat:acme:tea"}, []string{"chat:acme", "chat:other:tea", "chat::tea", "chat:{org}:tea"}},
		{"user:{sub}", `{"sub":"eve"}`, []string{"user:ann"}, []string{"user:eve", "user:", "user:annx"}},
		// What a claim holds is never a pattern, and never two pieces of a name.
		{"chat:{org}:*", `{"org":"*"}`, []string{"chat:%2A:x"}, []string{"chat:acme:x", "chat:*:x"}},
		{"chat:{org}:*", `{"org":"acme:secret"}`, []string{"chat:acme%3Asecret:x"}, []string{"chat:acme:secret:x"}},
		{"chat:{org}:*", `{"org":"a%3Ab"}`, []string{"chat:a%253Ab:x"}, []string{"chat:a%3Ab:x"}},
		{"chat:{org}:*", `{"org":"{sub}"}`, []string{"chat:%7Bsub%7D:x"}, []string{"chat:ann:x", "chat:{sub}:x"}},
		{"chat:{org}:*", `{"org":"a\u0000b"}`, []string{"chat:a%00b:x"}, []string{"chat:a\x00b:x"}},
		// No claim, no rooms.
		{"chat:{org}:*", `{}`, nil, []string{"chat::x", "chat:x"}},
		{"chat:{org}:*", `{"org":""}`, nil, []string{"chat::x"}},
		{"chat:{org}:*", `{"org":null}`, nil, []string{"chat::x", "chat:null:x"}},
		{"chat:{org}:*", `{"org":true}`, nil, []string{"chat:true:x"}},
		{"chat:{org}:*", `{"org":{"a":"b"}}`, nil, []string{"chat:b:x", "chat::x"}},
		{"chat:{org}:*", `{"org":7}`, []string{"chat:7:x"}, nil},
		{"chat:{orgs}:*", `{"orgs":["a","b",7,"",null]}`, []string{"chat:a:x", "chat:b:x", "chat:7:x"}, []string{"chat::x", "chat:c:x"}},
		{"{a}-{b}", `{"a":["1","2"],"b":["x","y"]}`, []string{"1-x", "2-y", "1-y"}, []string{"1-2", "x-1"}},
		{"app:{meta.org.id}", `{"meta":{"org":{"id":"o1"}}}`, []string{"app:o1"}, []string{"app:"}},
		{"app:{https://a.test/org}", `{"https://a.test/org":"o1"}`, []string{"app:o1"}, nil},
	} {
		id := identity(t, auth.Identity{Subject: "ann", Method: auth.ByToken}, tt.claims, auth.Grant{Rooms: tt.pattern, May: join})
		for _, room := range tt.opens {
			if !id.May("join", room) {
				t.Errorf("%s with %s does not open %q", tt.pattern, tt.claims, room)
			}
			if id.May("publish", room) || id.May("admin", room) || id.May("", room) || id.May("nonsense", room) {
				t.Errorf("%s lets more than join in %q", tt.pattern, room)
			}
		}
		for _, room := range tt.shuts {
			if id.May("join", room) {
				t.Errorf("%s with %s opens %q", tt.pattern, tt.claims, room)
			}
		}
	}
}

func FuzzClaim(f *testing.F) {
	f.Add("acme")
	f.Add("*")
	f.Add("a:b%{}/\x00é")
	f.Fuzz(func(t *testing.T, value string) {
		text, err := json.Marshal(map[string]string{"org": value})
		if err != nil {
			return
		}
		id := identity(t, auth.Identity{Subject: "ann", Method: auth.ByToken}, string(text), auth.Grant{Rooms: "chat:{org}:*", May: join})
		for _, room := range []string{"chat:acme:x", "chat:other:x", "chat:x", "chat:a:b:x", "chat::x", "news"} {
			if pieces := strings.Split(room, ":"); id.May("join", room) && (len(pieces) < 3 || pieces[1] != value) {
				t.Errorf("the claim %q opens %q", value, room)
			}
		}
	})
}

func TestGrants(t *testing.T) {
	grants := []auth.Grant{
		{Rooms: "all", May: []auth.Permission{"*"}},
		{Rooms: "ops", May: []auth.Permission{auth.Admin}, Key: "backend"},
		{Rooms: "a:*", May: join, Issuer: "https://a.test"},
		{Rooms: "edit", May: []auth.Permission{auth.Publish}, Claims: map[string]string{"roles": "editor"}},
	}
	for _, tt := range []struct {
		name   string
		id     auth.Identity
		claims string
		may    string
	}{
		{"anybody", auth.Identity{Subject: "ann", Method: auth.ByToken}, "", "join all, publish all, history all, presence all, state all"},
		{"of an issuer", auth.Identity{Subject: "ann", Method: auth.ByToken, Issuer: "https://a.test"}, "", "join all, publish all, history all, presence all, state all, join a:x"},
		{"an editor", auth.Identity{Subject: "ann", Method: auth.ByToken}, `{"roles":["x","editor"]}`, "join all, publish all, history all, presence all, state all, publish edit"},
		{"a key", auth.Identity{Subject: "key:backend", Method: auth.ByKey}, "", "join all, publish all, history all, presence all, state all, admin ops"},
		{"by claim", auth.Identity{Subject: "ann", Method: auth.ByToken}, `{"tutti":{"rooms":{"own":["join","state"],"b:*":"*"}}}`,
			"join all, publish all, history all, presence all, state all, join own, state own, join b:x, publish b:x, history b:x, presence b:x, state b:x"},
		{"a session", auth.Identity{Subject: "ann", Method: auth.BySession, Rooms: auth.Rooms{"own": join}}, `{"tutti":{"rooms":{"b:*":"*"}}}`,
			"join all, publish all, history all, presence all, state all, join own"},
	} {
		id := identity(t, tt.id, tt.claims, grants...)
		var may []string
		for _, room := range []string{"all", "a:x", "edit", "own", "b:x", "ops"} {
			for _, p := range []auth.Permission{auth.Join, auth.Publish, auth.History, auth.Presence, auth.State, auth.Admin} {
				if id.May(string(p), room) {
					may = append(may, fmt.Sprint(p, " ", room))
				}
			}
		}
		want := strings.Split(tt.may, ", ")
		slices.Sort(may)
		slices.Sort(want)
		if !slices.Equal(may, want) {
			t.Errorf("%s may %v, want %v", tt.name, may, want)
		}
	}
	if id := identity(t, auth.Identity{Subject: "ann"}, "", auth.Grant{Rooms: "*", May: join}); !id.MayAll("join") || id.MayAll("publish") {
		t.Error("* is not all rooms")
	}
	var nobody *auth.Identity
	if nobody.May("join", "all") || nobody.MayAll("join") || nobody.User() != "" || nobody.Expired(time.Now()) {
		t.Error("nobody may something")
	}
}

func TestRefused(t *testing.T) {
	many := `{"tutti":{"rooms":{` + `"r0":["join"]`
	for i := range 1001 {
		many += fmt.Sprintf(`,"r%d":["join"]`, i+1)
	}
	for name, tt := range map[string]struct {
		id     auth.Identity
		claims string
		want   auth.Code
	}{
		"no subject":             {auth.Identity{Method: auth.ByToken}, "", auth.InvalidToken},
		"a subject like a key's": {auth.Identity{Method: auth.ByToken, Subject: "key:backend"}, "", auth.InvalidToken},
		"expired":                {auth.Identity{Subject: "ann", Expiry: time.Now().Add(-time.Second)}, "", auth.Expired},
		"unknown permission":     {auth.Identity{Subject: "ann", Method: auth.ByToken}, `{"tutti":{"rooms":{"a":["fly"]}}}`, auth.InvalidToken},
		"no rooms":               {auth.Identity{Subject: "ann", Method: auth.ByToken}, `{"tutti":{"rooms":["a"]}}`, auth.InvalidToken},
		"an empty pattern":       {auth.Identity{Subject: "ann", Method: auth.ByToken}, `{"tutti":{"rooms":{"":["join"]}}}`, auth.InvalidToken},
		"more than one may have": {auth.Identity{Subject: "ann", Method: auth.ByToken}, many + "}}}", auth.InvalidToken},
	} {
		if _, err := tryIdentity(t, tt.id, tt.claims); code(err) != tt.want {
			t.Errorf("%s: %v, want %s", name, err, tt.want)
		}
	}
	_, err := auth.New(auth.Config{Grants: []auth.Grant{{Rooms: "a{", May: join}, {Rooms: "a}", May: join}, {Rooms: "", May: join},
		{Rooms: "a{}", May: join}, {Rooms: "a{b*}", May: join}, {Rooms: "a"}, {Rooms: "a", May: []auth.Permission{"fly"}}}})
	for i := range 7 {
		if err == nil || !strings.Contains(err.Error(), fmt.Sprintf("Grants[%d]", i)) {
			t.Errorf("mistake %d is not in %v", i, err)
		}
	}
}

func code(err error) auth.Code {
	if r, ok := errors.AsType[*auth.Refusal](err); ok {
		return r.Code
	}
	return ""
}

func TestAnonymous(t *testing.T) {
	for _, allowed := range []bool{false, true} {
		a, err := auth.New(auth.Config{AllowAnonymous: allowed})
		if err != nil {
			t.Fatal(err)
		}
		id, err := a.Identify(t.Context(), auth.Credentials{})
		if allowed && (err != nil || id.Method != auth.Anonymous || id.May("join", "a")) || !allowed && code(err) != auth.Unauthorized {
			t.Errorf("anonymous %v: %v, %v", allowed, id, err)
		}
		if _, err := a.Identify(t.Context(), auth.Credentials{Token: "x"}); code(err) != auth.InvalidToken {
			t.Errorf("anonymous %v: a token that nobody knows: %v", allowed, err)
		}
	}
	if c := (auth.Credentials{Token: "SECRET"}); strings.Contains(fmt.Sprintf("%v %+v %#v %s", c, c, c, c), "SECRET") {
		t.Error("credentials print themselves")
	}
}

func TestKeys(t *testing.T) {
	secret, hash := auth.NewSecret()
	other, _ := auth.NewSecret()
	keys, err := auth.NewKeys(auth.Key{Name: "backend", Hash: hash}, auth.Key{Name: "second", Hash: auth.HashSecret("second")})
	if err != nil || secret == other {
		t.Fatal(err)
	}
	id, err := keys.Verify(t.Context(), auth.Credentials{Token: secret})
	if err != nil || id == nil || id.Subject != "key:backend" || id.Method != auth.ByKey {
		t.Errorf("the secret is %+v, %v", id, err)
	}
	for _, token := range []string{"", other, hash, secret + "x"} {
		if id, err := keys.Verify(t.Context(), auth.Credentials{Token: token}); id != nil || err != nil {
			t.Errorf("%q is %+v, %v", token, id, err)
		}
	}
	if _, err := auth.NewKeys(auth.Key{Name: "a", Hash: "md5:00"}, auth.Key{Name: "b", Hash: hash}, auth.Key{Name: "b", Hash: hash}, auth.Key{Hash: hash}); err == nil ||
		!strings.Contains(err.Error(), "sha256:") || !strings.Contains(err.Error(), "two keys") || !strings.Contains(err.Error(), "no name") {
		t.Errorf("mistakes: %v", err)
	}
}
