package redishub

import (
	"errors"
	"fmt"
	"net"
	"sync"
	"time"
)

// maxOut bounds what waits to be written to the live connection. What others are
// told beyond it is refused.
const maxOut = 16 << 20

var errFull = errors.New("too much waits to be written")

// A conn is a live connection. Questions may be put by any goroutine; one reads,
// with step, and runs what waits for the answers.
type conn struct {
	nc      net.Conn
	r       *reader
	timeout time.Duration
	push    func(v value)
	beat    func()      // renews the lease
	release func() bool // has the engine's end not end it any more
	life    string      // of the server
	always  bool        // the server syncs what it acknowledges
	scripts *repertoire
	wake    chan struct{} // something is to be written, or the connection has failed

	mu      sync.Mutex
	out     []byte
	waiting []*question // in the order of their answers
	failed  error
}

// A question waits for its answer.
type question struct {
	confirms int // how many pushes confirm it, instead of an answer: (un)subscriptions
	then     func(value, error)
}

func newConn(nc net.Conn, timeout time.Duration, push func(value)) *conn {
	return &conn{nc: nc, r: newReader(nc), timeout: timeout, push: push, wake: make(chan struct{}, 1)}
}

// ask puts a question. then is called by the reader with the answer, or by it or
// the caller with the reason why there is none.
func (c *conn) ask(then func(value, error), args ...string) {
	c.put(&question{then: then}, func(dst []byte) []byte { return appendCommand(dst, args...) })
}

// change subscribes to channels, or unsubscribes.
func (c *conn) change(command string, channels []string, then func(error)) {
	const most = 500
	for len(channels) > 0 {
		part := channels[:min(most, len(channels))]
		channels = channels[len(part):]
		last := len(channels) == 0
		c.put(&question{confirms: len(part), then: func(_ value, err error) {
			if then != nil && (err != nil || last) {
				then(err)
			}
		}}, func(dst []byte) []byte { return appendCommand(dst, append([]string{command}, part...)...) })
	}
}

// publish says something on a channel and does not wait.
func (c *conn) publish(channel string, payload []byte) error {
	c.mu.Lock()
	if c.failed == nil && len(c.out) > maxOut {
		c.mu.Unlock()
		return errFull
	}
	failed := c.failed
	c.mu.Unlock()
	if failed != nil {
		return failed
	}
	c.put(&question{then: func(value, error) {}}, func(dst []byte) []byte {
		return appendCommand(dst, []byte("PUBLISH"), []byte(channel), payload)
	})
	return nil
}

func (c *conn) put(q *question, write func([]byte) []byte) {
	c.mu.Lock()
	if err := c.failed; err != nil {
		c.mu.Unlock()
		q.then(value{}, err)
		return
	}
	c.waiting = append(c.waiting, q)
	c.out = write(c.out)
	c.mu.Unlock()
	c.signal()
}

func (c *conn) signal() {
	select {
	case c.wake <- struct{}{}:
	default:
	}
}

// fail ends the connection. The reader notices.
func (c *conn) fail(err error) {
	c.mu.Lock()
	if c.failed == nil {
		c.failed = err
	}
	c.mu.Unlock()
	c.nc.Close()
	c.signal()
}

func (c *conn) err() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.failed
}

// write writes what is put until the connection fails.
func (c *conn) write() {
	var spare []byte
	for range c.wake {
		c.mu.Lock()
		out, failed := c.out, c.failed
		c.out = spare[:0]
		c.mu.Unlock()
		if failed != nil {
			return
		}
		if len(out) > 0 {
			c.nc.SetWriteDeadline(time.Now().Add(c.timeout))
			if _, err := c.nc.Write(out); err != nil {
				c.fail(fmt.Errorf("write: %w", err))
				return
			}
		}
		if spare = out; cap(spare) > 1<<20 {
			spare = nil
		}
	}
}

// step reads one value and does what it asks for.
func (c *conn) step() error {
	v, err := c.r.read()
	if err != nil {
		return fmt.Errorf("read: %w", err)
	}
	if v.kind != '>' {
		if c.front() == nil {
			return fmt.Errorf("%w: an answer without a question", errProtocol)
		}
		c.pop().then(v, v.err())
		return nil
	}
	if len(v.list) == 0 {
		return nil
	}
	switch string(v.list[0].text) {
	case "subscribe", "unsubscribe":
		q := c.front()
		if q == nil || q.confirms == 0 {
			return nil // of a channel that the server has taken from us
		}
		if q.confirms--; q.confirms == 0 {
			c.pop().then(value{}, nil)
		}
	default:
		c.push(v)
	}
	return nil
}

func (c *conn) front() *question {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.waiting) == 0 {
		return nil
	}
	return c.waiting[0]
}

func (c *conn) pop() *question {
	c.mu.Lock()
	defer c.mu.Unlock()
	q := c.waiting[0]
	c.waiting[0] = nil
	if c.waiting = c.waiting[1:]; len(c.waiting) == 0 {
		c.waiting = nil
	}
	return q
}

// end tells those who wait that there is no answer. The reader calls it last.
func (c *conn) end(err error) {
	c.fail(err)
	if c.release != nil {
		c.release()
	}
	c.mu.Lock()
	waiting, err := c.waiting, c.failed
	c.waiting = nil
	c.mu.Unlock()
	for _, q := range waiting {
		q.then(value{}, err)
	}
}

// answer puts a question and reads until it is answered. Only the reader may call it.
func (c *conn) answer(args ...string) (value, error) {
	var (
		answer value
		failed error
		done   bool
	)
	c.ask(func(v value, err error) { answer, failed, done = v, err, true }, args...)
	for !done {
		c.nc.SetReadDeadline(time.Now().Add(c.timeout))
		if err := c.step(); err != nil {
			return value{}, err
		}
	}
	return answer, failed
}

// eval runs a script with answer.
func (c *conn) eval(s script, keys []string, args ...string) (value, error) {
	return c.answer(c.call(s, keys, args...)...)
}

// call is the command of a script.
func (c *conn) call(s script, keys []string, args ...string) []string {
	command := append([]string{"EVALSHA", c.scripts.sha[s], fmt.Sprint(len(keys))}, keys...)
	return append(command, args...)
}
