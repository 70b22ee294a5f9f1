package engineio

import (
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"errors"
	"net/http"
	"slices"
	"strconv"

	"github.com/tutti-rt/tutti/internal/origin"
	"github.com/tutti-rt/tutti/internal/websocket"
)

// verify checks a request in the order that decides which answer clients see, and returns the session it is for, or nil
// for a handshake.
func (srv *Server) verify(r *http.Request, q *query, upgrade bool) (*Session, *refusal) {
	switch {
	case !slices.Contains(srv.cfg.Transports, q.transport):
		return nil, refuse(CodeTransportUnknown)
	case !origin.Valid(r):
		return nil, refuse(CodeBadRequest)
	case !srv.origins.Load().Allowed(r), q.jsonp && !srv.origins.Load().Scripted(r):
		return nil, forbid(nil)
	case q.sid != "":
		return srv.verifySession(q, upgrade)
	case r.Method != http.MethodGet:
		return nil, refuse(CodeBadMethod)
	case (q.transport == webSocket) != upgrade:
		return nil, refuse(CodeBadRequest)
	}
	if refused := srv.admit(r); refused != nil {
		return nil, refused
	}
	if srv.cfg.Allow != nil {
		if err := srv.cfg.Allow(r); err != nil {
			srv.cfg.Log.Debug("handshake refused", "err", err)
			return nil, forbid(err)
		}
	}
	if q.protocol == 3 && !srv.cfg.AllowEIO3 {
		return nil, refuse(CodeUnsupportedVersion)
	}
	return nil, nil
}

// admit refuses those who come when there are too many, before anybody spends time on them.
func (srv *Server) admit(r *http.Request) *refusal {
	if srv.full() {
		srv.trace.limit("MaxSessions", srv.cfg.Quota.Visitor(r.RemoteAddr))
		return busy(nil)
	}
	if err := srv.cfg.Quota.Handshake(r.RemoteAddr); err != nil {
		return busy(err)
	}
	return nil
}

// verifySession checks a request that names a session.
func (srv *Server) verifySession(q *query, upgrade bool) (*Session, *refusal) {
	s := srv.find(q.sid)
	switch {
	case s == nil:
		return nil, refuse(CodeSessionUnknown)
	case upgrade && q.transport != webSocket, !upgrade && q.transport != s.Transport():
		return nil, refuse(CodeBadRequest)
	case q.protocol != s.Protocol():
		return nil, refuse(CodeBadRequest)
	}
	return s, nil
}

// openPolling answers a handshake over polling.
func (srv *Server) openPolling(w http.ResponseWriter, r *http.Request, q *query) *refusal {
	s, refused := srv.register(r, q)
	if refused != nil {
		return refused
	}
	t := &pollTransport{s: s}
	if q.jsonp {
		t.script = &script{callback: q.callback}
	}
	var upgrades []string
	if srv.cfg.upgrades() {
		upgrades = []string{webSocket}
	}
	if !s.start(t, nil) {
		return busy(nil)
	}
	if c := srv.cfg.Cookie; c != nil {
		cookie := *c
		cookie.Value = s.id
		cookie.Secure = cookie.Secure || r.TLS != nil
		http.SetCookie(w, &cookie)
	}
	if err := t.write(w, r, []*Frame{srv.openPacket(s, upgrades)}, true); err != nil {
		s.fail(&fault{ReasonTransportError, err})
	}
	return nil
}

// openWebSocket answers a handshake over WebSocket. The request's goroutine ends and gives its buffers back.
func (srv *Server) openWebSocket(w http.ResponseWriter, r *http.Request, q *query) *refusal {
	if refused := checkHandshake(r, w); refused != nil {
		return refused
	}
	s, refused := srv.register(r, q)
	if refused != nil {
		return refused
	}
	t := &wsTransport{s: s}
	if err := srv.accept(&t.attached, w, r, true); err != nil {
		srv.forget(s)
		return notAccepted(err)
	}
	started := false
	defer func() {
		if !started { // the server is shutting down, or the acceptor panicked
			srv.detach(&t.attached)
		}
	}()
	if started = s.start(t, srv.openPacket(s, nil)); started {
		t.start()
	}
	return nil
}

// openUpgrade answers the handshake of a WebSocket for a session that exists. If the session cannot move to it, the
// answer is still 101, and the WebSocket is closed: clients take a refusal for a broken session.
func (srv *Server) openUpgrade(w http.ResponseWriter, r *http.Request, s *Session) *refusal {
	if refused := checkHandshake(r, w); refused != nil {
		return refused
	}
	u := s.beginUpgrade()
	t := &wsTransport{s: s, probe: u}
	if err := srv.accept(&t.attached, w, r, false); err != nil {
		if u != nil {
			s.probeEnded(u)
		}
		return notAccepted(err)
	}
	if u == nil {
		srv.tasks.enter() // until it is gone: it has seconds to live
		t.conn.Start((*unwanted)(t))
		t.conn.Close(websocket.CodeNormal, "")
		return nil
	}
	s.probeOn(u, t.conn)
	t.start()
	return nil
}

// checkHandshake returns the refusal of a request that is no well-formed WebSocket handshake.
func checkHandshake(r *http.Request, w http.ResponseWriter) *refusal {
	err := websocket.Check(r)
	var wrong *websocket.HandshakeError
	if !errors.As(err, &wrong) {
		return nil
	}
	if wrong.Status == http.StatusUpgradeRequired {
		w.Header().Set("Sec-WebSocket-Version", "13")
	}
	return &refusal{status: wrong.Status}
}

// notAccepted returns what is left to say when a WebSocket could not be accepted: nothing, if the connection is gone.
func notAccepted(err error) *refusal {
	var wrong *websocket.HandshakeError
	if errors.As(err, &wrong) {
		return &refusal{status: wrong.Status}
	}
	return nil
}

// register makes a session and its id.
func (srv *Server) register(r *http.Request, q *query) (*Session, *refusal) {
	id := ""
	if srv.cfg.NewID != nil {
		id = srv.cfg.NewID(r)
	} else {
		id = newID()
	}
	peer, err := srv.cfg.Quota.Enter(r.RemoteAddr)
	if err != nil {
		return nil, busy(err)
	}
	s := newSession(srv, id, q.protocol, r)
	s.onlyText = q.base64
	s.peer = peer
	err = srv.remember(s)
	if err != nil {
		peer.Leave()
	}
	switch {
	case errors.Is(err, errIDTaken):
		srv.cfg.Log.Error("session id is empty or not unique")
		return nil, refuse(CodeBadRequest)
	case errors.Is(err, errFull):
		srv.trace.limit("MaxSessions", srv.cfg.Quota.Visitor(r.RemoteAddr))
		return nil, busy(nil)
	case err != nil:
		return nil, busy(nil)
	}
	return s, nil
}

// newID returns 120 random bits: an id is all that a stranger would need to act as the peer (CVE-2017-16031).
func newID() string {
	var b [15]byte
	if _, err := rand.Read(b[:]); err != nil { // documented never to fail
		panic(err)
	}
	return base64.RawURLEncoding.EncodeToString(b[:])
}

// openPacket returns the packet that opens s. Clients that are old enough read it by position: the order of its keys
// is that of the reference server.
func (srv *Server) openPacket(s *Session, upgrades []string) *Frame {
	b := make([]byte, 0, 160)
	b = append(b, `0{"sid":`...)
	b = appendID(b, s.id)
	b = append(b, `,"upgrades":[`...)
	for i, u := range upgrades {
		if i > 0 {
			b = append(b, ',')
		}
		b = strconv.AppendQuote(b, u)
	}
	b = append(b, `],"pingInterval":`...)
	b = strconv.AppendInt(b, srv.cfg.PingInterval.Milliseconds(), 10)
	b = append(b, `,"pingTimeout":`...)
	b = strconv.AppendInt(b, srv.cfg.PingTimeout.Milliseconds(), 10)
	b = append(b, `,"maxPayload":`...)
	b = strconv.AppendInt(b, srv.cfg.MaxPayload, 10)
	return &Frame{packet: append(b, '}')}
}

// appendID appends an id as a JSON string. Ours need no escape.
func appendID(b []byte, id string) []byte {
	for _, c := range []byte(id) {
		if c < ' ' || c >= 0x7f || c == '"' || c == '\\' {
			quoted, err := json.Marshal(id)
			if err != nil { // a string cannot fail
				panic(err)
			}
			return append(b, quoted...)
		}
	}
	b = append(b, '"')
	b = append(b, id...)
	return append(b, '"')
}
