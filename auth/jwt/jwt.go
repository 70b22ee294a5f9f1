package jwt

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/tutti-rt/tutti/auth"
)

// An Issuer is who makes tokens. Exactly one of Secret, Keys and KeySet is set.
type Issuer struct {
	// Name is what its tokens have as "iss". "": they need not have any, and
	// any will do.
	Name string
	// Secret is what it shares with us: of at least 32 bytes for HS256, 48 for
	// HS384, 64 for HS512.
	Secret []byte
	// Keys are its public keys: PEM, or a JSON Web Key Set.
	Keys []byte
	// KeySet is the URL at which it publishes its keys: https, or http on this
	// machine.
	KeySet string
	// Algorithms are the signatures that it makes. Default: HS256 with a
	// Secret, else what its keys are for.
	Algorithms []string
	// Audience are the names under which it knows us: a token must have one of
	// them as "aud". None: a token must have no "aud", because one for somebody
	// else is not for us.
	Audience []string
	// Prefix is put before the subjects of its tokens, so that two issuers can
	// have users of the same name.
	Prefix string
}

// Config sets up a [Verifier]. Zero values mean the defaults.
type Config struct {
	// Issuers are those whose tokens are accepted. With several, each has its
	// own Prefix.
	Issuers []Issuer
	// Leeway is how much clocks may differ, when a token is shown. What was let in
	// with it before it expired ends when it says. Default 30 s; negative: not at
	// all.
	Leeway time.Duration
	// MaxLife, if set, is how long a token may last: from "iat", which it must
	// have then, to "exp".
	MaxLife time.Duration
	// MaxToken is how many bytes a token may have. Default 16 KiB.
	MaxToken int
	// Refresh is how old a key set may be before it is fetched again, while
	// the old one serves. Default 5 m.
	Refresh time.Duration
	// MinRefresh is the least time between two fetches of a key set. Default
	// 10 s.
	MinRefresh time.Duration
	// MaxStale is how old a key set may be at all, if it cannot be fetched.
	// Default 24 h.
	MaxStale time.Duration
	// Timeout is how long a fetch may take. Default 5 s.
	Timeout time.Duration
	// Client fetches key sets. Default: one that follows no redirection.
	Client *http.Client
	// Fetched, if set, is called after every fetch.
	Fetched func(err error)
	// Log is where it logs; nil means [slog.Default].
	Log *slog.Logger
}

// Verifier is an [auth.Verifier] of tokens.
type Verifier struct {
	cfg     Config
	issuers []*issuer

	// Its own life, which ends with Close: fetches serve many requests.
	life    context.Context
	end     context.CancelFunc
	fetches sync.WaitGroup
}

var _ auth.Verifier = (*Verifier)(nil)

type issuer struct {
	Issuer
	keys   []key   // if they were given
	remote *keySet // else
}

// New returns a verifier. Its error lists all that is wrong with cfg.
func New(cfg Config) (*Verifier, error) {
	cfg.Leeway = max(cmp.Or(cfg.Leeway, 30*time.Second), 0)
	cfg.MaxToken = cmp.Or(cfg.MaxToken, 16<<10)
	cfg.Refresh = cmp.Or(cfg.Refresh, 5*time.Minute)
	cfg.MinRefresh = cmp.Or(cfg.MinRefresh, 10*time.Second)
	cfg.MaxStale = cmp.Or(cfg.MaxStale, 24*time.Hour)
	cfg.Timeout = cmp.Or(cfg.Timeout, 5*time.Second)
	if cfg.Log == nil {
		cfg.Log = slog.Default()
	}
	if cfg.Client == nil {
		cfg.Client = &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	}
	v := &Verifier{cfg: cfg}
	v.life, v.end = context.WithCancel(context.Background())
	var errs []error
	if len(cfg.Issuers) == 0 {
		errs = append(errs, errors.New("no issuer"))
	}
	for i, from := range cfg.Issuers {
		one, err := v.newIssuer(from)
		if err != nil {
			errs = append(errs, fmt.Errorf("issuer %q: %w", from.Name, err))
		}
		if slices.ContainsFunc(cfg.Issuers[:i], func(other Issuer) bool { return other.Prefix == from.Prefix }) {
			errs = append(errs, fmt.Errorf("issuer %q: another has the prefix %q too: a user of one would be taken for a user of the other", from.Name, from.Prefix))
		}
		v.issuers = append(v.issuers, one)
	}
	if err := errors.Join(errs...); err != nil {
		return nil, fmt.Errorf("jwt: %w", err)
	}
	return v, nil
}

func (v *Verifier) newIssuer(from Issuer) (*issuer, error) {
	one := &issuer{Issuer: from}
	var allowed []jose.SignatureAlgorithm
	for _, name := range from.Algorithms {
		alg := jose.SignatureAlgorithm(name)
		if !slices.Contains(algorithms, alg) {
			return nil, fmt.Errorf("the algorithm %q: want one of %v", name, algorithms)
		}
		allowed = append(allowed, alg)
	}
	sources := 0
	for _, is := range []bool{len(from.Secret) > 0, len(from.Keys) > 0, from.KeySet != ""} {
		if is {
			sources++
		}
	}
	if sources != 1 {
		return nil, errors.New("want exactly one of a secret, keys, and the URL of a key set")
	}
	var err error
	switch {
	case len(from.Secret) > 0:
		if len(allowed) == 0 {
			allowed = []jose.SignatureAlgorithm{jose.HS256}
		}
		for _, alg := range allowed {
			shortest, symmetric := shortestSecret[alg]
			if !symmetric || len(from.Secret) < shortest {
				return nil, fmt.Errorf("a secret of %d bytes for %s: want at least 32 for HS256, 48 for HS384, 64 for HS512", len(from.Secret), alg)
			}
		}
		one.keys = []key{{algs: allowed, value: slices.Clone(from.Secret)}}
	case len(from.Keys) > 0:
		one.keys, err = parseKeys(from.Keys, allowed)
	default:
		err = auth.CheckURL(from.KeySet)
		one.remote = &keySet{url: from.KeySet, allowed: allowed, cfg: &v.cfg, owner: v}
	}
	one.Secret, one.Issuer.Keys = nil, nil
	return one, err
}

// Failing returns how many key sets could not be fetched when that was tried last.
// For a while their old keys go on.
func (v *Verifier) Failing() int {
	n := 0
	for _, i := range v.issuers {
		if i.remote != nil && i.remote.failing() {
			n++
		}
	}
	return n
}

// Close ends fetches that are under way, and waits for them.
func (v *Verifier) Close() {
	v.end()
	v.fetches.Wait()
}

// Verify implements [auth.Verifier]. What has not the form of a token is not of
// its kind.
func (v *Verifier) Verify(ctx context.Context, c auth.Credentials) (*auth.Identity, error) {
	if strings.Count(c.Token, ".") != 2 {
		return nil, nil
	}
	if len(c.Token) > v.cfg.MaxToken {
		return nil, auth.Refuse(auth.InvalidToken, "the token is too long")
	}
	signed, err := jose.ParseSignedCompact(c.Token, algorithms)
	if err != nil || len(signed.Signatures) != 1 {
		return nil, auth.Refuse(auth.InvalidToken, "the token cannot be read, or is signed in a way that is not accepted")
	}
	var problem, refused error
	for _, one := range v.issuers {
		payload, err := one.open(ctx, signed)
		if err != nil {
			problem = err
			continue
		}
		if payload == nil {
			continue
		}
		id, err := v.read(one, payload)
		if err != errIssuer && err != errAudience {
			return id, err
		}
		refused = err // issuers may share keys: it is for the next, perhaps
	}
	if refused != nil {
		return nil, refused
	}
	if problem != nil {
		return nil, &auth.Refusal{Code: auth.Unavailable, Message: "the token cannot be checked now", Err: problem}
	}
	return nil, auth.Refuse(auth.InvalidToken, "the token's signature is of no key that is known")
}

var (
	errIssuer   = &auth.Refusal{Code: auth.InvalidToken, Message: "the token is of another issuer"}
	errAudience = &auth.Refusal{Code: auth.InvalidToken, Message: "the token is for another audience"}
)

// maxTries is how many keys a token without "kid" is tried with.
const maxTries = 8

// open returns what is in a token that is signed by a key of the issuer's, nil
// for any other.
func (i *issuer) open(ctx context.Context, signed *jose.JSONWebSignature) ([]byte, error) {
	header := signed.Signatures[0].Protected
	keys := i.keys
	if i.remote != nil {
		var err error
		if keys, err = i.remote.find(ctx, header.KeyID); err != nil {
			return nil, err
		}
	}
	tries := 0
	for _, k := range keys {
		if header.KeyID != "" && k.id != "" && k.id != header.KeyID || !slices.Contains(k.algs, jose.SignatureAlgorithm(header.Algorithm)) {
			continue
		}
		if tries++; tries > maxTries {
			break
		}
		if payload, err := signed.Verify(k.value); err == nil {
			return payload, nil
		}
	}
	return nil, nil
}

// read checks the claims of a token whose signature holds.
func (v *Verifier) read(from *issuer, payload []byte) (*auth.Identity, error) {
	claims := map[string]any{}
	decoder := json.NewDecoder(bytes.NewReader(payload))
	decoder.UseNumber()
	// Valid also means that no name is there twice: readers differ in which
	// they take.
	if !jsontext.Value(payload).IsValid() || decoder.Decode(&claims) != nil {
		return nil, auth.Refuse(auth.InvalidToken, "the token holds no JSON object")
	}
	// Whoever may be any issuer is not one that has keys and users of its own.
	name, _ := claims["iss"].(string)
	if from.Name != name && (from.Name != "" || slices.ContainsFunc(v.issuers, func(other *issuer) bool { return other.Name == name })) {
		return nil, errIssuer
	}
	if !forUs(claims["aud"], from.Audience) {
		return nil, errAudience
	}
	now := time.Now()
	exp, err := moment(claims, "exp")
	nbf, err2 := moment(claims, "nbf")
	iat, err3 := moment(claims, "iat")
	switch {
	case errors.Join(err, err2, err3) != nil:
		return nil, auth.Refuse(auth.InvalidToken, `"exp", "nbf" or "iat" is no time`)
	case exp.IsZero():
		return nil, auth.Refuse(auth.InvalidToken, `the token has no "exp": it would be good for ever`)
	case !now.Before(exp.Add(v.cfg.Leeway)):
		return nil, auth.Refuse(auth.Expired, "the token has expired")
	case now.Add(v.cfg.Leeway).Before(nbf), now.Add(v.cfg.Leeway).Before(iat):
		return nil, auth.Refuse(auth.InvalidToken, "the token is of the future")
	case v.cfg.MaxLife > 0 && iat.IsZero():
		return nil, auth.Refuse(auth.InvalidToken, `the token has no "iat": it could be good for too long`)
	case v.cfg.MaxLife > 0 && exp.Sub(iat) > v.cfg.MaxLife:
		return nil, auth.Refuse(auth.InvalidToken, "the token lasts longer than tokens may here")
	}
	subject, _ := claims["sub"].(string)
	if subject == "" {
		return nil, auth.Refuse(auth.InvalidToken, `the token has no "sub"`)
	}
	id := &auth.Identity{
		Subject: from.Prefix + subject, Method: auth.ByToken, Issuer: from.Name,
		Issued: iat, Expiry: exp, Claims: claims,
	}
	if !now.Before(exp) {
		id.Expiry = exp.Add(v.cfg.Leeway)
	}
	id.TokenID, _ = claims["jti"].(string)
	return id, nil
}

// forUs says whether a token with that "aud" is for one of these names.
func forUs(aud any, names []string) bool {
	list, many := aud.([]any)
	if !many && aud != nil {
		list = []any{aud}
	}
	if len(names) == 0 {
		return len(list) == 0
	}
	return slices.ContainsFunc(list, func(one any) bool {
		name, ok := one.(string)
		return ok && slices.Contains(names, name)
	})
}

// moment reads a time in seconds since 1970, zero if there is none.
func moment(claims map[string]any, name string) (time.Time, error) {
	value, there := claims[name]
	if !there {
		return time.Time{}, nil
	}
	number, ok := value.(json.Number)
	if !ok {
		return time.Time{}, errors.New("no number")
	}
	seconds, err := number.Float64()
	if err != nil || seconds < 0 || seconds > 1<<36 {
		return time.Time{}, errors.New("no time")
	}
	return time.UnixMicro(int64(seconds * 1e6)), nil
}
