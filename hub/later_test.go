package hub_test

import (
	"context"
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
		g := visit(t, a.sp, "g", "r")
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
		_ = g
		if err := stranger.Close(); err != nil {
			t.Error(err)
		}
		c.close()
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
