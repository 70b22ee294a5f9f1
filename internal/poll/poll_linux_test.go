package poll_test

import (
	"bytes"
	"errors"
	"io"
	"net"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tutti-rt/tutti/internal/poll"
	"github.com/tutti-rt/tutti/internal/sweep/sweeptest"
)

// pair returns the two ends of a TCP connection.
func pair(t testing.TB) (client, server net.Conn) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if client, err = net.Dial("tcp", l.Addr().String()); err != nil {
		t.Fatal(err)
	}
	if server, err = l.Accept(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { client.Close() })
	return client, server
}

// end reads all there is whenever it is told to.
type end struct {
	poll.Socket
	got   bytes.Buffer
	full  chan struct{} // closed when want bytes are there
	want  int
	over  chan error
	wrote chan struct{}
}

func (e *end) Of() *poll.Socket { return &e.Socket }

func (e *end) Ready(event poll.Event, buf []byte) {
	if event&poll.Writable != 0 && e.wrote != nil {
		close(e.wrote)
		e.wrote = nil
	}
	if event&poll.Readable == 0 {
		return
	}
	for {
		n, err := e.Read(buf[:100])
		if err != nil {
			e.Close()
			e.over <- err
			return
		}
		if n == 0 {
			return
		}
		e.got.Write(buf[:n])
		if e.full != nil && e.got.Len() >= e.want {
			close(e.full)
			e.full = nil
		}
	}
}

func start(t *testing.T, p *poll.Poller, e *end) net.Conn {
	t.Helper()
	client, server := pair(t)
	e.over = make(chan error, 1)
	if !e.Adopt(p, server) {
		t.Fatal("not adopted")
	}
	if _, err := server.Write([]byte("x")); !errors.Is(err, net.ErrClosed) {
		t.Errorf("the connection that was adopted is not closed: %v", err)
	}
	if err := e.Start(e); err != nil {
		t.Fatal(err)
	}
	return client
}

func stop(t *testing.T, p *poll.Poller) {
	p.Close()
	p.Close()
	p.Wait()
	_, server := pair(t)
	defer server.Close()
	var s poll.Socket
	if s.Adopt(p, server) {
		t.Error("adopted after Close")
	}
	if _, err := server.Write([]byte("x")); err != nil {
		t.Errorf("a connection that was not adopted: %v", err)
	}
}

func TestSocketIsReadAndEnds(t *testing.T) {
	var p poll.Poller
	full := make(chan struct{})
	e := &end{full: full, want: 100_000}
	client := start(t, &p, e)
	text := bytes.Repeat([]byte("0123456789"), 10_000)
	if _, err := client.Write(text); err != nil {
		t.Fatal(err)
	}
	<-full
	if n, err := e.Write([]byte("answer")); n != 6 || err != nil {
		t.Errorf("Write = %d, %v", n, err)
	}
	buf := make([]byte, 6)
	if _, err := io.ReadFull(client, buf); err != nil || string(buf) != "answer" {
		t.Errorf("read %q, %v", buf, err)
	}
	client.Close()
	if err := <-e.over; err != io.EOF || !bytes.Equal(e.got.Bytes(), text) {
		t.Errorf("got %d bytes and %v", e.got.Len(), err)
	}
	if _, err := e.Write(nil); !errors.Is(err, net.ErrClosed) {
		t.Errorf("Write after Close: %v", err)
	}
	if err := errors.Join(e.Again()); !errors.Is(err, net.ErrClosed) {
		t.Errorf("Again after Close: %v", err)
	}
	stop(t, &p)
}

func TestWritableIsToldOnceThereIsRoom(t *testing.T) {
	var p poll.Poller
	wrote := make(chan struct{})
	e := &end{wrote: wrote}
	client := start(t, &p, e)
	sent := 0
	for block := make([]byte, 1<<20); ; {
		n, err := e.Write(block)
		if err != nil {
			t.Fatal(err)
		}
		sent += n
		if n < len(block) {
			break
		}
	}
	if err := e.Again(); err != nil {
		t.Fatal(err)
	}
	select {
	case <-wrote:
		t.Error("writable though nothing was read")
	default:
	}
	go func() { _, _ = io.CopyN(io.Discard, client, int64(sent)) }()
	<-wrote
	client.Close()
	<-e.over
	stop(t, &p)
}

func TestShutdownIsTold(t *testing.T) {
	var p poll.Poller
	e := &end{}
	client := start(t, &p, e)
	e.Shutdown(true)
	if _, err := client.Read(make([]byte, 1)); err != io.EOF {
		t.Errorf("after half of it: %v", err)
	}
	e.Shutdown(false)
	<-e.over
	stop(t, &p)
}

// Descriptors are used again at once; nobody must get another's bytes.
func TestManySocketsComeAndGo(t *testing.T) {
	var p poll.Poller
	for range 300 {
		full := make(chan struct{})
		e := &end{full: full, want: 1}
		client := start(t, &p, e)
		client.Write([]byte("x"))
		<-full
		client.Close()
		<-e.over
		if e.got.String() != "x" {
			t.Fatalf("got %q", e.got.String())
		}
	}
	stop(t, &p)
}

// busy always has something to do, and notes how often it was asked to until
// somebody else had a turn.
type busy struct {
	poll.Socket
	turns atomic.Int64
	over  atomic.Bool
	ended chan struct{}
}

func (b *busy) Of() *poll.Socket { return &b.Socket }

func (b *busy) Ready(poll.Event, []byte) {
	if b.over.Load() {
		b.Close()
		close(b.ended)
		return
	}
	b.turns.Add(1)
	_ = b.Again() // it is open
}

// TestOthersHaveTheirTurn: a worker that is never done lets those go first
// whose sockets the runtime watches, though it looks at them only every ten
// milliseconds while something can run.
func TestOthersHaveTheirTurn(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	var p poll.Poller
	client, server := pair(t)
	defer client.Close()
	b := &busy{ended: make(chan struct{})}
	if !b.Adopt(&p, server) {
		t.Fatal("not adopted")
	}
	one, other := pair(t)
	defer one.Close()
	defer other.Close()
	if err := errors.Join(b.Start(b), b.Again()); err != nil {
		t.Fatal(err)
	}
	var echo sync.WaitGroup
	echo.Go(func() { _, _ = io.Copy(struct{ io.Writer }{other}, struct{ io.Reader }{other}) }) // ends with one
	const rounds = 50
	buf := make([]byte, 1)
	for range rounds { // each of which waits twice for the runtime to look
		if _, err := one.Write(buf); err != nil {
			t.Fatal(err)
		}
		if _, err := io.ReadFull(one, buf); err != nil {
			t.Fatal(err)
		}
	}
	turns := b.turns.Load()
	b.over.Store(true)
	<-b.ended
	one.Close()
	echo.Wait()
	stop(t, &p)
	// Some 10,000 turns, or 1,000,000 if others are looked at every ten
	// milliseconds; with the race detector 4,000 and 380,000.
	if turns > 2000*rounds {
		t.Errorf("%d turns for %d round trips", turns, rounds)
	}
}

func TestOthersAreDeclined(t *testing.T) {
	var p poll.Poller
	client, server := net.Pipe()
	defer client.Close()
	defer server.Close()
	var s poll.Socket
	type wrapped struct{ *net.TCPConn }
	_, tcp := pair(t)
	defer tcp.Close()
	if s.Adopt(&p, server) || s.Adopt(&p, wrapped{tcp.(*net.TCPConn)}) || s.Adopt(nil, tcp) || s.Adopted() {
		t.Error("adopted what is more than a socket")
	}
	s.Close() // of nothing is nothing
	buf := make([]byte, 1<<16)
	if stacks := string(buf[:runtime.Stack(buf, true)]); strings.Contains(stacks, "internal/poll.(*worker)") {
		t.Error("a worker without a socket")
	}
	stop(t, &p)
}

// heavy is a socket that always has news, each of which takes a while.
type heavy struct {
	busy
	took time.Duration
}

func (h *heavy) Ready(e poll.Event, buf []byte) {
	for began := time.Now(); time.Since(began) < h.took; {
	}
	h.busy.Ready(e, buf)
}

// TestHeavyWait: those that have taken much wait for who has taken little, and
// come one after another.
func TestHeavyWait(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	var p poll.Poller
	all := make([]heavy, 32)
	for i := range all {
		client, server := pair(t)
		defer client.Close()
		h := &all[i]
		h.ended, h.took = make(chan struct{}), 200*time.Microsecond
		if !h.Adopt(&p, server) {
			t.Fatal("not adopted")
		}
		if err := errors.Join(h.Start(h), h.Again()); err != nil {
			t.Fatal(err)
		}
	}
	light := &answering{}
	client, server := pair(t)
	if !light.Adopt(&p, server) {
		t.Fatal("not adopted")
	}
	if err := light.Start(light); err != nil {
		t.Fatal(err)
	}
	turns := func() (n int64) {
		for i := range all {
			n += all[i].turns.Load()
		}
		return n
	}
	buf := make([]byte, 1)
	good, rounds := 0, 0
	// When the machine is busy with something else there are no turns for a while.
	for ; good < 50 && rounds < 5000; rounds++ {
		before := turns()
		if _, err := client.Write(buf); err != nil {
			t.Fatal(err)
		}
		if _, err := io.ReadFull(client, buf); err != nil {
			t.Fatal(err)
		}
		if turns()-before <= 8 {
			good++
		}
	}
	for i := range all {
		all[i].over.Store(true)
	}
	for i := range all {
		<-all[i].ended
	}
	client.Close()
	stop(t, &p)
	t.Logf("%d of %d", good, rounds)
	if good < 50 {
		t.Errorf("32 sockets had more than 8 turns in all but %d of %d round trips of another", good, rounds)
	}
}

// answering says back what it is told.
type answering struct{ poll.Socket }

func (a *answering) Of() *poll.Socket { return &a.Socket }

func (a *answering) Ready(_ poll.Event, buf []byte) {
	n, err := a.Read(buf)
	if err != nil {
		a.Close()
		return
	}
	_, _ = a.Write(buf[:n]) // a byte has room
}

// TestAgainBeforeStart: who has much to write at once may ask before anything is
// told. That is no error.
func TestAgainBeforeStart(t *testing.T) {
	var p poll.Poller
	defer stop(t, &p)
	n, client := adoptNoticing(t, &p)
	defer client.Close()
	defer n.Close()
	if err := errors.Join(n.Again(), n.Start(n)); err != nil {
		t.Fatal(err)
	}
	if _, err := client.Write([]byte("x")); err != nil {
		t.Fatal(err)
	}
	for n.noticed.Load() == 0 {
		runtime.Gosched()
	}
}

// TestLooksForItself: what comes while the runtime sweeps, and does not look at
// sockets, is noticed before it is done.
func TestLooksForItself(t *testing.T) {
	var p poll.Poller
	defer stop(t, &p)
	n, client := adoptNoticing(t, &p)
	defer client.Close()
	defer n.Close()
	if err := n.Start(n); err != nil {
		t.Fatal(err)
	}
	late := 0
	sweeptest.During(21, func(sweeping func() bool) {
		was := n.noticed.Load()
		if _, err := client.Write([]byte("x")); err != nil {
			t.Fatal(err)
		}
		for sweeping() && n.noticed.Load() == was {
			runtime.Gosched()
		}
		if !sweeping() {
			late++
		}
		for n.noticed.Load() == was {
			runtime.Gosched()
		}
	})
	t.Logf("late %d times of 21", late) // 21 if they leave it to the runtime
	if late > 10 {
		t.Errorf("what came was noticed late %d times of 21", late)
	}
}

// noticing counts what it is told.
type noticing struct {
	poll.Socket
	noticed atomic.Int64
}

// adoptNoticing returns one that is not started, and the other end, to be closed
// by the caller.
func adoptNoticing(t *testing.T, p *poll.Poller) (*noticing, net.Conn) {
	t.Helper()
	client, server := pair(t)
	n := &noticing{}
	if !n.Adopt(p, server) {
		t.Fatal("not adopted")
	}
	return n, client
}

func (n *noticing) Of() *poll.Socket { return &n.Socket }

func (n *noticing) Ready(_ poll.Event, buf []byte) {
	if got, _ := n.Read(buf); got > 0 {
		n.noticed.Add(1)
	}
}
