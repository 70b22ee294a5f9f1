package hub_test

import (
	"context"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tutti-rt/tutti/hub"
	"github.com/tutti-rt/tutti/packet"
)

// TestClusterUnreadable: a node writes what the others cannot read. They go on, and
// can be closed.
func TestClusterUnreadable(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 2, hub.Memory{Window: time.Minute, MaxBytes: 1 << 20})
		a := c.nodes[0]
		stranger := c.service.Node()
		if err := stranger.Join(context.Background(), noPeer{}, nil); err != nil {
			t.Fatal(err)
		}
		line, err := stranger.Open(context.Background(), "/", c.memory, noFollower{})
		if err != nil {
			t.Fatal(err)
		}
		publish := func(id string) error {
			args, _ := packet.Marshal("x")
			ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
			defer cancel()
			m := &hub.Message{Publisher: "p", ID: id, Event: "e", Args: args, Rooms: []string{"r"}}
			_, err := a.sp.Publish(ctx, m, hub.Address{Rooms: m.Rooms})
			return err
		}
		for i := range 5 {
			id := string(rune('a' + i))
			line.Commit(context.Background(), &hub.SharedBatch{Messages: []*hub.SharedMessage{{Publisher: "p", ID: id, Rooms: []string{"r"}, Body: []byte{9, 9, 9}}}})
			synctest.Wait()
			if err := publish(id); err != nil {
				t.Errorf("the same again: %v", err)
			}
			if err := publish("own" + id); err != nil {
				t.Errorf("another: %v", err)
			}
			synctest.Wait()
		}
		if err := stranger.Close(); err != nil {
			t.Error(err)
		}
		c.close()
	})
}

// TestClusterUnreadableIsMissed: who was owed what his node cannot read does not
// continue behind it as if nothing were missing.
func TestClusterUnreadableIsMissed(t *testing.T) {
	inCluster(t, 2, hub.Memory{Window: time.Minute}, func(t *testing.T, c *cluster) {
		active, quiet := enterSession(t, c.nodes[0].sp, "active", 1000, "r"), enterSession(t, c.nodes[0].sp, "quiet", 1000, "q")
		say(t, c.nodes[0].sp, "before", "r")
		stranger := c.service.Node()
		if err := stranger.Join(context.Background(), noPeer{}, nil); err != nil {
			t.Fatal(err)
		}
		defer stranger.Close()
		line, err := stranger.Open(context.Background(), "/", c.memory, noFollower{})
		if err != nil {
			t.Fatal(err)
		}
		readable := func(text, room string) *hub.SharedMessage {
			m := message(t, text)
			m.Rooms = []string{room}
			body, err := hub.AppendRecord(nil, m)
			if err != nil {
				t.Fatal(err)
			}
			return &hub.SharedMessage{Rooms: []string{room}, Body: body}
		}
		line.Commit(context.Background(), &hub.SharedBatch{Messages: []*hub.SharedMessage{
			readable("1", "r"), {Rooms: []string{"r", "q"}, Body: []byte{9, 9, 9}}, readable("2", "r"),
		}})
		synctest.Wait()
		for name, r := range map[string]*reader{"active": active, "quiet": quiet} {
			r.mu.Lock()
			if r.evicted == nil || slices.Contains(r.got, "2") {
				t.Errorf("%s: evicted for %v, got %q", name, r.evicted, r.got)
			}
			r.mu.Unlock()
			back := new(reader)
			back.room.Store(1000)
			back.seat, err = c.nodes[0].sp.ResumeSession(context.Background(), back, r.ticket.Session, r.offset, hub.Arrival{})
			synctest.Wait()
			if err == nil && back.evicted == nil {
				t.Errorf("%s comes back and has missed nothing: got %q", name, back.got)
			}
		}
	})
}

type noPeer struct{}

func (noPeer) Told(string, []byte) {}
func (noPeer) Came(string, []byte) {}
func (noPeer) Left(string)         {}
func (noPeer) Reached(error)       {}

type noFollower struct{}

func (noFollower) Follow([]hub.Stored, hub.Position) {}
func (noFollower) Heard(string, []byte)              {}
func (noFollower) Lost(error, hub.Position)          {}
