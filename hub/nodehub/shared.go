package nodehub

import (
	"context"
	"sync"

	"github.com/tutti-rt/tutti/hub"
	"github.com/tutti-rt/tutti/hub/redishub/nodewire"
	"github.com/tutti-rt/tutti/internal/serial"
)

// shared is a space that others have, too.
type shared struct {
	cluster *Cluster
	space   *hub.Space
	uid     string // this server's name in the namespace
	dialect nodewire.Dialect
	inbox   serial.Mailbox // what others have said, in order
	asked   asked          // what others are asked

	ctx     context.Context // of what is done for others; it ends with Close
	end     context.CancelFunc
	serving chan struct{} // holds a token for each call and event of others
	running sync.WaitGroup
}

var (
	_ hub.Others   = (*shared)(nil)
	_ hub.Listener = listening{}
)

// share opens a space.
func (c *Cluster) share(ctx context.Context, sp *hub.Space) (*shared, error) {
	s := &shared{cluster: c, space: sp, uid: newID(), serving: make(chan struct{}, c.cfg.MaxCalls)}
	var err error
	if s.dialect, err = c.cfg.dialect(sp.Namespace(), s.uid); err != nil {
		return nil, err
	}
	s.inbox.Crew = c.crew
	s.asked.most = c.cfg.MaxPending
	s.ctx, s.end = context.WithCancel(c.ctx)
	var sources []source
	from := s.dialect.Sources()
	for kind, names := range map[byte][]string{ofPattern: from.Patterns, ofChannel: from.Channels, ofShard: from.Shards} {
		for _, name := range names {
			sources = append(sources, source{kind, name})
		}
	}
	if err := c.begin(ctx, s); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, c.cfg.Timeout)
	defer cancel()
	if from.Stream != "" {
		c.follow(ctx, from.Stream, s)
	}
	c.ears.want(s, sources...)
	c.ears.await(ctx, sources...)
	return s, nil
}

// begin has a space be the one of its namespace. One before it is forgotten, and
// perhaps still about to end: two must not answer.
func (c *Cluster) begin(ctx context.Context, s *shared) error {
	name := s.space.Namespace()
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := ctx.Err(); err != nil { // then this is the one before
		s.end()
		return err
	}
	if before := c.spaces[name]; before != nil {
		before.end()
	}
	c.spaces[name] = s
	return nil
}

// Close implements [hub.Others].
func (s *shared) Close() {
	s.end()
	s.cluster.ears.leave(s)
	if stream := s.dialect.Sources().Stream; stream != "" {
		s.cluster.leave(stream, s)
	}
	s.cluster.mu.Lock()
	if name := s.space.Namespace(); s.cluster.spaces[name] == s {
		delete(s.cluster.spaces, name)
	}
	s.cluster.mu.Unlock()
	s.asked.close()
	s.inbox.Close(nil)
	s.inbox.Wait()
	s.running.Wait()
}

// Cast implements [hub.Others].
func (s *shared) Cast(m *hub.Message) {
	s.post(&nodewire.Message{
		Op: nodewire.Broadcast, Event: m.Event, Args: m.Args,
		To: nodewire.Target{Rooms: m.Rooms, Except: m.Except, Flags: nodewire.Flags{Volatile: m.Volatile, Uncompressed: m.Uncompressed}},
	}, nil) // what cannot be written, no client could have been sent either
}

// listening is a space whose rooms have channels of their own.
type listening struct{ *shared }

// Listen implements [hub.Listener]. It does not fail: while Redis is away, it
// listens as soon as it is back.
func (l listening) Listen(ctx context.Context, rooms ...string) (hub.Position, error) {
	sources := l.rooms(rooms)
	ctx, cancel := context.WithTimeout(ctx, l.cluster.cfg.Timeout)
	defer cancel()
	l.cluster.ears.want(l.shared, sources...)
	l.cluster.ears.await(ctx, sources...)
	return 0, nil
}

// Ignore implements [hub.Listener].
func (l listening) Ignore(rooms ...string) {
	l.cluster.ears.ignore(l.shared, l.rooms(rooms)...)
}

func (l listening) rooms(rooms []string) []source {
	var sources []source
	for _, room := range rooms {
		if channel, ok := l.dialect.Room(room); ok {
			sources = append(sources, source{ofShard, channel})
		}
	}
	return sources
}

// over implements hearer.
func (s *shared) over() bool { return s.ctx.Err() != nil }

// hear implements hearer.
func (s *shared) hear(channel, body string) {
	s.put(len(channel)+len(body), func() {
		if room, ok := s.dialect.Only(channel); ok && s.space.Count(room) == 0 {
			return
		}
		s.read(s.dialect.Decode(channel, []byte(body), nil))
	})
}

// entry takes an entry of the stream.
func (s *shared) entry(pairs map[string]string) {
	size := 0
	for k, v := range pairs {
		size += len(k) + len(v)
	}
	s.put(size, func() { s.read(s.dialect.Decode("", nil, pairs)) })
}

func (s *shared) put(size int, f func()) {
	err := s.inbox.Put(size, func() {
		if !s.over() {
			f()
		}
	})
	if err != nil && !s.over() {
		s.cluster.dropped()
	}
}

// read takes what was decoded, unless it is this server's own.
func (s *shared) read(m *nodewire.Message, err error) {
	switch {
	case err != nil:
		s.cluster.ignored()
	case m.From != s.uid:
		s.take(m)
	}
}
