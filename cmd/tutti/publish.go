package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"
)

func publishManual() *manual {
	return &manual{
		name: "publish", does: "publish messages to a running server",
		synopsis: []string{"[flags] [--room ROOM]… DATA", "[flags] [--room ROOM]… < LINES"},
		about: `Publishes a message to rooms of a server, or without --room to everyone in the
namespace. DATA is the event's argument: JSON as it is, anything else as text. Without DATA every line
of the standard input is a message; empty lines are left out.

What is published needs to be allowed: rooms that are open to anyone (door.publish, allow), or
a key that opens them. An operator of the server (--data, --admin) may publish anywhere.

For each message it writes the offset that the server gave it, and how many members were handed it. When the
server asks to wait, it waits and goes on. At the first message that is refused it ends, and says which.`,
		options: append([]option{
			{name: "room", value: "ROOM", repeat: true, does: "A room to publish to."},
			{name: "event", value: "NAME", does: "The event's name. Default: message."},
			namespaceOption,
			{name: "id", value: "ID", does: "Recognise a repetition: in a namespace with memory a message that was published under the same id is not published again. Lines of the standard input get ID-1, ID-2 and so on, so that what was broken off can be done again from the beginning."},
			{name: "text", does: "Take DATA or lines for text, also where they are JSON."},
			jsonOption,
			{name: "quiet", does: "Write nothing if all goes well."},
			{name: "admin", value: "URL", does: "Publish as an operator of the server with this address, with --key."},
			{name: "data", value: "FOLDER", does: "Publish as an operator of the server on this machine that has this data folder."},
		}, publicOptions...),
		examples: []example{
			{"tutti publish --room news --event headline '{\"text\":\"all together\"}'", "A message with JSON:"},
			{"tail -f /var/log/app.log | tutti publish --room logs --text", "Each line of a log:"},
			{"tutti publish --room import --id june < june.ndjson", "A file that can be published again after a break, without anything being doubled:"},
		},
		see: "tutti subscribe, docs/doors.md",
	}
}

// A publication is what is published, and where.
type publication struct {
	to    *remote
	path  string
	admin bool // by the operators' API

	namespace, event, id string
	rooms                []string
	text, json, quiet    bool
}

// A published is a server's answer to a publication.
type published struct {
	Offset   string `json:"offset"`
	Members  int    `json:"members"`
	Repeated bool   `json:"repeated,omitzero"`
}

// publish publishes its argument, or the lines of its input.
func publish(ctx context.Context, c call) int {
	m := publishManual()
	a, code := m.begin(c)
	if a == nil {
		return code
	}
	p, err := newPublication(a)
	if err == nil && len(a.rest) > 1 {
		err = errors.New("more than one DATA: put it in quotes, or give one message a line")
	}
	if err == nil && len(a.rest) == 0 && terminal(c.input) {
		err = errors.New("what is to be published? Give it as an argument, or lines on the standard input")
	}
	if err != nil {
		return m.misused(c, err)
	}
	ctx, stop := interruptible(ctx, c)
	defer stop()
	if len(a.rest) == 1 {
		err = p.publish(ctx, c.output, a.rest[0], p.id)
	} else {
		err = p.lines(ctx, c)
	}
	if err != nil {
		return fail(c, m.name, err)
	}
	return exitOK
}

func newPublication(a *arguments) (*publication, error) {
	p := &publication{
		namespace: strings.TrimSuffix(a.value("namespace"), "/"), event: "message", id: a.value("id"), rooms: a.values["room"],
		text: a.given("text"), json: a.given("json"), quiet: a.given("quiet"),
	}
	if a.given("event") {
		p.event = a.value("event")
	}
	if p.namespace != "" && !strings.HasPrefix(p.namespace, "/") {
		return nil, fmt.Errorf("--namespace is %q: want a name that begins with /", p.namespace)
	}
	if p.admin = a.given("admin") || a.given("data"); !p.admin {
		var err error
		p.path = "/api/publish" + p.namespace
		p.to, err = a.public()
		return p, err
	}
	as := *a
	as.manual = &manual{options: operatorOptions} // whose variables differ
	var err error
	p.path = "/api/publish"
	p.to, err = as.operators()
	return p, err
}

// lines publishes each line of the input.
func (p *publication) lines(ctx context.Context, c call) error {
	lines := bufio.NewScanner(c.input)
	lines.Buffer(nil, largestAnswer)
	n := 0
	for number := 1; lines.Scan(); number++ {
		if strings.TrimSpace(lines.Text()) == "" {
			continue
		}
		n++
		id := p.id
		if id != "" {
			id = fmt.Sprintf("%s-%d", p.id, n)
		}
		if err := p.publish(ctx, c.output, lines.Text(), id); errors.Is(err, context.Canceled) {
			return fmt.Errorf("interrupted at line %d", number)
		} else if err != nil {
			return fmt.Errorf("line %d: %w", number, err)
		}
	}
	if err := lines.Err(); err != nil {
		return fmt.Errorf("read the standard input: %w", err)
	}
	return nil
}

// publish publishes one message, as soon as the server takes it.
func (p *publication) publish(ctx context.Context, w io.Writer, data, id string) error {
	answer, err := p.send(ctx, data, id)
	for tries := 0; err != nil && tries < 10; tries++ {
		no, ok := errors.AsType[*answerError](err)
		if !ok || !no.again() || no.status >= 500 && id == "" {
			return err // after a 5xx it may have been published: only an id tells
		}
		select {
		case <-ctx.Done():
			return context.Canceled
		case <-time.After(max(no.retry, time.Second)):
		}
		answer, err = p.send(ctx, data, id)
	}
	if err != nil || p.quiet {
		return err
	}
	return p.tell(w, answer)
}

func (p *publication) send(ctx context.Context, data, id string) (published, error) {
	value, err := p.value(data)
	if err != nil {
		return published{}, err
	}
	body := struct {
		Namespace string          `json:"namespace,omitempty"`
		Rooms     []string        `json:"rooms,omitempty"`
		Event     string          `json:"event"`
		Data      json.RawMessage `json:"data"`
		ID        string          `json:"id,omitempty"`
	}{Rooms: p.rooms, Event: p.event, Data: value}
	if p.admin {
		body.Namespace, body.ID = p.namespace, id
	}
	text, err := json.Marshal(body)
	if err != nil {
		return published{}, err
	}
	req, err := p.to.request(ctx, "POST", p.path, text)
	if err != nil {
		return published{}, err
	}
	if id != "" {
		req.Header.Set("Idempotency-Key", id)
	}
	var answer published
	return answer, p.to.send(req, &answer)
}

// value is data as JSON: as it is, or a string.
func (p *publication) value(data string) (json.RawMessage, error) {
	if trimmed := strings.TrimSpace(data); !p.text && json.Valid([]byte(trimmed)) {
		return json.RawMessage(trimmed), nil
	}
	return json.Marshal(data)
}

func (p *publication) tell(w io.Writer, answer published) error {
	if p.json {
		return json.NewEncoder(w).Encode(answer)
	}
	line := fmt.Sprintf("%s to %s", answer.Offset, plural(answer.Members, "member"))
	switch {
	case answer.Repeated:
		line = answer.Offset + " was there before"
	case p.admin:
		line = answer.Offset // operators are told no number
	case answer.Offset == "":
		line = "to " + plural(answer.Members, "member")
	}
	_, err := fmt.Fprintln(w, line)
	return err
}

// plural is "1 room" or "2 rooms".
func plural(n int, thing string) string {
	if n == 1 {
		return "1 " + thing
	}
	return fmt.Sprintf("%d %ss", n, thing)
}
