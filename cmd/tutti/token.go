package main

import (
	"bytes"
	"cmp"
	"context"
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
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/tutti-rt/tutti/auth"
	"github.com/tutti-rt/tutti/auth/jwt"
)

func tokenManual() *manual {
	return &manual{
		name: "token", does: "make and look into tokens and keys",
		synopsis: []string{
			"mint --secret-file FILE|--key-file FILE --sub USER [flags]", "inspect [--secret-file FILE|--keys-file FILE] TOKEN|-",
			"keypair --out FILE [--alg NAME] [--kid ID]", "key NAME",
		},
		about: `mint prints a signed token (JWT), for tests and for backends without a library for it. inspect prints what a token
says and, given the secret or the public keys, whether a server would accept it; it takes the token from
its input if that is "-".

keypair writes a private key for mint into a file, and prints the set of public keys for "auth.token … keys-file=" or for the
URL behind "jwks=". key prints a random key for a backend, once, and the settings by which a server knows it: they
hold its hash only.`,
		options: []option{
			{name: "secret-file", value: "FILE", does: "The secret that is shared with the server, for HS256 to HS512."},
			{name: "key-file", value: "FILE", does: "A private key: of keypair, or PEM."},
			{name: "keys-file", value: "FILE", does: "Public keys: a JSON Web Key Set, or PEM."},
			{name: "out", value: "FILE", does: "Where keypair writes the private key; it must not be there yet."},
			{name: "alg", value: "NAME", does: "The algorithm of the signature. Default: HS256 for a secret, what fits for a key, EdDSA for a new one.", words: algorithmNames()},
			{name: "kid", value: "ID", does: "The key's id. Default: that of the key, or a random one."},
			{name: "sub", value: "USER", does: "Whose token it is."},
			{name: "iss", value: "NAME", does: "Who makes it."},
			{name: "aud", value: "NAME", does: "Whom it is for.", repeat: true},
			{name: "ttl", value: "DURATION", does: "How long it is good. Default: 1h."},
			{name: "jti", value: "ID", does: "Its own name, by which it can be revoked. Default: a random one."},
			{name: "claim", value: "NAME=VALUE", does: "A claim more: text, or JSON.", repeat: true},
			{name: "may", value: "PATTERN=LIST", does: "Permissions in the rooms of a pattern, as in 'chat:*=join,publish'.", repeat: true},
			{name: "leeway", value: "DURATION", does: "How much clocks may differ, for inspect. Default: 30s."},
		},
		examples: []example{
			{"tutti token mint --secret-file secret --sub ann --claim org=acme --may 'chat:*=join,publish,history'", "A token for an hour:"},
			{"tutti token inspect --secret-file secret - < token", "What it says, and whether it holds:"},
			{"tutti token keypair --alg ES256 --out private.json > jwks.json", "Keys of which the server knows only the public half:"},
			{"tutti token key backend", "A key for a backend:"},
		},
		see: "docs/auth.md",
	}
}

func algorithmNames() []string {
	return []string{"HS256", "HS384", "HS512", "RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"}
}

// token makes tokens and keys, or looks into them.
func token(ctx context.Context, c call) int {
	m := tokenManual()
	a, code := m.begin(c)
	if a == nil {
		return code
	}
	verbs := map[string]func(context.Context, call, *arguments) error{"mint": mint, "inspect": inspect, "keypair": keypair, "key": newKey}
	if len(a.rest) == 0 || verbs[a.rest[0]] == nil {
		return m.misused(c, errors.New("want mint, inspect, keypair or key"))
	}
	err := verbs[a.rest[0]](ctx, c, a)
	if wrong, ok := errors.AsType[misuse](err); ok {
		return m.misused(c, wrong)
	}
	if err != nil {
		return fail(c, "token "+a.rest[0], err)
	}
	return exitOK
}

// misuse is a mistake in the call.
type misuse string

func (e misuse) Error() string { return string(e) }

func newKey(_ context.Context, c call, a *arguments) error {
	if len(a.rest) != 2 || a.rest[1] == "" || strings.ContainsAny(a.rest[1], " \t\n,") {
		return misuse("want one NAME for the key, without spaces and commas")
	}
	secret, hash := auth.NewSecret()
	_, err := fmt.Fprintf(c.output, "%s\n\n# What the server is told; the key itself is not kept anywhere.\nauth:\n  key:\n    - %s %s\n  grant:\n    - \"* may=* key=%s\"      # all rooms; may=admin besides lets it disconnect others\n# or, for operators:\nadmin:\n  keys:\n    - %s operate %s\n",
		secret, a.rest[1], hash, a.rest[1], a.rest[1], hash)
	return err
}

func keypair(_ context.Context, c call, a *arguments) error {
	out := a.value("out")
	if out == "" {
		return misuse("--out FILE is missing: where the private key goes")
	}
	alg := jose.SignatureAlgorithm(cmp.Or(a.value("alg"), "EdDSA"))
	private, err := generate(alg)
	if err != nil {
		return err
	}
	var id [9]byte
	rand.Read(id[:]) // never fails: crypto/rand ends the process instead
	key := jose.JSONWebKey{Key: private, Algorithm: string(alg), Use: "sig", KeyID: cmp.Or(a.value("kid"), base64.RawURLEncoding.EncodeToString(id[:]))}
	text, err := json.MarshalIndent(key, "", "  ")
	if err != nil {
		return err
	}
	f, err := os.OpenFile(out, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(append(text, '\n'))
	if err = errors.Join(err, f.Close()); err != nil {
		return err
	}
	public, err := json.MarshalIndent(jose.JSONWebKeySet{Keys: []jose.JSONWebKey{key.Public()}}, "", "  ")
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(c.output, "%s\n", public)
	return err
}

func generate(alg jose.SignatureAlgorithm) (crypto.Signer, error) {
	switch alg {
	case jose.EdDSA:
		_, key, err := ed25519.GenerateKey(rand.Reader)
		return key, err
	case jose.ES256:
		return ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	case jose.ES384:
		return ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	case jose.ES512:
		return ecdsa.GenerateKey(elliptic.P521(), rand.Reader)
	case jose.RS256, jose.RS384, jose.RS512, jose.PS256, jose.PS384, jose.PS512:
		return rsa.GenerateKey(rand.Reader, 3072)
	}
	return nil, misuse(fmt.Sprintf("--alg %s makes no key pair: want one of RS…, PS…, ES… and EdDSA", alg))
}

func mint(_ context.Context, c call, a *arguments) error {
	if len(a.rest) > 1 {
		return misuse(fmt.Sprintf("%q belongs to no flag", a.rest[1]))
	}
	signing, kid, err := signingKey(a)
	if err != nil {
		return err
	}
	claims, err := mintClaims(a, time.Now())
	if err != nil {
		return err
	}
	payload, err := json.Marshal(claims)
	if err != nil {
		return err
	}
	options := (&jose.SignerOptions{}).WithType("JWT")
	if kid != "" {
		options = options.WithHeader("kid", kid)
	}
	signer, err := jose.NewSigner(signing, options)
	if err != nil {
		return fmt.Errorf("sign by %s: %w", signing.Algorithm, err)
	}
	signed, err := signer.Sign(payload)
	if err != nil {
		return fmt.Errorf("sign by %s: %w", signing.Algorithm, err)
	}
	text, err := signed.CompactSerialize()
	if err != nil {
		return err
	}
	_, err = fmt.Fprintln(c.output, text)
	return err
}

// mintClaims are the claims that the flags ask for.
func mintClaims(a *arguments, now time.Time) (map[string]any, error) {
	ttl, err := durationOf(a, "ttl", time.Hour)
	if err != nil {
		return nil, err
	}
	claims := map[string]any{}
	for _, one := range a.values["claim"] {
		name, value, ok := strings.Cut(one, "=")
		if !ok || name == "" {
			return nil, misuse(fmt.Sprintf("--claim is %q: want NAME=VALUE", one))
		}
		var decoded any
		if json.Unmarshal([]byte(value), &decoded) != nil {
			decoded = value
		} else {
			decoded = json.RawMessage(value) // numbers as they are
		}
		claims[name] = decoded
	}
	rooms := map[string][]string{}
	for _, one := range a.values["may"] {
		i := strings.LastIndexByte(one, '=')
		if i < 1 {
			return nil, misuse(fmt.Sprintf("--may is %q: want PATTERN=LIST, as in 'chat:*=join,publish'", one))
		}
		rooms[one[:i]] = append(rooms[one[:i]], strings.Split(one[i+1:], ",")...)
	}
	if len(rooms) > 0 {
		claims["tutti"] = map[string]any{"rooms": rooms}
	}
	if a.value("sub") == "" {
		return nil, misuse("--sub USER is missing: whose token it is")
	}
	var id [12]byte
	rand.Read(id[:]) // never fails: crypto/rand ends the process instead
	claims["sub"], claims["iat"], claims["exp"] = a.value("sub"), now.Unix(), now.Add(ttl).Unix()
	claims["jti"] = cmp.Or(a.value("jti"), base64.RawURLEncoding.EncodeToString(id[:]))
	if iss := a.value("iss"); iss != "" {
		claims["iss"] = iss
	}
	switch aud := a.values["aud"]; len(aud) {
	case 0:
	case 1:
		claims["aud"] = aud[0]
	default:
		claims["aud"] = aud
	}
	return claims, nil
}

func durationOf(a *arguments, name string, without time.Duration) (time.Duration, error) {
	text := a.value(name)
	if text == "" {
		return without, nil
	}
	d, err := time.ParseDuration(text)
	if err != nil {
		return 0, misuse(fmt.Sprintf("--%s is %q: want a duration such as 15m", name, text))
	}
	return d, nil
}

// signingKey is the key of the flags, with its id.
func signingKey(a *arguments) (jose.SigningKey, string, error) {
	secret, file := a.value("secret-file"), a.value("key-file")
	if (secret == "") == (file == "") {
		return jose.SigningKey{}, "", misuse("with what? Give one of --secret-file and --key-file")
	}
	text, err := os.ReadFile(secret + file)
	if err != nil {
		return jose.SigningKey{}, "", err
	}
	alg := a.value("alg")
	if secret != "" {
		return jose.SigningKey{Algorithm: jose.SignatureAlgorithm(cmp.Or(alg, "HS256")), Key: bytes.TrimRight(text, "\r\n")}, a.value("kid"), nil
	}
	key, err := privateKey(text)
	if err != nil {
		return jose.SigningKey{}, "", fmt.Errorf("%s: %w", file, err)
	}
	return jose.SigningKey{Algorithm: jose.SignatureAlgorithm(cmp.Or(alg, key.Algorithm, fitting(key.Key))), Key: key.Key}, cmp.Or(a.value("kid"), key.KeyID), nil
}

func privateKey(text []byte) (jose.JSONWebKey, error) {
	var key jose.JSONWebKey
	if block, _ := pem.Decode(text); block != nil {
		var err error
		switch block.Type {
		case "PRIVATE KEY":
			key.Key, err = x509.ParsePKCS8PrivateKey(block.Bytes)
		case "RSA PRIVATE KEY":
			key.Key, err = x509.ParsePKCS1PrivateKey(block.Bytes)
		case "EC PRIVATE KEY":
			key.Key, err = x509.ParseECPrivateKey(block.Bytes)
		default:
			err = fmt.Errorf("a PEM block %q: want PRIVATE KEY", block.Type)
		}
		return key, err
	}
	if err := key.UnmarshalJSON(text); err != nil || key.IsPublic() || !key.Valid() {
		return key, errors.New("no private key: want one of 'tutti token keypair', or PEM")
	}
	return key, nil
}

// fitting is the algorithm that a private key is for.
func fitting(key any) string {
	switch key := key.(type) {
	case *ecdsa.PrivateKey:
		switch key.Curve.Params().BitSize {
		case 384:
			return "ES384"
		case 521:
			return "ES512"
		}
		return "ES256"
	case *rsa.PrivateKey:
		return "RS256"
	}
	return "EdDSA"
}

// inspect prints what a token says, and perhaps whether it holds.
func inspect(ctx context.Context, c call, a *arguments) error {
	if len(a.rest) != 2 {
		return misuse("want one TOKEN, or - for the input")
	}
	text := a.rest[1]
	if text == "-" {
		read, err := io.ReadAll(io.LimitReader(c.input, 1<<20))
		if err != nil {
			return err
		}
		text = string(read)
	}
	text = strings.TrimSpace(text)
	parts := strings.Split(text, ".")
	if len(parts) != 3 {
		return errors.New("that is no signed token: want three parts with dots between")
	}
	var b strings.Builder
	for i, name := range []string{"header", "claims"} {
		decoded, err := base64.RawURLEncoding.DecodeString(parts[i])
		var shown bytes.Buffer
		if err == nil {
			err = json.Indent(&shown, decoded, "", "  ")
		}
		if err != nil {
			return fmt.Errorf("the %s of the token cannot be read: %w", name, err)
		}
		fmt.Fprintf(&b, "%s %s\n", name, shown.String())
		if i == 1 {
			writeTimes(&b, decoded, time.Now())
		}
	}
	verdict := check(ctx, a, text)
	switch {
	case errors.Is(verdict, errUnchecked):
		b.WriteString("signature not checked: give --secret-file or --keys-file\n")
		verdict = nil
	case verdict == nil:
		b.WriteString("signature and times hold\n")
	}
	if _, err := io.WriteString(c.output, b.String()); err != nil {
		return err
	}
	return verdict
}

// writeTimes says in words when a token begins and ends.
func writeTimes(b *strings.Builder, claims []byte, now time.Time) {
	var times map[string]any
	decoder := json.NewDecoder(bytes.NewReader(claims))
	decoder.UseNumber()
	if decoder.Decode(&times) != nil {
		return
	}
	for _, name := range slices.Sorted(maps.Keys(map[string]bool{"exp": true, "iat": true, "nbf": true})) {
		number, ok := times[name].(json.Number)
		seconds, err := strconv.ParseFloat(number.String(), 64)
		if !ok || err != nil || seconds < 0 || seconds > 1<<36 {
			continue
		}
		at := time.UnixMilli(int64(seconds * 1000))
		when := "in " + at.Sub(now).Round(time.Second).String()
		if at.Before(now) {
			when = now.Sub(at).Round(time.Second).String() + " ago"
		}
		fmt.Fprintf(b, "%s %s, %s\n", name, at.UTC().Format(time.RFC3339), when)
	}
}

var errUnchecked = errors.New("no key to check with")

// check has a token verified as a server would, with the issuer and audience
// that it names itself.
func check(ctx context.Context, a *arguments, text string) error {
	from := jwt.Issuer{Name: a.value("iss"), Audience: a.values["aud"]}
	if alg := a.value("alg"); alg != "" {
		from.Algorithms = []string{alg}
	}
	var err error
	switch {
	case a.value("secret-file") != "":
		from.Secret, err = os.ReadFile(a.value("secret-file"))
		from.Secret = bytes.TrimRight(from.Secret, "\r\n")
	case a.value("keys-file") != "":
		from.Keys, err = os.ReadFile(a.value("keys-file"))
	default:
		return errUnchecked
	}
	if err != nil {
		return err
	}
	leeway, err := durationOf(a, "leeway", 30*time.Second)
	if err != nil {
		return err
	}
	v, err := jwt.New(jwt.Config{Issuers: []jwt.Issuer{from}, Leeway: leeway})
	if err != nil {
		return err
	}
	defer v.Close()
	id, err := v.Verify(ctx, auth.Credentials{Token: text})
	if err == nil && id == nil {
		err = errors.New("that is no signed token")
	}
	return err
}
