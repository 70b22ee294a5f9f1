package config

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
)

// A RoomRule says how much of the rooms of a pattern is kept, and what it takes
// for a message to be acknowledged. It is written "pattern count=1000
// bytes=10MB age=30d durability=async", or in a file as a mapping of the same
// names.
type RoomRule struct {
	Pattern    string
	Count      Count
	Bytes      Bytes
	Age        time.Duration // 0: any
	Durability string        // fsync or async
}

// keptCount is how many messages of a room are kept if nothing is said: a
// history without end would fill the disk by itself.
const keptCount = 10_000

// A VerbRule says who may use the standard verbs in the rooms of a pattern. It
// is written "pattern join=anyone publish=members event=message", or in a file
// as a mapping of the same names. What it doesn't name nobody may do.
type VerbRule struct {
	Pattern string
	// Who may: nobody, anyone, members or token, "" being nobody.
	Join, Publish, History, Presence, State string
	Events                                  []string
}

// A worded value is written in words: a pattern, and then name=value. Set takes
// the values one by one.
type worded interface {
	first() string // the name of what comes first, without a name before it
	begin()
	set(name, value string) error
	end() error
}

var (
	_ worded = (*RoomRule)(nil)
	_ worded = (*VerbRule)(nil)
)

const patternName = "pattern"

func (r *RoomRule) first() string { return patternName }
func (r *VerbRule) first() string { return patternName }

func checkPattern(p string) error {
	if p == "" || strings.Count(p, "*") > 1 {
		return fmt.Errorf("the pattern %q: want the name of a room, with one * at most", p)
	}
	return nil
}

func (r *RoomRule) begin() { *r = RoomRule{Count: keptCount, Bytes: None, Durability: "fsync"} }

func (r *RoomRule) set(name, value string) error {
	switch name {
	case patternName:
		r.Pattern = value
		return nil
	case "count":
		return r.Count.UnmarshalText([]byte(value))
	case "bytes":
		return r.Bytes.UnmarshalText([]byte(value))
	case "age":
		return r.setAge(value)
	case "durability":
		r.Durability = value
		if value != "fsync" && value != "async" {
			return errors.New("want fsync or async")
		}
		return nil
	}
	return errors.New("want count, bytes, age or durability")
}

func (r *RoomRule) setAge(value string) error {
	r.Age = 0
	if strings.EqualFold(value, "none") {
		return nil
	}
	if days, ok := strings.CutSuffix(value, "d"); ok {
		n, err := strconv.ParseUint(days, 10, 16)
		r.Age = time.Duration(n) * 24 * time.Hour
		if err == nil && n > 0 {
			return nil
		}
	} else if d, err := time.ParseDuration(value); err == nil && d >= time.Second {
		r.Age = d
		return nil
	}
	return errors.New("want an age such as 30d or 12h, or none")
}

func (r *RoomRule) end() error {
	if r.Count == 0 || r.Bytes == 0 {
		return errors.New("count and bytes can't be 0: want more, or none")
	}
	return checkPattern(r.Pattern)
}

// UnmarshalText reads a rule. What it does not name has its default.
func (r *RoomRule) UnmarshalText(text []byte) error { return readWords(string(text), r) }

// MarshalText writes all of the rule.
func (r RoomRule) MarshalText() ([]byte, error) {
	age := "none"
	if r.Age > 0 {
		age = shortDuration(r.Age)
	}
	count, err := r.Count.MarshalText()
	if err != nil {
		return nil, err
	}
	return fmt.Appendf(nil, "%s count=%s bytes=%s age=%s durability=%s", word(r.Pattern), count, mustText(r.Bytes), age, r.Durability), nil
}

var whoNames = []string{"nobody", "anyone", "members", "token"}

func (r *VerbRule) begin() { *r = VerbRule{} }

// who returns the field of a verb, nil if there is no such verb.
func (r *VerbRule) who(verb string) *string {
	switch verb {
	case "join":
		return &r.Join
	case "publish":
		return &r.Publish
	case "history":
		return &r.History
	case "presence":
		return &r.Presence
	case "state":
		return &r.State
	}
	return nil
}

func (r *VerbRule) set(name, value string) error {
	switch who := r.who(name); {
	case name == patternName:
		r.Pattern = value
	case name == "event" && value == "":
		return errors.New("want the name of an event")
	case name == "event":
		r.Events = append(r.Events, value)
	case who == nil:
		return errors.New("want join, publish, history, presence, state or event")
	case !slices.Contains(whoNames, value):
		return fmt.Errorf("want %s", alternatives(whoNames))
	default:
		*who = value
	}
	return nil
}

func (r *VerbRule) end() error { return checkPattern(r.Pattern) }

// UnmarshalText reads a rule.
func (r *VerbRule) UnmarshalText(text []byte) error { return readWords(string(text), r) }

// MarshalText writes what the rule names.
func (r VerbRule) MarshalText() ([]byte, error) {
	text := word(r.Pattern)
	for _, verb := range []string{"join", "publish", "history", "presence", "state"} {
		if who := *r.who(verb); who != "" {
			text += " " + verb + "=" + who
		}
	}
	for _, event := range r.Events {
		text += " event=" + word(event)
	}
	return []byte(text), nil
}

// readWords reads "pattern name=value …". A word with a space in it stands in
// double quotes.
func readWords(text string, w worded) error {
	w.begin()
	var named []string
	for i := 0; ; i++ {
		text = strings.TrimLeftFunc(text, unicode.IsSpace)
		if text == "" {
			break
		}
		name := w.first()
		if i > 0 {
			var ok bool
			if name, text, ok = strings.Cut(text, "="); !ok || strings.ContainsFunc(name, unicode.IsSpace) {
				return fmt.Errorf("%q: want name=value", name)
			}
		}
		value, rest, err := nextWord(text)
		if err != nil {
			return err
		}
		if slices.Contains(named, name) && !slices.Contains(repeatable, name) {
			return fmt.Errorf("%s is there twice", name)
		}
		named = append(named, name)
		if err := w.set(name, value); err != nil {
			return fmt.Errorf("%s=%s: %w", name, value, err)
		}
		text = rest
	}
	return w.end()
}

func nextWord(text string) (value, rest string, err error) {
	if !strings.HasPrefix(text, `"`) {
		end := strings.IndexFunc(text, unicode.IsSpace)
		if end < 0 {
			end = len(text)
		}
		return text[:end], text[end:], nil
	}
	quoted, err := strconv.QuotedPrefix(text)
	if err == nil {
		value, err = strconv.Unquote(quoted)
	}
	if err != nil {
		return "", "", errors.New(`a word begins with " and does not end with it`)
	}
	return value, text[len(quoted):], nil
}

// word writes what nextWord reads.
func word(value string) string {
	if value == "" || strings.ContainsFunc(value, unicode.IsSpace) || strings.HasPrefix(value, `"`) {
		return strconv.Quote(value)
	}
	return value
}
