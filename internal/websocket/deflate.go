package websocket

import (
	"bytes"
	"compress/flate"
	"io"
	"sync"

	"github.com/gobwas/httphead"
	"github.com/gobwas/ws/wsflate"
)

// Deflate turns permessage-deflate on for clients that offer it. Messages are
// deflated one by one: no context is taken over, so that a connection at rest
// holds no window and a message is deflated once for all connections.
type Deflate struct {
	// Threshold is the least payload worth deflating, in bytes; 0 means 1024,
	// negative everything.
	Threshold int
}

func (d *Deflate) threshold() int {
	switch {
	case d == nil:
		return -1
	case d.Threshold == 0:
		return 1024
	}
	return max(d.Threshold, 0)
}

// negotiate returns the Sec-WebSocket-Extensions to answer, "" for none. Offers
// that cannot be met, or understood, are declined: RFC 7692 section 5.1.
func (d *Deflate) negotiate(offers []string) string {
	if d == nil {
		return ""
	}
	e := wsflate.Extension{Parameters: wsflate.DefaultParameters}
	for _, line := range offers {
		options, ok := httphead.ParseOptions([]byte(line), nil)
		if !ok {
			continue
		}
		for _, o := range options {
			accept, err := e.Negotiate(o)
			if err != nil || accept.Size() == 0 {
				continue
			}
			var b bytes.Buffer
			if _, err := httphead.WriteOptions(&b, []httphead.Option{accept}); err != nil {
				return ""
			}
			return b.String()
		}
	}
	return ""
}

var deflaters = sync.Pool{New: func() any {
	return wsflate.NewWriter(io.Discard, func(w io.Writer) wsflate.Compressor {
		// The fastest level: chat-sized JSON shrinks nearly as well, at a
		// third of the time and of the 1.2 MB of state.
		f, err := flate.NewWriter(w, flate.BestSpeed)
		if err != nil {
			panic(err) // the level is a constant
		}
		return f
	})
}}

var inflaters = sync.Pool{New: func() any {
	return wsflate.NewReader(bytes.NewReader(nil), func(r io.Reader) wsflate.Decompressor {
		return &inflater{r: flate.NewReader(r)}
	})
}}

// inflater gives flate's reader the Reset that wsflate looks for.
type inflater struct{ r io.ReadCloser }

func (i *inflater) Read(p []byte) (int, error) { return i.r.Read(p) }

func (i *inflater) Reset(r io.Reader) {
	// Only the dictionary can be refused, and there is none.
	_ = i.r.(flate.Resetter).Reset(r, nil)
}

// deflateFrame returns a whole frame with payload deflated, or nil if that
// would not make it smaller.
func deflateFrame(first byte, payload []byte) []byte {
	var b bytes.Buffer
	w := deflaters.Get().(*wsflate.Writer)
	defer deflaters.Put(w)
	w.Reset(&b)
	if _, err := w.Write(payload); err != nil {
		return nil
	}
	if err := w.Flush(); err != nil {
		return nil
	}
	w.Reset(io.Discard) // the pool must not keep b
	if b.Len() >= len(payload) {
		return nil
	}
	data := make([]byte, 0, headerLen(b.Len())+b.Len())
	return append(appendHeader(data, first|rsv1Bit, b.Len()), b.Bytes()...)
}

// inflate returns the inflated form of data, at most limit bytes: a bomb is
// stopped when it crosses the limit, not when it has been unpacked.
func inflate(data []byte, limit int64) ([]byte, error) {
	r := inflaters.Get().(*wsflate.Reader)
	defer inflaters.Put(r)
	r.Reset(bytes.NewReader(data))
	defer r.Reset(bytes.NewReader(nil)) // the pool must not keep data
	out := make([]byte, 0, min(int64(len(data))*3+64, limit+1))
	for {
		if len(out) == cap(out) {
			out = append(out, 0)[:len(out)]
		}
		n, err := r.Read(out[len(out):cap(out)])
		out = out[:len(out)+n]
		if int64(len(out)) > limit {
			return nil, protocolError(CodeTooBig, "message too big when inflated")
		}
		if err == io.EOF {
			return out, nil
		}
		if err != nil {
			return nil, protocolError(CodeInvalidData, "invalid deflate data")
		}
	}
}
