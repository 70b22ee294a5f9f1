package door

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/tutti-rt/tutti/auth"
	"github.com/tutti-rt/tutti/hub"
	"github.com/tutti-rt/tutti/internal/limit"
	"github.com/tutti-rt/tutti/internal/websocket"
	"github.com/tutti-rt/tutti/packet"
	"github.com/tutti-rt/tutti/quota"
	"github.com/tutti-rt/tutti/verb"
)

// A Door is a way into a space. It is safe for concurrent use.
type Door struct {
	kind   string // "events", "websocket", "publish"; for the log
	space  *hub.Space
	desk   *verb.Desk // what its rules open is open besides; may be nil
	quota  *quota.Quota
	auth   *auth.Authority                                                       // says who clients are; may be nil
	check  func(namespace, event string, rooms []string, args packet.Args) error // of data; may be nil
	relays bool
	live   atomic.Pointer[live]
	log    *slog.Logger
	trace  *Trace
	// serve answers a request that was let in this far. What it returns is
	// answered too, unless it wrote something.
	serve func(w http.ResponseWriter, r *http.Request) error

	// The contexts outlive any request: they are the door's own life. The first
	// ends when streams are to end, the second when they have had their time.
	open, patient context.Context
	close, cut    context.CancelFunc
	slices        []slice // of open

	loop    websocket.Loop             // carries WebSockets
	guesses *limit.Group[netip.Prefix] // of tokens, where streams are wanted

	mu     sync.Mutex
	active int // requests and streams
	// Where each comes from; the zero Addr if that is not known, or it is ending.
	streams map[client]netip.Addr
	// No new streams: those that are there are ending, see Drain.
	draining bool
	closed   bool
	idle     chan struct{} // closed when closed and nothing is active
}

// Trace observes a door. Any of its functions may be nil. They are called from
// many goroutines and must not wait.
type Trace struct {
	Opened    func()                        // a stream has begun
	Closed    func(why Reason)              // a stream has ended
	Published func(members int)             // a message that came in was handed to that many members
	Refused   func(status int, code string) // a request was answered with an error
	LimitHit  func(limit string)            // "rooms", "streams", "queue", "write", "rate", "body", "message", "calls" or "event name"
}

// A Reason says why a stream ended.
type Reason string

// The reasons. A client may come back after all but [ReasonMisuse], which it
// would meet again.
const (
	ReasonLeft     Reason = "client left"
	ReasonSlow     Reason = "client too slow"
	ReasonMisuse   Reason = "misuse"   // of the protocol, of a limit, or of what it may do
	ReasonExpelled Reason = "expelled" // what its user may do has ended, or it was disconnected
	ReasonShutdown Reason = "server shutting down"
	ReasonFault    Reason = "internal error"
)

func newDoor(kind string, space *hub.Space, log *slog.Logger, trace *Trace) *Door {
	d := &Door{kind: kind, space: space, log: log, trace: trace, idle: make(chan struct{}), streams: make(map[client]netip.Addr), guesses: limit.NewGroup[netip.Prefix](guessing, addresses)}
	if d.log == nil {
		d.log = slog.Default()
	}
	d.log = d.log.With(slog.String("door", kind), slog.String("nsp", space.Namespace()))
	if d.trace == nil {
		d.trace = &Trace{}
	}
	d.open, d.close = context.WithCancel(context.Background())
	d.slices = newSlices(d.open)
	d.patient, d.cut = context.WithCancel(context.Background())
	return d
}

// ServeHTTP answers one request, at whatever path the door is mounted. It
// refuses with a status and a JSON body {"error":{"code","message"}}.
func (d *Door) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if !d.begin() {
		d.refuse(w, r, errShutdown)
		return
	}
	defer d.end()
	origins := d.now().origins
	if origins.Preflight(w, r) {
		return
	}
	origins.SetHeader(w.Header(), r)
	if !origins.Allowed(r) {
		// Cross-site WebSocket hijacking: a browser asks for no leave to open
		// a WebSocket or to send a request, and adds what it knows of us.
		d.refuse(w, r, errOrigin)
		return
	}
	if err := d.serve(w, hideToken(r)); err != nil {
		d.refuse(w, r, err)
	}
}

// Streams returns how many streams are open.
func (d *Door) Streams() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return len(d.streams)
}

// Namespace returns the name of the space that the door opens.
func (d *Door) Namespace() string { return d.space.Namespace() }

// DisconnectNetwork ends the streams whose clients come from a network, by the
// RemoteAddr of their requests, and returns how many these were. reason is told
// to the clients, as [auth.Register.Disconnect] does. They may come back.
func (d *Door) DisconnectNetwork(network netip.Prefix, reason string) int {
	var all []client
	d.mu.Lock()
	for c, from := range d.streams {
		if network.Contains(from) {
			all = append(all, c)
			d.streams[c] = netip.Addr{} // counted once, however slowly it goes
		}
	}
	d.mu.Unlock()
	why := auth.Refuse(auth.Disconnected, cmp.Or(reason, "disconnected by the server"))
	for _, c := range all {
		c.Expel(why)
	}
	return len(all)
}

// Shutdown refuses new requests, ends the streams, and waits until nothing is
// left of them. Streams that still write when the context ends are cut off,
// and Shutdown returns the context's error.
//
// http.Server.Shutdown waits for streams of events and knows nothing of
// WebSockets, so a server gives Shutdown to its RegisterOnShutdown, or calls it
// before its own.
func (d *Door) Shutdown(ctx context.Context) error {
	d.mu.Lock()
	if !d.closed {
		d.closed = true
		if d.active == 0 {
			close(d.idle)
		}
	}
	d.mu.Unlock()
	d.loop.Close()
	d.close()

	var err error
	select {
	case <-d.idle:
	case <-ctx.Done():
		err = ctx.Err()
		d.cut()
		<-d.idle
	}
	d.loop.Wait() // its workers are about to end
	return err
}

// begin counts a request in; false means that the door is shut.
func (d *Door) begin() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.closed {
		return false
	}
	d.active++
	return true
}

// stay counts in what goes on after its request has been answered.
func (d *Door) stay() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.active++
}

func (d *Door) end() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.active--
	if d.active == 0 && d.closed {
		close(d.idle)
	}
}

// knock counts a client in that wants a stream, and was received. Who is let in
// leaves the quota with its stream, or when there is none.
func (d *Door) knock(r *http.Request, owner string) (*quota.Peer, error) {
	peer, err := d.quota.Enter(r.RemoteAddr)
	if err != nil {
		return nil, tooManyStreams(err)
	}
	if err := peer.Identify(owner); err != nil {
		peer.Leave()
		return nil, tooManyStreams(err)
	}
	return peer, nil
}

// spend counts what a client does for rooms.
func (d *Door) spend(p *quota.Peer, k quota.Kind, owner string, rooms []string) error {
	err := p.Take(k, owner)
	for i := 0; i < len(rooms) && err == nil; i++ {
		err = p.TakeRoom(k, d.space.Namespace(), rooms[i])
	}
	if err != nil {
		return verbRefusal(err)
	}
	return nil
}

// A client is the member behind a stream, which can be told to end.
type client interface {
	hub.Reader
	auth.Connection
	// hearing returns what it hears now. Any goroutine may call it.
	hearing() hearing
}

// enter gives a new stream its seat, if there is room for one. Who gets a seat
// closes it, and then the stream.
func (d *Door) enter(c client, remote string, after hub.Offset, rooms []string) (entry, error) {
	if err := d.count(c, remote); err != nil {
		return entry{}, err
	}
	in, err := d.seat(c, after, rooms)
	if err != nil {
		d.uncount(c)
		return entry{}, roomRefusal(err)
	}
	if d.trace.Opened != nil {
		d.trace.Opened()
	}
	d.reviewSince(c.hearing().by.under, c)
	return in, nil
}

func (d *Door) count(c client, remote string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.draining {
		return errShutdown
	}
	if most := d.now().most; most >= 0 && len(d.streams) >= most {
		return errStreams
	}
	d.streams[c] = limit.Address(remote)
	return nil
}

func (d *Door) uncount(c client) {
	d.mu.Lock()
	defer d.mu.Unlock()
	delete(d.streams, c)
}

func (d *Door) closeStream(c client, remote string, why Reason, err error) {
	d.uncount(c)
	if d.trace.Closed != nil {
		d.trace.Closed(why)
	}
	level := slog.LevelDebug
	switch why {
	case ReasonSlow, ReasonMisuse, ReasonExpelled:
		level = slog.LevelInfo
	case ReasonFault:
		level = slog.LevelError
	}
	d.log.LogAttrs(context.Background(), level, "stream closed", slog.String("remote", remote),
		slog.String("reason", string(why)), slog.Any("err", err))
}

// hand publishes what came in.
func (d *Door) hand(ctx context.Context, m *hub.Message, rooms []string) (hub.Receipt, error) {
	if d.check != nil {
		if err := d.check(d.space.Namespace(), m.Event, rooms, m.Args); err != nil {
			return hub.Receipt{}, verbRefusal(err)
		}
	}
	receipt, err := d.space.Publish(ctx, m, hub.Address{Rooms: rooms})
	if d.space.Remembers() {
		err = verbRefusal(err)
	}
	if err == nil && d.trace.Published != nil {
		d.trace.Published(receipt.Members)
	}
	return receipt, err
}

// limitHit tells that a client ran into a limit, and who it was.
func (d *Door) limitHit(limit string, p *quota.Peer) {
	if d.trace.LimitHit != nil {
		d.trace.LimitHit(limit)
	}
	p.Reached("door", limit)
}

// refuse answers an error. What is not a refusal is ours alone: the client
// learns that something went wrong, and the log what.
func (d *Door) refuse(w http.ResponseWriter, r *http.Request, err error) {
	var refused *refusal
	level := slog.LevelDebug
	if !errors.As(err, &refused) {
		refused = errInternal
		if r.Context().Err() == nil { // else the client is gone, and that is all
			level = slog.LevelError
		}
	}
	if refused.limit != "" {
		d.limitHit(refused.limit, d.quota.Visitor(r.RemoteAddr))
	}
	d.log.LogAttrs(r.Context(), level, "request refused", slog.String("remote", r.RemoteAddr),
		slog.Int("status", refused.status), slog.String("code", refused.code), slog.Any("err", err))
	if d.trace.Refused != nil {
		d.trace.Refused(refused.status, refused.code)
	}
	if refused.late {
		d.wait(r.Context(), d.quota.Refusal())
	}
	refused.answer(w)
}

// wait returns after t, or when ctx is done or the door is being shut.
func (d *Door) wait(ctx context.Context, t time.Duration) {
	if t <= 0 {
		return
	}
	timer := time.NewTimer(t)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	case <-d.open.Done():
	}
}
