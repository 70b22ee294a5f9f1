package hub_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/tutti-rt/tutti/hub"
)

// A recorder is a member that keeps what it got. Nothing guards it: the
// space's order must.
type recorder struct {
	name string
	got  []*hub.Message
}

func (r *recorder) Deliver(m *hub.Message) { r.got = append(r.got, m) }

type memberFunc func(*hub.Message)

func (f memberFunc) Deliver(m *hub.Message) { f(m) }

func enter(t testing.TB, sp *hub.Space, m hub.Member, rooms ...string) *hub.Seat {
	t.Helper()
	seat, err := sp.Enter(m, nil, rooms...)
	if err != nil {
		t.Fatalf("enter: %v", err)
	}
	return seat
}

func publish(t testing.TB, sp *hub.Space, to hub.Address) hub.Receipt {
	t.Helper()
	r, err := sp.Publish(t.Context(), &hub.Message{Event: "e"}, to)
	if err != nil {
		t.Fatalf("publish: %v", err)
	}
	return r
}

func TestPublishReachesTheAddress(t *testing.T) {
	sp := hub.New(hub.Config{}).Space("/")
	members := map[string]*recorder{}
	for _, rooms := range []string{"", "a", "b", "a b", "a c", "b c", "a b c"} {
		m := &recorder{name: rooms}
		members[rooms] = m
		enter(t, sp, m, strings.Fields(rooms)...)
	}
	for _, test := range []struct {
		to   hub.Address
		want []string
	}{
		{hub.Address{}, []string{"", "a", "a b", "a b c", "a c", "b", "b c"}},
		{hub.Address{Rooms: []string{"a"}}, []string{"a", "a b", "a b c", "a c"}},
		{hub.Address{Rooms: []string{"a", "b", "a"}}, []string{"a", "a b", "a b c", "a c", "b", "b c"}},
		{hub.Address{Rooms: []string{"a", "b"}, Except: []string{"c"}}, []string{"a", "a b", "b"}},
		{hub.Address{Except: []string{"a", "b"}}, []string{""}},
		{hub.Address{Rooms: []string{"a"}, Except: []string{"a"}}, nil},
		{hub.Address{Rooms: []string{"nowhere"}}, nil},
		{hub.Address{Rooms: []string{"a"}, Except: []string{"nowhere"}}, []string{"a", "a b", "a b c", "a c"}},
	} {
		r := publish(t, sp, test.to)
		var got []string
		for name, m := range members {
			for range m.got {
				got = append(got, name)
			}
			m.got = nil
		}
		slices.Sort(got)
		if !slices.Equal(got, test.want) || r.Members != len(test.want) {
			t.Errorf("%+v reached %q and counted %d, want %q", test.to, got, r.Members, test.want)
		}
	}
}

func TestPublishFillsInTheMessage(t *testing.T) {
	h := hub.New(hub.Config{})
	sp := h.Space("/chat")
	m := &recorder{}
	enter(t, sp, m, "a")
	msg := &hub.Message{Event: "e"}
	if msg.Offset() != "" {
		t.Errorf("an unpublished message has the offset %q", msg.Offset())
	}
	r, err := sp.Publish(t.Context(), msg, hub.Address{Rooms: []string{"a"}})
	if err != nil {
		t.Fatal(err)
	}
	if len(m.got) != 1 || m.got[0] != msg {
		t.Fatalf("delivered %v, want the message itself", m.got)
	}
	if msg.Offset() == "" || msg.Offset() != r.Offset {
		t.Errorf("message has the offset %q, the receipt %q", msg.Offset(), r.Offset)
	}
	if msg.Namespace != "/chat" || !slices.Equal(msg.Rooms, []string{"a"}) {
		t.Errorf("published in %q to %q", msg.Namespace, msg.Rooms)
	}
	if other := publish(t, sp, hub.Address{}); other.Offset == r.Offset {
		t.Error("two messages of a space share an offset")
	}
	if other := publish(t, hub.New(hub.Config{}).Space("/chat"), hub.Address{}); other.Offset == r.Offset {
		t.Error("offsets of two lives of a hub are equal")
	}
}

// TestWelcomeComesFirst: what welcome sends precedes every message, however
// many are published meanwhile.
func TestWelcomeComesFirst(t *testing.T) {
	sp := hub.New(hub.Config{}).Space("/")
	stop := make(chan struct{})
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			select {
			case <-stop:
				return
			default:
				if _, err := sp.Publish(t.Context(), &hub.Message{}, hub.Address{}); err != nil {
					t.Error(err)
				}
			}
		}
	}()
	for range 200 {
		var got []string
		seat, err := sp.Enter(memberFunc(func(*hub.Message) { got = append(got, "message") }),
			func() { got = append(got, "welcome") }, "a")
		if err != nil {
			t.Fatal(err)
		}
		publish(t, sp, hub.Address{Rooms: []string{"a"}})
		seat.Leave("a")
		seat.Close()
		seat.Rooms() // has its turn after Close has
		if len(got) < 2 || got[0] != "welcome" {
			t.Fatalf("got %q, want the welcome first and then messages", got)
		}
	}
	close(stop)
	<-done
}

func TestPublishObeysItsContext(t *testing.T) {
	var published int
	sp := hub.New(hub.Config{Trace: &hub.Trace{Published: func(*hub.Message, int) { published++ }}}).Space("/")
	m := &recorder{}
	enter(t, sp, m)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	msg := &hub.Message{}
	if _, err := sp.Publish(ctx, msg, hub.Address{}); !errors.Is(err, context.Canceled) {
		t.Errorf("publishing with a context that has ended: %v", err)
	}
	if len(m.got) != 0 || published != 0 || msg.Offset() != "" {
		t.Error("a message was published although its context had ended")
	}
}

// TestPublishContextEndsWhileWaiting: the context counts when the turn comes.
func TestPublishContextEndsWhileWaiting(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sp := hub.New(hub.Config{}).Space("/")
		gate, busy := make(chan struct{}), true
		var got []string
		enter(t, sp, memberFunc(func(m *hub.Message) {
			if busy { // what no member should do
				<-gate
			}
			got = append(got, m.Event)
		}))
		send := func(ctx context.Context, event string) <-chan error {
			done := make(chan error, 1)
			go func() {
				_, err := sp.Publish(ctx, &hub.Message{Event: event}, hub.Address{})
				done <- err
			}()
			synctest.Wait()
			return done
		}
		ctx, cancel := context.WithCancel(t.Context())
		first, second, third := send(t.Context(), "first"), send(ctx, "second"), send(t.Context(), "third")
		cancel()
		busy = false
		close(gate)
		if err := <-first; err != nil {
			t.Errorf("first: %v", err)
		}
		if err := <-second; !errors.Is(err, context.Canceled) {
			t.Errorf("second: %v, want its context's error", err)
		}
		if err := <-third; err != nil {
			t.Errorf("third: %v", err)
		}
		if want := []string{"first", "third"}; !slices.Equal(got, want) {
			t.Errorf("delivered %q, want %q", got, want)
		}
	})
}

// TestPanicOfAMember: a member that panics fails the publish that met it and
// nothing after.
func TestPanicOfAMember(t *testing.T) {
	sp := hub.New(hub.Config{}).Space("/")
	bad := enter(t, sp, memberFunc(func(*hub.Message) { panic("bad member") }))
	m := &recorder{}
	enter(t, sp, m, "good")
	func() {
		defer func() {
			if got := recover(); got != "bad member" {
				t.Errorf("Publish panicked with %v", got)
			}
		}()
		publish(t, sp, hub.Address{})
	}()
	publish(t, sp, hub.Address{Rooms: []string{"good"}})
	bad.Close()
	publish(t, sp, hub.Address{})
	if len(m.got) != 2 {
		t.Errorf("%d messages after the panic, want 2", len(m.got))
	}
}

func TestSpacesAreApart(t *testing.T) {
	h := hub.New(hub.Config{})
	a, b := h.Space("/a"), h.Space("/b")
	if h.Space("/a") != a || a == b || a.Namespace() != "/a" {
		t.Error("a space is not the one of its namespace")
	}
	m := &recorder{}
	enter(t, a, m, "room")
	publish(t, b, hub.Address{Rooms: []string{"room"}})
	if len(m.got) != 0 {
		t.Error("a message went from one space to another")
	}
	var names []string
	for sp := range h.Spaces() {
		names = append(names, sp.Namespace())
	}
	slices.Sort(names)
	if want := []string{"/a", "/b"}; !slices.Equal(names, want) {
		t.Errorf("spaces %q, want %q", names, want)
	}
	for range h.Spaces() {
		break
	}
	h.Forget("/a")
	if h.Space("/a") == a {
		t.Error("a forgotten space came back")
	}
	publish(t, a, hub.Address{})
	if len(m.got) != 1 {
		t.Error("seats of a forgotten space do not work among themselves")
	}
}
