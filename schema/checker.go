package schema

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"

	"github.com/tutti-rt/tutti"
	"github.com/tutti-rt/tutti/hub"
	"github.com/tutti-rt/tutti/packet"
	"github.com/tutti-rt/tutti/verb"
)

// A Rule holds an event to a schema.
type Rule struct {
	// Event is the event's name.
	Event string
	// Namespace limits the rule to one; "" is all.
	Namespace string
	// Room, if set, limits the rule to what is published to rooms of a pattern,
	// in which "*" stands for any characters. An event of a Socket.IO client is
	// not published to a room, unless by a verb.
	Room string
	// Args says that the schema is for the array of all arguments. Without it,
	// the event has one argument, and the schema is for that.
	Args bool
	// File is the file of the schema.
	File string
	// Text is the schema itself, in the place of a file.
	Text string
}

// Config sets up a [Checker].
type Config struct {
	// Rules are all looked at: an event is held to each that fits it. What no
	// rule fits is not checked.
	Rules []Rule
	// MaxSteps is how many values and subschemas may be looked at for one event:
	// who makes that necessary is refused. Default 50,000; negative: no limit.
	MaxSteps int
	// Trace, if set, is told what happens.
	Trace *Trace
}

// defaultMaxSteps take some ten milliseconds at most.
const defaultMaxSteps = 50_000

// Trace observes a [Checker]. Its functions may be nil, are called from many
// goroutines, and must not wait.
type Trace struct {
	// Checked runs when an event was held to its rules. It is of a rule, so there
	// are as many different ones as the configuration has.
	Checked func(event string, right bool)
}

// A RuleError says what is wrong with a rule.
type RuleError struct {
	Index int // in Config.Rules
	Err   error
}

// Error names the rule by its place.
func (e *RuleError) Error() string { return fmt.Sprintf("rule %d: %v", e.Index+1, e.Err) }

// Unwrap returns Err.
func (e *RuleError) Unwrap() error { return e.Err }

// A Checker holds events to rules. It is safe for concurrent use.
type Checker struct {
	trace *Trace
	rules atomic.Pointer[map[string][]rule] // by event
}

// A rule is a Rule made ready.
type rule struct {
	Rule
	schema *compiled
}

// New compiles the schemas. Its error joins a [*RuleError] for each rule that is
// wrong.
func New(cfg Config) (*Checker, error) {
	c := &Checker{trace: cfg.Trace}
	if c.trace == nil {
		c.trace = &Trace{}
	}
	return c, c.Reload(cfg)
}

// Reload puts other rules in the place of those there are, or leaves these if it
// returns an error, which is like that of [New]. The trace stays.
func (c *Checker) Reload(cfg Config) error {
	if cfg.MaxSteps == 0 {
		cfg.MaxSteps = defaultMaxSteps
	}
	rules := make(map[string][]rule)
	var errs []error
	for i, r := range cfg.Rules {
		s, err := compile(r, cfg.MaxSteps)
		if err == nil && r.Event == "" {
			err = errors.New("the event is missing")
		}
		if err != nil {
			errs = append(errs, &RuleError{i, err})
			continue
		}
		rules[r.Event] = append(rules[r.Event], rule{r, s})
	}
	if len(errs) > 0 {
		return errors.Join(errs...)
	}
	c.rules.Store(&rules)
	return nil
}

// fits says whether the rule is for an event that is published to rooms.
func (r *rule) fits(namespace string, rooms []string) bool {
	if r.Namespace != "" && r.Namespace != namespace {
		return false
	}
	return r.Room == "" || slices.ContainsFunc(rooms, func(room string) bool { return hub.MatchRoom(r.Room, room) })
}

// Check holds an event to the rules that fit it. Without rooms it is not
// published, or to everyone in the namespace. Its error is a [*verb.Refusal].
func (c *Checker) Check(namespace, event string, rooms []string, args packet.Args) error {
	rules := (*c.rules.Load())[event]
	checked := false
	for i := range rules {
		if !rules[i].fits(namespace, rooms) {
			continue
		}
		checked = true
		if refusal := rules[i].check(args); refusal != nil {
			c.tell(event, false)
			return refusal
		}
	}
	if checked {
		c.tell(event, true)
	}
	return nil
}

func (c *Checker) tell(event string, right bool) {
	if c.trace.Checked != nil {
		c.trace.Checked(event, right)
	}
}

func (r *rule) check(args packet.Args) *verb.Refusal {
	text := append(args.AppendText([]byte{'['}), ']')
	if r.Args {
		return r.schema.check(text)
	}
	if n := args.Len(); n != 1 {
		return &verb.Refusal{Code: verb.BadData, Message: fmt.Sprintf("the event has %d arguments: want one", n)}
	}
	return r.schema.check(text[1 : len(text)-1])
}

// Middleware returns what holds the events of a namespace's sockets to the
// rules. An event that is refused reaches no handler; if its sender waits for an
// answer, it is {error, code, at}, like that of a verb.
func (c *Checker) Middleware() tutti.Middleware {
	return func(next tutti.Handler) tutti.Handler {
		return func(ctx context.Context, s *tutti.Socket, m *tutti.Message) error {
			err := c.Check(s.Namespace().Name(), m.Event, nil, m.Args)
			if err == nil {
				return next(ctx, s, m)
			}
			r := verb.RefusalOf(err)
			return m.Reply(struct {
				Error string    `json:"error"`
				Code  verb.Code `json:"code"`
				At    string    `json:"at"`
			}{r.Message, r.Code, r.At})
		}
	}
}
