package tutti

import (
	"context"
	"errors"
	"fmt"
	"iter"

	"github.com/tutti-rt/tutti/packet"
)

// An Emitter sends an event to whoever it stands for: a [*Socket] to its peer,
// a [*Namespace] to everyone in it, an [Audience] to the sockets it describes.
type Emitter interface {
	Emit(event string, args ...any) (Offset, error)
}

// An Event is the name of an event together with the type of its one argument.
// Declare each as a constant, so that sender and handler agree at compile time:
//
//	const Said tutti.Event[Line] = "said"
type Event[T any] string

// Emit sends v. It queues and does not wait for the receivers. An Event[struct{}]
// has no argument.
func (e Event[T]) Emit(to Emitter, v T) (Offset, error) {
	if _, none := any(v).(struct{}); none {
		return to.Emit(string(e))
	}
	return to.Emit(string(e), v)
}

// Handle registers the handler of this event in a namespace. An argument that
// does not fit T refuses the event. It panics if the event has a handler.
func (e Event[T]) Handle(ns *Namespace, h func(ctx context.Context, s *Socket, v T) error) {
	ns.Handle(string(e), func(ctx context.Context, s *Socket, m *Message) error {
		v, err := scan[T](m.Args)
		if err != nil {
			return refuseArguments(string(e), err)
		}
		return h(ctx, s, v)
	})
}

// A Call is the name of an event that is answered, together with the types of
// its argument and of the answer.
//
//	const Vote tutti.Call[string, int] = "vote"
type Call[Req, Res any] string

// Handle registers the handler of this call in a namespace: what it returns is
// the answer. It panics if the event has a handler.
func (c Call[Req, Res]) Handle(ns *Namespace, h func(ctx context.Context, s *Socket, req Req) (Res, error)) {
	ns.Handle(string(c), func(ctx context.Context, s *Socket, m *Message) error {
		req, err := scan[Req](m.Args)
		if err != nil {
			return refuseArguments(string(c), err)
		}
		res, err := h(ctx, s, req)
		if err != nil {
			return err
		}
		return m.Reply(res)
	})
}

// Do asks one socket and waits for its answer. The error is the context's if
// that ends first, [ErrDisconnected] if the socket leaves, or says why the
// answer is not a Res.
func (c Call[Req, Res]) Do(ctx context.Context, s *Socket, req Req) (Res, error) {
	args, err := s.Call(ctx, string(c), req)
	if err != nil {
		var none Res
		return none, err
	}
	return c.answer(args)
}

// Ask asks everyone in an audience and yields the answers as they come. An
// answer that is not a Res is yielded as an error and the next one follows. If
// not everybody has answered when the context ends, or somebody has left
// without an answer, the last error is a [*MissingError]. Who stops early
// forgets the rest. The question is put when the iteration begins, and again
// if it is begun again.
func (c Call[Req, Res]) Ask(ctx context.Context, a Audience, req Req) iter.Seq2[Res, error] {
	return func(yield func(Res, error) bool) {
		var none Res
		for args, err := range a.Ask(ctx, string(c), req) {
			res := none
			if err == nil {
				res, err = c.answer(args)
			}
			if !yield(res, err) {
				return
			}
		}
	}
}

func (c Call[Req, Res]) answer(args Args) (Res, error) {
	res, err := scan[Res](args)
	if err != nil {
		return res, fmt.Errorf("answer to %q: %w", string(c), err)
	}
	return res, nil
}

// scan reads the one argument that an event has for T. An empty struct wants
// none, so that Event[struct{}] is an event without argument.
func scan[T any](args packet.Args) (v T, err error) {
	if _, none := any(v).(struct{}); none {
		return v, nil
	}
	err = args.Scan(&v)
	return v, err
}

// refuseArguments tells a peer which argument is wrong, and not what Go makes
// of it.
func refuseArguments(event string, err error) error {
	text := fmt.Sprintf("bad arguments for %q", event)
	if scan, ok := errors.AsType[*packet.ScanError](err); ok {
		text = fmt.Sprintf("%s: argument %d", text, scan.Index+1)
	}
	return &Refusal{Message: text}
}
