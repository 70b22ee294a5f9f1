package door

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/tutti-rt/tutti/auth"
	"github.com/tutti-rt/tutti/hub"
	"github.com/tutti-rt/tutti/internal/limit"
	"github.com/tutti-rt/tutti/internal/websocket"
	"github.com/tutti-rt/tutti/internal/wheel"
	"github.com/tutti-rt/tutti/packet"
	"github.com/tutti-rt/tutti/quota"
)

// A stream is one client of [WebSocket], in either framing.
type stream struct {
	door            *webSockets
	listen, publish grant
	everyone        bool // hears what is for everyone in the namespace
	framing         string
	bucket          *limit.Bucket
	peer            *quota.Peer // nil without a quota
	sender          string      // its network, by which it has its share of the traces
	person          string      // by which others know the client; "": nobody is seen
	seat            *hub.Seat
	entry           *auth.Entry // in the register of users; nil if nobody's

	rooms []string // changed by who reads only, under mu, as a whole

	mu      sync.Mutex
	conn    *websocket.Conn // nil until the handshake is answered
	early   []*websocket.Frame
	size    int           // of early, in bytes
	starved bool          // it was not ready when it was asked, before conn was there
	evicted error         // likewise: it has lost its seat
	expel   *auth.Refusal // likewise: why it must end
	why     Reason        // to end, if that is ours
	beat    wheel.Timer   // sends pings
}

// A talk is what framings differ in.
type talk interface {
	client
	// greet says how the client has come in, if it wants to know.
	greet(in entry)
	// receive takes one message of the client. data is valid only during the
	// call. An error ends the connection.
	receive(data []byte, binary bool) error
	// gone is called once, when nothing is received any more.
	gone()
	// subprotocols are those that the framing goes by.
	subprotocols() []string
}

// accept enters the space, answers the handshake, and begins to read.
//
// The seat comes first: what is published after the client has seen the answer
// reaches it. What is delivered before the connection is there waits in early.
func (s *stream) accept(w http.ResponseWriter, r *http.Request) error {
	t := s.talk(r)
	peer, err := s.door.knock(r, s.publish.owner())
	if err != nil {
		return err
	}
	s.peer, s.sender = peer, limit.Network(r.RemoteAddr).String()
	in, err := s.door.enter(t, r.RemoteAddr, hub.Offset(r.URL.Query().Get("after")), s.rooms)
	if err != nil {
		peer.Leave()
		return err
	}
	s.mu.Lock()
	s.seat = in.seat
	s.mu.Unlock()
	if s.entry, err = s.door.enlist(s, s.whose()); err != nil {
		s.retreat(t)
		s.door.closeStream(t, r.RemoteAddr, ReasonExpelled, err)
		return authRefusal(err)
	}
	conn, err := websocket.Accept(w, r, websocket.Options{
		Header:       w.Header(),
		Subprotocols: t.subprotocols(),
		MaxMessage:   s.door.cfg.MaxMessage,
		MaxQueue:     s.door.cfg.MaxQueue,
		WriteTimeout: s.door.cfg.WriteTimeout,
		Budget:       s.door.Door.quota.Budget(),
		Loop:         &s.door.loop,
	})
	if err != nil {
		s.retreat(t)
		s.door.closeStream(t, r.RemoteAddr, ReasonLeft, err)
		if bad := (*websocket.HandshakeError)(nil); errors.As(err, &bad) {
			return handshakeRefusal(bad)
		}
		return nil // there is no connection left to answer on
	}
	if r.URL.Query().Has("after") {
		t.greet(in)
	}
	s.attach(conn)
	s.door.stay() // until the connection is gone
	s.startBeating()
	open := &opened{stream: s, talk: t, remote: r.RemoteAddr} // not r, which would live as long as the stream
	open.stop = context.AfterFunc(s.door.slice(), func() { s.end(ReasonShutdown, websocket.CodeGoingAway, "server shutting down") })
	open.cut = context.AfterFunc(s.door.patient, func() { conn.Abort(nil) })
	conn.Start(open)
	return nil
}

// retreat undoes what was done for a connection that does not come about.
func (s *stream) retreat(t talk) {
	s.seat.End()
	t.gone()
	s.peer.Leave()
	s.entry.Leave()
}

// opened is a stream whose connection is there.
type opened struct {
	stream    *stream
	talk      talk
	remote    string
	stop, cut func() bool // of the watches over the door's contexts
	err       error       // why it ended
}

var _ websocket.Receiver = (*opened)(nil)

// Receive implements [websocket.Receiver]. To publish a message may have to
// wait, for the order of the space.
func (o *opened) Receive(data []byte, binary bool) error {
	data = slices.Clone(data)
	return websocket.Later(func() error { return o.receive(data, binary) })
}

// receive takes one message. A panic is some member's or ours: it ends this
// connection and nothing else.
func (o *opened) receive(data []byte, binary bool) (err error) {
	s := o.stream
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("%w: panic: %v", errFault, p)
			s.door.log.Error("panic", slog.Any("err", err), slog.String("stack", string(debug.Stack())))
			s.conn.Abort(err)
		}
	}()
	return o.talk.receive(data, binary)
}

// Ended implements [websocket.Receiver].
func (o *opened) Ended(err error) {
	o.err = err
	o.stream.stopBeating()
	o.stream.seat.End()
	o.talk.gone()
	o.stream.entry.Leave()
}

// Gone implements [websocket.Receiver].
func (o *opened) Gone() {
	s := o.stream
	o.stop()
	o.cut()
	s.peer.Leave()
	s.door.closeStream(o.talk, o.remote, s.reason(o.err), o.err)
	s.door.end()
}

// talk chooses the framing: what the query says, or else the subprotocol.
func (s *stream) talk(r *http.Request) talk {
	if s.framing == "json" || s.framing == "" && offers(r, SubprotocolJSON) {
		return &jsonTalk{stream: s, calls: make(map[uint64]*hub.Call)}
	}
	return textTalk{s}
}

func offers(r *http.Request, subprotocol string) bool {
	for _, line := range r.Header["Sec-Websocket-Protocol"] {
		for one := range strings.SplitSeq(line, ",") {
			if strings.Trim(one, " \t") == subprotocol {
				return true
			}
		}
	}
	return false
}

// reason says why the stream has ended, by what the connection says of it.
func (s *stream) reason(err error) Reason {
	s.mu.Lock()
	why := s.why
	s.mu.Unlock()
	var misuse *websocket.ProtocolError
	switch {
	case why != "":
		return why
	case errors.Is(err, websocket.ErrTooSlow):
		s.door.limitHit("write", s.peer)
		return ReasonSlow
	case errors.Is(err, errFault):
		return ReasonFault
	case errors.As(err, &misuse):
		if misuse.Code == websocket.CodeTooBig {
			s.door.limitHit("message", s.peer)
		}
		return ReasonMisuse
	}
	return ReasonLeft
}

// end ends the connection for a reason of ours. It does not wait.
func (s *stream) end(why Reason, code int, words string) {
	s.mu.Lock()
	if s.why == "" {
		s.why = why
	}
	conn := s.conn
	s.mu.Unlock()
	conn.Close(code, words)
}

// whose returns the grant by which the client is known.
func (s *stream) whose() grant {
	if s.publish.key != "" {
		return s.publish
	}
	return s.listen
}

// Expiring implements [auth.Connection]. A stream has no way to show another token.
func (s *stream) Expiring(time.Duration) {}

// Expel implements [auth.Connection].
func (s *stream) Expel(why *auth.Refusal) {
	s.mu.Lock()
	early := s.conn == nil
	if early {
		s.expel = why
	}
	s.mu.Unlock()
	if early {
		return
	}
	s.end(ReasonExpelled, websocket.CodePolicy, why.Message)
}

// Regrant implements [auth.Regranted].
func (s *stream) Regrant(review auth.Review) { regrant(s, s.whose().id, review) }

var _ auth.Regranted = (*stream)(nil)

// hearing implements [client].
func (s *stream) hearing() hearing {
	s.mu.Lock()
	defer s.mu.Unlock()
	return hearing{by: s.listen, everyone: s.everyone, rooms: s.rooms, seat: s.seat}
}

func (s *stream) setRooms(rooms []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.rooms = rooms
}

// misuse is the error for receive that ends the connection with words for the
// client.
func (s *stream) misuse(code int, words string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.why == "" {
		s.why = ReasonMisuse
	}
	return &websocket.CloseError{Code: code, Reason: words}
}

// failed is the error for receive if publishing failed: the door is being shut,
// or something is wrong with us.
func (s *stream) failed(err error) error {
	if s.door.open.Err() != nil {
		s.end(ReasonShutdown, websocket.CodeGoingAway, "server shutting down")
		return nil
	}
	return fmt.Errorf("%w: %w", errFault, err)
}

var errFault = errors.New("fault of the server")

// attach gives the stream its connection, and that what came early.
func (s *stream) attach(conn *websocket.Conn) {
	s.mu.Lock()
	s.conn = conn
	early, full := s.early, s.earlyFullLocked()
	starved, evicted := s.starved, s.evicted
	expel := s.expel
	if expel != nil {
		early, full = nil, false // it may not hear it
	}
	s.early = nil
	err := websocket.ErrQueueFull
	if !full {
		// Under the lock, so that what is delivered now comes behind.
		err = conn.Queue(early...)
	}
	s.mu.Unlock()
	conn.Flush()
	s.sent(err)
	if expel != nil {
		s.Expel(expel)
	} else if evicted != nil {
		s.Evicted(evicted)
	} else if starved && !conn.OnDrained(s.seat.Resume) {
		s.seat.Resume()
	}
}

// Ready says whether little waits for the client.
func (s *stream) Ready() bool {
	limit := window(s.door.cfg.MaxQueue)
	s.mu.Lock()
	conn := s.conn
	if conn == nil {
		defer s.mu.Unlock()
		ready := s.size < limit
		s.starved = s.starved || !ready
		return ready
	}
	s.mu.Unlock()
	// Without a seat to resume nobody would ask; with one it is set since conn is.
	return conn.Queued() < limit || !conn.OnDrained(s.seat.Resume)
}

// Evicted ends the connection.
func (s *stream) Evicted(err error) {
	s.mu.Lock()
	s.evicted = err
	early := s.conn == nil
	s.mu.Unlock()
	if !early {
		s.door.limitHit("queue", s.peer)
		s.end(ReasonSlow, websocket.CodePolicy, "too slow")
	}
}

func (s *stream) earlyFullLocked() bool {
	return s.door.cfg.MaxQueue >= 0 && s.size > s.door.cfg.MaxQueue
}

// send queues a frame, or drops it if it may be dropped and others wait. It
// reports whether the client will get it.
func (s *stream) send(f *websocket.Frame, volatile bool) bool {
	s.mu.Lock()
	conn := s.conn
	if conn == nil {
		defer s.mu.Unlock()
		if s.size += f.Len(); !s.earlyFullLocked() { // else attach ends it
			s.early = append(s.early, f)
		}
		return true
	}
	s.mu.Unlock()
	if volatile && conn.Queued() > 0 {
		return false
	}
	err := conn.Post(f) // from a turn of the space: others wait for it to end
	s.sent(err)
	return err == nil
}

// sent ends the connection if its queue is full.
func (s *stream) sent(err error) {
	if errors.Is(err, websocket.ErrQueueFull) {
		s.door.limitHit("queue", s.peer)
		s.end(ReasonSlow, websocket.CodePolicy, "too slow")
	}
}

// hears reports whether a message is for this stream at all.
func (s *stream) hears(m *hub.Message) bool { return s.everyone || len(m.Rooms) > 0 }

// say publishes a message to rooms, or to the stream's own if there are none.
func (s *stream) say(m *hub.Message, rooms []string) (hub.Receipt, error) {
	if len(rooms) == 0 {
		rooms = slices.Clone(s.rooms) // the message keeps them
	}
	if err := s.door.allowEvent(s.door.open, s.seat, s.door.now().publish.renew(s.publish), m.Event, rooms); err != nil {
		return hub.Receipt{}, err
	}
	if err := s.door.spend(s.peer, quota.Publish, s.publish.owner(), rooms); err != nil {
		return hub.Receipt{}, err
	}
	return s.door.hand(context.WithValue(s.door.open, hub.SenderKey{}, s.sender), m, rooms)
}

// startBeating sends a ping now and then, when nothing else is under way. It is
// for the proxies between: the system's own probes find a peer that is gone.
func (s *stream) startBeating() {
	every := s.door.cfg.Heartbeat
	if every < 0 {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.door.beats.Init(&s.beat, func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		if !s.beat.Fired() {
			return
		}
		s.beat.Reset(every)
		if s.conn.Queued() == 0 {
			_ = s.conn.Post(s.door.ping) // closed: then it is over anyway
		}
	})
	s.beat.Reset(every)
}

func (s *stream) stopBeating() {
	if s.door.cfg.Heartbeat < 0 {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.beat.Stop()
}

// textTalk is the framing of mere text.
type textTalk struct{ *stream }

// Deliver sends the message's text.
func (t textTalk) Deliver(m *hub.Message) {
	if t.hears(m) {
		t.send(textForm.Of(m), m.Volatile)
	}
}

// receive publishes a text. Who sends what cannot be published is told so by
// the close code, for there is no other way to tell.
func (t textTalk) receive(data []byte, binary bool) error {
	if binary {
		return t.misuse(websocket.CodeUnsupported, "text only")
	}
	if _, ok := t.bucket.Take(); !ok {
		t.door.limitHit("rate", t.peer)
		return t.misuse(websocket.CodePolicy, "too many messages")
	}
	if err := t.peer.Take(quota.Event, t.publish.owner()); err != nil {
		return t.misuse(websocket.CodePolicy, err.Error())
	}
	args, err := packet.Marshal(string(data))
	if err != nil {
		return t.failed(err)
	}
	_, err = t.say(&hub.Message{Event: "message", Args: args}, nil)
	var refused *refusal
	if errors.As(err, &refused) && refused.status < http.StatusInternalServerError {
		return t.misuse(websocket.CodePolicy, refused.message)
	}
	if err != nil {
		return t.failed(err)
	}
	return nil
}

func (t textTalk) gone() {}

// greet says nothing: there is no telling it from a message.
func (t textTalk) greet(entry) {}

func (t textTalk) subprotocols() []string { return nil }
