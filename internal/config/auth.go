package config

import (
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

// Auth is who clients are, and what they may do.
type Auth struct {
	Anonymous Choice        `set:"anonymous CHOICE: true or false: whether to let in who shows no token, no key and no cookie, to do what is open to anyone. auto: only in a demo, and while nothing below is set and either only this machine can connect or nothing is open to anyone."`
	Token     []TokenIssuer `set:"token ISSUER: Whose signed tokens (JWT) are accepted: the issuer as the tokens name it ('iss'), or * for any, and one of jwks=URL, keys-file=FILE (PEM or JWKS), secret-file=FILE and secret=TEXT with spaces between, perhaps with aud=NAME, alg=NAME or prefix=TEXT for the names of its users. Repeatable." live:"yes"`
	Key       []HashedKey   `set:"key KEY: A key that a backend shows as token: a name, and its hash, sha256:… as 'tutti token key' prints it, with a space between. Repeatable." live:"yes"`
	Grant     []GrantRule   `set:"grant RULE: What identified clients may do in the rooms of a pattern, in which {sub} and other claims are filled in: the pattern, and may= with join, publish, history, presence, state, admin or *, perhaps with key=NAME, issuer=NAME or claim=NAME:VALUE for those whom it is for. Repeatable." live:"yes"`
	Claim     string        `set:"claim NAME: The claim with the permissions that a token holds itself, or none." live:"yes"`
	Leeway    time.Duration `set:"leeway DURATION: How much the clocks of issuers may differ, for who shows a token. Who is connected is so until it expires." live:"yes"`
	Grace     time.Duration `set:"grace DURATION: How long before its token expires a socket is told so, to show another, or its session is asked about again; 0s: not at all, it ends."`
	MaxLife   time.Duration `set:"max-life DURATION: How long a token may last, from 'iat' to 'exp'; 0s: as long as it says. At most auth.revoke-for, so that none is good again when its user's revocation is forgotten." live:"yes"`
	RevokeFor time.Duration `set:"revoke-for DURATION: How long it is remembered that all of a user's tokens were revoked: longer than they last." live:"yes"`
	Refresh   time.Duration `set:"refresh DURATION: How old a fetched key set may be before it is fetched again." live:"yes"`
	Retry     time.Duration `set:"retry DURATION: The least time between two fetches of a key set." live:"yes"`
	Revoked   Count         `set:"revoked NUMBER: How many revocations are remembered."`

	SessionURL     string        `set:"session-url URL: Ask there, by POST, whose session a cookie is. The answer is {\"user\":…} or 401." live:"yes"`
	SessionCookie  []string      `set:"session-cookie NAME: A cookie that is sent there. Repeatable." live:"yes"`
	SessionHeader  []string      `set:"session-header NAME: A header that is sent there besides. Repeatable." live:"yes"`
	SessionSecret  Secret        `set:"session-secret TEXT: Sent there as bearer token, so that the application knows who asks. Better in a file or a variable than in a flag." live:"yes"`
	SessionTimeout time.Duration `set:"session-timeout DURATION: How long the answer may take." live:"yes"`
	SessionCache   time.Duration `set:"session-cache DURATION: How long an answer holds for who comes with the same cookie." live:"yes"`
	SessionLife    time.Duration `set:"session-life DURATION: How long a socket may be there before it is asked again whose session it is." live:"yes"`
	SessionAsked   Count         `set:"session-asked NUMBER: How many may be asked about at a time. More are told to come again." live:"yes"`
}

func defaultAuth() Auth {
	return Auth{
		Claim: "tutti", Leeway: 30 * time.Second, Grace: 10 * time.Second, RevokeFor: 24 * time.Hour, Refresh: 5 * time.Minute, Retry: 10 * time.Second, Revoked: 100_000,
		SessionTimeout: 5 * time.Second, SessionCache: 10 * time.Second, SessionLife: 30 * time.Minute, SessionAsked: 64,
	}
}

// Identifies says whether clients are asked who they are.
func (a *Auth) Identifies() bool { return len(a.Token) > 0 || len(a.Key) > 0 || a.SessionURL != "" }

// Choice is true, false, or auto: what is right depends.
type Choice uint8

// The values of Choice.
const (
	Auto Choice = iota
	Yes
	No
)

var choices = []string{"auto", "true", "false"}

// UnmarshalText reads auto, true or false.
func (c *Choice) UnmarshalText(text []byte) error {
	i := slices.Index(choices, string(text))
	if i < 0 {
		return errors.New("want true, false or auto")
	}
	*c = Choice(i)
	return nil
}

// MarshalText writes what UnmarshalText reads.
func (c Choice) MarshalText() ([]byte, error) { return []byte(choices[c]), nil }

// Secret is a text that isn't shown.
type Secret string

// MarshalText hides the secret.
func (s Secret) MarshalText() ([]byte, error) {
	if s == "" {
		return nil, nil
	}
	return []byte(hidden), nil
}

// UnmarshalText takes any text.
func (s *Secret) UnmarshalText(text []byte) error {
	*s = Secret(text)
	return nil
}

const hidden = "(hidden)"

// A TokenIssuer is whose tokens are accepted. It is written "issuer jwks=URL
// aud=tutti", or in a file as a mapping of the same names, and printed without
// its secret.
type TokenIssuer struct {
	Name                               string // "*": any
	JWKS, KeysFile, SecretFile, Secret string
	Audience, Algorithms               []string
	Prefix                             string
}

// A HashedKey is a key of a backend. It is written "name sha256:…".
type HashedKey struct{ Name, Hash string }

// A GrantRule says what identified clients may do. It is written "pattern
// may=join,publish claim=role:editor", or in a file as a mapping of the same
// names.
type GrantRule struct {
	Pattern     string
	May         []string
	Key, Issuer string
	Claims      map[string]string
}

var (
	_ worded = (*TokenIssuer)(nil)
	_ worded = (*GrantRule)(nil)
)

// repeatable are the words that may be there more than once.
var repeatable = []string{"event", "aud", "alg", "may", "claim"}

// A wordError is a mistake whose text repeats nothing that was written.
type wordError string

func (e wordError) Error() string { return string(e) }

func (r *TokenIssuer) first() string { return "issuer" }
func (r *TokenIssuer) begin()        { *r = TokenIssuer{} }

func (r *TokenIssuer) set(name, value string) error {
	for _, one := range []struct {
		name string
		to   *string
	}{
		{"issuer", &r.Name}, {"jwks", &r.JWKS}, {"keys-file", &r.KeysFile}, {"secret-file", &r.SecretFile}, {"secret", &r.Secret}, {"prefix", &r.Prefix},
	} {
		if one.name == name {
			*one.to = value
			return nil
		}
	}
	switch name {
	case "aud":
		r.Audience = append(r.Audience, value)
	case "alg":
		r.Algorithms = append(r.Algorithms, strings.Split(value, ",")...)
	default:
		return wordError("want jwks, keys-file, secret-file, secret, aud, alg or prefix")
	}
	return nil
}

func (r *TokenIssuer) end() error {
	n := 0
	for _, from := range []string{r.JWKS, r.KeysFile, r.SecretFile, r.Secret} {
		if from != "" {
			n++
		}
	}
	switch {
	case r.Name == "":
		return wordError("want an issuer first, or * for any")
	case n != 1:
		return wordError("want exactly one of jwks=, keys-file=, secret-file= and secret=")
	case r.Secret != "" && len(r.Secret) < 32:
		return wordError("the secret has less than 32 characters, and could be guessed from any token")
	}
	return nil
}

// UnmarshalText reads an issuer. Its errors don't repeat the text.
func (r *TokenIssuer) UnmarshalText(text []byte) error {
	err := readWords(string(text), r)
	if err == nil {
		return nil
	}
	if plain, ok := errors.AsType[wordError](err); ok {
		return plain
	}
	return errors.New("want an issuer and words such as jwks=URL, with spaces between")
}

// MarshalText writes the issuer with its secret hidden.
func (r TokenIssuer) MarshalText() ([]byte, error) {
	text := word(r.Name)
	if r.Secret != "" {
		r.Secret = hidden
	}
	add := func(name string, values ...string) {
		for _, v := range values {
			if v != "" {
				text += " " + name + "=" + word(v)
			}
		}
	}
	add("jwks", r.JWKS)
	add("keys-file", r.KeysFile)
	add("secret-file", r.SecretFile)
	add("secret", r.Secret)
	add("aud", r.Audience...)
	add("alg", r.Algorithms...)
	add("prefix", r.Prefix)
	return []byte(text), nil
}

// UnmarshalText reads a key. Its errors don't repeat the text, which may be the
// key itself by mistake.
func (k *HashedKey) UnmarshalText(text []byte) error {
	parts := strings.Fields(string(text))
	if len(parts) != 2 {
		return errors.New("want a name and a hash, with a space between: 'tutti token key NAME' makes them")
	}
	digits, ok := strings.CutPrefix(parts[1], "sha256:")
	sum, err := hex.DecodeString(digits)
	if !ok || err != nil || len(sum) != 32 {
		return fmt.Errorf("the hash of %q is not sha256: and 64 hexadecimal digits: 'tutti token key' prints it", parts[0])
	}
	*k = HashedKey{parts[0], parts[1]}
	return nil
}

// MarshalText writes the key as it is read: a hash is no secret.
func (k HashedKey) MarshalText() ([]byte, error) { return []byte(k.Name + " " + k.Hash), nil }

func (r *GrantRule) first() string { return patternName }
func (r *GrantRule) begin()        { *r = GrantRule{} }

var permissions = []string{"join", "publish", "history", "presence", "state", "admin", "*"}

func (r *GrantRule) set(name, value string) error {
	switch name {
	case patternName:
		r.Pattern = value
	case "may":
		for may := range strings.SplitSeq(value, ",") {
			if !slices.Contains(permissions, may) {
				return fmt.Errorf("want %s", alternatives(permissions))
			}
			r.May = append(r.May, may)
		}
	case "key":
		r.Key = value
	case "issuer":
		r.Issuer = value
	case "claim":
		i := strings.LastIndexByte(value, ':') // names of claims may be URLs
		if i < 1 || i == len(value)-1 {
			return errors.New("want the name of a claim and its value, as in role:editor")
		}
		if r.Claims == nil {
			r.Claims = map[string]string{}
		}
		r.Claims[value[:i]] = value[i+1:]
	default:
		return errors.New("want may, key, issuer or claim")
	}
	return nil
}

func (r *GrantRule) end() error {
	if r.Pattern == "" || len(r.May) == 0 {
		return errors.New("want a pattern and may=")
	}
	if i := strings.Count(r.Pattern, "{"); i != strings.Count(r.Pattern, "}") {
		return fmt.Errorf("the pattern %q: want a claim between { and }", r.Pattern)
	}
	return nil
}

// UnmarshalText reads a rule.
func (r *GrantRule) UnmarshalText(text []byte) error { return readWords(string(text), r) }

// MarshalText writes the rule.
func (r GrantRule) MarshalText() ([]byte, error) {
	text := word(r.Pattern) + " may=" + strings.Join(r.May, ",")
	if r.Key != "" {
		text += " key=" + word(r.Key)
	}
	if r.Issuer != "" {
		text += " issuer=" + word(r.Issuer)
	}
	var claims []string
	for name, value := range r.Claims {
		claims = append(claims, " claim="+word(name+":"+value))
	}
	slices.Sort(claims)
	return []byte(text + strings.Join(claims, "")), nil
}
