package websocket

import (
	"encoding/binary"
	"errors"
	"unicode/utf8"

	"github.com/gobwas/ws"

	"github.com/tutti-rt/tutti/internal/slab"
)

// reader makes messages of the peer's bytes, in whatever pieces these come. It
// belongs to who reads. Between messages it holds no memory.
type reader struct {
	conn   *Conn
	reply  *Frame // the close frame to answer with, set with the error that ends reading
	heard  bool   // the peer's close frame came
	unread []byte // what was given to feed and follows a message that has to wait

	// The frame under way.
	inFrame bool
	header  ws.Header
	head    [ws.MaxHeaderSize]byte
	headLen int
	left    int64 // payload bytes to come
	control []byte

	// The message under way.
	opcode    ws.OpCode // 0 = none
	deflated  bool
	fragments int
	message   []byte // collected so far
}

// feed takes the next bytes and unmasks them in place. An error is final.
func (r *reader) feed(p []byte) error {
	for len(p) > 0 {
		if !r.inFrame {
			n, err := r.readHeader(p)
			if err != nil {
				return r.fail(err)
			}
			p = p[n:]
			if !r.inFrame {
				return nil
			}
		} // and on with no bytes left: the frame may be empty
		n := int(min(r.left, int64(len(p))))
		ws.Cipher(p[:n], r.header.Mask, int((r.header.Length-r.left)&3))
		r.left -= int64(n)
		err := r.payload(p[:n])
		p = p[n:]
		r.inFrame = r.left > 0
		if _, ok := err.(*later); ok {
			r.unread = p
			return err
		}
		if err != nil {
			return r.fail(err)
		}
	}
	return nil
}

// feedAll is feed for who may wait.
func (r *reader) feedAll(p []byte) error {
	err := r.feed(p)
	if l, ok := err.(*later); ok {
		return r.wait(l)
	}
	return err
}

// wait does what a message has asked for, and takes the bytes that follow it.
func (r *reader) wait(l *later) error {
	for {
		if err := l.f(); err != nil {
			return r.fail(err)
		}
		rest := r.unread
		r.unread = nil
		err := r.feed(rest)
		var ok bool
		if l, ok = err.(*later); !ok {
			return err
		}
	}
}

// atRest reports whether nothing is under way.
func (r *reader) atRest() bool { return !r.inFrame && r.headLen == 0 && r.opcode == 0 }

// fail chooses the close frame for err, unless somebody did.
func (r *reader) fail(err error) error {
	if r.reply != nil {
		return err
	}
	code, reason := CodeInternal, ""
	var wrong *ProtocolError
	var chosen *CloseError
	switch {
	case errors.As(err, &wrong):
		code, reason = wrong.Code, wrong.Reason
	case errors.As(err, &chosen):
		code, reason = chosen.Code, chosen.Reason
	}
	r.reply = closeFrame(code, reason)
	return err
}

// readHeader takes from p what belongs to a frame's header, and returns how
// much that was. inFrame tells whether the header is complete.
func (r *reader) readHeader(p []byte) (int, error) {
	taken := 0
	for want := 2; ; {
		if r.headLen >= 2 {
			want = headerSize(r.head[1])
		}
		if r.headLen >= 2 && r.headLen == want {
			break
		}
		n := copy(r.head[r.headLen:want], p[taken:])
		if n == 0 {
			return taken, nil
		}
		r.headLen += n
		taken += n
	}
	r.headLen = 0
	h, err := parseHeader(&r.head)
	if err != nil {
		return taken, err
	}
	if err := r.check(&h); err != nil {
		return taken, err
	}
	r.inFrame, r.header, r.left = true, h, h.Length
	return taken, nil
}

// headerSize tells the size of a header by its second byte.
func headerSize(second byte) int {
	n := 2
	switch second & 0x7f {
	case 126:
		n += 2
	case 127:
		n += 8
	}
	if second&0x80 != 0 {
		n += 4
	}
	return n
}

func parseHeader(b *[ws.MaxHeaderSize]byte) (ws.Header, error) {
	h := ws.Header{
		Fin:    b[0]&finBit != 0,
		Rsv:    b[0] >> 4 & 7,
		OpCode: ws.OpCode(b[0] & 0xf),
		Masked: b[1]&0x80 != 0,
		Length: int64(b[1] & 0x7f),
	}
	at := 2
	switch h.Length {
	case 126:
		h.Length = int64(binary.BigEndian.Uint16(b[2:]))
		at = 4
	case 127:
		n := binary.BigEndian.Uint64(b[2:])
		if n>>63 != 0 { // "the most significant bit MUST be 0"
			return h, protocolError(CodeProtocol, "frame length with the highest bit set")
		}
		h.Length = int64(n)
		at = 10
	}
	if h.Masked {
		copy(h.Mask[:], b[at:])
	}
	return h, nil
}

// check applies the rules of RFC 6455 section 5 and our limits to a header, and
// takes note of the message it begins.
func (r *reader) check(h *ws.Header) error {
	state := ws.StateServerSide
	if r.opcode != 0 {
		state = state.Set(ws.StateFragmented)
	}
	starts := h.OpCode == ws.OpText || h.OpCode == ws.OpBinary
	deflated := starts && r.conn.Deflated() && h.Rsv1()
	if deflated {
		h.Rsv &^= ws.Rsv(true, false, false)
	}
	if err := ws.CheckHeader(*h, state); err != nil {
		return protocolError(CodeProtocol, err.Error())
	}
	if h.OpCode.IsControl() {
		return nil
	}
	if h.Length > r.conn.limits.maxMessage-int64(len(r.message)) {
		return protocolError(CodeTooBig, "message too big")
	}
	if starts {
		r.opcode, r.deflated, r.fragments = h.OpCode, deflated, 0
	}
	if r.fragments++; r.fragments > r.conn.limits.maxFragments {
		return protocolError(CodePolicy, "message in too many fragments")
	}
	return nil
}

// payload takes the next piece of the frame's payload.
func (r *reader) payload(p []byte) error {
	if r.header.OpCode.IsControl() {
		if r.left > 0 || len(r.control) > 0 {
			r.control = append(r.control, p...)
			p = r.control
		}
		if r.left > 0 {
			return nil
		}
		r.control = nil
		return r.handleControl(p)
	}
	if r.left == 0 && r.header.Fin && r.message == nil {
		return r.deliver(p) // all of it in one piece: no copy
	}
	r.grow(len(p))
	r.message = append(r.message, p...)
	if r.left > 0 || !r.header.Fin {
		return nil
	}
	whole := r.message
	r.message = nil
	r.conn.arrive(0)
	err := r.deliver(whole)
	if _, wait := err.(*later); !wait {
		slab.Put(whole)
	}
	return err
}

// grow makes room for n more bytes. What the header declares is never believed:
// the buffer is at most twice what has arrived.
func (r *reader) grow(n int) {
	need := len(r.message) + n
	if need <= cap(r.message) {
		return
	}
	bigger := slab.Get(need)[:len(r.message)]
	copy(bigger, r.message)
	slab.Put(r.message)
	r.message = bigger
	r.conn.arrive(cap(bigger))
}

func (r *reader) deliver(data []byte) error {
	binary := r.opcode == ws.OpBinary
	r.opcode = 0
	if r.deflated {
		var err error
		if data, err = inflate(data, r.conn.limits.maxMessage); err != nil {
			return err
		}
	}
	if !binary && !utf8.Valid(data) {
		return protocolError(CodeInvalidData, "text is not UTF-8")
	}
	if r.conn.isClosing() {
		return nil // nobody listens any more
	}
	return r.conn.receiver.Receive(data, binary)
}

func (r *reader) handleControl(p []byte) error {
	switch r.header.OpCode {
	case ws.OpPing:
		if !r.conn.mayPing() {
			return protocolError(CodePolicy, "too many pings")
		}
		r.conn.pong(p)
		return nil
	case ws.OpClose:
		return r.handleClose(p)
	}
	return nil // a pong nobody asked for: RFC 6455 section 5.5.3 allows it
}

func (r *reader) handleClose(p []byte) error {
	if len(p) == 0 {
		r.heard, r.reply = true, closeFrame(0, "")
		return &CloseError{Code: CodeNoStatus}
	}
	if len(p) == 1 {
		return protocolError(CodeProtocol, "close frame with half a code")
	}
	code := int(binary.BigEndian.Uint16(p))
	if !validCloseCode(code) {
		return protocolError(CodeProtocol, "close code must not be sent")
	}
	if !utf8.Valid(p[2:]) {
		return protocolError(CodeInvalidData, "close reason is not UTF-8")
	}
	r.heard, r.reply = true, closeFrame(code, "")
	return &CloseError{Code: code, Reason: string(p[2:])}
}

// validCloseCode reports whether a close frame may carry code: those that RFC
// 6455 and the IANA registry define for the wire, and the private ranges.
func validCloseCode(code int) bool {
	switch {
	case code >= 1000 && code <= 1014:
		return code != 1004 && code != CodeNoStatus && code != CodeAbnormal
	}
	return code >= 3000 && code <= 4999
}
