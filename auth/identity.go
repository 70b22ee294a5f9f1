package auth

import (
	"context"
	"net/http"
	"time"
)

// A Method says how somebody was identified.
type Method string

// The methods.
const (
	Anonymous Method = "anonymous" // nobody was
	ByToken   Method = "token"
	ByKey     Method = "key"
	BySession Method = "session"
)

// keySubject stands before the names of keys, so that no token can pass for one.
const keySubject = "key:"

// An Identity is who somebody is, verified. It does not change once an
// [Authority] has returned it. A nil Identity is nobody and may nothing.
type Identity struct {
	// Subject is the user: the same over every door, and the owner of its
	// sessions. "" if it is anonymous. Names of keys begin with "key:".
	Subject string
	// Method is how the subject was found.
	Method Method
	// Issuer is who vouches for it: of a token its "iss".
	Issuer string
	// TokenID is the token's own name, its "jti", by which it can be revoked;
	// "" if it has none.
	TokenID string
	// Issued is when the credential was made; zero if nobody knows.
	Issued time.Time
	// Expiry is when it ends; zero: never.
	Expiry time.Time
	// Claims are what the credential says besides, as decoded from JSON, with
	// numbers as [encoding/json.Number].
	Claims map[string]any
	// Rooms is what the credential itself grants.
	Rooms Rooms

	grants []granted
	epoch  uint64 // of the grants; 0: nobody's
	asked  uint64 // when, of Register.ends; 0: nobody has
}

// Expired says whether the identity has ended.
func (id *Identity) Expired(now time.Time) bool {
	// By the time of the day: other clocks stand still while the machine sleeps.
	return id != nil && !id.Expiry.IsZero() && !now.Round(0).Before(id.Expiry.Round(0))
}

// User returns the subject, "" for nobody.
func (id *Identity) User() string {
	if id == nil {
		return ""
	}
	return id.Subject
}

// May says whether the identity's grants give it a permission in a room. It
// does not look at the expiry.
func (id *Identity) May(permission, room string) bool {
	if id == nil {
		return false
	}
	want := bits[Permission(permission)]
	for i := range id.grants {
		if id.grants[i].may&want != 0 && id.grants[i].rooms.match(room) {
			return true
		}
	}
	return false
}

// MayAll says whether the grants give a permission in every room, and to
// everyone in the namespace: only the pattern "*" does.
func (id *Identity) MayAll(permission string) bool {
	if id == nil {
		return false
	}
	want := bits[Permission(permission)]
	for i := range id.grants {
		if id.grants[i].may&want != 0 && id.grants[i].rooms.all() {
			return true
		}
	}
	return false
}

// Credentials are what a peer showed.
type Credentials struct {
	// Token is what it showed on purpose, as bearer token or in its handshake.
	Token string
	// Header is that of its request. Verifiers look for cookies there.
	Header http.Header
	// Ambient says that cookies may count: the page that sent the request, if
	// there was one, is of an origin that is trusted by name. A browser sends
	// cookies with the requests of any page.
	Ambient bool
	// Remote is the network address that it came from, "" if nobody knows.
	Remote string
	// Again says that it was known by these before: an answer that was kept will
	// not do.
	Again bool
}

// String keeps credentials out of logs.
func (c Credentials) String() string { return "(credentials)" }

// GoString keeps credentials out of logs.
func (c Credentials) GoString() string { return "(credentials)" }

// A Verifier knows one kind of credentials. It is safe for concurrent use.
type Verifier interface {
	// Verify returns whose the credentials are; nil and no error if they are
	// not of its kind, so that others are asked; a [*Refusal] if they are and
	// do not hold. It must come to an end by itself.
	Verify(ctx context.Context, c Credentials) (*Identity, error)
}

// A Code says in one word why somebody was refused, for programs.
type Code string

// The codes.
const (
	Unauthorized Code = "unauthorized"  // nothing was shown, and strangers are not let in
	InvalidToken Code = "invalid_token" // what was shown is not known, or does not hold
	Expired      Code = "token_expired" // come back with another
	Revoked      Code = "token_revoked" // the same
	WrongUser    Code = "wrong_user"    // a token of another user for a connection
	Unavailable  Code = "unavailable"   // nobody can tell now: again after a while
	Disconnected Code = "disconnected"  // somebody who may has ended the connection
)

// A Refusal is why somebody was not let in, in words that it may read. They
// hold nothing of what was shown.
type Refusal struct {
	Code    Code
	Message string
	Err     error // what is behind it, for the log; mostly nil
}

// Error returns the message, and what is behind it.
func (r *Refusal) Error() string {
	if r.Err != nil {
		return r.Message + ": " + r.Err.Error()
	}
	return r.Message
}

// Unwrap returns Err.
func (r *Refusal) Unwrap() error { return r.Err }

// Refuse returns a [*Refusal], for verifiers.
func Refuse(code Code, message string) *Refusal {
	return &Refusal{Code: code, Message: message}
}

type contextKey struct{}

// NewContext returns a context that knows who asks. current is called by
// [FromContext], because the identity of a connection can be renewed.
func NewContext(ctx context.Context, current func() *Identity) context.Context {
	return context.WithValue(ctx, contextKey{}, current)
}

// FromContext returns who asks: in guards, handlers and [verb.Config.Permit].
// Nil if nobody was identified.
//
// [verb.Config.Permit]: https://pkg.go.dev/github.com/tutti-rt/tutti/verb#Config
func FromContext(ctx context.Context) *Identity {
	if current, ok := ctx.Value(contextKey{}).(func() *Identity); ok {
		return current()
	}
	return nil
}
