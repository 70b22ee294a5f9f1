package verb_test

import (
	"os"
	"runtime"
	"testing"
	"time"

	"github.com/tutti-rt/tutti/hub"
	"github.com/tutti-rt/tutti/packet"
	"github.com/tutti-rt/tutti/verb"
)

// TestMain fails if a test leaves a goroutine behind.
func TestMain(m *testing.M) {
	before := runtime.NumGoroutine()
	code := m.Run()
	deadline := time.Now().Add(5 * time.Second)
	for runtime.NumGoroutine() > before && time.Now().Before(deadline) {
		runtime.Gosched()
	}
	if n := runtime.NumGoroutine(); code == 0 && n > before {
		os.Stderr.WriteString("goroutines left behind\n")
		code = 1
	}
	os.Exit(code)
}

// A person is a member that is somebody.
type person string

func (p person) Deliver(*hub.Message) {}
func (p person) Person() string       { return string(p) }

// space returns one with a memory, in which rooms of "r:" keep a history.
func space(t testing.TB) *hub.Space {
	t.Helper()
	h := hub.New(hub.Config{Memory: func(string) *hub.Memory {
		return &hub.Memory{Rooms: []hub.RoomRule{{Pattern: "r:*"}}}
	}})
	t.Cleanup(h.Close)
	return h.Space("/")
}

func desk(t testing.TB, cfg verb.Config) *verb.Desk {
	t.Helper()
	d, err := verb.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func enter(t testing.TB, sp *hub.Space, id string, rooms ...string) verb.Caller {
	t.Helper()
	seat, err := sp.Enter(person(id), nil, rooms...)
	if err != nil {
		t.Fatal(err)
	}
	return verb.Caller{Space: sp, Seat: seat}
}

func args(t testing.TB, values ...any) packet.Args {
	t.Helper()
	a, err := packet.Marshal(values...)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// code is what an error of a desk says, "" for none.
func code(err error) verb.Code {
	if err == nil {
		return ""
	}
	return verb.RefusalOf(err).Code
}
