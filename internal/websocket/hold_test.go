package websocket_test

import (
	"bytes"
	"fmt"
	"testing"

	"github.com/tutti-rt/tutti/internal/websocket"
)

// TestAnswersLeaveTogether says when what is sent while messages are received is
// written: at once, or when there are many messages after all of them; and that
// a short queue is no reason to end the connection.
func TestAnswersLeaveTogether(t *testing.T) {
	for _, x := range []struct {
		messages, queue int
		held            bool
	}{{1, 0, false}, {100, 0, true}, {100, 1000, true}} {
		t.Run(fmt.Sprintf("%d messages, queue of %d", x.messages, x.queue), func(t *testing.T) {
			client, server := pairOf(t, "tcp")
			p := accept(t, client, server, websocket.Options{Loop: &loop, MaxQueue: x.queue})
			most := 0 // the worker's, until the answers are there
			p.run(func(data []byte, binary bool) error {
				err := p.conn.Send(websocket.Prepare(bytes.Clone(data), binary))
				most = max(most, p.conn.Queued())
				return err
			})
			var all [][]byte
			for i := range x.messages {
				all = append(all, frame(fin|text, fmt.Sprintf("message %d", i)))
			}
			p.send(all...)
			for i := range x.messages {
				p.want(fin|text, fmt.Sprintf("message %d", i))
			}
			p.stop()
			if (most > 0) != x.held {
				t.Errorf("%d bytes waited for the messages that came with them", most)
			}
			if x.queue > 0 && most > x.queue {
				t.Errorf("%d bytes waited in a queue of %d", most, x.queue)
			}
		})
	}
}

// TestWhatIsHeldTakesNoRoom: an answer larger than the queue may follow another one,
// as it may when that has left at once.
func TestWhatIsHeldTakesNoRoom(t *testing.T) {
	client, server := pairOf(t, "tcp")
	p := accept(t, client, server, websocket.Options{Loop: &loop, MaxQueue: 4000})
	sizes := []int{5, 5000, 5, 5000}
	next := 0
	p.run(func([]byte, bool) error {
		err := p.conn.Send(websocket.Prepare(make([]byte, sizes[next]), true))
		next++
		return err
	})
	var all [][]byte
	for range sizes {
		all = append(all, frame(fin|text, string(bytes.Repeat([]byte("x"), 400))))
	}
	p.send(all...)
	for _, n := range sizes {
		p.want(fin|bin, string(make([]byte, n)))
	}
	p.stop()
}
