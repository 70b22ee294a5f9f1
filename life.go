package tutti

import (
	"context"
	"time"

	"github.com/tutti-rt/tutti/hub"
	"github.com/tutti-rt/tutti/internal/limit"
)

// life is the context of a socket's handlers: the server's, until the socket is
// over. What can be waited for is made when somebody does: most sockets are at
// rest most of the time, and a context.WithCancel costs as much as half a socket.
type life Socket

var _ context.Context = (*life)(nil)

// awaited is the part of a life that can be waited for.
type awaited struct {
	ctx    context.Context // a socket lives as long as a request may, see Socket.ctx
	cancel context.CancelFunc
}

// Deadline implements [context.Context]: there is none.
func (l *life) Deadline() (time.Time, bool) { return time.Time{}, false }

// Done implements [context.Context].
func (l *life) Done() <-chan struct{} {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.awaited == nil {
		ctx, cancel := context.WithCancel(l.link.server.ctx)
		if l.over {
			cancel()
		}
		l.awaited = &awaited{ctx: ctx, cancel: cancel}
	}
	return l.awaited.ctx.Done()
}

// Err implements [context.Context].
func (l *life) Err() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.over {
		return context.Canceled
	}
	return l.link.server.ctx.Err()
}

// Value implements [context.Context]. A context derived from this one asks by a
// key of its package for the one that can be waited for.
func (l *life) Value(key any) any {
	if key == (hub.SenderKey{}) {
		return limit.Network(l.link.session.Request().RemoteAddr).String() // whatever connections it has
	}
	l.mu.Lock()
	a := l.awaited
	l.mu.Unlock()
	if a == nil {
		return l.link.server.ctx.Value(key)
	}
	return a.ctx.Value(key)
}

// end ends the context.
func (l *life) end() {
	l.mu.Lock()
	l.over = true
	a := l.awaited
	l.mu.Unlock()
	if a != nil {
		a.cancel()
	}
}
