package load

import (
	"bytes"
	"errors"
	"fmt"
	"strconv"
)

// phase is where a client is.
type phase uint8

const (
	dialing phase = iota
	opening       // the WebSocket or the session is asked for
	joining       // the namespace is asked for
	ready         // connected
	leaving       // said goodbye
	gone
)

var (
	errRefused  = errors.New("load: the server refuses")
	errGoodbye  = errors.New("load: the server ended the session")
	errSequence = errors.New("load: a packet out of turn")
)

// events is what a scenario hears of its clients.
type events interface {
	// ready: the namespace is joined.
	ready(c *client)
	// message: data is the text of an event, with a payload in it.
	message(c *client, data []byte)
	// acked: data is the answer to question id.
	acked(c *client, id uint64, data []byte)
	// left: the client is gone. err is nil if it wanted to.
	left(c *client, err error)
}

// A client is one peer of the server.
type client struct {
	run     *run
	events  events
	wire    wire
	phase   phase
	began   int64 // when it was due to connect
	room    int
	asked   uint64  // the id of the last question
	next    uint32  // the number of the message expected
	got     recent  // of the messages before that
	waits   []int64 // when those messages were due whose acks are to come
	trimmed []byte  // a fragmented message so far
}

// A wire carries packets of Engine.IO.
type wire interface {
	// send queues one packet.
	send(packet []byte)
	// leave says goodbye; the wire ends when the server has answered.
	leave()
	// close ends it now.
	close()
}

// connect begins to connect a client.
func (r *run) connect(ev events, began int64) (*client, error) {
	c := &client{run: r, events: ev, began: began, next: 1}
	var err error
	if r.opts.Transport == longPolling {
		c.wire, err = newPolling(c)
	} else {
		c.wire, err = newSocket(c)
	}
	return c, err
}

// event sends an event to the namespace "/": its name and arguments as JSON,
// without brackets. ask wants an ack and returns its id.
func (c *client) event(args []byte, ask bool) (id uint64) {
	b := append(c.run.scratch[:0], '4', '2')
	if ask {
		c.asked++
		id = c.asked
		b = strconv.AppendUint(b, id, 10)
	}
	b = append(b, '[')
	b = append(b, args...)
	b = append(b, ']')
	c.run.scratch = b
	c.wire.send(b)
	return id
}

// leave says goodbye.
func (c *client) leave() {
	c.phase = leaving
	c.wire.leave()
}

// lost ends the client, once.
func (c *client) lost(err error) {
	if c.phase == gone {
		return
	}
	if c.phase == leaving {
		err = nil
	} else if err == nil {
		err = errEnded
	}
	c.phase = gone
	c.wire.close()
	c.events.left(c, err)
}

// packet handles one Engine.IO packet.
func (c *client) packet(data []byte) error {
	if len(data) == 0 {
		return errSequence
	}
	switch data[0] {
	case '4':
		return c.socketPacket(data[1:])
	case '2':
		c.wire.send([]byte("3"))
	case '0':
		if c.phase != opening {
			return errSequence
		}
		c.phase = joining
		c.wire.send([]byte("40"))
	case '1':
		return errGoodbye
	}
	return nil
}

// socketPacket handles one Socket.IO packet.
func (c *client) socketPacket(data []byte) error {
	if len(data) == 0 {
		return errSequence
	}
	switch data[0] {
	case '2':
		c.events.message(c, data)
	case '3':
		id, n := uint64(0), 1
		for n < len(data) && data[n] >= '0' && data[n] <= '9' {
			id = id*10 + uint64(data[n]-'0')
			n++
		}
		c.events.acked(c, id, data[n:])
	case '0':
		if c.phase != joining {
			return errSequence
		}
		c.phase = ready
		c.run.handshakes.record(c.run.loop.now - c.began)
		c.events.ready(c)
	case '4':
		return fmt.Errorf("%w: %s", errRefused, data[1:])
	case '1':
		return errGoodbye
	}
	return nil
}

// A socket is a wire on WebSocket.
type socket struct {
	c    *client
	sock *sock
	up   bool // the handshake has been answered
}

func newSocket(c *client) (*socket, error) {
	w := &socket{c: c}
	var err error
	w.sock, err = c.run.dial(w)
	return w, err
}

func (w *socket) connected(s *sock) {
	w.c.phase = opening
	s.send(append(s.out, w.c.run.upgrade...))
}

func (w *socket) receive(s *sock, data []byte) (used int, err error) {
	if !w.up {
		a, size, err := parseAnswer(data)
		switch {
		case err != nil || size == 0:
			return 0, err
		case a.status != 101:
			return 0, fmt.Errorf("%w: HTTP status %d", errRefused, a.status)
		}
		w.up, used = true, size
	}
	for used < len(data) && s.fd >= 0 {
		op, fin, payload, size, err := frame(data[used:])
		if err != nil {
			return used, err
		}
		if size == 0 {
			break
		}
		used += size
		switch {
		case op == opText && fin:
			err = w.c.packet(payload)
		default:
			err = w.rare(op, fin, payload)
		}
		if err != nil {
			return used, err
		}
	}
	return used, nil
}

// rare handles what comes seldom.
func (w *socket) rare(op byte, fin bool, payload []byte) error {
	switch op {
	case opPing:
		w.frame(opPong, payload)
	case opClose:
		return errEnded
	case opText, opContinue:
		w.c.trimmed = append(w.c.trimmed, payload...)
		if fin {
			whole := w.c.trimmed
			w.c.trimmed = nil
			return w.c.packet(whole)
		}
	}
	return nil
}

func (w *socket) closed(_ *sock, err error) { w.c.lost(err) }

func (w *socket) send(packet []byte) { w.frame(opText, packet) }

func (w *socket) frame(op byte, payload []byte) {
	w.sock.send(appendFrame(w.sock.out, op, payload, w.c.run.random()))
}

func (w *socket) leave() {
	w.send([]byte("41"))
	w.frame(opClose, []byte{3, 232}) // 1000
}

func (w *socket) close() {
	if w.sock != nil {
		w.sock.close(nil)
	}
}

// A poller is a wire on long-polling. One connection carries the polls, and
// whatever is to be said between them; if something is to be said while a poll
// is out, a second one does.
type poller struct {
	c     *client
	main  *line
	extra *line
	path  string // with the session's id
	say   []byte // packets to be posted
	posts bool   // a POST is out: a second one could overtake it
}

// A line is an HTTP connection with at most one request on it.
type line struct {
	p    *poller
	sock *sock
	up   bool
	busy bool
	get  bool // the request is a poll
}

func newPolling(c *client) (*poller, error) {
	p := &poller{c: c, path: c.run.poll}
	var err error
	p.main, err = p.line()
	return p, err
}

func (p *poller) line() (*line, error) {
	l := &line{p: p}
	var err error
	l.sock, err = p.c.run.dial(l)
	return l, err
}

func (l *line) connected(*sock) {
	l.up = true
	if l.p.c.phase == dialing {
		l.p.c.phase = opening
	}
	l.p.step(l)
}

func (l *line) closed(_ *sock, err error) { l.p.c.lost(err) }

func (l *line) receive(s *sock, data []byte) (used int, err error) {
	a, size, err := parseAnswer(data)
	switch {
	case err != nil || size == 0:
		return 0, err
	case !l.busy:
		return 0, errSequence
	case a.status != 200:
		return 0, fmt.Errorf("%w: HTTP status %d, %.100s", errRefused, a.status, a.body)
	}
	l.busy = false
	if !l.get {
		l.p.posts = false
		if l.p.c.phase == leaving {
			return size, errEnded
		}
		l.p.step(l)
		return size, nil
	}
	for body := a.body; len(body) > 0; {
		var packet []byte
		packet, body, _ = bytes.Cut(body, []byte{0x1e})
		if l.p.c.phase == opening {
			if err := l.p.opened(packet); err != nil {
				return size, err
			}
		}
		if err := l.p.c.packet(packet); err != nil {
			return size, err
		}
		if s.fd < 0 {
			return size, nil
		}
	}
	l.p.step(l)
	return size, nil
}

// opened learns the session's id.
func (p *poller) opened(packet []byte) error {
	_, rest, found := bytes.Cut(packet, []byte(`"sid":"`))
	sid, _, ended := bytes.Cut(rest, []byte(`"`))
	if !found || !ended {
		return errSequence
	}
	p.path += "&sid=" + string(sid)
	return nil
}

// step sends the next request on a line that has none: what is to be said
// first, then, on the main line, a poll.
func (p *poller) step(l *line) {
	switch {
	case !l.up || l.busy:
	case len(p.say) > 0 && !p.posts:
		l.busy, l.get, p.posts = true, false, true
		b := append(l.sock.out, "POST "...)
		b = p.head(b)
		b = append(b, "Content-Type: text/plain;charset=UTF-8\r\nContent-Length: "...)
		b = strconv.AppendInt(b, int64(len(p.say)), 10)
		b = append(b, "\r\n\r\n"...)
		l.sock.send(append(b, p.say...))
		p.say = p.say[:0]
	case l == p.main && p.c.phase != leaving:
		l.busy, l.get = true, true
		b := append(l.sock.out, "GET "...)
		b = p.head(b)
		l.sock.send(append(b, "\r\n"...))
	}
}

func (p *poller) head(b []byte) []byte {
	b = append(b, p.path...)
	b = append(b, " HTTP/1.1\r\nHost: "...)
	b = append(b, p.c.run.target.host...)
	return append(b, "\r\n"...)
}

func (p *poller) send(packet []byte) {
	if len(p.say) > 0 {
		p.say = append(p.say, 0x1e)
	}
	p.say = append(p.say, packet...)
	if !p.main.busy {
		return // it is being read from, or not connected: it will step
	}
	if p.extra == nil {
		var err error
		if p.extra, err = p.line(); err != nil {
			p.c.run.failed(err)
			return
		}
	}
	p.step(p.extra)
}

func (p *poller) leave() { p.send([]byte("41\x1e1")) }

func (p *poller) close() {
	for _, l := range []*line{p.main, p.extra} {
		if l != nil && l.sock != nil {
			l.sock.close(nil)
		}
	}
}
