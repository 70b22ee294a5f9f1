package tutti_test

import (
	"context"
	"encoding/json"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tutti-rt/tutti"
	"github.com/tutti-rt/tutti/verb"
)

func (c *client) present(request string) verb.PresenceAnswer {
	c.t.Helper()
	var answer verb.PresenceAnswer
	if text := c.ask("presence", request); json.Unmarshal([]byte(text), &answer) != nil {
		c.t.Fatalf("presence %s: %s", request, text)
	}
	return answer
}

// wantDifference reads the next event, which must be a difference.
func (c *client) wantDifference(rule string, version uint64, parts ...string) {
	c.t.Helper()
	text, err := c.Receive()
	if err != nil || !strings.HasPrefix(text, `2["presence",{"room":"chat:tea","version":`) {
		c.t.Fatalf("%s: got %s, %v, want a difference", rule, text, err)
	}
	var args []json.RawMessage
	var d struct{ Version uint64 }
	json.Unmarshal([]byte(text[1:]), &args)
	json.Unmarshal(args[1], &d)
	if d.Version != version || len(args) != 2 {
		c.t.Errorf("%s: %s, want version %d and no offset", rule, text, version)
	}
	for _, part := range parts {
		if !strings.Contains(text, part) {
			c.t.Errorf("%s: %s, want %s", rule, text, part)
		}
	}
}

func TestVerbPresence(t *testing.T) {
	inWorld(t, chatMemory(), func(w *world) {
		w.srv.Namespace("/").Guard(func(_ context.Context, s *tutti.Socket) (context.Context, error) {
			s.Introduce(s.Handshake().Query.Get("user"))
			return nil, nil
		})
		w.serve(verb.Open("chat:*"))
		const room = `{"room":"chat:tea"}`
		a, b := w.travel(), w.travel()
		a.wantAnswer("who is not in the room", "state", `{"room":"chat:tea","state":{}}`, `"code":"not_member"`)
		a.ask("join", room)
		b.ask("join", room)
		b.ask("state", `{"room":"chat:tea","state":{"name":"B"}}`)
		first := a.present(room)
		if first.Count != 2 || first.You != a.sid || first.Members[0].ID != a.sid || first.Members[1].ID != b.sid ||
			string(first.Members[1].State.JSON()) != `{"name":"B"}` {
			t.Errorf("present: %+v", first)
		}
		b.ask("state", `{"room":"chat:tea","state":{"typing":true}}`)
		a.wantDifference("who says something", first.Version+1, `"changed":[{"id":"`+b.sid, `"typing":true`)
		b.wantAnswer("a state that is none", "state", `{"room":"chat:tea","state":[1]}`, `"code":"bad_state"`)

		b.Close()
		synctest.Wait()
		time.Sleep(5 * time.Second)
		b.comeBack()
		b.wantRecovered("after a blip")
		time.Sleep(11 * time.Second)

		for range 2 { // two tabs
			tab := w.dial("user=ann")
			tab.Connect("/", "")
			tab.ask("join", room)
		}
		a.wantDifference("the next that is told", first.Version+2, `"joined":[{"id":"ann"}]`, `"count":3`)
		page := a.present(`{"room":"chat:tea","limit":1}`)
		if len(page.Members) != 1 || page.Count != 3 || page.Next == "" {
			t.Errorf("first page: %+v", page)
		}
		if page = a.present(`{"room":"chat:tea","after":"` + page.Next + `"}`); len(page.Members) != 2 || page.Next != "" {
			t.Errorf("second page: %+v", page)
		}
		a.present(`{"room":"chat:tea","watch":false}`)
		b.ask("leave", room)
		time.Sleep(time.Second)
		if got := a.present(`{"room":"chat:tea","watch":false}`); got.Count != 2 { // nothing was read before
			t.Errorf("after leaving: %+v", got)
		}
		a.wantAnswer("a page that is none", "presence", `{"room":"chat:tea","after":"!"}`, `"code":"bad_offset"`)
	})
}
