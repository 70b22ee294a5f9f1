package packet

import (
	"errors"
	"iter"
)

var errStub = errors.New("packet: not written yet")

// Args is the list of arguments of an event or an ack.
type Args struct {
	elements    []byte
	attachments [][]byte
	count       int
}

// Arg is one argument.
type Arg struct {
	json        []byte
	attachments [][]byte
}

// Marshal makes Args of Go values.
func Marshal(values ...any) (Args, error) { return Args{}, errStub }

// ParseArgs makes Args of a JSON array.
func ParseArgs(jsonArray []byte) (Args, error) { return Args{}, errStub }

// Len is the number of arguments.
func (a Args) Len() int { return a.count }

// Size is the number of bytes held.
func (a Args) Size() int { return len(a.elements) }

// At returns argument i.
func (a Args) At(i int) Arg { return Arg{} }

// All iterates over the arguments.
func (a Args) All() iter.Seq2[int, Arg] { return func(func(int, Arg) bool) {} }

// Slice returns the arguments i to j-1.
func (a Args) Slice(i, j int) Args { return Args{} }

// Append returns a with the values added at its end; a is unchanged.
func (a Args) Append(values ...any) (Args, error) { return Args{}, errStub }

// Scan decodes the arguments into targets.
func (a Args) Scan(targets ...any) error { return errStub }

// AppendText appends the arguments as JSON, binary inlined.
func (a Args) AppendText(dst []byte) []byte { return dst }

// ScanError tells which argument did not fit.
type ScanError struct {
	Index int
	Err   error
}

// Error implements error.
func (e *ScanError) Error() string { return e.Err.Error() }

// Unwrap returns Err.
func (e *ScanError) Unwrap() error { return e.Err }

// Scan decodes the argument into target, a pointer.
func (a Arg) Scan(target any) error { return errStub }

// JSON returns the text of the argument.
func (a Arg) JSON() []byte { return a.json }

// HasBinary tells whether the argument holds attachments.
func (a Arg) HasBinary() bool { return len(a.attachments) > 0 }

// String returns the text if the argument is a JSON string.
func (a Arg) String() (string, bool) { return "", false }

// Bytes returns the attachment if the argument is one.
func (a Arg) Bytes() ([]byte, bool) { return nil, false }

// Frame is one Engine.IO message.
type Frame struct {
	Data   []byte
	Binary bool
}

// Format is a way to write packets.
type Format uint8

// The formats.
const (
	JSON Format = iota
	MessagePack
)

// Encode writes p.
func (f Format) Encode(p *Packet) ([]Frame, error) { return nil, errStub }

// Limits bound what a Decoder takes.
type Limits struct {
	MaxAttachments int
	MaxDepth       int
	MaxNamespace   int
	MaxEvent       int
	MaxBytes       int
}

// Error is why a peer's packets cannot be read.
type Error struct{ Reason string }

// Error implements error.
func (e *Error) Error() string { return "packet: " + e.Reason }

// Decoder reassembles the packets of one session.
type Decoder struct{ format Format }

// NewDecoder returns a Decoder.
func NewDecoder(l Limits) *Decoder { return &Decoder{} }

// Add takes the next frame.
func (d *Decoder) Add(f Frame) (*Packet, error) { return nil, errStub }

// Pending tells whether attachments are missing.
func (d *Decoder) Pending() bool { return false }

// Format is the format of the peer.
func (d *Decoder) Format() Format { return d.format }
