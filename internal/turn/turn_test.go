package turn_test

import (
	"io"
	"net"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tutti-rt/tutti/internal/sweep/sweeptest"
	"github.com/tutti-rt/tutti/internal/turn"
)

func TestDebt(t *testing.T) {
	start := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	var d turn.Debt
	if !d.Heavy(start) {
		t.Error("who is new is not taken for heavy")
	}
	d.Add(start, 50*time.Microsecond) // 2.5 ms until it is forgotten, and what a new one has
	for after, want := range map[time.Duration]bool{0: true, 2 * time.Millisecond: true, 3 * time.Millisecond: false, time.Hour: false} {
		if got := d.Heavy(start.Add(after)); got != want {
			t.Errorf("50 µs of work, %v later: heavy is %v", after, got)
		}
	}
	now := start.Add(time.Minute)
	for range 1000 { // a hundred times a second, 60 µs each
		if now = now.Add(10 * time.Millisecond); d.Heavy(now) {
			t.Fatalf("heavy at %v", now.Sub(start))
		}
		d.Add(now, 60*time.Microsecond)
	}
	for range 300 { // and 300 µs each
		now = now.Add(10 * time.Millisecond)
		d.Add(now, 300*time.Microsecond)
	}
	for after, want := range map[time.Duration]bool{900 * time.Millisecond: true, time.Second: false} { // it ends somewhere
		if got := d.Heavy(now.Add(after)); got != want {
			t.Errorf("3 %% of a processor for three seconds, %v later: heavy is %v", after, got)
		}
	}
	d = 0
	d.Add(start, time.Hour) // most of which was waiting, perhaps
	if !d.Heavy(start.Add(14*time.Millisecond)) || d.Heavy(start.Add(16*time.Millisecond)) {
		t.Error("an hour's work does not count for 300 µs")
	}
	for _, jump := range []time.Duration{-time.Hour, 20 * time.Hour, -100 * 24 * time.Hour} {
		if d.Heavy(start.Add(jump)) {
			t.Errorf("heavy after the clock was set by %v", jump)
		}
	}
	d.Add(start, -time.Second) // the clock was set meanwhile: nothing
}

// TestClosed: who waits goes on all the same.
func TestClosed(t *testing.T) {
	var line turn.Line
	line.Close()
	line.Wait()
	line.WaitLittle()
	var other turn.Line
	other.Open()
	other.Wait()
	other.Close()
	other.Wait()
}

// TestBesideComputing: goroutines that compute do not leave it to the line when
// others go on.
func TestBesideComputing(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	var line turn.Line
	defer line.Close()
	var over atomic.Bool
	var all sync.WaitGroup
	all.Go(func() {
		for !over.Load() {
		}
	})
	began, n := time.Now(), 0
	for ; n < 2000; n++ {
		spin(50 * time.Microsecond)
		line.Wait()
		if n > 100 && time.Since(began) > 20*time.Second {
			break
		}
	}
	over.Store(true)
	all.Wait()
	if n < 2000 {
		t.Errorf("went on %d times", n)
	}
}

// TestWhileSweeping: there are turns while the runtime sweeps, when it looks at
// sockets every ten milliseconds.
func TestWhileSweeping(t *testing.T) {
	var line turn.Line
	defer line.Close()
	var others atomic.Int64
	var over atomic.Bool
	var all sync.WaitGroup
	all.Go(func() {
		for ; !over.Load(); others.Add(1) {
			runtime.Gosched()
		}
	})
	line.Wait()
	bad := 0
	sweeptest.During(10, func(sweeping func() bool) {
		was, turns := others.Load(), int64(0)
		for ; sweeping(); turns++ {
			line.Wait()
		}
		between := others.Load() - was
		if t.Logf("%d turns, others had %d", turns, between); turns < 3 || turns > between {
			bad++
		}
	})
	over.Store(true)
	all.Wait()
	if bad > 5 { // the machine may have been busy with something else
		t.Errorf("less than three turns, or no waiting, in %d sweeps of 10", bad)
	}
}

// TestOthersGoFirst has many go on and on, and counts how often they do while one
// byte goes to and fro.
func TestOthersGoFirst(t *testing.T) {
	for name, x := range map[string]struct {
		wait func(*turn.Line)
		most int64 // for a round trip, in which there are two looks at sockets
	}{
		"slices": {(*turn.Line).Wait, 10},
		"little": {(*turn.Line).WaitLittle, 60},
	} {
		t.Run(name, func(t *testing.T) {
			best := int64(1 << 62)
			for range 5 { // the machine may have been busy with something else: then there are no turns
				best = min(best, goneOn(t, x.wait))
			}
			t.Logf("%d for %d round trips", best, rounds)
			if best > x.most*rounds {
				t.Errorf("32 went on %d times during %d round trips, want at most %d for each", best, rounds, x.most)
			}
		})
	}
}

// rounds is how often a byte goes to and fro.
const rounds = 30

// goneOn says how often 32 goroutines go on meanwhile.
func goneOn(t *testing.T, wait func(*turn.Line)) int64 {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	var line turn.Line
	defer line.Close()
	there, back := echo(t)
	var gone atomic.Int64
	var over atomic.Bool
	var all sync.WaitGroup
	for range 32 {
		all.Go(func() {
			for !over.Load() {
				spin(20 * time.Microsecond)
				gone.Add(1)
				wait(&line)
			}
		})
	}
	buf := make([]byte, 1)
	for range rounds {
		if _, err := there.Write(buf); err != nil {
			t.Fatal(err)
		}
		if _, err := io.ReadFull(there, buf); err != nil {
			t.Fatal(err)
		}
	}
	n := gone.Load()
	over.Store(true)
	all.Wait()
	there.Close()
	back.Wait()
	return n
}

// echo returns a connection that is answered, until it is closed.
func echo(t *testing.T) (net.Conn, *sync.WaitGroup) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	there, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	back, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	var running sync.WaitGroup
	running.Go(func() {
		defer back.Close()
		_, _ = io.Copy(struct{ io.Writer }{back}, struct{ io.Reader }{back}) // ends with there
	})
	return there, &running
}

// spin has the processor for a while.
func spin(d time.Duration) {
	for began := time.Now(); time.Since(began) < d; {
	}
}
