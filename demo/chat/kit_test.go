package chat_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tutti-rt/tutti"
	"github.com/tutti-rt/tutti/demo/chat"
	"github.com/tutti-rt/tutti/hub"
	"github.com/tutti-rt/tutti/internal/leak"
	"github.com/tutti-rt/tutti/internal/siotest"
	"github.com/tutti-rt/tutti/packet"
)

// TestMain fails if a goroutine stays behind.
func TestMain(m *testing.M) { os.Exit(leak.Run(m)) }

// A hall is a server with a chat in it, in a bubble of fake time.
type hall struct {
	t   *testing.T
	ns  *tutti.Namespace
	net *siotest.Network
}

func inHall(t *testing.T, f func(h *hall)) {
	t.Helper()
	inHallOf(t, hub.Config{}, nil, f)
}

// inKeptHall is inHall with a memory. before runs before the chat is there.
func inKeptHall(t *testing.T, before, f func(h *hall)) {
	t.Helper()
	memory := &hub.Memory{Window: time.Hour, Rooms: []hub.RoomRule{{Pattern: "chat:*"}, {Pattern: "chat-screens:*"}, {Pattern: "chat-register"}}}
	inHallOf(t, hub.Config{Memory: func(string) *hub.Memory { return memory }}, before, f)
}

func inHallOf(t *testing.T, cfg hub.Config, before, f func(h *hall)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		srv, err := tutti.New(tutti.Config{Log: slog.New(slog.DiscardHandler), Hub: cfg})
		if err != nil {
			t.Fatal(err)
		}
		mux := http.NewServeMux()
		mux.Handle("/socket.io/", srv)
		h := &hall{t: t, ns: srv.Namespace("/")}
		if before != nil {
			before(h)
		}
		c, err := chat.Mount(srv.Namespace("/"), mux)
		if err != nil {
			t.Fatal(err)
		}
		h.net = siotest.Serve(mux)
		defer h.net.Close()
		defer c.Close()
		defer func() {
			if err := srv.Shutdown(context.Background()); err != nil {
				t.Errorf("shutdown: %v", err)
			}
		}()
		f(h)
	})
}

// publish says something in a room of the hub, as a door does.
func (h *hall) publish(room string, args ...any) {
	h.t.Helper()
	encoded, err := packet.Marshal(args...)
	if err != nil {
		h.t.Fatal(err)
	}
	m := &hub.Message{Event: "message", Args: encoded}
	if _, err := h.ns.Space().Publish(h.t.Context(), m, hub.Address{Rooms: []string{room}}); err != nil {
		h.t.Fatal(err)
	}
	synctest.Wait()
}

// A screen is a client with a page open.
type screen struct {
	t    *testing.T
	c    *siotest.Client
	next int
	done chan struct{}

	mu      sync.Mutex
	packets []string // not looked at yet
}

// open connects without introducing anybody.
func (h *hall) open() *screen {
	h.t.Helper()
	c, err := h.net.Dial()
	if err != nil {
		h.t.Fatal(err)
	}
	if _, err := c.Connect("/", ""); err != nil {
		h.t.Fatal(err)
	}
	p := &screen{t: h.t, c: c, done: make(chan struct{})}
	go func() { // ends with the connection; close waits for it, or the end of the bubble
		defer close(p.done)
		for {
			packet, err := c.Receive()
			if err != nil {
				return
			}
			p.mu.Lock()
			p.packets = append(p.packets, packet)
			p.mu.Unlock()
		}
	}()
	return p
}

// person enters and joins rooms. The name is the key too.
func (h *hall) person(name string, rooms ...string) *screen {
	h.t.Helper()
	p := h.open()
	if _, err := call(p, chat.Enter, chat.Arrival{Name: name, Key: name}); err != nil {
		h.t.Fatal(err)
	}
	for _, room := range rooms {
		p.join(room)
	}
	p.events()
	return p
}

func (p *screen) close() {
	p.c.Close()
	<-p.done
	synctest.Wait()
}

// call asks and returns the answer; a refusal is an error with its words.
func call[Req, Res any](p *screen, what tutti.Call[Req, Res], req Req) (res Res, err error) {
	p.t.Helper()
	arg, err := json.Marshal(req)
	if err != nil {
		p.t.Fatal(err)
	}
	p.next++
	if err := p.c.Send(fmt.Sprintf(`2%d["%s",%s]`, p.next, what, arg)); err != nil {
		p.t.Fatal(err)
	}
	synctest.Wait()
	p.mu.Lock()
	defer p.mu.Unlock()
	for i, packet := range p.packets {
		answer, ok := strings.CutPrefix(packet, fmt.Sprintf("3%d", p.next))
		if !ok {
			continue
		}
		p.packets = append(p.packets[:i:i], p.packets[i+1:]...)
		var refused []struct {
			Error string
			Data  struct{ Wait int64 }
		}
		if json.Unmarshal([]byte(answer), &refused) == nil && len(refused) == 1 && refused[0].Error != "" {
			return res, &refusal{refused[0].Error, time.Duration(refused[0].Data.Wait) * time.Millisecond}
		}
		if err := json.Unmarshal([]byte(answer), &[]any{&res}); err != nil {
			p.t.Fatalf("answer %s: %v", answer, err)
		}
		return res, nil
	}
	p.t.Fatalf("%s was not answered", what)
	return res, nil
}

type refusal struct {
	words string
	wait  time.Duration
}

func (r *refusal) Error() string { return r.words }

func (p *screen) join(room string) chat.RoomView {
	p.t.Helper()
	view, err := call(p, chat.Join, chat.Entrance{Room: room})
	if err != nil {
		p.t.Fatalf("join %s: %v", room, err)
	}
	return view
}

// say says something and takes the message off the own screen.
func (p *screen) say(room, text string) chat.Receipt {
	p.t.Helper()
	receipt, err := call(p, chat.Send, chat.Draft{Room: room, Text: text})
	if err != nil {
		p.t.Fatalf("say %.20q: %v", text, err)
	}
	return receipt
}

// send sends an event that is not answered.
func (p *screen) send(packet string) {
	p.t.Helper()
	if err := p.c.Send(packet); err != nil {
		p.t.Fatal(err)
	}
	synctest.Wait()
}

// events waits until nothing moves and takes everything that came, but the
// lists of rooms.
func (p *screen) events() []string {
	synctest.Wait()
	p.mu.Lock()
	defer p.mu.Unlock()
	var events []string
	for _, packet := range p.packets {
		if !strings.HasPrefix(packet, `2["rooms"`) {
			events = append(events, packet)
		}
	}
	p.packets = nil
	return events
}

// lists is like events, for the lists of rooms.
func (p *screen) lists() [][]chat.RoomCount {
	p.t.Helper()
	synctest.Wait()
	p.mu.Lock()
	defer p.mu.Unlock()
	var lists [][]chat.RoomCount
	for _, packet := range p.packets {
		if text, ok := strings.CutPrefix(packet, `2["rooms",`); ok {
			var list []chat.RoomCount
			if err := json.Unmarshal([]byte(strings.TrimSuffix(text, "]")), &list); err != nil {
				p.t.Fatal(err)
			}
			lists = append(lists, list)
		}
	}
	p.packets = nil
	return lists
}

// messages takes everything that came, which must be messages only.
func (p *screen) messages() []chat.Message {
	p.t.Helper()
	var messages []chat.Message
	for _, packet := range p.events() {
		text, ok := strings.CutPrefix(packet, `2["message",`)
		if !ok {
			p.t.Errorf("got %s, want messages only", packet)
			continue
		}
		var m chat.Message
		if err := json.Unmarshal([]byte(strings.TrimSuffix(text, "]")), &m); err != nil {
			p.t.Fatal(err)
		}
		messages = append(messages, m)
	}
	return messages
}

// presence takes everything that came, which must be presences only, in short:
// "joined general Ada".
func (p *screen) presence() []string {
	p.t.Helper()
	var short []string
	for _, packet := range p.events() {
		var event string
		var presence chat.Presence
		if err := json.Unmarshal([]byte(packet[1:]), &[]any{&event, &presence}); err != nil || (event != "joined" && event != "left") {
			p.t.Errorf("got %s, want presences only", packet)
		}
		short = append(short, event+" "+presence.Room+" "+presence.Member.Name)
	}
	return short
}

func wantRefusal(t *testing.T, err error, words string) time.Duration {
	t.Helper()
	r, ok := errors.AsType[*refusal](err)
	if !ok || !strings.Contains(r.words, words) {
		t.Errorf("got error %v, want a refusal with %q", err, words)
		return 0
	}
	return r.wait
}
