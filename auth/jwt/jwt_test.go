package jwt_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"log/slog"
	"maps"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/tutti-rt/tutti/auth"
	"github.com/tutti-rt/tutti/auth/jwt"
	"github.com/tutti-rt/tutti/internal/leak"
)

func TestMain(m *testing.M) { os.Exit(leak.Run(m)) }

var secret = []byte("0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef")

// claims are those of a token that holds, changed as said; nil takes one out.
func claims(change map[string]any) map[string]any {
	c := map[string]any{"sub": "ann", "exp": time.Now().Add(time.Hour).Unix(), "iat": time.Now().Unix(), "jti": "t1"}
	maps.Copy(c, change)
	maps.DeleteFunc(c, func(_ string, v any) bool { return v == nil })
	return c
}

func sign(t testing.TB, alg jose.SignatureAlgorithm, key any, kid string, c map[string]any) string {
	t.Helper()
	payload, err := json.Marshal(c)
	if err != nil {
		t.Fatal(err)
	}
	return signText(t, alg, key, kid, payload)
}

func signText(t testing.TB, alg jose.SignatureAlgorithm, key any, kid string, payload []byte) string {
	t.Helper()
	o := &jose.SignerOptions{}
	if kid != "" {
		o = o.WithHeader("kid", kid)
	}
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: alg, Key: key}, o)
	if err != nil {
		t.Fatal(err)
	}
	signed, err := signer.Sign(payload)
	if err != nil {
		t.Fatal(err)
	}
	token, err := signed.CompactSerialize()
	if err != nil {
		t.Fatal(err)
	}
	return token
}

func verifier(t testing.TB, cfg jwt.Config) *jwt.Verifier {
	t.Helper()
	cfg.Log = slog.New(slog.DiscardHandler)
	v, err := jwt.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(v.Close)
	return v
}

func code(err error) auth.Code {
	if r, ok := errors.AsType[*auth.Refusal](err); ok {
		return r.Code
	}
	return ""
}

func publicPEM(t testing.TB, keys ...crypto.PublicKey) []byte {
	t.Helper()
	var text []byte
	for _, k := range keys {
		der, err := x509.MarshalPKIXPublicKey(k)
		if err != nil {
			t.Fatal(err)
		}
		text = append(text, pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})...)
	}
	return text
}

func keys(t testing.TB) (*rsa.PrivateKey, map[jose.SignatureAlgorithm]*ecdsa.PrivateKey, ed25519.PrivateKey) {
	t.Helper()
	r, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	ec := map[jose.SignatureAlgorithm]*ecdsa.PrivateKey{}
	for alg, curve := range map[jose.SignatureAlgorithm]elliptic.Curve{jose.ES256: elliptic.P256(), jose.ES384: elliptic.P384(), jose.ES512: elliptic.P521()} {
		if ec[alg], err = ecdsa.GenerateKey(curve, rand.Reader); err != nil {
			t.Fatal(err)
		}
	}
	_, ed, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return r, ec, ed
}

// TestAlgorithms: each kind of key verifies its own signatures, and no other
// key does, nor the key by another algorithm.
func TestAlgorithms(t *testing.T) {
	r, ec, ed := keys(t)
	private := map[jose.SignatureAlgorithm]any{
		jose.HS256: secret, jose.HS384: secret, jose.HS512: secret,
		jose.RS256: r, jose.RS384: r, jose.RS512: r, jose.PS256: r, jose.PS384: r, jose.PS512: r,
		jose.ES256: ec[jose.ES256], jose.ES384: ec[jose.ES384], jose.ES512: ec[jose.ES512], jose.EdDSA: ed,
	}
	tokens := map[jose.SignatureAlgorithm]string{}
	for alg, key := range private {
		tokens[alg] = sign(t, alg, key, "", claims(nil))
	}
	for alg, key := range private {
		from := jwt.Issuer{Algorithms: []string{string(alg)}}
		if s, ok := key.(crypto.Signer); ok {
			from.Keys = publicPEM(t, s.Public())
		} else {
			from.Secret = secret
		}
		v := verifier(t, jwt.Config{Issuers: []jwt.Issuer{from}})
		for other, token := range tokens {
			id, err := v.Verify(t.Context(), auth.Credentials{Token: token})
			if other == alg && (err != nil || id.Subject != "ann" || id.TokenID != "t1") {
				t.Errorf("%s: %+v, %v", alg, id, err)
			}
			if other != alg && code(err) != auth.InvalidToken {
				t.Errorf("a token by %s for a key of %s: %+v, %v", other, alg, id, err)
			}
		}
	}
}

// TestConfusion: the attacks on libraries that believe the header.
func TestConfusion(t *testing.T) {
	r, _, _ := keys(t)
	public := publicPEM(t, r.Public())
	v := verifier(t, jwt.Config{Issuers: []jwt.Issuer{{Keys: public}}})
	good := sign(t, jose.RS256, r, "", claims(nil))
	part := strings.Split(good, ".")
	header := func(text string) string { return base64.RawURLEncoding.EncodeToString([]byte(text)) }
	other, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.RS256, Key: other}, &jose.SignerOptions{EmbedJWK: true})
	if err != nil {
		t.Fatal(err)
	}
	payload, _ := base64.RawURLEncoding.DecodeString(part[1])
	signed, err := signer.Sign(payload)
	if err != nil {
		t.Fatal(err)
	}
	ownKey, err := signed.CompactSerialize()
	if err != nil {
		t.Fatal(err)
	}
	for name, token := range map[string]string{
		"alg none":                 header(`{"alg":"none"}`) + "." + part[1] + ".",
		"alg None":                 header(`{"alg":"None"}`) + "." + part[1] + ".",
		"no alg":                   header(`{}`) + "." + part[1] + "." + part[2],
		"HMAC with the public key": sign(t, jose.HS256, public, "", claims(nil)),
		"another's key":            sign(t, jose.RS256, other, "", claims(nil)),
		"its own key":              ownKey,
		"its own key's address":    header(`{"alg":"RS256","jku":"http://127.0.0.1:1/keys"}`) + "." + part[1] + "." + part[2],
		"critical header":          header(`{"alg":"RS256","crit":["x"],"x":1}`) + "." + part[1] + "." + part[2],
		"no signature":             part[0] + "." + part[1] + ".",
		"other claims":             part[0] + "." + header(`{"sub":"bob","exp":99999999999}`) + "." + part[2],
		"cut":                      good[:len(good)-4],
		"no base64":                "a.b.c",
		"empty":                    "..",
		"too long":                 good + strings.Repeat("A", 20_000),
	} {
		if id, err := v.Verify(t.Context(), auth.Credentials{Token: token}); code(err) != auth.InvalidToken || id != nil {
			t.Errorf("%s: %+v, %v", name, id, err)
		} else if strings.Contains(err.Error(), part[1]) {
			t.Errorf("%s: the error repeats the token: %v", name, err)
		}
	}
	for _, token := range []string{"", "x", "tutti_key", "a.b", "a.b.c.d.e"} {
		if id, err := v.Verify(t.Context(), auth.Credentials{Token: token}); err != nil || id != nil {
			t.Errorf("%q is no token: %+v, %v", token, id, err)
		}
	}
}

// TestLife: what is let in before it expires ends when it says, whatever clocks
// differ by; and tokens that last for long are refused, if that is wanted.
func TestLife(t *testing.T) {
	now := time.Now().Truncate(time.Second)
	issuer := jwt.Issuer{Name: "https://a.test", Secret: secret, Audience: []string{"tutti"}}
	for name, tt := range map[string]struct {
		iat, exp any
		most     time.Duration
		end      time.Time
		want     auth.Code
	}{
		"good":                       {nil, now.Add(time.Minute).Unix(), 0, now.Add(time.Minute), ""},
		"expired, within the leeway": {nil, now.Add(-10 * time.Second).Unix(), 0, now.Add(20 * time.Second), ""},
		"short":                      {now.Unix(), now.Add(time.Hour).Unix(), time.Hour, now.Add(time.Hour), ""},
		"long":                       {now.Unix(), now.Add(time.Hour + time.Second).Unix(), time.Hour, time.Time{}, auth.InvalidToken},
		"long, and nearly over":      {now.Add(-time.Hour).Unix(), now.Add(time.Minute).Unix(), time.Hour, time.Time{}, auth.InvalidToken},
		"nobody knows how long":      {nil, now.Add(time.Minute).Unix(), time.Hour, time.Time{}, auth.InvalidToken},
	} {
		c := claims(map[string]any{"iss": "https://a.test", "aud": "tutti", "iat": tt.iat, "exp": tt.exp})
		maps.DeleteFunc(c, func(_ string, v any) bool { return v == nil })
		v := verifier(t, jwt.Config{Issuers: []jwt.Issuer{issuer}, MaxLife: tt.most})
		id, err := v.Verify(t.Context(), auth.Credentials{Token: sign(t, jose.HS256, secret, "", c)})
		if code(err) != tt.want || err == nil && !id.Expiry.Equal(tt.end) {
			t.Errorf("%s: %+v, %v, want %q and the end %v", name, id, err, tt.want, tt.end)
		}
	}
}

func TestClaims(t *testing.T) {
	now := time.Now()
	at := func(d time.Duration) int64 { return now.Add(d).Unix() }
	issuer := jwt.Issuer{Name: "https://a.test", Secret: secret, Audience: []string{"tutti", "other"}}
	base := map[string]any{"iss": "https://a.test", "aud": "tutti"}
	for name, tt := range map[string]struct {
		change map[string]any
		want   auth.Code
	}{
		"as it is":                   {nil, ""},
		"expired, within the leeway": {map[string]any{"exp": at(-20 * time.Second)}, ""},
		"expired":                    {map[string]any{"exp": at(-31 * time.Second)}, auth.Expired},
		"exp with a fraction":        {map[string]any{"exp": float64(at(time.Hour)) + 0.5}, ""},
		"no exp":                     {map[string]any{"exp": nil}, auth.InvalidToken},
		"exp is text":                {map[string]any{"exp": "tomorrow"}, auth.InvalidToken},
		"exp is negative":            {map[string]any{"exp": -1}, auth.InvalidToken},
		"exp is beyond time":         {map[string]any{"exp": 1e300}, auth.InvalidToken},
		"nbf within the leeway":      {map[string]any{"nbf": at(20 * time.Second)}, ""},
		"not yet":                    {map[string]any{"nbf": at(time.Minute)}, auth.InvalidToken},
		"iat of the future":          {map[string]any{"iat": at(time.Minute)}, auth.InvalidToken},
		"no iat":                     {map[string]any{"iat": nil}, ""},
		"another issuer":             {map[string]any{"iss": "https://b.test"}, auth.InvalidToken},
		"no issuer":                  {map[string]any{"iss": nil}, auth.InvalidToken},
		"a list of issuers":          {map[string]any{"iss": []string{"https://a.test"}}, auth.InvalidToken},
		"another audience":           {map[string]any{"aud": "app"}, auth.InvalidToken},
		"several audiences":          {map[string]any{"aud": []string{"app", "other"}}, ""},
		"audiences of another kind":  {map[string]any{"aud": []any{1, true}}, auth.InvalidToken},
		"no audience":                {map[string]any{"aud": nil}, auth.InvalidToken},
		"no subject":                 {map[string]any{"sub": nil}, auth.InvalidToken},
		"an empty subject":           {map[string]any{"sub": ""}, auth.InvalidToken},
		"the subject is a number":    {map[string]any{"sub": 7}, auth.InvalidToken},
		"the subject is an object":   {map[string]any{"sub": map[string]any{"toString": 1}}, auth.InvalidToken},
	} {
		c := claims(base)
		maps.Copy(c, tt.change)
		maps.DeleteFunc(c, func(_ string, v any) bool { return v == nil })
		v := verifier(t, jwt.Config{Issuers: []jwt.Issuer{issuer}})
		id, err := v.Verify(t.Context(), auth.Credentials{Token: sign(t, jose.HS256, secret, "", c)})
		if code(err) != tt.want || (err == nil) != (id != nil) {
			t.Errorf("%s: %+v, %v, want %q", name, id, err, tt.want)
		}
	}
	for _, payload := range []string{`[]`, `"x"`, `{"sub":"ann","sub":"bob","exp":9999999999}`, `{"sub":"ann","exp":9999999999`, "{\"sub\":\"\xff\",\"exp\":9999999999}", `null`, ``} {
		v := verifier(t, jwt.Config{Issuers: []jwt.Issuer{{Secret: secret}}})
		if id, err := v.Verify(t.Context(), auth.Credentials{Token: signText(t, jose.HS256, secret, "", []byte(payload))}); code(err) != auth.InvalidToken {
			t.Errorf("%s: %+v, %v", payload, id, err)
		}
	}
	// Without a name for us a token for somebody is not for us.
	v := verifier(t, jwt.Config{Issuers: []jwt.Issuer{{Secret: secret}}})
	if _, err := v.Verify(t.Context(), auth.Credentials{Token: sign(t, jose.HS256, secret, "", claims(map[string]any{"aud": "app"}))}); code(err) != auth.InvalidToken {
		t.Errorf("a token for somebody else: %v", err)
	}
}

// TestIssuersAreApart: whose key signed decides whose user it is.
func TestIssuersAreApart(t *testing.T) {
	r, ec, _ := keys(t)
	set := func(key crypto.PublicKey) []byte {
		text, err := json.Marshal(jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: key, KeyID: "1"}}})
		if err != nil {
			t.Fatal(err)
		}
		return text
	}
	v := verifier(t, jwt.Config{Issuers: []jwt.Issuer{
		{Name: "a", Keys: set(r.Public()), Prefix: "a/"}, {Name: "b", Keys: set(ec[jose.ES256].Public()), Prefix: "b/"},
	}})
	for _, tt := range []struct {
		alg     jose.SignatureAlgorithm
		key     any
		iss     string
		subject string
		refusal auth.Code
	}{
		{jose.RS256, r, "a", "a/ann", ""}, {jose.ES256, ec[jose.ES256], "b", "b/ann", ""},
		{jose.RS256, r, "b", "", auth.InvalidToken}, {jose.ES256, ec[jose.ES256], "a", "", auth.InvalidToken},
	} {
		id, err := v.Verify(t.Context(), auth.Credentials{Token: sign(t, tt.alg, tt.key, "1", claims(map[string]any{"iss": tt.iss}))})
		if code(err) != tt.refusal || id.User() != tt.subject {
			t.Errorf("%s signed by %T: %+v, %v", tt.iss, tt.key, id, err)
		}
	}
}

func TestConfig(t *testing.T) {
	small, err := rsa.GenerateKey(rand.Reader, 1024)
	if err != nil {
		t.Fatal(err)
	}
	_, ec, _ := keys(t)
	private, err := json.Marshal(jose.JSONWebKey{Key: ec[jose.ES256]})
	if err != nil {
		t.Fatal(err)
	}
	symmetric, err := json.Marshal(jose.JSONWebKey{Key: secret})
	if err != nil {
		t.Fatal(err)
	}
	for name, from := range map[string]jwt.Issuer{
		"nothing":           {},
		"two sources":       {Secret: secret, KeySet: "https://a.test/keys"},
		"a short secret":    {Secret: secret[:31]},
		"too short for it":  {Secret: secret[:32], Algorithms: []string{"HS512"}},
		"none":              {Secret: secret, Algorithms: []string{"none"}},
		"a secret for RSA":  {Secret: secret, Algorithms: []string{"RS256"}},
		"a set without TLS": {KeySet: "http://a.test/keys"},
		"a short key":       {Keys: publicPEM(t, small.Public())},
		"a key for another": {Keys: publicPEM(t, ec[jose.ES256].Public()), Algorithms: []string{"RS256"}},
		"a private key":     {Keys: private},
		"a symmetric key":   {Keys: symmetric},
		"a private PEM":     {Keys: pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: []byte("x")})},
		"not a key":         {Keys: []byte("hello")},
	} {
		if _, err := jwt.New(jwt.Config{Issuers: []jwt.Issuer{from}}); err == nil {
			t.Errorf("%s will do", name)
		}
	}
	if _, err := jwt.New(jwt.Config{Issuers: []jwt.Issuer{{Name: "a", Secret: secret}, {Name: "b", Secret: secret}}}); err == nil || !strings.Contains(err.Error(), "prefix") {
		t.Errorf("two issuers with users of the same names: %v", err)
	}
	if _, err := jwt.New(jwt.Config{}); err == nil {
		t.Error("no issuer will do")
	}
}

func FuzzVerify(f *testing.F) {
	v := verifier(f, jwt.Config{Issuers: []jwt.Issuer{{Secret: secret}}})
	f.Add(sign(f, jose.HS256, secret, "", claims(nil)))
	f.Add("a.b.c")
	f.Add("..")
	f.Fuzz(func(t *testing.T, token string) {
		id, err := v.Verify(t.Context(), auth.Credentials{Token: token})
		if id != nil && id.Subject != "ann" || id != nil && err != nil {
			t.Errorf("%q is %+v, %v", token, id, err)
		}
	})
}

// TestSharedKeys: issuers with the same keys, such as the tenants of one service,
// are told apart by what their tokens say, and never by which was configured
// first. Who may be any issuer is none of those that are named.
func TestSharedKeys(t *testing.T) {
	v := verifier(t, jwt.Config{Issuers: []jwt.Issuer{
		{Secret: secret, Prefix: "any/"},
		{Name: "a", Secret: secret, Prefix: "a/"}, {Name: "b", Secret: secret, Prefix: "b/"},
		{Name: "b", Secret: secret, Prefix: "b-for-us/", Audience: []string{"us"}},
	}})
	for want, change := range map[string]map[string]any{
		"a/ann": {"iss": "a"}, "b/ann": {"iss": "b"}, "b-for-us/ann": {"iss": "b", "aud": "us"}, "any/ann": {"iss": "c"},
		"": {"iss": "a", "aud": "us"}, // which a is not for
	} {
		id, err := v.Verify(t.Context(), auth.Credentials{Token: sign(t, jose.HS256, secret, "", claims(change))})
		if id.User() != want || want == "" && code(err) != auth.InvalidToken {
			t.Errorf("%v: the user is %q, %v, want %q", change, id.User(), err, want)
		}
	}
}
