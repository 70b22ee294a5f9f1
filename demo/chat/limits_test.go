package chat_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tutti-rt/tutti/demo/chat"
)

func TestNames(t *testing.T) {
	inHall(t, func(h *hall) {
		for _, c := range []struct{ name, want, refusal string }{
			{"Ada", "Ada", ""},
			{"  Ada \t Byrne\n", "Ada Byrne", ""},
			{"A\u202eda\u200b\x00", "Ada", ""},
			{"Zoë 👩‍🎤", "Zoë 👩‍🎤", ""},
			{strings.Repeat("ü", 32), strings.Repeat("ü", 32), ""},
			{strings.Repeat("ü", 33), "", "at most 32"},
			{"", "", "write a name"},
			{" \u200b\u3164 ", "", "write a name"},
			{"\u0301", "", "write a name"},
		} {
			p := h.open()
			welcome, err := call(p, chat.Enter, chat.Arrival{Name: c.name})
			if c.refusal != "" {
				wantRefusal(t, err, c.refusal)
			} else if err != nil || welcome.You.Name != c.want {
				t.Errorf("%q: got %q, %v, want %q", c.name, welcome.You.Name, err, c.want)
			}
			p.close()
		}
	})
}

func TestANameBelongsToWhoIsThere(t *testing.T) {
	inHall(t, func(h *hall) {
		ada := h.person("Ada", "general")
		other := h.open()
		_, err := call(other, chat.Enter, chat.Arrival{Name: "ADA", Key: "another"})
		wantRefusal(t, err, "called Ada already")
		if _, err := call(other, chat.Join, chat.Entrance{Room: "general"}); err == nil {
			t.Error("who was refused came in")
		}
		ada.close()
		if _, err := call(other, chat.Enter, chat.Arrival{Name: "ADA", Key: "another"}); err != nil {
			t.Errorf("the name is free: %v", err)
		}
		again := h.open()
		_, err = call(again, chat.Enter, chat.Arrival{Name: "Ada", Key: "Ada"})
		wantRefusal(t, err, "called ADA already")
	})
}

func TestAPersonKeepsTheirID(t *testing.T) {
	inHall(t, func(h *hall) {
		p := h.open()
		first, err := call(p, chat.Enter, chat.Arrival{Name: "Ada", Key: "secret"})
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(first.You.ID, "secret") {
			t.Error("the id tells the key")
		}
		p.join("general")
		ben := h.person("Ben", "general")
		renamed, err := call(p, chat.Enter, chat.Arrival{Name: "Ada B.", Key: "secret"})
		if err != nil || renamed.You != (chat.Person{ID: first.You.ID, Name: "Ada B."}) {
			t.Errorf("renamed: %+v, %v", renamed.You, err)
		}
		if got, want := ben.presence(), []string{"joined general Ada B."}; !slices.Equal(got, want) {
			t.Errorf("Ben was told %q, want %q", got, want)
		}
		_, err = call(p, chat.Enter, chat.Arrival{Name: "Ada", Key: "another"})
		wantRefusal(t, err, "somebody else's")
		p.close()
		time.Sleep(time.Hour)
		back, err := call(h.open(), chat.Enter, chat.Arrival{Name: "Ada", Key: "secret"})
		if err != nil || back.You.ID != first.You.ID {
			t.Errorf("an hour later: %+v, %v", back.You, err)
		}
	})
}

func TestWithoutAKeyOneIsSomebodyNew(t *testing.T) {
	inHall(t, func(h *hall) {
		p := h.open()
		a, err := call(p, chat.Enter, chat.Arrival{Name: "Ada"})
		if err != nil {
			t.Fatal(err)
		}
		again, err := call(p, chat.Enter, chat.Arrival{Name: "Ada B."})
		if err != nil || again.You.ID != a.You.ID {
			t.Errorf("on the same connection: %+v, %v", again.You, err)
		}
		b, err := call(h.open(), chat.Enter, chat.Arrival{Name: "Ben"})
		if err != nil || b.You.ID == a.You.ID {
			t.Errorf("on another: %+v, %v", b.You, err)
		}
	})
}

func TestADraftSentAgainIsSaidOnce(t *testing.T) {
	inHall(t, func(h *hall) {
		ada, ben := h.person("Ada", "general"), h.person("Ben", "general")
		draft := chat.Draft{Room: "general", Text: "once", Nonce: "n"}
		first, err := call(ada, chat.Send, draft)
		if err != nil {
			t.Fatal(err)
		}
		again, err := call(ada, chat.Send, draft)
		if err != nil || again.ID != first.ID || !again.At.Equal(first.At) {
			t.Errorf("again: %+v, %v, want %+v", again, err, first)
		}
		// The answer was lost with the connection: the page comes back and asks anew.
		ada.close()
		time.Sleep(9 * time.Minute)
		ada = h.person("Ada", "general")
		later, err := call(ada, chat.Send, draft)
		if err != nil || later.ID != first.ID {
			t.Errorf("after a reconnection: %+v, %v, want %+v", later, err, first)
		}
		ben.join("lounge")
		if _, err := call(ben, chat.Send, chat.Draft{Room: "general", Text: "also", Nonce: "n"}); err != nil {
			t.Fatal(err)
		}
		got := h.person("Cleo").join("general").Messages
		if len(got) != 2 || got[0].Text != "once" || got[1].Text != "also" {
			t.Errorf("got %+v, want one message of each", got)
		}
	})
}

func TestARefusedDraftMayBeSentAgain(t *testing.T) {
	inHall(t, func(h *hall) {
		ada := h.person("Ada", "general")
		var wait time.Duration
		var refused string
		for i := range 30 {
			nonce := fmt.Sprint(i)
			if _, err := call(ada, chat.Send, chat.Draft{Room: "general", Text: nonce, Nonce: nonce}); err != nil {
				wait, refused = wantRefusal(t, err, "slower"), nonce
				break
			}
		}
		if refused == "" || wait <= 0 || wait > time.Second {
			t.Fatalf("refused %q for %v, want a refusal and a short wait", refused, wait)
		}
		time.Sleep(wait)
		if _, err := call(ada, chat.Send, chat.Draft{Room: "general", Text: refused, Nonce: refused}); err != nil {
			t.Errorf("after the wait: %v", err)
		}
		got := h.person("Ben").join("general").Messages
		if last := got[len(got)-1]; last.Text != refused || fmt.Sprint(len(got)-1) != refused {
			t.Errorf("got %d messages, the last %+v", len(got), last)
		}
	})
}

func TestTexts(t *testing.T) {
	inHall(t, func(h *hall) {
		ada := h.person("Ada", "general")
		for _, c := range []struct{ text, refusal string }{
			{"", "nothing"}, {" \n\x00", "nothing"}, {strings.Repeat("é", 4001), "at most 4000"},
		} {
			_, err := call(ada, chat.Send, chat.Draft{Room: "general", Text: c.text})
			wantRefusal(t, err, c.refusal)
		}
		ada.say("general", strings.Repeat("é", 4000))
		_, err := call(ada, chat.Send, chat.Draft{Room: "general", Text: "x", Nonce: strings.Repeat("n", 65)})
		wantRefusal(t, err, "nonce")
		_, err = call(ada, chat.Send, chat.Draft{Room: "lounge", Text: "x"})
		wantRefusal(t, err, "not in that room")
		_, err = call(h.open(), chat.Send, chat.Draft{Room: "general", Text: "x"})
		wantRefusal(t, err, "not in that room")
	})
}

func TestRoomNames(t *testing.T) {
	inHall(t, func(h *hall) {
		ada := h.person("Ada")
		for _, name := range []string{"a", "late-rehearsals", "2nd-violins", strings.Repeat("a", 32)} {
			ada.join(name)
		}
		for _, name := range []string{"", "General", "a b", "-a", "a-", "a--b", "é", "a\n", strings.Repeat("a", 33)} {
			_, err := call(ada, chat.Join, chat.Entrance{Room: name})
			wantRefusal(t, err, "letters a to z")
		}
		_, err := call(h.open(), chat.Join, chat.Entrance{Room: "general"})
		wantRefusal(t, err, "name first")
	})
}

func TestRoomsAreLimited(t *testing.T) {
	inHall(t, func(h *hall) {
		var made int
		for i := range 4 {
			p := h.person(fmt.Sprintf("Person %d", i))
			for j := range 50 {
				if _, err := call(p, chat.Join, chat.Entrance{Room: fmt.Sprintf("room-%d-%d", i, j)}); err != nil {
					wantRefusal(t, err, "many rooms already")
					continue
				}
				made++
			}
			if i == 0 {
				_, err := call(p, chat.Join, chat.Entrance{Room: "general"})
				wantRefusal(t, err, "in very many rooms")
				p.say("room-0-7", "remember me")
				if _, err := call(p, chat.Leave, chat.RoomName{Room: "room-0-7"}); err != nil {
					t.Fatal(err)
				}
			}
		}
		// The three that are always there count, and room-0-7 had to make way.
		if made != 198 {
			t.Errorf("made %d rooms, want 198", made)
		}
		if slices.Contains(h.ns.Space().Rooms(), "chat:room-0-7") {
			t.Error("the empty room did not make way")
		}
	})
}

func TestBadArgumentsAreRefused(t *testing.T) {
	inHall(t, func(h *hall) {
		ada := h.person("Ada", "general")
		for _, packet := range []string{
			`2["enter"]`, `2["enter",7]`, `2["join","general"]`, `2["join",null]`, `2["leave",{"room":1}]`,
			`2["send",[]]`, `2["typing"]`, `2["typing",{"room":{}}]`, `2["nonsense",1]`,
		} {
			ada.send(packet)
		}
		if got := ada.events(); got != nil {
			t.Errorf("got %q", got)
		}
		ada.say("general", "still here")
	})
}
