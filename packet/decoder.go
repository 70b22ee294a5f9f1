package packet

import (
	"bytes"
	"math"
	"unicode/utf8"
)

// Error is why a peer's bytes are not packets. It is the end of the session:
// the protocol has no way to find the next packet, and the reference
// implementation closes with "parse error" too.
type Error struct {
	// Reason is one of a few fixed phrases, without anything the peer wrote:
	// fit for a log line and as the label of a metric.
	Reason string
}

// Error returns the reason with the prefix of the package.
func (e *Error) Error() string { return "packet: " + e.Reason }

// More values of Error.Reason; the others are beside the scanner and the
// placeholders.
const (
	faultType        = "unknown packet type"
	faultCount       = "too many attachments"
	faultNamespace   = "namespace too long"
	faultID          = "illegal ack id"
	faultPayload     = "invalid payload"
	faultEvent       = "event name too long"
	faultReserved    = "reserved event name"
	faultSize        = "packet too large"
	faultText        = "text where an attachment is due"
	faultBinary      = "binary without a packet"
	faultMessagePack = "invalid MessagePack"
)

// DefaultAttachments is how many attachments a packet of the JSON form may have
// by default: what stock clients take before they close the connection.
const DefaultAttachments = 10

const (
	defaultBinaries  = 1000
	defaultDepth     = 512
	defaultNamespace = 1024
	defaultEvent     = 4096
	defaultBytes     = 16 << 20

	// hardDepth holds where a limit is "none": what encoding/json can read.
	hardDepth = 10_000
)

// Limits bound what a [Decoder] takes from a peer, who may not even have
// connected to a namespace yet. Zero means the default, negative none.
type Limits struct {
	// MaxAttachments in one packet. Default 10, as with socket.io-parser 4.2.6,
	// whose peers could hoard any number before (CVE-2026-33151).
	MaxAttachments int

	// MaxBinaries in one packet of the MessagePack form, where binary data is a
	// value like any other and stock clients know no limit. Default 1,000.
	MaxBinaries int

	// MaxDepth of arrays and objects within one another in a payload, the
	// array of the arguments included. Node has no limit. Default 512: beyond
	// any data we know of, and within what the recursive JSON readers behind a
	// webhook or an event stream take. None means 10,000, for Go's readers end
	// there.
	MaxDepth int

	// MaxNamespace is bytes of the name, without the query. Default 1024.
	MaxNamespace int

	// MaxEvent is bytes of an event name. Default 4096.
	MaxEvent int

	// MaxBytes of one packet in memory, text and attachments together. Default
	// 16 MiB: a stock client can go as far as 11 MB, a text and ten attachments
	// of the size that Engine.IO allows a message by default.
	MaxBytes int
}

func (l Limits) orDefault() Limits {
	return Limits{
		MaxAttachments: limit(l.MaxAttachments, DefaultAttachments, math.MaxInt),
		MaxBinaries:    limit(l.MaxBinaries, defaultBinaries, math.MaxInt),
		MaxDepth:       limit(l.MaxDepth, defaultDepth, hardDepth),
		MaxNamespace:   limit(l.MaxNamespace, defaultNamespace, math.MaxInt),
		MaxEvent:       limit(l.MaxEvent, defaultEvent, math.MaxInt),
		MaxBytes:       limit(l.MaxBytes, defaultBytes, math.MaxInt),
	}
}

func limit(n, zero, none int) int {
	switch {
	case n == 0:
		return zero
	case n < 0:
		return none
	}
	return min(n, none)
}

// Decoder makes packets of the frames of one session. It learns the [Format]
// from the first frame: a client that sends binary first speaks MessagePack.
//
// It is not safe for concurrent use. Without a packet that waits for
// attachments it holds no buffer.
type Decoder struct {
	limits    *Limits // shared, and complete
	format    Format
	started   bool
	namespace string // of the last packet: most have the same as the one before
	waiting   *waiting
	err       *Error
}

// waiting is a packet whose attachments are still to come.
type waiting struct {
	packet *Packet
	nums   []int // the peer's numbers of the placeholders, in the order of the text
	count  int
	size   int
	got    [][]byte
}

// NewDecoder returns a Decoder for one session.
func NewDecoder(l Limits) *Decoder { return NewDecoders(l).New() }

// Decoders makes decoders for many sessions, which share their limits. It is
// safe for concurrent use.
type Decoders struct{ limits Limits }

// NewDecoders returns what makes decoders with these limits.
func NewDecoders(l Limits) *Decoders { return &Decoders{l.orDefault()} }

// New returns a Decoder for one session.
func (d *Decoders) New() *Decoder { return &Decoder{limits: &d.limits} }

// Format is that of the session: JSON until the first frame says otherwise.
func (d *Decoder) Format() Format { return d.format }

// Pending tells whether a packet waits for attachments. A caller that wants
// such a peer to come to an end sets it a deadline.
func (d *Decoder) Pending() bool { return d.waiting != nil }

// Add takes the next frame and returns the packet that it completes, or nil if
// more frames are needed. It keeps nothing of f.Data. An error is an [*Error]
// and final: from then on Add returns it again.
func (d *Decoder) Add(f Frame) (*Packet, error) {
	if d.err != nil {
		return nil, d.err
	}
	p, fault := d.add(f)
	if fault != "" {
		d.err = &Error{Reason: fault}
		d.waiting = nil
		return nil, d.err
	}
	return p, nil
}

func (d *Decoder) add(f Frame) (p *Packet, fault string) {
	if !d.started {
		d.started = true
		if f.Binary {
			d.format = MessagePack
		}
	}
	switch {
	case d.format == MessagePack && f.Binary:
		return d.messagePack(f.Data)
	case d.format == MessagePack:
		return nil, faultMessagePack
	case f.Binary && d.waiting == nil:
		return nil, faultBinary
	case f.Binary:
		return d.attachment(f.Data)
	case d.waiting != nil:
		return nil, faultText
	}
	return d.text(f.Data)
}

// text reads <type>[<attachments>-][<namespace>,][<id>][<payload>].
func (d *Decoder) text(t []byte) (p *Packet, fault string) {
	if len(t) > d.limits.MaxBytes {
		return nil, faultSize
	}
	if len(t) == 0 || t[0] < '0' || t[0] > '0'+byte(ConnectError)+2 {
		return nil, faultType
	}
	p = &Packet{Type: Type(t[0] - '0')}
	t = t[1:]
	attachments := 0
	if p.Type > ConnectError {
		p.Type -= wireBinary
		if attachments, t, fault = d.attachmentCount(t); fault != "" {
			return nil, fault
		}
	}
	if t, fault = d.readNamespace(p, t); fault != "" {
		return nil, fault
	}
	if t, fault = readID(p, t); fault != "" {
		return nil, fault
	}
	if fault = d.readPayload(p, t); fault != "" || attachments == 0 {
		return p, fault
	}
	return nil, d.wait(p, attachments)
}

// attachmentCount reads <attachments>-. None at all is illegal: it once armed
// the reference parser to hoard whatever came (CVE-2026-69185).
func (d *Decoder) attachmentCount(t []byte) (n int, rest []byte, fault string) {
	dash := bytes.IndexByte(t, '-')
	if dash < 0 {
		return 0, nil, faultAttachments
	}
	count, ok := parseInt(t[:dash])
	switch {
	case !ok || count == 0:
		return 0, nil, faultAttachments
	case count > uint64(d.limits.MaxAttachments):
		return 0, nil, faultCount
	}
	return int(count), t[dash+1:], ""
}

// readNamespace reads [<namespace>,], which the end of the packet ends too.
func (d *Decoder) readNamespace(p *Packet, t []byte) (rest []byte, fault string) {
	if len(t) == 0 || t[0] != '/' {
		p.Namespace = "/"
		return t, ""
	}
	name, rest, _ := bytes.Cut(t, []byte{','})
	return rest, d.setNamespace(p, name)
}

// setNamespace splits the query off. Socket.IO 2 clients put one there.
func (d *Decoder) setNamespace(p *Packet, name []byte) (fault string) {
	name, query, _ := bytes.Cut(name, []byte{'?'})
	if len(name) > d.limits.MaxNamespace {
		return faultNamespace
	}
	if !utf8.Valid(name) || !utf8.Valid(query) {
		return faultUTF8
	}
	if d.namespace != string(name) {
		d.namespace = string(name)
	}
	p.Namespace = d.namespace
	if p.Type == Connect {
		p.Query = string(query)
	}
	return ""
}

// readID reads [<id>]: the digits there are.
func readID(p *Packet, t []byte) (rest []byte, fault string) {
	i := 0
	for i < len(t) && '0' <= t[i] && t[i] <= '9' {
		p.ID = p.ID*10 + uint64(t[i]-'0')
		if p.ID > MaxID {
			return nil, faultID
		}
		i++
	}
	p.HasID = i > 0
	return t[i:], ""
}

func (d *Decoder) readPayload(p *Packet, t []byte) (fault string) {
	if len(t) == 0 {
		if p.carriesArgs() {
			return faultPayload
		}
		return ""
	}
	s := scanner{text: t, limit: d.limits.MaxDepth}
	switch p.Type {
	case Disconnect:
		return faultPayload
	case Connect, ConnectError:
		if !s.one() {
			return s.fault
		}
		p.Data = clean(t, s.spaced)
		return checkData(p)
	case Event:
		l, ok := s.list()
		if !ok {
			return s.fault
		}
		p.Args = newArgs(l.rest, l.count-1, s.spaced)
		return d.setEvent(p, l.first)
	case Ack:
		l, ok := s.list()
		if !ok {
			return s.fault
		}
		p.Args = newArgs(l.all, l.count, s.spaced)
	}
	return ""
}

// checkData tells whether the payload has the kind it must have.
func checkData(p *Packet) (fault string) {
	if k := p.Data[0]; k == '{' || k == '"' && p.Type == ConnectError {
		return ""
	}
	return faultPayload
}

// setEvent takes the first element of an event's array as its name.
func (d *Decoder) setEvent(p *Packet, name []byte) (fault string) {
	switch {
	case len(name) == 0:
		return faultPayload
	case name[0] == '"':
		p.Event = unquote(name)
	case name[0] == '-' || '0' <= name[0] && name[0] <= '9':
		p.Event = propertyName(name)
	default:
		return faultPayload
	}
	if len(p.Event) > d.limits.MaxEvent {
		return faultEvent
	}
	if Reserved(p.Event) {
		return faultReserved
	}
	return ""
}

// wait keeps p until its attachments are there. Its placeholders are looked at
// now: nothing is collected for a packet that cannot be completed.
func (d *Decoder) wait(p *Packet, attachments int) (fault string) {
	w := &waiting{packet: p, count: attachments}
	p.Args.elements, w.nums, fault = bindPlaceholders(p.Args.elements, attachments)
	if fault != "" {
		return fault
	}
	w.size = len(p.Args.elements)
	d.waiting = w
	return ""
}

// attachmentOverhead is what an attachment costs besides its bytes: empty ones
// are not free.
const attachmentOverhead = 24

// attachment takes the next attachment, and completes the packet if it is the
// last.
func (d *Decoder) attachment(data []byte) (p *Packet, fault string) {
	w := d.waiting
	w.size += len(data) + attachmentOverhead
	if w.size > d.limits.MaxBytes {
		return nil, faultSize
	}
	w.got = append(w.got, append([]byte{}, data...))
	if len(w.got) < w.count {
		return nil, ""
	}
	d.waiting = nil
	for _, num := range w.nums {
		w.packet.Args.attachments = append(w.packet.Args.attachments, w.got[num])
	}
	return w.packet, ""
}
