package auth

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"sync"
	"time"
)

// SessionConfig sets up [NewSessions]. For every field but the first two, zero
// means the default.
type SessionConfig struct {
	// URL is asked, by POST, whose session it is: https, or http on this
	// machine.
	URL string
	// Cookies are the names of those that are sent on. Who has none of them is
	// no matter of a session.
	Cookies []string
	// Headers are names of headers that are sent on besides, such as
	// "User-Agent".
	Headers []string
	// Secret, if set, is sent as bearer token, so that the application knows who
	// asks.
	Secret string
	// Lifetime is how long an answer lets a connection be: then it is asked
	// again. Default 30 m; negative: as long as the answer says.
	Lifetime time.Duration
	// Timeout is how long the answer may take. Default 5 s.
	Timeout time.Duration
	// Cache is how long an answer holds. Default 10 s; negative: no time.
	Cache time.Duration
	// MaxCache is how many answers are kept. Default 10,000.
	MaxCache int
	// MaxAsked is how many questions may be under way; who comes then is told to
	// come again. Default 64. Not more than a quarter may be for one network
	// address, unless it is this machine's: then it is a proxy.
	MaxAsked int
	// Client asks. Default: one of its own, that follows no redirection.
	Client *http.Client
	// LimitHit, if set, is told of limits that were hit: "session questions".
	LimitHit func(limit string)
}

// maxSessionAnswer is far more than any session needs.
const maxSessionAnswer = 64 << 10

// Sessions is a [Verifier] of the sessions that a web application keeps in a
// cookie: it asks the application.
//
//	POST URL
//	Cookie: session=…
//
// The answer is 200 with {"user":"ann","expires":1767225600,"claims":{…},
// "grants":{"rooms":{"chat:*":["join"]}}}, of which only "user" must be there;
// or 401, 403 or no user if the cookie is nobody's. Everything else, and no
// answer in time, refuses whoever shows the cookie.
type Sessions struct {
	cfg    SessionConfig
	client *http.Client
	places chan struct{} // one for each question under way

	mu      sync.Mutex
	answers map[[sha256.Size]byte]*sessionAnswer
	asked   map[netip.Prefix]int // questions under way, by the address that they are for
}

var _ Verifier = (*Sessions)(nil)

// A sessionAnswer is one that is kept, or waited for by all who ask the same.
type sessionAnswer struct {
	done  chan struct{} // closed when the rest is set
	id    *Identity     // nil: the cookie is nobody's
	err   error
	until time.Time
}

// NewSessions returns a verifier of sessions. Its error lists all that is wrong
// with cfg.
func NewSessions(cfg SessionConfig) (*Sessions, error) {
	err := CheckURL(cfg.URL)
	if len(cfg.Cookies) == 0 {
		err = errors.Join(err, errors.New("no cookie is named"))
	}
	if err != nil {
		return nil, fmt.Errorf("auth: sessions: %w", err)
	}
	cfg.Timeout = cmp.Or(cfg.Timeout, 5*time.Second)
	cfg.Lifetime = cmp.Or(cfg.Lifetime, 30*time.Minute)
	cfg.Cache = cmp.Or(cfg.Cache, 10*time.Second)
	cfg.MaxCache = cmp.Or(cfg.MaxCache, 10_000)
	cfg.MaxAsked = cmp.Or(cfg.MaxAsked, 64)
	s := &Sessions{cfg: cfg, client: cfg.Client, places: make(chan struct{}, cfg.MaxAsked), answers: make(map[[sha256.Size]byte]*sessionAnswer), asked: make(map[netip.Prefix]int)}
	if s.client == nil {
		s.client = &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	}
	return s, nil
}

// CheckURL says what is wrong with the address of somebody who is trusted: only
// on the machine itself can nobody else answer in its place without TLS.
func CheckURL(address string) error {
	u, err := url.Parse(address)
	if err != nil || u.Host == "" || u.User != nil {
		return fmt.Errorf("%q is no URL such as https://app.example.com/session", address)
	}
	local := u.Hostname() == "localhost" || u.Hostname() == "127.0.0.1" || u.Hostname() == "::1"
	if u.Scheme != "https" && (u.Scheme != "http" || !local) {
		return fmt.Errorf("%q is not https: whoever is on the way could answer", address)
	}
	return nil
}

// Verify implements [Verifier].
func (s *Sessions) Verify(ctx context.Context, c Credentials) (*Identity, error) {
	if c.Token != "" || !c.Ambient || c.Header == nil {
		return nil, nil
	}
	ask := s.question(c.Header)
	if ask.Get("Cookie") == "" {
		return nil, nil
	}
	key := keyOf(ask)
	now := time.Now()
	s.mu.Lock()
	a := s.answers[key]
	first := a == nil || a.settled() && (c.Again || !now.Before(a.until))
	if first {
		a = &sessionAnswer{done: make(chan struct{})}
		s.keepLocked(key, a, now)
	}
	s.mu.Unlock()
	if first {
		s.answer(ctx, key, a, ask, networkOf(c.Remote))
	}
	select {
	case <-a.done:
	case <-ctx.Done():
		return nil, unavailable(ctx.Err())
	}
	return a.id, a.err
}

func (a *sessionAnswer) settled() bool {
	select {
	case <-a.done:
		return true
	default:
		return false
	}
}

// question returns the headers that are sent on.
func (s *Sessions) question(from http.Header) http.Header {
	ask := http.Header{}
	request := http.Request{Header: from}
	var cookies []byte
	for _, cookie := range request.Cookies() {
		if !slices.Contains(s.cfg.Cookies, cookie.Name) {
			continue
		}
		if len(cookies) > 0 {
			cookies = append(cookies, "; "...)
		}
		cookies = append(cookies, cookie.Name+"="+cookie.Value...)
	}
	if len(cookies) > 0 {
		ask.Set("Cookie", string(cookies))
	}
	for _, name := range s.cfg.Headers {
		for _, value := range from.Values(name) {
			ask.Add(name, value)
		}
	}
	return ask
}

// keyOf is a question's hash: answers are found by it, and no cookie is kept.
func keyOf(ask http.Header) [sha256.Size]byte {
	var b bytes.Buffer
	_ = ask.Write(&b) // in alphabetical order; a bytes.Buffer does not fail
	return sha256.Sum256(b.Bytes())
}

// keepLocked keeps an answer, and if there are too many throws out what is over,
// or else whatever comes.
func (s *Sessions) keepLocked(key [sha256.Size]byte, a *sessionAnswer, now time.Time) {
	if len(s.answers) >= s.cfg.MaxCache {
		for k, old := range s.answers {
			if old.settled() && !now.Before(old.until) {
				delete(s.answers, k)
			}
		}
		for k := range s.answers {
			if len(s.answers) < s.cfg.MaxCache {
				break
			}
			delete(s.answers, k)
		}
	}
	s.answers[key] = a
}

// answer asks, and settles a. Whoever else asks the same waits for it, so it
// does not end with the context of who came first.
func (s *Sessions) answer(ctx context.Context, key [sha256.Size]byte, a *sessionAnswer, ask http.Header, from netip.Prefix) {
	defer close(a.done)
	if s.begin(from) {
		defer s.end(from)
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), s.cfg.Timeout)
		defer cancel()
		a.id, a.err = s.ask(ctx, ask)
	} else {
		if s.cfg.LimitHit != nil {
			s.cfg.LimitHit("session questions")
		}
		a.err = Refuse(Unavailable, "too many are being checked: come again")
	}
	if a.err != nil || s.cfg.Cache < 0 {
		s.mu.Lock() // the next who comes asks again
		if s.answers[key] == a {
			delete(s.answers, key)
		}
		s.mu.Unlock()
		return
	}
	a.until = time.Now().Add(s.cfg.Cache)
	if a.id != nil && !a.id.Expiry.IsZero() && a.id.Expiry.Before(a.until) {
		a.until = a.id.Expiry
	}
}

// begin takes a place for a question, if there is one for that address: made up
// cookies of one must not keep those of others from being asked about.
func (s *Sessions) begin(from netip.Prefix) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if from.IsValid() && s.asked[from] >= max(s.cfg.MaxAsked/4, 1) {
		return false
	}
	select {
	case s.places <- struct{}{}:
	default:
		return false
	}
	if from.IsValid() {
		s.asked[from]++
	}
	return true
}

func (s *Sessions) end(from netip.Prefix) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.asked[from]--; s.asked[from] <= 0 {
		delete(s.asked, from)
	}
	<-s.places
}

// networkOf is what an address is counted under: of IPv6 all that one home has. It
// is the zero Prefix for this machine's, and for what is no address.
func networkOf(remote string) netip.Prefix {
	peer, err := netip.ParseAddrPort(remote)
	if err != nil || peer.Addr().Unmap().IsLoopback() {
		return netip.Prefix{}
	}
	bits := 64
	if peer.Addr().Unmap().Is4() {
		bits = 32
	}
	p, err := peer.Addr().Unmap().Prefix(bits)
	if err != nil { // cannot be: it has as many bits
		return netip.Prefix{}
	}
	return p
}

func unavailable(err error) *Refusal {
	return &Refusal{Code: Unavailable, Message: "your session cannot be checked now", Err: err}
}

func (s *Sessions) ask(ctx context.Context, ask http.Header) (*Identity, error) {
	began := time.Now()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, s.cfg.URL, http.NoBody)
	if err != nil {
		return nil, unavailable(err)
	}
	req.Header = ask.Clone()
	req.Header.Set("Accept", "application/json")
	if s.cfg.Secret != "" {
		req.Header.Set("Authorization", "Bearer "+s.cfg.Secret)
	}
	res, err := s.client.Do(req)
	if err != nil {
		return nil, unavailable(err)
	}
	defer res.Body.Close()
	switch res.StatusCode {
	case http.StatusOK:
	case http.StatusUnauthorized, http.StatusForbidden:
		return nil, nil
	default:
		return nil, unavailable(fmt.Errorf("the verify webhook answered %d", res.StatusCode))
	}
	text, err := io.ReadAll(io.LimitReader(res.Body, maxSessionAnswer+1))
	if err == nil && len(text) > maxSessionAnswer {
		err = fmt.Errorf("the verify webhook answered more than %d bytes", maxSessionAnswer)
	}
	if err != nil {
		return nil, unavailable(err)
	}
	return s.read(text, began)
}

func (s *Sessions) read(text []byte, asked time.Time) (*Identity, error) {
	var answer struct {
		User    string         `json:"user"`
		Expires float64        `json:"expires"`
		Claims  map[string]any `json:"claims"`
		Grants  struct {
			Rooms Rooms `json:"rooms"`
		} `json:"grants"`
	}
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.UseNumber()
	if err := decoder.Decode(&answer); err != nil {
		return nil, unavailable(fmt.Errorf("the verify webhook's answer: %w", err))
	}
	if answer.User == "" {
		return nil, nil
	}
	id := &Identity{Subject: answer.User, Method: BySession, Issued: asked, Claims: answer.Claims, Rooms: answer.Grants.Rooms}
	if answer.Expires > 0 {
		id.Expiry = time.UnixMilli(int64(answer.Expires * 1000))
	}
	if by := asked.Add(s.cfg.Lifetime); s.cfg.Lifetime > 0 && (id.Expiry.IsZero() || by.Before(id.Expiry)) {
		id.Expiry = by
	}
	return id, nil
}
