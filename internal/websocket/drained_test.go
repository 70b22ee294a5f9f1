package websocket_test

import (
	"bytes"
	"errors"
	"io"
	"testing"

	"github.com/tutti-rt/tutti/internal/websocket"
)

// flood is more than any socket takes while its peer does not read.
var flood = websocket.Prepare(bytes.Repeat([]byte("x"), 16<<20), true)

// Whichever way what was queued leaves, who waits for that is told once, and may
// use the connection.
func TestOnDrained(t *testing.T) {
	for _, way := range []struct {
		name string
		send func(c *websocket.Conn) error
	}{
		{"send", func(c *websocket.Conn) error { return c.Send(flood) }},
		{"post", func(c *websocket.Conn) error { return c.Post(flood) }},
		{"notify", func(c *websocket.Conn) error { return c.SendNotify(flood, func() {}) }},
		{"flush", func(c *websocket.Conn) error { return errors.Join(c.Queue(flood), flush(c)) }},
		{"flush later", func(c *websocket.Conn) error { err := c.Queue(flood); c.FlushLater(); return err }},
	} {
		t.Run(way.name, func(t *testing.T) {
			eachNetwork(t, websocket.Options{}, func(t *testing.T, p *peer) {
				p.run(p.record)
				if p.conn.OnDrained(func() { t.Error("told of nothing") }) {
					t.Error("nothing was queued")
				}
				if err := way.send(p.conn); err != nil {
					t.Fatal(err)
				}
				drained := make(chan struct{})
				if !p.conn.OnDrained(func() {
					if p.conn.Queued() != 0 || p.conn.OnDrained(nil) {
						t.Error("told before all had left")
					}
					p.conn.Send(websocket.Prepare([]byte("after"), false))
					close(drained) // once: or it panics
				}) {
					t.Fatal("all has left a peer that does not read")
				}
				if _, err := io.CopyN(io.Discard, p.r, int64(flood.Len())); err != nil {
					t.Fatal(err)
				}
				within(t, drained, "what was to be called when all had left")
				p.want(fin|text, "after")
				p.stop()
			})
		})
	}
}

// What the writer does not wait for leaves from the caller's hands.
func TestOnDrainedByWhoWrites(t *testing.T) {
	eachNetwork(t, websocket.Options{}, func(t *testing.T, p *peer) {
		p.run(p.record)
		drained := make(chan struct{})
		if err := p.conn.Queue(websocket.Prepare([]byte("little"), false)); err != nil {
			t.Fatal(err)
		}
		if !p.conn.OnDrained(func() { close(drained) }) {
			t.Fatal("nothing was queued")
		}
		p.conn.Flush()
		within(t, drained, "what was to be called when all had left")
		p.want(fin|text, "little")
		p.stop()
	})
}

// Nobody waits for ever: the end of the connection counts.
func TestOnDrainedAtTheEnd(t *testing.T) {
	for name, end := range map[string]func(p *peer){
		"abort": func(p *peer) { p.conn.Abort(nil) },
		"cut":   func(p *peer) { p.nc.Close() },
	} {
		t.Run(name, func(t *testing.T) {
			eachNetwork(t, websocket.Options{}, func(t *testing.T, p *peer) {
				p.run(p.record)
				drained := make(chan struct{})
				if err := p.conn.Send(flood); err != nil || !p.conn.OnDrained(func() { close(drained) }) {
					t.Fatal("all has left a peer that does not read", err)
				}
				end(p)
				within(t, drained, "what was to be called when all had left")
				if p.conn.OnDrained(func() { t.Error("told of nothing") }) {
					t.Error("something waits on a connection that has ended")
				}
				p.stop()
			})
		})
	}
}

func flush(c *websocket.Conn) error { c.Flush(); return nil }
