package packet

// ParseMessagePack makes an [Arg] of one value in MessagePack, with its binary
// data as attachments, as the parsers of Socket.IO's packages read it. It copies
// what it keeps, and nothing is allocated for lengths that a text only claims.
// Of the limits MaxBinaries, MaxDepth and MaxBytes hold. An error is an [*Error].
func ParseMessagePack(text []byte, l Limits) (Arg, error) {
	l = l.orDefault()
	if len(text) > l.MaxBytes {
		return Arg{}, &Error{Reason: faultSize}
	}
	u := &unpacker{in: text, limits: &l, out: make([]byte, 0, len(text)+len(text)/4+16)}
	if !u.value(0) {
		return Arg{}, &Error{Reason: u.fault}
	}
	switch a := (Arg{json: u.out, attachments: u.attachments}); {
	case len(u.in) > 0:
		return Arg{}, &Error{Reason: faultMessagePack}
	case u.forged && a.HasBinary():
		return Arg{}, &Error{Reason: faultAttachments}
	case a.size() > l.MaxBytes:
		return Arg{}, &Error{Reason: faultSize}
	default:
		return a, nil
	}
}

func (a Arg) size() int { return Args{elements: a.json, attachments: a.attachments}.Size() }

// AppendMessagePack appends the argument to dst in MessagePack, its binary data
// as bin.
func (a Arg) AppendMessagePack(dst []byte) []byte {
	return appendTranscoded(dst, a.JSON(), a.attachments)
}

// Attachment returns the binary data that placeholder i of [Arg.JSON] stands
// for. Like a slice it panics if there is none. The bytes are shared: they must
// not be modified.
func (a Arg) Attachment(i int) []byte { return a.attachments[i] }
