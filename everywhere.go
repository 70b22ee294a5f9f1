package tutti

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/tutti-rt/tutti/auth"
	"github.com/tutti-rt/tutti/hub"
)

// What servers of a cluster tell each other about users, as events in "/". The
// names that begin so are the server's own.
const (
	ownEvents   = "tutti:"
	tellOrder   = ownEvents + "order"   // an auth.Order; answered with a number of connections
	tellRevoked = ownEvents + "revoked" // a ledgerQuestion; answered with a ledgerPage
)

const (
	// orderPatience is how long who logs somebody out waits for other nodes.
	orderPatience = 3 * time.Second
	// ledgerPause is when those are asked again who have not answered.
	ledgerPause = time.Second
	// ledgerPageSize is how many revocations nodes tell each other at a time, and
	// ledgerPageBytes at most how large that is unless there is but one: NATS takes
	// messages of 1 MiB.
	ledgerPageSize  = 1000
	ledgerPageBytes = 512 << 10
)

// errUnheard is why an order was not carried out on nodes that have not said that it was.
var errUnheard = errors.New("tutti: a node has not carried it out")

// ledgers keeps what is revoked the same on all nodes: who revokes tells the
// others, and who could not be told asks, when it joins or comes back.
type ledgers struct {
	srv  *Server
	news chan struct{}          // holds a token when there is another node to ask
	told atomic.Pointer[ledger] // what others are being told; nil if nobody asks

	collect sync.Mutex // held to make what is told anew: later ones know more

	mu      sync.Mutex
	asking  bool // a goroutine does
	again   bool // it is to do so once more
	ended   bool
	running sync.WaitGroup
}

// share has the server's users logged out on all nodes.
func (srv *Server) share() {
	if srv.cfg.Hub.Engine == nil {
		return
	}
	srv.ledgers.srv, srv.ledgers.news = srv, make(chan struct{}, 1)
	ns := srv.Namespace("/")
	ns.HandleNodes(tellOrder, func(_ context.Context, _ string, args Args) (any, error) {
		var o auth.Order
		if err := args.Scan(&o); err != nil {
			return nil, err
		}
		return srv.users.Obey(o)
	})
	ns.HandleNodes(tellRevoked, func(_ context.Context, _ string, args Args) (any, error) {
		var q ledgerQuestion
		if err := args.Scan(&q); err != nil {
			return nil, err
		}
		return srv.ledgers.page(q), nil
	})
	srv.users.SetOthers(srv.order)
}

// hear has the ledgers compared whenever one may have missed something.
func (l *ledgers) hear(t *hub.Trace) *hub.Trace {
	var heard hub.Trace
	if t != nil {
		heard = *t
	}
	came, reached := heard.NodeCame, heard.Reached
	heard.NodeCame = func(name string, about []byte) {
		if came != nil {
			came(name, about)
		}
		l.ask()
	}
	heard.Reached = func(err error) {
		if reached != nil {
			reached(err)
		}
		if err == nil {
			l.ask()
		}
	}
	return &heard
}

// order has the other nodes carry out an order, and returns how many connections
// they have ended. Its error is a [*hub.PartialError], or that of the engine.
func (srv *Server) order(ctx context.Context, o auth.Order) (connections int, err error) {
	ctx, cancel := context.WithTimeout(ctx, orderPatience)
	defer cancel()
	unheard := maps.Clone(srv.hub.Nodes())
	for a, err := range srv.Namespace("/").AskNodes(ctx, tellOrder, o) {
		var n int
		if err == nil {
			err = a.Args.Scan(&n)
		}
		if err != nil {
			return connections, fmt.Errorf("on other nodes: %w", err)
		}
		connections += n
		delete(unheard, a.Node)
	}
	if len(unheard) > 0 {
		partial := &hub.PartialError{Err: errUnheard}
		for name := range unheard {
			partial.Nodes = append(partial.Nodes, name)
		}
		return connections, fmt.Errorf("on other nodes: %w", partial)
	}
	return connections, nil
}

// ask has a goroutine ask the other nodes what is revoked.
func (l *ledgers) ask() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.ended || l.asking {
		l.again = true
		select {
		case l.news <- struct{}{}: // who rests goes on: there is somebody to ask
		default:
		}
		return
	}
	l.asking = true
	// Started by a node that came or an engine that is back, ended when all have
	// answered who are there, or by the server's end; close waits for it.
	l.running.Go(func() {
		for more, again := true, false; more; {
			err := l.learn(l.srv.ctx)
			if err != nil && !again && l.srv.ctx.Err() == nil {
				l.srv.log.Warn("ask other nodes what is revoked", keyErr, err)
			}
			if _, again = errors.AsType[*hub.PartialError](err); again {
				l.rest() // who is gone is not asked again, and anybody else will answer
			}
			l.mu.Lock()
			l.again = l.again || again
			more = l.again && !l.ended
			l.again, l.asking = false, more
			l.mu.Unlock()
		}
	})
}

// rest waits a while before nodes are asked again, or until there is another
// to ask, or for the server's end.
func (l *ledgers) rest() {
	t := time.NewTimer(ledgerPause)
	defer t.Stop()
	select {
	case <-t.C:
	case <-l.news:
	case <-l.srv.ctx.Done():
	}
}

// learn takes over what is revoked on other nodes, a page of each at a time. It
// goes on while somebody has more, whoever else does not answer and whatever
// cannot be kept: what is remembered holds.
func (l *ledgers) learn(ctx context.Context) (failed error) {
	all := l.srv.users.Revocations()
	known := make(map[string]auth.Revocation, len(all))
	for _, v := range all {
		known[revocationKey(v)] = v
	}
	q := ledgerQuestion{Sum: sumOf(all)}
	for {
		next, err := l.learnPage(ctx, q, known)
		failed = errors.Join(failed, err)
		if len(next) == 0 || ctx.Err() != nil {
			return failed
		}
		q.After = slices.Min(next)
	}
}

// learnPage takes over what others answer to a question, but for what is known,
// and returns how far those have come that have more.
func (l *ledgers) learnPage(ctx context.Context, q ledgerQuestion, known map[string]auth.Revocation) (next []string, failed error) {
	var pages []ledgerPage
	asking, cancel := context.WithTimeout(ctx, orderPatience)
	defer cancel()
	for a, err := range l.srv.Namespace("/").AskNodes(asking, tellRevoked, q) {
		var p ledgerPage
		if err == nil {
			err = a.Args.Scan(&p)
		}
		failed = errors.Join(failed, err)
		pages = append(pages, p)
	}
	// Behind the asking, for to keep what is revoked may take longer.
	for _, p := range pages {
		for _, v := range p.Revoked {
			if old, ok := known[revocationKey(v)]; ok && !v.Since.After(old.Since) && !v.Until.After(old.Until) {
				continue
			}
			if _, err := l.srv.users.Revoke(v); err != nil {
				failed = errors.Join(failed, err)
				continue
			}
			known[revocationKey(v)] = v
		}
		if p.More && len(p.Revoked) > 0 {
			next = append(next, revocationKey(p.Revoked[len(p.Revoked)-1]))
		}
	}
	return next, failed
}

// close waits until nothing is being asked; nothing will be any more.
func (l *ledgers) close() {
	l.mu.Lock()
	l.ended = true
	l.mu.Unlock()
	l.running.Wait()
}
