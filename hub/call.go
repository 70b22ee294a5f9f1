package hub

import (
	"context"
	"sync"

	"github.com/tutti-rt/tutti/packet"
)

// An Answerer is a member that can answer calls.
type Answerer interface {
	// Forget says that nobody waits for the answer to c any more. It must not
	// wait.
	Forget(c *Call)
}

// A Call is a message's question: it counts the members that were asked and
// collects their answers. A member that can answer says so when the message is
// delivered to it (Ask), and later either answers or is lost. It is safe for
// concurrent use.
type Call struct {
	// ID names the call among those of its space. Publish sets it.
	ID uint64

	mu       sync.Mutex
	asked    []Answerer
	far      int                // members of other nodes that were asked
	open     bool               // other nodes may have more to say
	end      context.CancelFunc // of the asking of other nodes
	answered int
	lost     int
	answers  []reply       // not yet taken by Next
	waiting  int           // bytes of those of other nodes
	missed   error         // why not all other nodes have been asked, or heard
	news     chan struct{} // holds a token when there is something to look at
}

// A reply is a member's answer. size is 0 if the member is here.
type reply struct {
	args packet.Args
	size int
}

// NewCall returns a call to put into a message.
func NewCall() *Call {
	return &Call{news: make(chan struct{}, 1)}
}

// Ask counts one member more that will answer or be lost.
func (c *Call) Ask(a Answerer) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.asked = append(c.asked, a)
}

// Answer hands in one member's answer.
func (c *Call) Answer(args packet.Args) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.answered++
	c.answers = append(c.answers, reply{args: args})
	c.tell()
}

// Lost says that one of the members asked will not answer: it is gone.
func (c *Call) Lost() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.lost++
	c.tell()
}

func (c *Call) tell() {
	select {
	case c.news <- struct{}{}:
	default:
	}
}

// Counts returns how many members were asked so far and how many of them
// answered.
func (c *Call) Counts() (asked, answered int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.asked) + c.far, c.answered
}

// Next waits for an answer that it has not returned before. It returns false
// without error when everyone asked has answered or is lost; with a
// [*PartialError] when that is so, and not every other node could be asked; and
// with the context's error when that ends first. It must be called after the
// message was published, by one goroutine.
func (c *Call) Next(ctx context.Context) (packet.Args, bool, error) {
	for {
		c.mu.Lock()
		if len(c.answers) > 0 {
			a := c.answers[0]
			c.answers[0] = reply{}
			c.answers = c.answers[1:]
			c.waiting -= a.size
			c.mu.Unlock()
			return a.args, true, nil
		}
		done, missed := !c.open && c.answered+c.lost == len(c.asked)+c.far, c.missed
		c.mu.Unlock()
		if done {
			return packet.Args{}, false, missed
		}
		select {
		case <-c.news:
		case <-ctx.Done():
			return packet.Args{}, false, ctx.Err()
		}
	}
}

// Close has everyone who was asked forget the call. Whoever made the call
// closes it, also when all have answered.
func (c *Call) Close() {
	c.mu.Lock()
	asked, end := c.asked, c.end
	c.mu.Unlock()
	if end != nil {
		end()
	}
	for _, a := range asked {
		a.Forget(c)
	}
}

// elsewhere says that other nodes are asked, too, until the context ends, which
// Close does.
func (c *Call) elsewhere(ctx context.Context) (context.Context, context.CancelFunc) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.open = true
	ctx, c.end = context.WithCancel(ctx)
	return ctx, c.end
}

// ask counts members of other nodes that will answer or be lost.
func (c *Call) ask(n int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.far += n
	c.tell()
}

// answerFar hands in the answer of a member of another node, and returns false if
// more of them wait for Next than there is room for.
func (c *Call) answerFar(args packet.Args) bool {
	size := args.Size() + partOverhead
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.waiting+size > maxAnswers {
		return false
	}
	c.waiting += size
	c.answered++
	c.answers = append(c.answers, reply{args, size})
	c.tell()
	return true
}

// settled says that no other node has more to say, how many of the members they
// have asked did not answer, and why not every node has said all.
func (c *Call) settled(lost int, missed error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.open, c.missed = false, missed
	c.lost += lost
	c.tell()
}
