package hub

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"iter"
)

// nodeOthers are the other nodes of the hub's engine.
type nodeOthers struct{ space *Space }

var _ Others = nodeOthers{}

// Close implements [Others]. The line of a space with memory is its tape's.
func (x nodeOthers) Close() {
	if x.space.tape == nil {
		x.space.line.Close()
	}
}

// Ask implements [Others].
func (x nodeOthers) Ask(ctx context.Context, ask Question) iter.Seq2[Answer, error] {
	body, err := x.body(ask)
	if err != nil {
		return func(yield func(Answer, error) bool) { yield(Answer{}, err) }
	}
	n := x.space.hub.node
	q := n.questions.put("", tellQuestion, body) // now: two are put in the order in which they are asked
	return func(yield func(Answer, error) bool) {
		defer q.close()
		if ask.Kind == AskTell {
			return
		}
		for a, err := range q.all(ctx) {
			if err != nil {
				yield(Answer{}, err)
				break
			}
			if part, ok := ask.Kind.part(a); ok && !yield(part, nil) {
				break
			}
		}
		if ask.Kind == AskCall && q.unsaid() > 0 {
			_ = n.engine.Tell("", binary.AppendUvarint([]byte{tellForget}, q.id))
		}
	}
}

// body is how a question is put to another node.
func (x nodeOthers) body(q Question) ([]byte, error) {
	kind := q.Kind
	if kind == AskTell {
		kind = AskEvent // whose answer nobody waits for
	}
	body := append(appendString(nil, x.space.namespace), byte(kind))
	switch kind {
	case AskCall, AskEvent:
		record, err := appendRecord(nil, &Message{Event: q.Event, Args: q.Args, Rooms: q.To.Rooms, Except: q.To.Except})
		return append(body, record...), err
	}
	body = appendStrings(appendStrings(body, q.To.Rooms), q.To.Except)
	switch {
	case kind == AskJoin || kind == AskLeave:
		body = appendStrings(body, q.Rooms)
	case kind == AskDismiss && q.Whole:
		body = append(body, 1)
	}
	return body, nil
}

// part reads a part of an answer. One of a later version means nothing.
func (k Kind) part(a answer) (part Answer, ok bool) {
	part.Node = a.node
	r := recordReader{rest: a.body}
	switch k {
	case AskDescribe:
		for len(r.rest) > 0 && r.err == nil {
			var d Description
			if text := r.bytes(); r.err == nil && json.Unmarshal(text, &d) == nil {
				part.Members = append(part.Members, d)
			}
		}
		return part, true
	case AskCount:
		part.Count = int(min(r.uvarint(), maxAsked))
	case AskJoin:
		part.Refused = len(a.body) > 0
	case AskEvent:
		return part.reply(a.body)
	case AskCall:
		switch r.byte() {
		case partAsked:
			part.Count = int(min(r.uvarint(), maxAsked))
		case partAnswer:
			return part.reply(r.rest)
		}
	}
	return part, r.err == nil
}

func (part Answer) reply(record []byte) (Answer, bool) {
	m, err := readRecord(record)
	if err != nil {
		return part, false
	}
	part.Replied, part.Args = true, m.Args
	return part, true
}
