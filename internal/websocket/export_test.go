package websocket

import (
	"iter"
	"net"
	"time"
)

// Feed gives the chunks to a frame reader, without a network, and returns the
// error that ended reading, if any.
func Feed(chunks iter.Seq[[]byte], o Options, receive func([]byte, bool) error) error {
	c := &Conn{}
	c.init(sink{}, o.limits(o.Deflate != nil), nil)
	c.receiver = feeder(receive)
	defer func() { c.Abort(nil); <-c.Done() }()
	r := &reader{conn: c}
	for chunk := range chunks {
		if err := r.feed(chunk); err != nil {
			return err
		}
		if !r.inFrame && r.opcode == 0 && (r.message != nil || r.control != nil) {
			panic("the reader holds memory between messages")
		}
	}
	return nil
}

// sink takes all that is written.
type sink struct{ net.Conn }

func (sink) Write(p []byte) (int, error)      { return len(p), nil }
func (sink) SetWriteDeadline(time.Time) error { return nil }
func (sink) Close() error                     { return nil }

type feeder func(data []byte, binary bool) error

func (f feeder) Receive(data []byte, binary bool) error { return f(data, binary) }
func (feeder) Ended(error)                              {}
func (feeder) Gone()                                    {}
