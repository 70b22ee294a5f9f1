package chat_test

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tutti-rt/tutti"
	"github.com/tutti-rt/tutti/demo/chat"
	"github.com/tutti-rt/tutti/hub"
)

func TestAMessageIsOnEveryScreenAtOnce(t *testing.T) {
	inHall(t, func(h *hall) {
		ada, ben, eve := h.person("Ada", "general"), h.person("Ben", "general"), h.person("Eve", "lounge")
		ada.events()
		receipt, err := call(ada, chat.Send, chat.Draft{Room: "general", Text: " <b>hello</b> ", Nonce: "n1"})
		if err != nil {
			t.Fatal(err)
		}
		for _, p := range []*screen{ada, ben} {
			got := p.messages()
			if len(got) != 1 || got[0].Text != "<b>hello</b>" || got[0].From.Name != "Ada" || got[0].From.ID == "" || got[0].Nonce != "n1" {
				t.Fatalf("got %+v, want Ada's message", got)
			}
			if got[0].ID != receipt.ID || !got[0].At.Equal(receipt.At) {
				t.Errorf("the ack is %+v, the message %+v", receipt, got[0])
			}
		}
		if got := eve.messages(); got != nil {
			t.Errorf("somebody in another room got %+v", got)
		}
	})
}

func TestOneWhoEntersSeesWhatWasSaidAndWhoIsThere(t *testing.T) {
	inHall(t, func(h *hall) {
		ada := h.person("Ada", "general")
		h.person("Ben", "general")
		for i := range 3 {
			ada.say("general", fmt.Sprint(i))
		}
		p := h.open()
		welcome, err := call(p, chat.Enter, chat.Arrival{Name: "Cleo"})
		if err != nil {
			t.Fatal(err)
		}
		i := slices.IndexFunc(welcome.Rooms, func(r chat.RoomLine) bool { return r.Name == "general" })
		if i < 0 || welcome.Rooms[i].Members != 2 || welcome.Rooms[i].Last == nil || welcome.Rooms[i].Last.Text != "2" {
			t.Errorf("got rooms %+v, want general with 2 members and the last message", welcome.Rooms)
		}
		view := p.join("general")
		var texts, names []string
		for _, m := range view.Messages {
			texts = append(texts, m.Text)
		}
		for _, m := range view.Members {
			names = append(names, m.Name)
		}
		if !slices.Equal(texts, []string{"0", "1", "2"}) || !slices.Equal(names, []string{"Ada", "Ben", "Cleo"}) {
			t.Errorf("got messages %q and members %q", texts, names)
		}
	})
}

func TestARoomRemembersTheLastHundred(t *testing.T) {
	inHall(t, func(h *hall) {
		for i := range 250 {
			h.publish("chat:general", fmt.Sprint(i))
		}
		got := h.person("Ada").join("general").Messages
		if len(got) != 100 || got[0].Text != "150" || got[99].Text != "249" {
			t.Errorf("got %d messages, want 150 to 249", len(got))
		}
	})
}

func TestComingAndGoingIsNoticed(t *testing.T) {
	inHall(t, func(h *hall) {
		ada := h.person("Ada", "general")
		ben := h.person("Ben", "general", "lounge")
		if got, want := ada.presence(), []string{"joined general Ben"}; !slices.Equal(got, want) {
			t.Errorf("got %q, want %q", got, want)
		}
		if _, err := call(ben, chat.Leave, chat.RoomName{Room: "general"}); err != nil {
			t.Fatal(err)
		}
		if got, want := ada.presence(), []string{"left general Ben"}; !slices.Equal(got, want) {
			t.Errorf("got %q, want %q", got, want)
		}
		if _, err := call(ben, chat.Send, chat.Draft{Room: "general", Text: "still here"}); err == nil {
			t.Error("somebody who left the room spoke in it")
		}
		ada.say("general", "gone?")
		if got := ben.events(); got != nil {
			t.Errorf("somebody who left the room got %q", got)
		}
	})
}

func TestAShortAbsenceIsNotNoticed(t *testing.T) {
	inHall(t, func(h *hall) {
		ada, ben := h.person("Ada", "general"), h.person("Ben", "general")
		ada.events()
		ben.close()
		time.Sleep(4 * time.Second)
		ben = h.person("Ben", "general")
		time.Sleep(time.Minute)
		if got := ada.presence(); got != nil {
			t.Errorf("after a reload: %q, want nothing", got)
		}
		ben.close()
		time.Sleep(4 * time.Second)
		if got := ada.presence(); got != nil {
			t.Errorf("4 s after the connection broke: %q, want nothing", got)
		}
		time.Sleep(2 * time.Second)
		if got, want := ada.presence(), []string{"left general Ben"}; !slices.Equal(got, want) {
			t.Errorf("6 s after the connection broke: got %q, want %q", got, want)
		}
	})
}

func TestSeveralScreensOfOnePerson(t *testing.T) {
	inHall(t, func(h *hall) {
		ada := h.person("Ada", "general")
		one, two := h.person("Ben", "general"), h.person("Ben", "general")
		if got, want := ada.presence(), []string{"joined general Ben"}; !slices.Equal(got, want) {
			t.Errorf("got %q, want %q", got, want)
		}
		one.events()
		two.say("general", "from the second")
		if got := one.messages(); len(got) != 1 {
			t.Errorf("the first screen got %+v, want the message of the second", got)
		}
		ada.events()
		one.close()
		time.Sleep(time.Minute)
		if got := ada.presence(); got != nil {
			t.Errorf("one of two screens went: %q, want nothing", got)
		}
		if n := len(h.person("Cleo").join("general").Members); n != 3 {
			t.Errorf("got %d members, want 3", n)
		}
	})
}

func TestEverybodyIsToldTheListOfRooms(t *testing.T) {
	inHall(t, func(h *hall) {
		ada := h.person("Ada", "general")
		time.Sleep(time.Second)
		ada.lists()
		h.person("Ben", "late-rehearsals", "general")
		time.Sleep(time.Second)
		lists := ada.lists()
		if len(lists) != 1 {
			t.Fatalf("got %d lists, want one for two changes", len(lists))
		}
		for _, want := range []chat.RoomCount{{Name: "general", Members: 2}, {Name: "late-rehearsals", Members: 1}} {
			if !slices.Contains(lists[0], want) {
				t.Errorf("got %+v, want %+v in it", lists[0], want)
			}
		}
	})
}

func TestARoomThatNobodyUsedVanishes(t *testing.T) {
	inHall(t, func(h *hall) {
		ada := h.person("Ada", "slip", "used")
		ada.say("used", "hello")
		for _, room := range []string{"slip", "used"} {
			if _, err := call(ada, chat.Leave, chat.RoomName{Room: room}); err != nil {
				t.Fatal(err)
			}
		}
		welcome, err := call(h.open(), chat.Enter, chat.Arrival{Name: "Ben"})
		if err != nil {
			t.Fatal(err)
		}
		var names []string
		for _, r := range welcome.Rooms {
			names = append(names, r.Name)
		}
		if want := []string{"general", "ideas", "lounge", "used"}; !slices.Equal(names, want) {
			t.Errorf("got %q, want %q", names, want)
		}
		time.Sleep(time.Second)
		if slices.Contains(h.ns.Space().Rooms(), "chat:slip") {
			t.Error("the room's member still sits in the hub")
		}
	})
}

func TestTyping(t *testing.T) {
	inHall(t, func(h *hall) {
		ada, ben, eve := h.person("Ada", "general"), h.person("Ben", "general"), h.person("Eve", "lounge")
		ada.events()
		ada.send(`2["typing",{"room":"general","typing":true}]`)
		got := ben.events()
		if len(got) != 1 || !strings.HasPrefix(got[0], `2["typing",{"room":"general","from":{"id":`) || !strings.HasSuffix(got[0], `"name":"Ada"},"typing":true}]`) {
			t.Errorf("got %q", got)
		}
		eve.send(`2["typing",{"room":"general","typing":true}]`)
		for range 100 {
			ada.send(`2["typing",{"room":"general","typing":true}]`)
		}
		if n := len(ben.events()); n == 0 || n > 10 {
			t.Errorf("a flood of 100 reached the others %d times", n)
		}
		if got := ada.events(); got != nil {
			t.Errorf("got %q from outside the room", got)
		}
	})
}

// A listener is a member of another protocol.
type listener struct{ got []string }

func (l *listener) Deliver(m *hub.Message) { l.got = append(l.got, string(m.Args.AppendText(nil))) }

func TestWhatComesThroughADoor(t *testing.T) {
	inHall(t, func(h *hall) {
		ada := h.person("Ada", "general", "lounge")
		own := ada.say("general", "mine")
		me := ada.messages()[0].From
		for _, c := range []struct {
			published        any
			text, name, what string
		}{
			{"hi", "hi", "Someone", "a bare string"},
			{map[string]any{"text": "hi"}, "hi", "Someone", "a text alone"},
			{map[string]any{"text": "hi", "name": "Stage  door\u202e"}, "hi", "Stage door", "a name"},
			{map[string]any{"text": "hi", "from": "Stage door"}, "hi", "Stage door", "a name as from"},
			{map[string]any{"text": "hi", "from": me, "id": own.ID, "room": "lounge", "nonce": "n"}, "hi", "Ada", "a forged author"},
			{map[string]any{"text": 7, "name": 8}, `{"name":8,"text":7}`, "Someone", "fields of other types"},
			{42, "42", "Someone", "a number"},
			{[]int{1}, "[1]", "Someone", "an array"},
			{"a\x00b\r\nc", "ab\nc", "Someone", "control characters"},
			{strings.Repeat("é", 5000), strings.Repeat("é", 4000) + "…", "Someone", "too much text"},
		} {
			h.publish("chat:general", c.published)
			got := ada.messages()
			if len(got) != 1 {
				t.Errorf("%s: got %d messages", c.what, len(got))
				continue
			}
			m := got[0]
			if m.Text != c.text || m.From.Name != c.name || m.Room != "general" {
				t.Errorf("%s: got %+v", c.what, m)
			}
			if m.From.ID != "" || m.ID == "" || m.ID == own.ID || m.Nonce != "" {
				t.Errorf("%s: passes for somebody's own: %+v", c.what, m)
			}
		}
		for _, nothing := range []any{"", " \n", map[string]any{}} {
			h.publish("chat:general", nothing)
		}
		h.publish("chat:general")
		if got := ada.messages(); len(got) != 1 || got[0].Text != "{}" {
			t.Errorf("nothing was said as %+v", got)
		}
		if got := h.person("Ben").join("general").Messages; len(got) != 12 {
			t.Errorf("remembered %d messages, want 12", len(got))
		}
	})
}

func TestADoorSeesEachMessageOnce(t *testing.T) {
	inHall(t, func(h *hall) {
		door := &listener{}
		seat, err := h.ns.Space().Enter(door, nil, "chat:general")
		if err != nil {
			t.Fatal(err)
		}
		defer seat.Close()
		ada := h.person("Ada", "general")
		ada.say("general", "from a page")
		h.publish("chat:general", "from a door")
		if len(door.got) != 2 || !strings.Contains(door.got[0], `"text":"from a page"`) || door.got[1] != `"from a door"` {
			t.Errorf("got %q", door.got)
		}
	})
}

func TestEveryScreenSeesTheSameOrder(t *testing.T) {
	inHall(t, func(h *hall) {
		ada, ben := h.person("Ada", "general"), h.person("Ben", "general")
		ada.events()
		for i := range 10 {
			for n, p := range []*screen{ada, ben} {
				if err := p.c.Send(fmt.Sprintf(`2["send",{"room":"general","text":"%d-%d"}]`, n, i)); err != nil {
					t.Fatal(err)
				}
			}
		}
		a, b := ada.messages(), ben.messages()
		if len(a) != 20 || !slices.Equal(a, b) {
			t.Errorf("Ada saw %v, Ben saw %v", a, b)
		}
		if got := h.person("Cleo").join("general").Messages; !slices.Equal(got, a) {
			t.Errorf("the room remembers %v, Ada saw %v", got, a)
		}
	})
}

func TestMountRefusesAFamily(t *testing.T) {
	srv, err := tutti.New(tutti.Config{})
	if err != nil {
		t.Fatal(err)
	}
	family := srv.Dynamic(func(context.Context, string, tutti.Handshake) (bool, error) { return true, nil })
	if _, err := chat.Mount(family, http.NewServeMux()); err == nil {
		t.Error("no error")
	}
}

func TestCloseEndsTheChatAndNoConnection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv, err := tutti.New(tutti.Config{})
		if err != nil {
			t.Fatal(err)
		}
		ns := srv.Namespace("/")
		c, err := chat.Mount(ns, http.NewServeMux())
		if err != nil {
			t.Fatal(err)
		}
		if n := ns.Space().Count("chat:general"); n != 1 {
			t.Errorf("%d members sit in general, want one", n)
		}
		c.Close()
		c.Close()
		if got := ns.Space().Rooms(); len(got) != 0 {
			t.Errorf("still there: %q", got)
		}
	})
}
