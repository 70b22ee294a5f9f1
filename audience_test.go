package tutti_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tutti-rt/tutti"
)

func TestRooms(t *testing.T) {
	inWorld(t, tutti.Config{}, func(w *world) {
		ns := w.srv.Namespace("/")
		handleProbe(ns)
		a, b, c := w.connect("/"), w.connect("/"), w.connect("/")
		sa, _ := ns.Socket(a.id)
		sb, _ := ns.Socket(b.id)
		sa.Join("x", "y")
		sb.Join("y", "z")

		ns.To("x", "y", "z").Emit("1")
		a.want(`2["1"]`, "a member of several rooms is reached once")
		b.want(`2["1"]`, "a member of several rooms is reached once")
		ns.To("y").Except("z").Emit("2")
		a.want(`2["2"]`, "except takes away")
		sa.To("y").Emit("3")
		b.want(`2["3"]`, "a socket's broadcast is not for itself")
		sa.Broadcast().Emit("4")
		b.want(`2["4"]`, "nor is one to everyone")
		c.want(`2["4"]`, "to everyone else")
		sa.Except("y").Emit("5")
		c.want(`2["5"]`, "everyone else but a room")
		ns.To(c.id).Emit("6")
		c.want(`2["6"]`, "a socket is a room of its own")
		ns.Emit("7")
		for _, c := range []*client{a, b, c} {
			c.want(`2["7"]`, "everyone")
			c.wantNothing("and no more than that")
		}

		ns.To("z").Join("late")
		ns.To("y").Leave("y")
		if got := slices.Sorted(slices.Values(sb.Rooms())); !slices.Equal(got, sorted(b.id, "late", "z")) {
			t.Errorf("rooms %q", got)
		}
		ns.To("late").Emit("8")
		b.want(`2["8"]`, "an audience can be made to join")
		ns.Except(a.id).Disconnect()
		b.want("1", "an audience can be disconnected")
		c.want("1", "an audience can be disconnected")
		a.wantNothing("but not who is excepted")
	})
}

func sorted(names ...string) []string {
	slices.Sort(names)
	return names
}

func TestAudienceIsAValue(t *testing.T) {
	inWorld(t, tutti.Config{}, func(w *world) {
		ns := w.srv.Namespace("/")
		base := ns.To("a")
		one, two := base.To("b"), base.To("c")
		var got [2]int
		for i, aud := range []tutti.Audience{one, two} {
			c := w.connect("/")
			s, _ := ns.Socket(c.id)
			s.Join([]string{"b", "c"}[i])
			for range aud.Sockets(context.Background()) {
				got[i]++
			}
		}
		if got != [2]int{1, 1} {
			t.Errorf("audiences made of one share memory: %v", got)
		}
	})
}

func TestSocketsYieldsAndStops(t *testing.T) {
	inWorld(t, tutti.Config{}, func(w *world) {
		ns := w.srv.Namespace("/")
		ids := []string{w.connect("/").id, w.connect("/").id}
		var got []string
		for info, err := range ns.Sockets(context.Background()) {
			if err != nil || !slices.Equal(info.Rooms, []string{info.ID}) {
				t.Errorf("%+v, %v", info, err)
			}
			got = append(got, info.ID)
		}
		if !slices.Equal(sorted(got...), sorted(ids...)) {
			t.Errorf("sockets %q, want %q", got, ids)
		}
		for range ns.Sockets(context.Background()) {
			break
		}
		ns.Emit("nothing is locked")
	})
}

const vote tutti.Call[string, int] = "vote"

func TestAsk(t *testing.T) {
	inWorld(t, tutti.Config{MaxPendingCalls: 1}, func(w *world) {
		ns := w.srv.Namespace("/")
		var clients []*client
		for range 3 {
			c := w.connect("/")
			s, _ := ns.Socket(c.id)
			s.Join("voters")
			clients = append(clients, c)
		}
		w.connect("/") // is not asked

		var votes []int
		var missing *tutti.MissingError
		done := make(chan time.Duration, 1)
		start := time.Now()
		go func() {
			ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
			defer cancel()
			for n, err := range vote.Ask(ctx, ns.To("voters"), "tea?") {
				if errors.As(err, &missing) {
					break
				} else if err != nil {
					votes = append(votes, -1)
					continue
				}
				votes = append(votes, n)
			}
			done <- time.Since(start)
		}()
		for i, c := range clients {
			c.want(`20["vote","tea?"]`, "everyone is asked under the same number")
			if i < 2 {
				c.send([]string{`30[7]`, `30["odd"]`}[i])
				synctest.Wait()
			}
		}
		if took := <-done; took != 5*time.Second {
			t.Errorf("took %v, want exactly 5 s", took)
		}
		if !slices.Equal(votes, []int{7, -1}) || missing == nil || missing.Asked != 3 || missing.Answered != 2 || !errors.Is(missing, context.DeadlineExceeded) {
			t.Errorf("votes %v, missing %v", votes, missing)
		}

		// Nobody waits for the third any more, so it may be asked again: only
		// one call may be pending.
		s, _ := ns.Socket(clients[2].id)
		go func() {
			n, err := vote.Do(context.Background(), s, "more?")
			if n != 3 || err != nil {
				t.Errorf("%d, %v", n, err)
			}
			done <- 0
		}()
		clients[2].want(`21["vote","more?"]`, "the next call has the next number")
		clients[2].send(`30[1]`) // too late, for the first
		clients[2].send(`31[3]`)
		clients[2].send(`31[4]`) // only one answer counts
		<-done
	})
}

func TestAskWhoLeaves(t *testing.T) {
	inWorld(t, tutti.Config{}, func(w *world) {
		ns := w.srv.Namespace("/")
		for n, err := range vote.Ask(context.Background(), ns.Everyone(), "anybody?") {
			t.Errorf("nobody is there, got %v, %v", n, err)
		}
		c := w.connect("/")
		done := make(chan error, 1)
		go func() {
			var last error
			for _, err := range vote.Ask(context.Background(), ns.Everyone(), "tea?") {
				last = err
			}
			done <- last
		}()
		c.want(`21["vote","tea?"]`, "asked")
		c.Close()
		var missing *tutti.MissingError
		if err := <-done; !errors.As(err, &missing) || !errors.Is(err, tutti.ErrDisconnected) {
			t.Errorf("got %v, want a MissingError at once", err)
		}
	})
}

func TestCallInsideHandler(t *testing.T) {
	inWorld(t, tutti.Config{MaxPendingCalls: 1}, func(w *world) {
		ns := w.srv.Namespace("/")
		ns.Handle("ask me", func(ctx context.Context, s *tutti.Socket, m *tutti.Message) error {
			n, err := vote.Do(ctx, s, "tea?")
			if err != nil {
				return err
			}
			return m.Reply(n + 1)
		})
		c := w.connect("/")
		c.send(`20["ask me"]`)
		c.want(`20["vote","tea?"]`, "a handler may ask its own peer")
		s, _ := ns.Socket(c.id)
		if _, err := vote.Do(context.Background(), s, "more?"); !errors.Is(err, tutti.ErrTooManyCalls) {
			t.Errorf("second call pending: %v", err)
		}
		c.send(`30[1]`)
		c.want(`30[2]`, "and gets the answer while it runs")

		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		if _, err := vote.Do(ctx, s, "slow?"); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("no answer: %v", err)
		}
	})
}

// TestOneOrder publishes from many goroutines at once: all sockets must
// receive the same sequence, and each publisher's messages in its order.
func TestOneOrder(t *testing.T) {
	const publishers, each = 8, 50
	inWorld(t, tutti.Config{}, func(w *world) {
		ns := w.srv.Namespace("/")
		clients := []*client{w.connect("/"), w.connect("/"), w.connect("/")}
		var wg sync.WaitGroup
		for p := range publishers {
			wg.Go(func() {
				for i := range each {
					ns.Emit("n", p, i)
				}
			})
		}
		wg.Wait()
		var first []string
		for _, c := range clients {
			var got []string
			next := make([]int, publishers)
			for range publishers * each {
				text, err := c.Receive()
				if err != nil {
					t.Fatal(err)
				}
				var p, i int
				if _, err := fmt.Sscanf(text, `2["n",%d,%d]`, &p, &i); err != nil || next[p] != i {
					t.Fatalf("%s, want number %d of publisher %d", text, next[p], p)
				}
				next[p]++
				got = append(got, text)
			}
			if first == nil {
				first = got
			} else if !slices.Equal(got, first) {
				t.Fatal("two sockets received different orders")
			}
		}
	})
}
