package websocket_test

import (
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/tutti-rt/tutti/internal/websocket"
)

// What a message asks for later comes before the message after it, in however
// few reads they arrive, and may wait: others are served meanwhile.
func TestLater(t *testing.T) {
	eachNetwork(t, websocket.Options{}, func(t *testing.T, p *peer) {
		gate := make(chan struct{})
		p.run(func(data []byte, binary bool) error {
			text := string(data)
			if !strings.HasPrefix(text, "wait") {
				return p.record(data, binary)
			}
			return websocket.Later(func() error {
				<-gate
				return p.record([]byte(text), binary)
			})
		})
		// As many others as there are workers, and more.
		var others []*peer
		for range 2 * runtime.GOMAXPROCS(0) {
			client, server := pairOf(t, "tcp")
			o := accept(t, client, server, websocket.Options{Loop: &loop})
			o.run(func(data []byte, binary bool) error { return o.conn.Send(websocket.Prepare(data, binary)) })
			others = append(others, o)
		}
		p.send(frame(fin|text, "a"), frame(fin|text, "wait b"), frame(fin|text, "wait c"), frame(fin|text, "d")[:3])
		p.send(frame(fin|text, "d")[3:], frame(fin|text, "wait e"), frame(fin|text, "f"), frame(fin|ping, "all read"))
		for _, o := range others {
			o.send(frame(fin|text, "echo"))
			o.want(fin|text, "echo")
			o.stop()
		}
		for range 3 {
			gate <- struct{}{}
		}
		p.want(fin|pong, "all read")
		if m := p.messages(); !slices.Equal(m, []string{"t:a", "t:wait b", "t:wait c", "t:d", "t:wait e", "t:f"}) {
			t.Errorf("messages %q", m)
		}
		p.stop()
	})
}

func TestLaterMayFail(t *testing.T) {
	eachNetwork(t, websocket.Options{}, func(t *testing.T, p *peer) {
		wrong := &websocket.CloseError{Code: 1003, Reason: "no"}
		p.run(func([]byte, bool) error { return websocket.Later(func() error { return wrong }) })
		p.send(frame(fin|text, "a"), frame(fin|text, "b"))
		p.wantClose(1003)
		if err := p.stop(); !errors.Is(err, wrong) {
			t.Errorf("ended with %v", err)
		}
	})
}

// A connection that is aborted while it waits ends when it has waited, and
// receives nothing more.
func TestAbortWhileWaiting(t *testing.T) {
	eachNetwork(t, websocket.Options{}, func(t *testing.T, p *peer) {
		entered, gate := make(chan struct{}), make(chan struct{})
		calls := 0
		p.run(func([]byte, bool) error {
			calls++
			return websocket.Later(func() error { close(entered); <-gate; return nil })
		})
		p.send(frame(fin|text, "a"), frame(fin|text, "b"))
		within(t, entered, "the first message")
		reason := errors.New("reason")
		p.conn.Abort(reason)
		p.wantEOF()
		close(gate)
		if err := p.stop(); !errors.Is(err, reason) || calls != 1 {
			t.Errorf("ended with %v after %d calls", err, calls)
		}
	})
}

// Posts of many senders leave in order, all of them, joined or not.
func TestPostIsInOrder(t *testing.T) {
	eachNetwork(t, websocket.Options{MaxQueue: -1}, func(t *testing.T, p *peer) {
		p.run(p.record)
		const messages = 5000
		go func() {
			for i := range messages {
				f := websocket.Prepare(fmt.Append(nil, i), false)
				send := p.conn.Post
				if i%7 == 0 {
					send = p.conn.Send
				}
				if err := send(f); err != nil {
					t.Error(err)
				}
				if i%100 == 0 {
					runtime.Gosched()
				}
			}
		}()
		for i := range messages {
			p.want(fin|text, fmt.Sprint(i))
		}
		p.stop()
	})
}
