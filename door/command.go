package door

import (
	"errors"
	"slices"
	"strconv"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/tutti-rt/tutti/hub"
	"github.com/tutti-rt/tutti/internal/websocket"
	"github.com/tutti-rt/tutti/packet"
	"github.com/tutti-rt/tutti/quota"
	"github.com/tutti-rt/tutti/verb"
)

// A command is what a client with JSON framing sends: exactly one of event,
// join, leave, answer, history, presence and state.
type command struct {
	Event    given[string]   `json:"event"`
	Data     jsontext.Value  `json:"data"`  // of event and answer
	Room     given[string]   `json:"room"`  // of event and state
	Rooms    given[[]string] `json:"rooms"` // of event
	ID       given[string]   `json:"id"`    // of event
	Join     given[string]   `json:"join"`
	Leave    given[string]   `json:"leave"`
	Answer   given[uint64]   `json:"answer"`
	History  given[string]   `json:"history"`
	Presence given[string]   `json:"presence"`
	Before   given[string]   `json:"before"` // of history
	After    given[string]   `json:"after"`  // of history and presence
	Limit    given[int]      `json:"limit"`  // of history and presence
	Watch    given[bool]     `json:"watch"`  // of presence
	State    jsontext.Value  `json:"state"`
	Ack      given[uint64]   `json:"ack"` // asks for a reply, which carries it
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
	for _, is := range []bool{c.Event.is, c.Join.is, c.Leave.is, c.Answer.is, c.History.is, c.Presence.is, c.State != nil} {
		if is {
			verbs++
		}
	}
	switch {
	case verbs != 1:
		return errors.New(`want one of "event", "join", "leave", "answer", "history", "presence" and "state"`)
	case !c.Event.is && c.State == nil && c.Room.is || !c.Event.is && c.Rooms.is:
		return errors.New(`"room" and "rooms" belong to "event"`)
	case !c.Event.is && c.ID.is:
		return errors.New(`"id" belongs to "event"`)
	case !c.Event.is && !c.Answer.is && c.Data != nil:
		return errors.New(`"data" belongs to "event" and "answer"`)
	case !c.History.is && c.Before.is:
		return errors.New(`"before" belongs to "history"`)
	case !c.History.is && !c.Presence.is && (c.After.is || c.Limit.is):
		return errors.New(`"after" and "limit" belong to "history" and "presence"`)
	case !c.Presence.is && c.Watch.is:
		return errors.New(`"watch" belongs to "presence"`)
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

// receive carries out a command. What is wrong with it is told in a reply and
// does not end the connection, unless it goes on and on in spite of the replies.
func (t *jsonTalk) receive(data []byte, binary bool) error {
	if binary {
		return t.misuse(websocket.CodeUnsupported, "text only")
	}
	spent := t.spend()
	if spent != nil && !t.peer.Patience() {
		t.door.limitHit("rate", t.peer)
		return t.misuse(websocket.CodePolicy, "too many messages")
	}
	c, err := decodeCommand(data)
	if spent != nil {
		err = spent
	}
	var answer jsontext.Value
	if err == nil {
		now := t.door.now()
		answer, err = t.do(c)
		t.door.reviewSince(now, t)
	}
	var refused *refusal
	switch {
	case errors.As(err, &refused):
		if refused.limit != "" {
			t.door.limitHit(refused.limit, t.peer)
		}
		answer, err = json.Marshal(struct {
			Error string `json:"error"`
			Code  string `json:"code"`
			At    string `json:"at,omitempty"`
		}{refused.message, refused.code, refused.at})
		if refused.code == quota.Code && spent == nil && !t.peer.Patience() { // else it has been counted
			return t.misuse(websocket.CodePolicy, refused.message)
		}
		t.reply(answer, c.Ack)
	case err == nil && c.Ack.is:
		t.reply(answer, c.Ack)
	}
	if err != nil {
		return t.failed(err)
	}
	return nil
}

// spend counts a command.
func (t *jsonTalk) spend() error {
	if wait, ok := t.bucket.Take(); !ok {
		return tooMany(wait)
	}
	return t.door.spend(t.peer, quota.Event, t.publish.owner(), nil)
}

// do carries out a command and returns the object that answers it.
func (t *jsonTalk) do(c command) (jsontext.Value, error) {
	switch {
	case c.Join.is:
		if err := t.join(c.Join.value); err != nil {
			return nil, err
		}
		return answer(verb.Receipt{Offset: t.door.space.Head()}, nil)
	case c.Leave.is:
		t.seat.Leave(c.Leave.value)
		t.setRooms(slices.DeleteFunc(slices.Clone(t.rooms), func(room string) bool { return room == c.Leave.value }))
		return nil, nil
	case c.Answer.is:
		args, err := oneArgument(c.Data)
		if err != nil {
			return nil, err
		}
		t.settle(c.Answer.value, func(call *hub.Call) { call.Answer(args) })
		return nil, nil
	case c.Event.is:
		return t.publishEvent(c)
	case t.door.desk == nil:
		return nil, errNoDesk
	}
	return t.ask(c)
}

// ask carries out a command that is the desk's.
func (t *jsonTalk) ask(c command) (jsontext.Value, error) {
	ctx, desk, caller := t.listen.known(t.door.open), t.door.desk, t.door.caller(t.seat, t.door.now().listen.renew(t.listen), t.peer)
	switch {
	case c.History.is:
		return answer(desk.History(ctx, caller, verb.PageRequest{
			Room: c.History.value, Before: hub.Offset(c.Before.value), After: hub.Offset(c.After.value), Limit: c.Limit.value,
		}))
	case c.Presence.is:
		q := verb.PresenceRequest{Room: c.Presence.value, After: c.After.value, Limit: c.Limit.value}
		if c.Watch.is {
			q.Watch = &c.Watch.value
		}
		return answer(desk.Presence(ctx, caller, q))
	}
	args, err := oneArgument(c.State)
	if err != nil {
		return nil, err
	}
	return answer(desk.State(ctx, caller, verb.StateRequest{Room: c.Room.value, State: args.At(0)}))
}

// answer writes what a desk answers.
func answer[T any](v T, err error) (jsontext.Value, error) {
	if err != nil {
		return nil, verbRefusal(err)
	}
	return json.Marshal(v)
}

// publishEvent publishes what a client says to rooms, or to its own.
func (t *jsonTalk) publishEvent(c command) (jsontext.Value, error) {
	to := publication{Room: c.Room, Rooms: c.Rooms}
	rooms, err := to.address(t.door.cfg.MaxRooms)
	if err != nil {
		return nil, err
	}
	if t.door.cfg.Relay && len(rooms) > 0 {
		return nil, errRelay
	}
	m, err := message(c.Event.value, c.Data)
	if err != nil {
		return nil, err
	}
	if len(rooms) == 0 {
		rooms = slices.Clone(t.rooms) // the message keeps them
	}
	if err := identify(m, c.ID.value, t.publish, rooms); err != nil {
		return nil, err
	}
	receipt, err := t.say(m, rooms)
	return answer(verb.Receipt{Offset: receipt.Offset, Repeated: receipt.Repeated}, err)
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
	if err := t.door.allow(t.door.open, t.seat, t.door.now().listen.renew(t.listen), verb.Join, []string{room}); err != nil {
		return err
	}
	if err := t.door.spend(t.peer, quota.Join, t.listen.owner(), []string{room}); err != nil {
		return err
	}
	if err := t.seat.Join(room); err != nil {
		return roomRefusal(err)
	}
	t.setRooms(append(slices.Clone(t.rooms), room))
	return nil
}

// reply answers a command with the members of an object, and the ack if there
// was one.
func (t *jsonTalk) reply(object jsontext.Value, ack given[uint64]) {
	dst := append(make([]byte, 0, 32+len(object)), '{')
	if ack.is {
		dst = strconv.AppendUint(append(dst, `"ack":`...), ack.value, 10)
		if len(object) > len("{}") {
			dst = append(dst, ',')
		}
	}
	if len(object) > len("{}") {
		dst = append(dst, object[1:len(object)-1]...)
	}
	t.send(websocket.Prepare(append(dst, '}'), false), false)
}

// greet says from where the client is sent everything. It comes before what was
// delivered already.
func (t *jsonTalk) greet(in entry) {
	if in.at == "" {
		return // without memory there is nothing to come back to
	}
	dst := []byte{'{'}
	if in.unrecovered != "" {
		dst = append(appendString(append(dst, `"unrecovered":{"before":`...), in.unrecovered), "},"...)
	}
	dst = append(appendString(append(dst, `"offset":`...), in.at), '}')
	f := websocket.Prepare(dst, false)
	t.mu.Lock()
	defer t.mu.Unlock()
	t.early = slices.Insert(t.early, 0, f)
}

// Person returns the id by which others know the client, if it can know of
// others.
func (t *jsonTalk) Person() string { return t.person }

var _ hub.Participant = (*jsonTalk)(nil)
