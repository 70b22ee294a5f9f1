package verb

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/tutti-rt/tutti/hub"
)

// Verb is one of the things that a desk serves.
type Verb string

// The verbs, by the names of their events.
const (
	Join     Verb = "join"
	Leave    Verb = "leave" // who may join may leave
	Publish  Verb = "publish"
	History  Verb = "history"
	Presence Verb = "presence"
	State    Verb = "state" // only members have one, whatever the rule says
)

var verbs = []Verb{Join, Leave, Publish, History, Presence, State}

// Who says which callers may use a verb in a room. The zero value is nobody.
type Who uint8

// The values of Who.
const (
	Nobody  Who = iota
	Anyone      // who can reach the desk
	Members     // who is in the room
	Token       // who presents a token that allows it: see [Caller.Opens] and [Config.Permit]
)

var whoNames = []string{"nobody", "anyone", "members", "token"}

// String returns the name by which a configuration knows w.
func (w Who) String() string {
	if int(w) < len(whoNames) {
		return whoNames[w]
	}
	return fmt.Sprintf("Who(%d)", uint8(w))
}

// UnmarshalText reads a name: nobody, anyone, members or token.
func (w *Who) UnmarshalText(text []byte) error {
	i := slices.Index(whoNames, string(text))
	if i < 0 {
		return fmt.Errorf("%q is none of %s", text, strings.Join(whoNames, ", "))
	}
	*w = Who(i)
	return nil
}

// A Rule says what callers may do in the rooms of a pattern. What it does not
// mention nobody may do.
type Rule struct {
	// Pattern is a room's name, in which one "*" stands for any characters.
	// Beware that every Socket.IO socket is in a room of its own, named by its
	// id, which "*" alone opens too: whoever may join there overhears what is
	// meant for that socket.
	Pattern string
	// Join is who may join, and leave. Members makes little sense: they are in.
	Join Who
	// Publish is who may publish to the room.
	Publish Who
	// History is who may read what the room has kept.
	History Who
	// Presence is who may see who is in the room.
	Presence Who
	// State is which members may say something about themselves.
	State Who
	// Events are the names of events that may be published; none: any. It keeps
	// peers from speaking like the server, for receivers cannot tell who has
	// published an event.
	Events []string
}

// Open returns the rule that lets anyone do everything in the rooms of a
// pattern.
func Open(pattern string) Rule {
	return Rule{Pattern: pattern, Join: Anyone, Publish: Anyone, History: Anyone, Presence: Anyone, State: Anyone}
}

// who returns who may use a verb.
func (r *Rule) who(v Verb) Who {
	switch v {
	case Join, Leave:
		return r.Join
	case Publish:
		return r.Publish
	case History:
		return r.History
	case Presence:
		return r.Presence
	case State:
		return r.State
	}
	return Nobody
}

func (r *Rule) validate(at string) error {
	var errs []error
	if r.Pattern == "" || strings.Count(r.Pattern, "*") > 1 {
		errs = append(errs, fmt.Errorf("%s: pattern %q must have one * at most, and something", at, r.Pattern))
	}
	for _, v := range verbs {
		if who := r.who(v); int(who) >= len(whoNames) {
			errs = append(errs, fmt.Errorf("%s: %s: %v is not known", at, v, who))
		}
	}
	for _, name := range r.Events {
		if Reserved(name) {
			errs = append(errs, fmt.Errorf("%s: the event name %q is reserved", at, name))
		}
	}
	return errors.Join(errs...)
}

// rule returns the first rule that fits a room, nil if none does.
func (d *Desk) rule(room string) *Rule {
	rules := d.cfg().Rules // others may come meanwhile
	for i := range rules {
		if hub.MatchRoom(rules[i].Pattern, room) {
			return &rules[i]
		}
	}
	return nil
}

// Serves says whether any rule lets somebody use a verb.
func (d *Desk) Serves(v Verb) bool {
	cfg := d.cfg()
	return cfg.Bearers || slices.ContainsFunc(cfg.Rules, func(r Rule) bool { return r.who(v) != Nobody })
}
