package redishub

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/tutti-rt/tutti/hub"
)

// A script holds up everybody else, so a batch that exceeds these is several.
const (
	maxParts = 256
	maxBytes = 1 << 20
)

// A slot numbers the writes of one commit after another, so that the server
// recognises one that is tried again, and one that comes too late.
type slot struct {
	name   string
	number uint64
}

func (l *line) takeSlot() *slot {
	l.mu.Lock()
	defer l.mu.Unlock()
	if n := len(l.slots); n > 0 {
		s := l.slots[n-1]
		l.slots = l.slots[:n-1]
		return s
	}
	l.made++
	return &slot{name: strconv.Itoa(l.made)}
}

func (l *line) freeSlot(s *slot) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.slots = append(l.slots, s)
}

// A part is what is written at once.
type part struct {
	messages []*hub.SharedMessage
	sessions []*hub.SharedSession
	epoch    string // in which the sessions were written down
}

// fail says why a part was not written.
func (p *part) fail(err error) {
	for _, m := range p.messages {
		m.Err = err
	}
	p.failSessions(err)
}

func (p *part) failSessions(err error) {
	for _, s := range p.sessions {
		s.Err = err
	}
	p.sessions = nil
}

// Commit writes a batch.
func (l *line) Commit(ctx context.Context, b *hub.SharedBatch) {
	parts := split(b)
	epoch := l.State().Epoch
	for i := range parts {
		parts[i].epoch = epoch
		if err := l.write(ctx, &parts[i]); err != nil {
			parts[i].fail(err)
			for j := i + 1; j < len(parts); j++ {
				parts[j].fail(refused(err))
			}
			break
		}
	}
	if len(b.Erase) > 0 {
		b.EraseErr = l.erase(ctx, b.Erase)
	}
}

// refused is the error of what was not tried, after something was in vain.
func refused(err error) error {
	if errors.Is(err, hub.ErrClosed) {
		return err
	}
	return fmt.Errorf("%w: what was before it was not written", hub.ErrUnavailable)
}

func split(b *hub.SharedBatch) []part {
	var parts []part
	p, size := part{}, 0
	add := func(n int) {
		if count := len(p.messages) + len(p.sessions); count > 0 && (count == maxParts || size+n > maxBytes) {
			parts = append(parts, p)
			p, size = part{}, 0
		}
		size += n
	}
	for _, m := range b.Messages {
		add(len(m.Body))
		p.messages = append(p.messages, m)
	}
	for _, s := range b.Sessions {
		add(len(s.Body))
		p.sessions = append(p.sessions, s)
	}
	if len(p.messages)+len(p.sessions) > 0 {
		parts = append(parts, p)
	}
	return parts
}

// write writes a part, and tries again until it is known what became of it.
func (l *line) write(ctx context.Context, p *part) error {
	s := l.takeSlot()
	defer l.freeSlot(s)
	s.number++
	var args []any
	var written string
	reply, err := l.ask(ctx, scriptCommit, func(epoch string) []any {
		if epoch != p.epoch {
			// What sessions refer to is void.
			p.failSessions(fmt.Errorf("%w: the record is of the one before", hub.ErrEpoch))
		}
		if args == nil || epoch != written {
			args, written = l.commitArgs(p, epoch, s), epoch
		}
		return args
	})
	if err != nil {
		return err
	}
	if len(reply) != 1 {
		return fmt.Errorf("%w: %w: answer to a write", hub.ErrUnknown, errProtocol)
	}
	last, err := p.settle(reply[0])
	if err != nil {
		return err
	}
	l.mu.Lock()
	if l.epoch == written {
		l.known = max(l.known, last)
	}
	l.mu.Unlock()
	return nil
}

func (l *line) commitArgs(p *part, epoch string, s *slot) []any {
	args := make([]any, 0, 16+12*(len(p.messages)+len(p.sessions)))
	args = append(args, epoch, l.e.node, s.name, s.number, l.keep().Milliseconds(), max(1, l.window().Milliseconds()), len(p.messages))
	for _, m := range p.messages {
		entry := appendEntry(make([]byte, 0, entrySize(m.Rooms, m.Body)), m.Rooms, m.Body)
		indices := indices(m)
		args = append(args, dedupName(m.Publisher, m.ID), l.channel(m.Rooms), entry, len(m.Body), len(indices))
		for _, name := range indices {
			args = append(args, name)
		}
		histories := slices.CompactFunc(slices.SortedFunc(slices.Values(m.Histories), func(a, b hub.RoomHistory) int {
			return strings.Compare(a.Room, b.Room)
		}), func(a, b hub.RoomHistory) bool { return a.Room == b.Room })
		args = append(args, len(histories))
		for _, h := range histories {
			age := h.Limit.Age.Milliseconds()
			if h.Limit.Age > 0 {
				age = max(1, age)
			}
			args = append(args, h.Room, max(0, h.Limit.Count), max(0, h.Limit.Bytes), max(0, age))
		}
	}
	args = append(args, len(p.sessions))
	for _, r := range p.sessions {
		keep := int64(-1)
		if r.Body != nil {
			keep = max(1, r.Keep.Milliseconds())
		}
		args = append(args, r.ID, strconv.FormatUint(r.Generation, 10), keep, r.Body)
	}
	return args
}

func (l *line) window() time.Duration {
	if l.memory == nil {
		return 0
	}
	return l.memory.Window
}

// indices name the lists in which a message is found: of each of its rooms, also
// of those that only keep it in their history, or of what is for everyone.
func indices(m *hub.SharedMessage) []string {
	var names []string
	if len(m.Rooms) == 0 {
		names = append(names, "e")
	}
	for _, room := range m.Rooms {
		names = append(names, "i:"+room)
	}
	for _, h := range m.Histories {
		if name := "i:" + h.Room; !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	return names
}

// settle fills in what became of a part, and returns the last position.
func (p *part) settle(reply string) (last hub.Position, err error) {
	bad := fmt.Errorf("%w: %w: answer to a write", hub.ErrUnknown, errProtocol)
	words := strings.Fields(reply)
	if len(words) == 0 {
		return 0, bad
	}
	next, ok := parsePosition(words[0])
	if !ok {
		return 0, bad
	}
	repeated := make(map[int]hub.Position)
	fenced := make(map[int]bool)
	for _, w := range words[1:] {
		if i, found := strings.CutPrefix(w, "-"); found {
			n, err := strconv.Atoi(i)
			if err != nil || n < 0 || n >= len(p.sessions) {
				return 0, bad
			}
			fenced[n] = true
			continue
		}
		i, at, _ := strings.Cut(w, ":")
		n, err := strconv.Atoi(i)
		position, ok := parsePosition(at)
		if err != nil || !ok || n < 0 || n >= len(p.messages) {
			return 0, bad
		}
		repeated[n] = position
	}
	for i, m := range p.messages {
		m.Err, m.Repeated = nil, false
		if at, again := repeated[i]; again {
			m.Position, m.Repeated = at, true
		} else {
			m.Position = next
			last = next
			next++
		}
		m.Time = timeOf(m.Position)
	}
	for i, s := range p.sessions {
		s.Err = nil
		if fenced[i] {
			s.Err = hub.ErrFenced
		}
	}
	return last, nil
}

func (l *line) erase(ctx context.Context, list []hub.Erasure) error {
	_, err := l.ask(ctx, scriptErase, func(epoch string) []any {
		args := []any{epoch}
		for _, e := range list {
			args = append(args, e.Room, uint64(e.Position))
		}
		return args
	})
	return err
}

// ask runs a script, again if need be, and returns what it answers. With every
// try args is called with the epoch of then. The error is [hub.ErrUnknown] if it
// may have run.
func (l *line) ask(ctx context.Context, s script, args func(epoch string) []any) ([]string, error) {
	sent := false
	failed := func(err error) error {
		if errors.Is(err, hub.ErrClosed) && !sent {
			return hub.ErrClosed
		}
		if sent && s == scriptCommit {
			return fmt.Errorf("%w: %w", hub.ErrUnknown, err)
		}
		return fmt.Errorf("%w: %w", hub.ErrUnavailable, err)
	}
	for tries := 0; ; tries++ {
		select {
		case <-l.ended:
			return nil, failed(hub.ErrClosed)
		default:
		}
		link, err := l.e.await(ctx, sent)
		if err != nil {
			return nil, failed(err)
		}
		if tries > 0 {
			call(l.e.cfg.Trace.Retried)
			if !pause(ctx, min(time.Duration(tries)*retryPause, retryPauseMax)) {
				return nil, failed(ctx.Err())
			}
		}
		reply, err := l.try(ctx, link, s, args)
		if err == nil {
			return reply, nil
		}
		var f *failure
		if errors.As(err, &f) {
			sent = sent || f.sent
			if f.again && ctx.Err() == nil {
				continue
			}
		}
		return nil, failed(err)
	}
}

// A failure is a try in vain.
type failure struct {
	err   error
	sent  bool // it may have run
	again bool // it may be tried again
}

func (f *failure) Error() string { return f.err.Error() }
func (f *failure) Unwrap() error { return f.err }

// try runs a script once.
func (l *line) try(ctx context.Context, link *link, s script, args func(epoch string) []any) ([]string, error) {
	epoch := l.State().Epoch
	reply, err := link.client.EvalSha(ctx, link.conn.scripts.sha[s], []string{l.names.meta}, args(epoch)...).StringSlice()
	if err != nil {
		return nil, l.failure(ctx, link, err)
	}
	status := ""
	if len(reply) > 0 {
		status = reply[0]
	}
	switch status {
	case "ok":
		return reply[1:], nil
	case "trimmed":
		l.learnFloor(epoch, reply)
		return nil, hub.ErrTrimmed
	case "late":
		return nil, &failure{err: errors.New("a later write was first"), sent: true}
	case "epoch", "life":
		if l.State().Epoch == epoch { // else that is known meanwhile
			link.conn.fail(errUnknown)
		}
		return nil, &failure{err: errUnknown, again: true}
	}
	return nil, &failure{err: fmt.Errorf("%w: answer %q", errProtocol, status), sent: true}
}

// failure says what an error of the client means.
func (l *line) failure(ctx context.Context, link *link, err error) error {
	said := reason(err)
	switch {
	case strings.HasPrefix(said, "NOSCRIPT"):
		l.e.reload(ctx, link)
		return &failure{err: err, again: true}
	case strings.HasPrefix(said, "READONLY"), strings.HasPrefix(said, "MASTERDOWN"):
		link.conn.fail(err) // another is the primary
		return &failure{err: err, again: true}
	case transient(err):
		return &failure{err: err, again: true}
	case strings.HasPrefix(said, "OOM"), strings.HasPrefix(said, "MISCONF"):
		return &failure{err: err} // before the first write of a script
	case said != "":
		return &failure{err: err, sent: true} // a script that fails is not undone
	}
	var op *net.OpError
	dialed := !(errors.As(err, &op) && op.Op == "dial") && !errors.Is(err, redis.ErrPoolTimeout) && !errors.Is(err, redis.ErrPoolExhausted)
	return &failure{err: err, sent: dialed, again: true}
}

// reload has the server learn the scripts, if it is in the life that the live
// connection knows. Else that has to be made anew.
func (e *Engine) reload(ctx context.Context, link *link) {
	c := link.client.Conn()
	defer c.Close() // gives it back
	server, err := c.Info(ctx).Result()
	if err != nil {
		return // it will be seen when it is tried again
	}
	if lifeOf(parseInfo(server)) != link.conn.life {
		link.conn.fail(errUnknown)
		return
	}
	for _, text := range link.conn.scripts.text {
		if err := c.ScriptLoad(ctx, text).Err(); err != nil {
			return
		}
	}
}
