package door

import (
	"errors"
	"slices"
	"strconv"
	"sync"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/tutti-rt/tutti/hub"
	"github.com/tutti-rt/tutti/internal/websocket"
	"github.com/tutti-rt/tutti/packet"
)

// A command is what a client with JSON framing sends: exactly one of event,
// join, leave and answer.
type command struct {
	Event  given[string]   `json:"event"`
	Data   jsontext.Value  `json:"data"`  // of event and answer
	Room   given[string]   `json:"room"`  // of event
	Rooms  given[[]string] `json:"rooms"` // of event
	Join   given[string]   `json:"join"`
	Leave  given[string]   `json:"leave"`
	Answer given[uint64]   `json:"answer"`
	Ack    given[uint64]   `json:"ack"` // asks for a reply, which carries it
}

// decodeCommand reads a command. With an error it returns what it can of the
// command's ack.
func decodeCommand(data []byte) (command, error) {
	var c command
	err := decode(data, &c)
	if err == nil {
		err = c.check()
	}
	if err != nil {
		return command{Ack: ackOf(data)}, badRequest("bad_json", "%v", err)
	}
	return c, nil
}

func (c *command) check() error {
	verbs := 0
	for _, is := range []bool{c.Event.is, c.Join.is, c.Leave.is, c.Answer.is} {
		if is {
			verbs++
		}
	}
	switch {
	case verbs != 1:
		return errors.New(`want one of "event", "join", "leave" and "answer"`)
	case !c.Event.is && (c.Room.is || c.Rooms.is):
		return errors.New(`"room" and "rooms" belong to "event"`)
	case c.Data != nil && (c.Join.is || c.Leave.is):
		return errors.New(`"data" belongs to "event" and "answer"`)
	case c.Ack.value > packet.MaxID:
		return errors.New(`"ack" is too large`)
	}
	return nil
}

// ackOf finds the ack of a command that is wrong otherwise.
func ackOf(data []byte) given[uint64] {
	var c struct {
		Ack given[uint64] `json:"ack"`
	}
	if err := json.Unmarshal(data, &c); err != nil || c.Ack.value > packet.MaxID {
		return given[uint64]{}
	}
	return c.Ack
}

// maxCalls is how many calls a client may owe an answer for. It is asked no
// more until it has answered some.
const maxCalls = 1000

// jsonTalk is the framing of JSON objects.
type jsonTalk struct {
	*stream

	callMu sync.Mutex
	calls  map[uint64]*hub.Call // that wait for an answer; nil: the client is gone
}

var _ hub.Answerer = (*jsonTalk)(nil)

// Deliver sends the message, and counts the client among those who will answer
// if it is a call.
func (t *jsonTalk) Deliver(m *hub.Message) {
	if !t.hears(m) {
		return
	}
	asked := m.Call != nil && t.expect(m.Call)
	if !t.send(jsonForm.Of(m), m.Volatile) && asked {
		t.settle(m.Call.ID, func(c *hub.Call) { c.Lost() })
	}
}

// expect notes that the client is being asked.
func (t *jsonTalk) expect(c *hub.Call) bool {
	t.callMu.Lock()
	full := len(t.calls) >= maxCalls
	known := t.calls != nil && !full
	if known {
		t.calls[c.ID] = c
	}
	t.callMu.Unlock()
	if known {
		c.Ask(t)
	}
	if full {
		t.door.limitHit("calls")
	}
	return known
}

// settle takes a call out and hands it to f. A call that is not known, or not
// any more, is none.
func (t *jsonTalk) settle(id uint64, f func(*hub.Call)) {
	t.callMu.Lock()
	c := t.calls[id]
	delete(t.calls, id)
	t.callMu.Unlock()
	if c != nil {
		f(c)
	}
}

// Forget drops a call that nobody waits for any more.
func (t *jsonTalk) Forget(c *hub.Call) { t.settle(c.ID, func(*hub.Call) {}) }

func (t *jsonTalk) subprotocols() []string { return []string{SubprotocolJSON} }

// gone says of all calls that they will not be answered.
func (t *jsonTalk) gone() {
	t.callMu.Lock()
	calls := t.calls
	t.calls = nil
	t.callMu.Unlock()
	for _, c := range calls {
		c.Lost()
	}
}

// receive carries out a command. What is wrong with it is told in a reply and
// does not end the connection.
func (t *jsonTalk) receive(data []byte, binary bool) error {
	if binary {
		return t.misuse(websocket.CodeUnsupported, "text only")
	}
	c, err := decodeCommand(data)
	if wait, ok := t.bucket.Take(); !ok {
		err = tooMany(wait)
	}
	var offset hub.Offset
	if err == nil {
		offset, err = t.do(c)
	}
	var refused *refusal
	switch {
	case errors.As(err, &refused):
		if refused.limit != "" {
			t.door.limitHit(refused.limit)
		}
		t.reply("error", refused.message, c.Ack)
	case err != nil:
		return t.failed(err)
	case c.Ack.is:
		t.reply("offset", string(offset), c.Ack)
	}
	return nil
}

// do carries out a command and returns the offset of what it published.
func (t *jsonTalk) do(c command) (hub.Offset, error) {
	switch {
	case c.Join.is:
		return "", t.join(c.Join.value)
	case c.Leave.is:
		t.seat.Leave(c.Leave.value)
		t.rooms = slices.DeleteFunc(t.rooms, func(room string) bool { return room == c.Leave.value })
		return "", nil
	case c.Answer.is:
		args, err := oneArgument(c.Data)
		if err != nil {
			return "", err
		}
		t.settle(c.Answer.value, func(call *hub.Call) { call.Answer(args) })
		return "", nil
	}
	to := publication{Room: c.Room, Rooms: c.Rooms}
	rooms, err := to.address(t.door.cfg.MaxRooms)
	if err != nil {
		return "", err
	}
	if t.door.cfg.Relay && len(rooms) > 0 {
		return "", errRelay
	}
	m, err := message(c.Event.value, c.Data)
	if err != nil {
		return "", err
	}
	receipt, err := t.say(m, rooms)
	return receipt.Offset, err
}

func (t *jsonTalk) join(room string) error {
	most := t.door.cfg.MaxRooms
	switch {
	case t.door.cfg.Relay:
		return errRelay
	case slices.Contains(t.rooms, room):
		return nil
	case most >= 0 && len(t.rooms) >= most:
		return tooManyRooms(most)
	}
	if err := t.listen.allow([]string{room}); err != nil {
		return err
	}
	if err := t.seat.Join(room); err != nil {
		return roomRefusal(err)
	}
	t.rooms = append(t.rooms, room)
	return nil
}

// reply answers a command: {"error":"…"} or {"offset":"…"}, with the ack if
// there was one.
func (t *jsonTalk) reply(name, value string, ack given[uint64]) {
	dst := append(make([]byte, 0, 64), '{')
	if ack.is {
		dst = strconv.AppendUint(append(dst, `"ack":`...), ack.value, 10)
	}
	if value != "" {
		if ack.is {
			dst = append(dst, ',')
		}
		dst = appendString(append(append(append(dst, '"'), name...), `":`...), value)
	}
	t.send(websocket.Prepare(append(dst, '}'), false), false)
}
