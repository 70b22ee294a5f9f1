package hub

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"iter"
	"slices"
	"strings"
	"sync"
)

// maxAnswers is how many bytes of answers to one question may wait for who asks:
// tens of thousands of descriptions, and an end to what a cluster that answers
// faster than anybody reads can take up.
const maxAnswers = 16 << 20

// errTooMuch ends a question whose answers are not read.
var errTooMuch = errors.New("hub: more answers than anybody reads")

// partOverhead is what a part of an answer takes up besides its bytes.
const partOverhead = 64

// A PartialError means that not every node of the cluster has answered. What
// came before it is what the others said.
type PartialError struct {
	Nodes []string // that have not, or not all they had to say; none: it is not known which
	Err   error    // why: the context's, [ErrUnavailable], or that they are gone, or busy
}

func (e *PartialError) Error() string {
	if len(e.Nodes) == 0 {
		return fmt.Sprintf("hub: not all have answered: %v", e.Err)
	}
	return fmt.Sprintf("hub: no answer from %s: %v", strings.Join(e.Nodes, ", "), e.Err)
}

// Unwrap returns why.
func (e *PartialError) Unwrap() error { return e.Err }

// Why a node does not answer: it has left the cluster, or has too much to do, or
// does not know what it is asked.
var (
	errGone    = errors.New("hub: node is gone")
	errRefused = errors.New("hub: node has too many questions, or does not know this one")
)

// questions are those that this node has put to the others.
type questions struct {
	engine Engine

	mu   sync.Mutex
	last uint64
	open map[uint64]*question
}

// A question is put to all other nodes; each answers in parts, and says which
// is its last.
type question struct {
	of *questions
	id uint64

	mu    sync.Mutex
	owing map[string]bool // nodes that have more to say
	gone  []string        // nodes that had, and will not say it
	why   error           // the first of them does not
	parts []answer        // not taken by next
	bytes int
	err   error         // errTooMuch
	news  chan struct{} // holds a token when there is something to look at
}

// An answer is a part of what a node has to say.
type answer struct {
	node string
	body []byte
}

// put asks another node, or all others if to is "". The question must be closed.
func (x *questions) put(to string, kind byte, body []byte) *question {
	q := &question{of: x, owing: make(map[string]bool), news: make(chan struct{}, 1)}
	x.mu.Lock()
	x.last++
	q.id = x.last
	if x.open == nil {
		x.open = make(map[uint64]*question)
	}
	x.open[q.id] = q
	x.mu.Unlock()

	if q.expect(to) == 0 {
		return q
	}
	text := binary.AppendUvarint([]byte{kind}, q.id)
	if err := x.engine.Tell(to, append(text, body...)); err != nil {
		q.mu.Lock()
		q.err = err
		q.mu.Unlock()
	}
	return q
}

// expect notes the nodes that are asked, and returns how many owe an answer. The
// engine is asked twice: a node that leaves before it is noted is not there the
// second time, and of one that leaves later the question is told.
func (q *question) expect(to string) int {
	nodes := q.of.engine.Nodes()
	q.mu.Lock()
	for node := range nodes {
		if to == "" || node == to {
			q.owing[node] = true
		}
	}
	q.mu.Unlock()
	there := q.of.engine.Nodes()
	q.mu.Lock()
	defer q.mu.Unlock()
	for node := range nodes {
		if _, ok := there[node]; !ok && q.owing[node] {
			q.missLocked(node, errGone)
		}
	}
	return len(q.owing)
}

// missLocked notes that a node will not say what it owes.
func (q *question) missLocked(node string, why error) {
	delete(q.owing, node)
	q.gone = append(q.gone, node)
	if q.why == nil {
		q.why = why
	}
	q.tell()
}

func (q *question) close() {
	q.of.mu.Lock()
	defer q.of.mu.Unlock()
	delete(q.of.open, q.id)
}

func (x *questions) find(id uint64) *question {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.open[id]
}

// answered takes in a part of an answer. What nobody asked for is dropped, and who
// has more to say to that is told that nobody waits for it: it was told before,
// and may not have heard it.
func (x *questions) answered(node string, r *recordReader) {
	id, how := r.uvarint(), r.byte()
	if r.err != nil {
		return
	}
	q := x.find(id)
	if q == nil {
		if how == answerMore {
			_ = x.engine.Tell(node, binary.AppendUvarint([]byte{tellForget}, id))
		}
		return
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	switch {
	case !q.owing[node]:
		return
	case how != answerMore && how != answerLast:
		q.missLocked(node, errRefused)
		return
	case len(r.rest) > 0 && q.bytes+len(r.rest)+partOverhead > maxAnswers:
		q.err = errTooMuch
		q.missLocked(node, errTooMuch) // what it says is not complete any more
		return
	}
	if how == answerLast {
		delete(q.owing, node)
	}
	if len(r.rest) > 0 {
		q.bytes += len(r.rest) + partOverhead
		q.parts = append(q.parts, answer{node, r.rest})
	}
	q.tell()
}

// left notes that a node will not answer any more.
func (x *questions) left(node string) {
	x.mu.Lock()
	open := make([]*question, 0, len(x.open))
	for _, q := range x.open {
		open = append(open, q)
	}
	x.mu.Unlock()
	for _, q := range open {
		q.mu.Lock()
		if q.owing[node] {
			q.missLocked(node, errGone)
		}
		q.mu.Unlock()
	}
}

func (q *question) tell() {
	select {
	case q.news <- struct{}{}:
	default:
	}
}

// next waits for a part of an answer. It returns false when every node has said
// all, and then a [*PartialError] if some have not.
func (q *question) next(ctx context.Context) (answer, bool, error) {
	for {
		q.mu.Lock()
		if len(q.parts) > 0 {
			a := q.parts[0]
			q.parts = q.parts[1:]
			q.bytes -= len(a.body) + partOverhead
			q.mu.Unlock()
			return a, true, nil
		}
		err, done := q.err, len(q.owing) == 0
		q.mu.Unlock()
		switch {
		case err != nil:
			return answer{}, false, q.partial(err)
		case done:
			return answer{}, false, q.partial(nil)
		}
		select {
		case <-q.news:
		case <-ctx.Done():
			return answer{}, false, q.partial(ctx.Err())
		}
	}
}

// all yields the parts of the answers as they come.
func (q *question) all(ctx context.Context) iter.Seq2[answer, error] {
	return func(yield func(answer, error) bool) {
		for {
			a, ok, err := q.next(ctx)
			if !ok {
				if err != nil {
					yield(answer{}, err)
				}
				return
			}
			if !yield(a, nil) {
				return
			}
		}
	}
}

// unsaid returns how many nodes have not said all.
func (q *question) unsaid() int {
	q.mu.Lock()
	defer q.mu.Unlock()
	return len(q.owing)
}

// partial returns the error of a question that ends for a reason, nil if all
// have answered.
func (q *question) partial(why error) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	nodes := slices.Clone(q.gone)
	if why != nil {
		for node := range q.owing {
			nodes = append(nodes, node)
		}
	}
	if len(nodes) == 0 {
		return nil
	}
	if why == nil {
		why = q.why
	}
	slices.Sort(nodes)
	return &PartialError{Nodes: nodes, Err: why}
}

// What a part of an answer is.
const (
	answerMore    = iota // there is more to come
	answerLast           // it is the last
	answerRefused        // there is none, though there may be something to say
)

// appendAnswer begins a part of an answer to a question.
func appendAnswer(kind byte, id uint64, how byte) []byte {
	return append(binary.AppendUvarint([]byte{kind}, id), how)
}
