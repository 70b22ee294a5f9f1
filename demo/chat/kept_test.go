package chat_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tutti-rt/tutti/demo/chat"
	"github.com/tutti-rt/tutti/hub"
	"github.com/tutti-rt/tutti/packet"
)

// scroll reads a room back to its beginning, as the page does.
func (p *screen) scroll(room string) (texts []string) {
	p.t.Helper()
	page := p.join(room).Page
	for {
		var here []string
		for _, m := range page.Messages {
			here = append(here, m.Text)
		}
		texts = append(here, texts...)
		if !page.More {
			return texts
		}
		earlier, err := call(p, chat.History, chat.Earlier{Room: room, Before: page.Messages[0].Offset})
		if err != nil {
			p.t.Fatal(err)
		}
		page = &earlier
	}
}

func numbers(n int) (texts []string) {
	for i := range n {
		texts = append(texts, fmt.Sprint(i))
	}
	return texts
}

func TestARoomIsKeptWhole(t *testing.T) {
	inKeptHall(t, nil, func(h *hall) {
		ada := h.person("Ada", "general")
		for i, text := range numbers(250) {
			if i%2 == 0 {
				h.publish("chat:general", text)
			} else {
				ada.say("general", text)
				time.Sleep(time.Second) // nobody is that fast
			}
		}
		if got, want := h.person("Ben").scroll("general"), numbers(250); !slices.Equal(got, want) {
			t.Errorf("got %q", got)
		}
	})
}

func TestWhoHasRecoveredNeedsNoMessages(t *testing.T) {
	inKeptHall(t, nil, func(h *hall) {
		ada := h.person("Ada", "general")
		ada.say("general", "hello")
		view, err := call(ada, chat.Join, chat.Entrance{Room: "general", Known: true})
		if err != nil || view.Page != nil || len(view.Members) != 1 {
			t.Errorf("got %+v, %v, want the members only", view, err)
		}
	})
}

// TestWhatADoorSaidWhileTheChatWasGone: the server was killed after the door
// was answered and before the message was on the screens.
func TestWhatADoorSaidWhileTheChatWasGone(t *testing.T) {
	inKeptHall(t, func(h *hall) {
		for _, text := range numbers(5) {
			h.publish("chat:general", text)
		}
		// Two of them had been passed on.
		page, err := h.ns.Space().History("chat:general", hub.PageQuery{})
		if err != nil {
			t.Fatal(err)
		}
		for i, m := range page.Messages[:2] {
			args, err := packet.Marshal(chat.Message{ID: string(m.Offset()), Room: "general", Text: fmt.Sprint(i)})
			if err != nil {
				t.Fatal(err)
			}
			passed := &hub.Message{Event: "message", Args: args, ID: string(m.Offset()), Publisher: "chat-relay:general"}
			if _, err := h.ns.Space().Publish(h.t.Context(), passed, hub.Address{Rooms: []string{"chat-screens:general"}}); err != nil {
				t.Fatal(err)
			}
		}
	}, func(h *hall) {
		synctest.Wait()
		h.publish("chat:general", "5")
		if got, want := h.person("Ada").scroll("general"), numbers(6); !slices.Equal(got, want) {
			t.Errorf("got %q, want %q", got, want)
		}
	})
}

func TestRoomsAreThereAgain(t *testing.T) {
	said := func(h *hall, room, text string) {
		args, err := packet.Marshal(chat.Message{ID: text, Room: room, Text: text})
		if err != nil {
			h.t.Fatal(err)
		}
		if _, err := h.ns.Space().Publish(h.t.Context(), &hub.Message{Event: "message", Args: args}, hub.Address{Rooms: []string{"chat:" + room, "chat-screens:" + room}}); err != nil {
			h.t.Fatal(err)
		}
	}
	inKeptHall(t, func(h *hall) {
		for _, room := range []string{"used", "slip", "used"} {
			if _, err := h.ns.To("chat-register").Emit("room", chat.RoomName{Room: room}); err != nil {
				t.Fatal(err)
			}
		}
		said(h, "used", "hello")
	}, func(h *hall) {
		p := h.open()
		welcome, err := call(p, chat.Enter, chat.Arrival{Name: "Ada"})
		if err != nil {
			t.Fatal(err)
		}
		var names []string
		for _, r := range welcome.Rooms {
			names = append(names, r.Name)
			if r.Name == "used" && (r.Last == nil || r.Last.Text != "hello") {
				t.Errorf("the last of %s is %+v", r.Name, r.Last)
			}
		}
		if want := []string{"general", "ideas", "lounge", "used"}; !slices.Equal(names, want) {
			t.Errorf("got %q, want %q", names, want)
		}
		p.join("new")
		page, err := h.ns.Space().History("chat-register", hub.PageQuery{})
		if err != nil || len(page.Messages) != 4 {
			t.Errorf("%d rooms are written down, %v, want the new one besides", len(page.Messages), err)
		}
	})
}

// TestADraftSentAgainAfterItsAuthorWasForgotten: as after a restart, only the
// memory knows the nonce.
func TestADraftSentAgainAfterItsAuthorWasForgotten(t *testing.T) {
	inKeptHall(t, nil, func(h *hall) {
		draft := chat.Draft{Room: "general", Text: "once", Nonce: "n"}
		var first chat.Receipt
		for i := range 2 {
			ada := h.person("Ada", "general")
			receipt, err := call(ada, chat.Send, draft)
			if err != nil {
				t.Fatal(err)
			}
			if i == 0 {
				first = receipt
			} else if receipt.ID != first.ID || receipt.Offset != first.Offset {
				t.Errorf("got %+v, want %+v", receipt, first)
			}
			ada.close()
			time.Sleep(20 * time.Minute) // the chat itself has forgotten her
		}
		if got := h.person("Ben").scroll("general"); !slices.Equal(got, []string{"once"}) {
			t.Errorf("got %q", got)
		}
	})
}

func TestLiveMessagesHaveTheirPlaceInTheHistory(t *testing.T) {
	inKeptHall(t, nil, func(h *hall) {
		ada, ben := h.person("Ada", "general"), h.person("Ben", "general")
		ada.events()
		receipt, err := call(ada, chat.Send, chat.Draft{Room: "general", Text: "hello"})
		if err != nil {
			t.Fatal(err)
		}
		events := ben.events()
		var m chat.Message
		var offset string
		if len(events) != 1 || json.Unmarshal([]byte(events[0][1:]), &[]any{new(string), &m, &offset}) != nil || offset != string(receipt.Offset) {
			t.Errorf("got %q, want the offset %q", events, receipt.Offset)
		}
		for before, want := range map[hub.Offset]string{receipt.Offset: "", "nonsense": "The conversation has changed"} {
			page, err := call(ben, chat.History, chat.Earlier{Room: "general", Before: before})
			if want == "" && (err != nil || len(page.Messages) != 0) {
				t.Errorf("before the first: %+v, %v", page, err)
			} else if want != "" {
				wantRefusal(t, err, want)
			}
		}
		_, err = call(ben, chat.History, chat.Earlier{Room: "lounge", Before: receipt.Offset})
		wantRefusal(t, err, "not in that room")
	})
}

func TestWithoutAMemoryThereIsNothingEarlier(t *testing.T) {
	inHall(t, func(h *hall) {
		ada := h.person("Ada", "general")
		ada.say("general", "hello")
		if view := ada.join("general"); view.More || len(view.Messages) != 1 || view.Messages[0].Offset != "" {
			t.Errorf("got %+v", view.Page)
		}
		if page, err := call(ada, chat.History, chat.Earlier{Room: "general", Before: "x"}); err != nil || len(page.Messages) != 0 {
			t.Errorf("got %+v, %v", page, err)
		}
	})
}

func TestAFloodFromADoorIsPassedOnWhole(t *testing.T) {
	inKeptHall(t, nil, func(h *hall) {
		ada := h.person("Ada", "general")
		big := strings.Repeat("x", 3000)
		for i := range 600 { // more than the relay's queue holds
			args, err := packet.Marshal(fmt.Sprintf("%d %s", i, big))
			if err != nil {
				t.Fatal(err)
			}
			if _, err := h.ns.Space().Publish(h.t.Context(), &hub.Message{Event: "message", Args: args}, hub.Address{Rooms: []string{"chat:general"}}); err != nil {
				t.Fatal(err)
			}
		}
		synctest.Wait()
		texts := ada.scroll("general")
		if len(texts) != 600 {
			t.Errorf("got %d messages, want 600", len(texts))
		}
		for i, text := range texts {
			if !strings.HasPrefix(text, fmt.Sprint(i)+" ") {
				t.Fatalf("message %d is %.10q", i, text)
			}
		}
	})
}
