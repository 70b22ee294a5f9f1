package main

import (
	"bufio"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
)

func subscribeManual() *manual {
	return &manual{
		name: "subscribe", does: "follow rooms of a running server",
		synopsis: []string{"[flags] ROOM…"},
		about: `Writes what is published to rooms, as it comes, until it is interrupted; without a room what is for
everyone in the namespace, which takes a key with the pattern *. It listens at the event stream of the server: the
rooms need to be open to anyone (door.listen, allow), or to the key.

When the connection breaks it comes back by itself. In a namespace with memory it then writes first what it has
missed, in order and once; if the server does not have that any more it says so, on the standard error. The last line
there says how to go on from the same place another time.`,
		options: append([]option{
			{name: "event", value: "NAME", repeat: true, does: "Write only the events of this name."},
			namespaceOption,
			{name: "after", value: "OFFSET", does: "Begin with what was published after this offset, in a namespace with memory."},
			{name: "count", value: "NUMBER", does: "End after so many messages."},
			{name: "once", does: "End when the connection breaks."},
			{name: "json", does: "Write each message as a line of JSON, with offset, event and data."},
		}, publicOptions...),
		exits: "With --count it ends with 1 if it was interrupted before.",
		examples: []example{
			{"tutti subscribe chat:general", "Watch a room:"},
			{"tutti subscribe --json --event order orders | jq .data.total", "One event's data, for other programs:"},
		},
		see: "tutti publish, docs/doors.md",
	}
}

// A subscription follows rooms.
type subscription struct {
	from   *remote
	path   string
	events []string // to be written; none: all
	left   int      // messages to write; negative: any number
	once   bool
	write  func(message) error
	errors io.Writer

	after string        // the offset of the last message
	retry time.Duration // what the server wants between two tries
	tries int           // in vain since the last connection
}

// A message is what an event stream brings.
type message struct {
	Offset string          `json:"offset,omitempty"`
	Event  string          `json:"event"`
	Data   json.RawMessage `json:"data"`
}

// subscribe writes what is published to its rooms.
func subscribe(ctx context.Context, c call) int {
	m := subscribeManual()
	a, code := m.begin(c)
	if a == nil {
		return code
	}
	s, err := newSubscription(a, c)
	if err != nil {
		return m.misused(c, err)
	}
	ctx, stop := interruptible(ctx, c)
	defer stop()
	err = s.follow(ctx)
	if s.after != "" {
		fmt.Fprintf(c.errors, "tutti subscribe: to go on from here: --after %s\n", s.after)
	}
	switch {
	case errors.Is(err, context.Canceled) && s.left > 0:
		return exitFailed
	case err != nil && !errors.Is(err, context.Canceled):
		return fail(c, m.name, err)
	}
	return exitOK
}

func newSubscription(a *arguments, c call) (*subscription, error) {
	from, err := a.public()
	if err != nil {
		return nil, err
	}
	s := &subscription{from: from, events: a.values["event"], after: a.value("after"), once: a.given("once"), errors: c.errors, retry: 2 * time.Second}
	if s.left, err = a.number("count", -1); err != nil {
		return nil, err
	}
	namespace := strings.TrimSuffix(a.value("namespace"), "/")
	if namespace != "" && !strings.HasPrefix(namespace, "/") {
		return nil, fmt.Errorf("--namespace is %q: want a name that begins with /", namespace)
	}
	s.path = "/events" + namespace + "?" + url.Values{"room": a.rest}.Encode()
	s.write = pretty(c)
	if a.given("json") {
		encoder := json.NewEncoder(c.output)
		encoder.SetEscapeHTML(false)
		s.write = func(m message) error { return encoder.Encode(m) }
	}
	return s, nil
}

// pretty writes messages for people: when, the event, the data.
func pretty(c call) func(message) error {
	dim, bold, plain := "", "", ""
	if terminal(c.output) && variable(c.environ, "NO_COLOR") == "" {
		dim, bold, plain = "\x1b[2m", "\x1b[1m", "\x1b[0m"
	}
	return func(m message) error {
		_, err := fmt.Fprintf(c.output, "%s%s%s  %s%s%s  %s\n", dim, time.Now().Format(time.TimeOnly), plain, bold, visibleText(m.Event), plain, visibleText(string(m.Data)))
		return err
	}
}

// visibleText takes out what would steer a terminal: peers choose names and data.
func visibleText(s string) string {
	return strings.Map(func(r rune) rune {
		// The others turn the direction of what stands around them.
		if r < ' ' || r >= 0x7f && r < 0xa0 || r == 0x61c || r == 0x200e || r == 0x200f || r >= 0x2028 && r <= 0x202e || r >= 0x2066 && r <= 0x2069 {
			return '\uFFFD'
		}
		return r
	}, s)
}

// errEnough says that all was written that was asked for.
var errEnough = errors.New("enough")

// follow follows the rooms over as many connections as it takes.
func (s *subscription) follow(ctx context.Context) error {
	for {
		err := s.stream(ctx)
		switch {
		case errors.Is(err, errEnough):
			return nil
		case ctx.Err() != nil:
			return context.Canceled
		}
		no, refused := errors.AsType[*answerError](err)
		if s.once || refused && !no.again() || s.tries == 0 && !refused && !isBreak(err) {
			return err
		}
		wait := s.wait(no)
		fmt.Fprintf(s.errors, "tutti subscribe: %v; trying again in %v\n", err, wait.Round(100*time.Millisecond))
		select {
		case <-ctx.Done():
			return context.Canceled
		case <-time.After(wait):
		}
	}
}

// longestWait is how long it waits between two tries at most.
const longestWait = 30 * time.Second

// wait is how long to wait: what the server wants, and longer each time in
// vain, by chance, so that not all who lost the same server come at once.
func (s *subscription) wait(no *answerError) time.Duration {
	wait := s.retry << min(max(s.tries-1, 0), 5)
	s.tries++
	if no != nil {
		wait = max(wait, no.retry)
	}
	wait = min(wait, longestWait)
	return wait/2 + rand.N(wait/2+1)
}

// A breakError is the end of a connection that was good.
type breakError struct{ err error }

func (e *breakError) Error() string {
	if errors.Is(e.err, io.EOF) {
		return "the server has closed the connection"
	}
	return "connection lost: " + e.err.Error()
}

func (e *breakError) Unwrap() error { return e.err }

func isBreak(err error) bool {
	_, ok := errors.AsType[*breakError](err)
	return ok
}

// stream follows the rooms over one connection.
func (s *subscription) stream(ctx context.Context) error {
	req, err := s.from.request(ctx, http.MethodGet, s.path, nil)
	if err != nil {
		return err
	}
	req.Header.Set("Accept", "text/event-stream")
	if s.after != "" {
		req.Header.Set("Last-Event-ID", s.after)
	}
	res, err := s.from.client.Do(req)
	if err != nil {
		return s.from.unreached(err)
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		return s.from.refused(res)
	}
	s.tries = 1 // from now on a server that is away is one that comes back
	events := eventReader{lines: bufio.NewReader(res.Body)}
	for {
		e, err := events.next()
		if err != nil {
			return &breakError{err}
		}
		s.retry = cmp.Or(e.retry, s.retry)
		if err := s.receive(e); err != nil {
			return err
		}
	}
}

// receive writes an event, if it is one to be written.
func (s *subscription) receive(e event) error {
	if e.id != "" {
		s.after = e.id
	}
	var missed struct{ Before string }
	switch {
	case !e.hasData:
		return nil
	case e.name == "unrecovered" && json.Unmarshal(e.data, &missed) == nil && missed.Before != "":
		fmt.Fprintf(s.errors, "tutti subscribe: messages are missing here: the server does not keep them any more (before %s)\n", missed.Before)
		return nil
	case len(s.events) > 0 && !slices.Contains(s.events, e.name):
		return nil
	}
	if err := s.write(message{e.id, e.name, e.data}); err != nil {
		return fmt.Errorf("write: %w", err)
	}
	if s.left--; s.left == 0 {
		return errEnough
	}
	return nil
}

// An eventReader reads a text/event-stream.
type eventReader struct{ lines *bufio.Reader }

// An event is one of a stream, or only its fields without data.
type event struct {
	id, name string
	data     []byte
	hasData  bool
	retry    time.Duration // 0 if it does not say
}

// largestEvent bounds what one event may take up.
const largestEvent = 64 << 20

// next returns the next event, with its id if it has one.
func (r *eventReader) next() (event, error) {
	e := event{name: "message"}
	size := 0
	for {
		line, err := r.line()
		if err != nil {
			return e, err
		}
		if size += len(line); size > largestEvent {
			return e, errors.New("an event is too long")
		}
		if len(line) == 0 {
			return e, nil
		}
		field, value, _ := strings.Cut(string(line), ":")
		value = strings.TrimPrefix(value, " ")
		switch field {
		case "id":
			e.id = value
		case "event":
			e.name = value
		case "data":
			if e.hasData {
				e.data = append(e.data, '\n')
			}
			e.data, e.hasData = append(e.data, value...), true
		case "retry":
			if d, err := time.ParseDuration(value + "ms"); err == nil && d > 0 {
				e.retry = d
			}
		}
	}
}

// line reads a line, without its end.
func (r *eventReader) line() ([]byte, error) {
	var line []byte
	for {
		part, err := r.lines.ReadSlice('\n')
		line = append(line, part...)
		switch {
		case errors.Is(err, bufio.ErrBufferFull) && len(line) < largestEvent:
			continue
		case err != nil:
			return nil, err
		}
		return []byte(strings.TrimRight(string(line), "\r\n")), nil
	}
}
