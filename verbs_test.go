package tutti_test

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tutti-rt/tutti"
	"github.com/tutti-rt/tutti/hub"
	"github.com/tutti-rt/tutti/verb"
)

// chatMemory is a configuration in which rooms of "chat:" keep a history.
func chatMemory() tutti.Config {
	return tutti.Config{Hub: hub.Config{
		Memory: func(string) *hub.Memory { return &hub.Memory{Rooms: []hub.RoomRule{{Pattern: "chat:*"}}} },
	}}
}

// serve lets sockets of "/" use the verbs that rules open.
func (w *world) serve(rules ...verb.Rule) {
	w.t.Helper()
	d, err := verb.New(verb.Config{Rules: rules})
	if err != nil {
		w.t.Fatal(err)
	}
	w.srv.Namespace("/").ServeVerbs(d)
}

// ask sends a verb and returns its answer, reading over events.
func (c *client) ask(v, request string) string {
	c.t.Helper()
	c.send(fmt.Sprintf(`27[%q,%s]`, v, request))
	for {
		text, err := c.Receive()
		if err != nil {
			c.t.Fatal(err)
		}
		if answer, ok := strings.CutPrefix(text, "37["); ok {
			return strings.TrimSuffix(answer, "]")
		}
	}
}

func (c *client) wantAnswer(rule, v, request, want string) {
	c.t.Helper()
	if got := c.ask(v, request); !strings.Contains(got, want) {
		c.t.Errorf("%s: %s %s: got %s, want %s", rule, v, request, got, want)
	}
}

func TestVerbs(t *testing.T) {
	inWorld(t, chatMemory(), func(w *world) {
		w.serve(verb.Open("chat:*"))
		a, b := w.travel(), w.travel()
		var joined struct{ Offset string }
		json.Unmarshal([]byte(a.ask("join", `{"room":"chat:tea"}`)), &joined)
		if joined.Offset == "" {
			t.Error("a join is not answered with an offset")
		}
		first := b.ask("publish", `{"room":"chat:tea","event":"msg","data":{"n":1},"id":"x"}`)
		a.wantEvents("members hear", "msg map[n:1]")
		if again := b.ask("publish", `{"room":"chat:tea","event":"msg","data":{"n":1},"id":"x"}`); again != strings.TrimSuffix(first, "}")+`,"repeated":true}` {
			t.Errorf("a retry is answered with %s, want the first offset of %s", again, first)
		}
		b.ask("publish", `{"room":"chat:tea","event":"msg","data":{"n":2},"id":"x"}`)
		a.wantEvents("an id that a stranger chose too is another's", "msg map[n:2]")
		b.ask("publish", `{"room":"chat:tea","event":"bare"}`)
		a.wantEvents("without data", "bare")

		var page verb.Page
		if err := json.Unmarshal([]byte(b.ask("history", `{"room":"chat:tea","limit":2}`)), &page); err != nil {
			t.Fatal(err)
		}
		if len(page.Messages) != 2 || !page.More || page.Messages[0].Event != "msg" || page.Messages[1].Event != "bare" ||
			string(page.Messages[0].Data.JSON()) != `{"n":2}` || page.Messages[0].Time != time.Now().UnixMilli() {
			t.Errorf("last page: %+v", page)
		}
		before := page.Messages[0].Offset
		json.Unmarshal([]byte(b.ask("history", fmt.Sprintf(`{"room":"chat:tea","before":%q}`, before))), &page)
		if len(page.Messages) != 1 || page.More || string(page.Messages[0].Data.JSON()) != `{"n":1}` || page.Messages[0].ID != "x" {
			t.Errorf("page before: %+v", page)
		}
		json.Unmarshal([]byte(b.ask("history", fmt.Sprintf(`{"room":"chat:tea","after":%q,"limit":1}`, page.Messages[0].Offset))), &page)
		if len(page.Messages) != 1 || !page.More || page.Messages[0].Offset != before {
			t.Errorf("page after: %+v", page)
		}
		a.ask("leave", `{"room":"chat:tea"}`)
		if n := w.srv.Namespace("/").Space().Count("chat:tea"); n != 0 {
			t.Errorf("%d members after leaving", n)
		}
	})
}

func TestVerbRefusals(t *testing.T) {
	inWorld(t, chatMemory(), func(w *world) {
		w.serve(verb.Rule{Pattern: "chat:read", Join: verb.Anyone, Publish: verb.Members, Events: []string{"msg"}},
			verb.Open("chat:*"), verb.Open("plain"))
		c := w.connect("/")
		long := strings.Repeat("x", 65<<10)
		for _, x := range []struct{ rule, verb, request, want string }{
			{"no room", "join", `{}`, `"code":"bad_request"`},
			{"not an object", "join", `"chat:tea"`, `"code":"bad_request"`},
			{"a room that is not open", "join", `{"room":"other"}`, `"code":"forbidden"`},
			{"a bad name", "join", `{"room":"chat:\u0000"}`, `"code":"bad_room"`},
			{"a closed verb", "history", `{"room":"chat:read"}`, `"code":"forbidden"`},
			{"not a member", "publish", `{"room":"chat:read","event":"msg"}`, `"code":"not_member"`},
			{"no event", "publish", `{"room":"chat:tea"}`, `"code":"bad_request"`},
			{"a name of the protocol", "publish", `{"room":"chat:tea","event":"disconnect"}`, `"code":"bad_event"`},
			{"a name of the server's", "publish", `{"room":"chat:tea","event":"presence"}`, `"code":"bad_event"`},
			{"too much", "publish", `{"room":"chat:tea","event":"e","data":"` + long + `"}`, `"code":"too_large"`},
			{"a long id", "publish", `{"room":"chat:tea","event":"e","id":"` + long[:300] + `"}`, `"code":"too_large"`},
			{"no history", "history", `{"room":"plain"}`, `"code":"no_history"`},
			{"an offset that is none", "history", `{"room":"chat:tea","before":"x"}`, `"code":"bad_offset"`},
			{"both ways", "history", `{"room":"chat:tea","before":"x","after":"y"}`, `"code":"bad_request"`},
			{"a negative limit", "history", `{"room":"chat:tea","limit":-1}`, `"code":"bad_request"`},
			{"an empty history", "history", `{"room":"chat:tea"}`, `"messages":[],"more":false`},
		} {
			c.wantAnswer(x.rule, x.verb, x.request, x.want)
		}
		c.ask("join", `{"room":"chat:read"}`)
		c.wantAnswer("a member", "publish", `{"room":"chat:read","event":"msg"}`, `"offset"`)
		c.wantAnswer("another event", "publish", `{"room":"chat:read","event":"admin"}`, `"code":"bad_event"`)
	})
}

// TestVerbsServed: what no rule opens is the application's to handle, and what
// both want is a programmer's mistake.
func TestVerbsServed(t *testing.T) {
	inWorld(t, tutti.Config{}, func(w *world) {
		ns := w.srv.Namespace("/")
		ns.Handle("history", func(_ context.Context, _ *tutti.Socket, m *tutti.Message) error { return m.Reply("own") })
		w.serve(verb.Rule{Pattern: "*", Join: verb.Anyone})
		c := w.connect("/")
		c.wantAnswer("the application's", "history", `{}`, `"own"`)
		c.wantAnswer("without memory", "join", `{"room":"a"}`, `{}`)
		defer func() {
			if recover() == nil {
				t.Error("two handlers of an event do not conflict")
			}
		}()
		w.serve(verb.Open("*"))
	})
}

// TestVerbBinary: binary data passes, and a page of it does not have more
// attachments than a stock client takes.
func TestVerbBinary(t *testing.T) {
	inWorld(t, chatMemory(), func(w *world) {
		w.serve(verb.Open("chat:*"))
		c := w.connect("/")
		for range 12 {
			c.send(`51-7["publish",{"room":"chat:b","event":"blob","data":{"in":{"_placeholder":true,"num":0}}}]`)
			if err := c.SendBinary([]byte{1, 2, 3}); err != nil {
				t.Fatal(err)
			}
			if got, _ := c.Receive(); !strings.HasPrefix(got, `37[{"offset"`) {
				t.Fatalf("publish answered %s", got)
			}
		}
		c.send(`27["history",{"room":"chat:b","limit":100}]`)
		got, _ := c.Receive()
		if !strings.HasPrefix(got, `610-7[`) || !strings.Contains(got, `"more":true`) {
			t.Errorf("history answered %s, want ten attachments and more", got)
		}
		for range 10 {
			if blob, err := c.Receive(); err != nil || blob == "" {
				t.Fatalf("attachment %q, %v", blob, err)
			}
		}
		// A value that poses as an attachment cannot spoil the page.
		c.ask("publish", `{"room":"chat:b","event":"forged","data":{"_placeholder":true,"num":0}}`)
		c.wantAnswer("the page ends before it", "history", `{"room":"chat:b","limit":100}`, `"event":"forged"`)
		synctest.Wait()
	})
}
