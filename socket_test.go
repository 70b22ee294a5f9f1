package tutti_test

import (
	"context"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tutti-rt/tutti"
)

func TestAttachmentsHaveTime(t *testing.T) {
	var limits []string
	cfg := tutti.Config{
		AttachmentTimeout: 5 * time.Second,
		Trace:             &tutti.Trace{LimitHit: func(l string) { limits = append(limits, l) }},
	}
	inWorld(t, cfg, func(w *world) {
		handleProbe(w.srv.Namespace("/"))
		c := w.connect("/")
		c.send(`51-["file",{"_placeholder":true,"num":0}]`)
		time.Sleep(4 * time.Second)
		if err := c.SendBinary([]byte("late enough")); err != nil {
			t.Fatal(err)
		}
		time.Sleep(10 * time.Second)
		c.wantNothing("a packet that was complete in time")
		if len(limits) > 0 {
			t.Errorf("limits hit: %s", limits)
		}

		c.send(`51-["file",{"_placeholder":true,"num":0}]`)
		c.wantEnd("a packet whose attachment does not come")
		if len(limits) != 1 || limits[0] != "attachment timeout" {
			t.Errorf("limits hit: %s", limits)
		}
	})
}

// A client's goodbye may cross ours.
func TestGoodbyesCross(t *testing.T) {
	inWorld(t, tutti.Config{}, func(w *world) {
		handleProbe(w.srv.Namespace("/"))
		c := w.connect("/")
		c.send("1")
		c.send("1")
		c.join("/")
		c.wantNothing("a goodbye to a namespace that was left")
	})
}

// What came while a guard made up its mind is for nobody if that says no.
func TestEventsOfARefusedSocket(t *testing.T) {
	inWorld(t, tutti.Config{}, func(w *world) {
		ns := w.srv.Namespace("/")
		decide, handled := make(chan struct{}), false
		ns.Guard(func(context.Context, *tutti.Socket) (context.Context, error) {
			<-decide
			return nil, &tutti.Refusal{Message: "no"}
		})
		ns.Handle("open", func(context.Context, *tutti.Socket, *tutti.Message) error {
			handled = true
			return nil
		})
		c := w.dial()
		c.send("0")
		c.send(`2["open"]`)
		synctest.Wait()
		close(decide)
		c.want(`4{"message":"no"}`, "the refusal")
		synctest.Wait()
		if handled {
			t.Error("an event of a socket that was refused was handled")
		}
	})
}

func TestShutdownWaitsForTheLastHandler(t *testing.T) {
	inWorld(t, tutti.Config{}, func(w *world) {
		over := false
		w.srv.Namespace("/").OnDisconnect(func(context.Context, *tutti.Socket, tutti.Reason) {
			time.Sleep(time.Second)
			over = true
		})
		w.connect("/")
		if err := w.srv.Shutdown(context.Background()); err != nil || !over {
			t.Errorf("Shutdown returned %v while a disconnect handler ran", err)
		}
	})
}

// A namespace of a family that the application has asked for stays.
func TestNamespaceKeptByName(t *testing.T) {
	inWorld(t, tutti.Config{}, func(w *world) {
		w.srv.Dynamic(func(context.Context, string, tutti.Handshake) (bool, error) { return true, nil })
		c := w.connect("/kept")
		kept := w.srv.Namespace("/kept")
		if _, ok := kept.Socket(c.id); !ok {
			t.Error("the namespace is not the one that the socket is in")
		}
		c.send("1/kept,")
		synctest.Wait()
		if w.srv.Namespace("/kept") != kept {
			t.Error("the namespace has gone with its last socket")
		}
	})
}

// Credentials stay in memory as long as a socket does.
func TestAuthIsBounded(t *testing.T) {
	var limits []string
	cfg := tutti.Config{
		MaxAuth: 100,
		Trace:   &tutti.Trace{LimitHit: func(l string) { limits = append(limits, l) }},
	}
	inWorld(t, cfg, func(w *world) {
		c := w.dial()
		c.send(`0{"token":"` + strings.Repeat("x", 100) + `"}`)
		c.want(`4{"message":"Auth too large"}`, "more than may be")
		c.send("0/there?token=" + strings.Repeat("x", 100) + ",")
		c.want(`4/there,{"message":"Auth too large"}`, "in the query of a namespace")
		if _, err := c.Connect("/", `{"token":"`+strings.Repeat("x", 80)+`"}`); err != nil {
			t.Errorf("as much as may be: %v", err)
		}
		if got := strings.Join(limits, ","); got != "auth,auth" {
			t.Errorf("limits hit: %s", got)
		}
	})
}
