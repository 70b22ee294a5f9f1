package natshub

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
)

// backlog is how many messages a connection may have for us that we have not
// looked at. They are looked at at once, so it is only full if we get no CPU.
const backlog = 1 << 16

// Why a connection is given up.
var (
	errSilent  = errors.New("the server does not answer")
	errUnknown = errors.New("the log is not what it was")
	errGap     = errors.New("something that was stored did not come")
	errChanged = errors.New("somebody has changed the stream: what is stored is not published again")
	errSlow    = errors.New("more came than could be looked at")
)

// A link is a connection. It is never mended: another takes its place.
type link struct {
	nc      *nats.Conn
	wire    net.Conn // below nc
	in      chan *nats.Msg
	ctx     context.Context // ends with it
	cancel  context.CancelFunc
	replies *nats.Subscription
	inbox   string // what the subjects of replies begin with
	server  server

	mu      sync.Mutex
	err     error
	batches map[uint64]*batch
	number  uint64
	targets map[*nats.Subscription]target
}

// A server is the one that the link is with.
type server struct {
	name, id string
	alone    bool // it belongs to no cluster
	orders   bool // it publishes again in the order in which it stores
}

// A target is what a subscription is for: a line, or a batch, or what nodes say to
// each other if both are nil.
type target struct {
	line  *line
	batch *batch
	kind  targetKind
	place string
}

type targetKind uint8

const (
	forRoom  targetKind = iota // messages of a room
	forMany                    // messages that say themselves for which rooms they are
	forMarks                   // marks of this node
	forSpine                   // headers of all messages
)

// wire is a connection on which no write waits for longer than a timeout.
type wire struct {
	net.Conn
	timeout time.Duration
}

func (w wire) Write(b []byte) (int, error) {
	if err := w.SetWriteDeadline(time.Now().Add(w.timeout)); err != nil {
		return 0, err
	}
	return w.Conn.Write(b)
}

// A dialer connects while its context lasts, and remembers with what.
type dialer struct {
	ctx     context.Context // of one connection's making
	timeout time.Duration
	last    net.Conn
}

func (d *dialer) Dial(network, address string) (net.Conn, error) {
	nd := net.Dialer{Timeout: d.timeout}
	c, err := nd.DialContext(d.ctx, network, address)
	if err != nil {
		return nil, err
	}
	d.last = wire{c, d.timeout}
	return d.last, nil
}

// dial opens a connection.
func (e *Engine) dial(ctx context.Context) (*link, error) {
	l := &link{
		in: make(chan *nats.Msg, backlog), inbox: nats.NewInbox() + ".",
		batches: make(map[uint64]*batch), targets: make(map[*nats.Subscription]target),
	}
	l.ctx, l.cancel = context.WithCancel(context.WithoutCancel(ctx))
	d := &dialer{ctx: ctx, timeout: e.cfg.Timeout}
	options := append([]nats.Option{
		nats.Name("tutti " + e.node), nats.NoReconnect(), nats.Timeout(e.cfg.Timeout), nats.SetCustomDialer(d),
		nats.PingInterval(e.cfg.Lease), nats.MaxPingsOutstanding(1), nats.NoCallbacksAfterClientClose(),
		nats.ErrorHandler(func(_ *nats.Conn, _ *nats.Subscription, err error) { l.fail(err) }),
		nats.ClosedHandler(func(nc *nats.Conn) { l.fail(errors.Join(errors.New("connection closed"), nc.LastError())) }),
	}, e.site.options...)
	nc, err := nats.Connect(strings.Join(e.urls(), ","), options...)
	if err != nil {
		l.cancel()
		return nil, fmt.Errorf("connect: %w", err)
	}
	l.mu.Lock()
	l.nc, l.wire = nc, d.last
	failed := l.err
	l.mu.Unlock()
	l.server = serverOf(nc)
	l.replies, err = nc.ChanSubscribe(l.inbox+"*.*", l.in)
	if err = cmp.Or(failed, err); err != nil {
		l.end(err)
		return nil, fmt.Errorf("connect: %w", err)
	}
	e.learn(nc.DiscoveredServers())
	return l, nil
}

func serverOf(nc *nats.Conn) server {
	s := server{name: nc.ConnectedServerName(), id: nc.ConnectedServerId(), alone: nc.ConnectedClusterName() == ""}
	major, minor := version(nc.ConnectedServerVersion())
	s.orders = major > 2 || major == 2 && minor >= 10
	return s
}

// version reads the first two numbers, 0 for what are none.
func version(s string) (major, minor int) {
	parts := strings.SplitN(strings.TrimPrefix(s, "v"), ".", 3)
	if len(parts) < 2 {
		return 0, 0
	}
	major, err := strconv.Atoi(parts[0])
	minor, err2 := strconv.Atoi(parts[1])
	if err != nil || err2 != nil {
		return 0, 0
	}
	return major, minor
}

// fail gives the connection up.
func (l *link) fail(err error) {
	l.mu.Lock()
	if l.err != nil {
		l.mu.Unlock()
		return
	}
	l.err = err
	batches := l.batches
	l.batches = nil
	wire := l.wire
	l.mu.Unlock()
	l.cancel()
	if wire != nil {
		wire.Close() // what is being written or read on it ends with an error
	}
	for _, b := range batches {
		close(b.done)
	}
}

// end is fail, and waits for nothing but what is being written.
func (l *link) end(err error) {
	l.fail(err)
	l.nc.Close()
}

func (l *link) failure() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.err
}

// listen subscribes.
func (l *link) listen(subject string, t target) (*nats.Subscription, error) {
	sub, err := l.nc.ChanSubscribe(subject, l.in)
	if err != nil {
		l.fail(err)
		return nil, err
	}
	l.mu.Lock()
	l.targets[sub] = t
	l.mu.Unlock()
	return sub, nil
}

// ignore ends what listen began. What has come already comes to nobody.
func (l *link) ignore(sub *nats.Subscription) {
	l.mu.Lock()
	delete(l.targets, sub)
	l.mu.Unlock()
	_ = sub.Unsubscribe() // it fails if the connection has: then nothing comes
}

// say publishes without an answer.
func (l *link) say(subject string, payload []byte) error {
	if err := l.failure(); err != nil {
		return err
	}
	return l.sent(l.nc.Publish(subject, payload))
}

// sent gives the connection up if it is broken.
func (l *link) sent(err error) error {
	if err != nil && !errors.Is(err, nats.ErrMaxPayload) {
		l.fail(err)
	}
	return err
}

// A batch is a number of questions, put at a time. Its answers are read when it
// is done: nil where there is none.
type batch struct {
	link    *link
	number  uint64
	done    chan struct{}
	answers []*nats.Msg
	left    int          // guarded by the link's lock
	many    bool         // one question has so many answers, the last with a status if they are fewer
	then    func(*batch) // called by the connection's goroutine with the last answer
}

// newBatch makes a batch of so many questions.
func (l *link) newBatch(size int, then func(*batch)) *batch {
	b := &batch{link: l, done: make(chan struct{}), answers: make([]*nats.Msg, size), left: size, then: then}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.err != nil || size == 0 {
		b.left = 0
		close(b.done)
		return b
	}
	l.number++
	b.number = l.number
	l.batches[b.number] = b
	return b
}

// ask puts the question of an index.
func (b *batch) ask(i int, m *nats.Msg) error {
	m.Reply = b.link.inbox + strconv.FormatUint(b.number, 36) + "." + strconv.Itoa(i)
	if err := b.link.failure(); err != nil {
		return err
	}
	return b.link.sent(b.link.nc.PublishMsg(m))
}

// answered says whether all answers have come.
func (b *batch) answered() bool {
	select {
	case <-b.done:
		return true
	default:
		return false
	}
}

// answer takes an answer; nil: there will be none.
func (b *batch) answer(i int, m *nats.Msg) {
	b.link.mu.Lock()
	if b.many {
		i = len(b.answers) - b.left
	}
	if b.link.batches[b.number] != b || i >= len(b.answers) || b.answers[i] != nil {
		b.link.mu.Unlock()
		return
	}
	b.answers[i] = m
	if b.left--; b.many && status(m) != "" {
		b.left = 0
	}
	last := b.left == 0
	if last {
		delete(b.link.batches, b.number)
		close(b.done)
	}
	b.link.mu.Unlock()
	if last && b.then != nil {
		b.then(b)
	}
}

// forget has nobody wait for the answers any more. They may be read then.
func (b *batch) forget() {
	b.link.mu.Lock()
	defer b.link.mu.Unlock()
	delete(b.link.batches, b.number)
}

// wait waits for the answers, for no longer than a time.
func (b *batch) wait(ctx context.Context, most time.Duration) error {
	timer := time.NewTimer(most)
	defer timer.Stop()
	defer b.forget()
	select {
	case <-b.done:
		return b.link.failure()
	case <-timer.C:
		return errSilent
	case <-ctx.Done():
		return ctx.Err()
	}
}

// replied finds whose answer that is.
func (l *link) replied(m *nats.Msg) {
	number, index, _ := strings.Cut(strings.TrimPrefix(m.Subject, l.inbox), ".")
	n, err := strconv.ParseUint(number, 36, 64)
	i, err2 := strconv.Atoi(index)
	if err != nil || err2 != nil || i < 0 {
		return
	}
	l.mu.Lock()
	b := l.batches[n]
	l.mu.Unlock()
	if b != nil {
		b.answer(i, m)
	}
}
