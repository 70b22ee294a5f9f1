package pebblehub_test

import (
	"bufio"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/tutti-rt/tutti/hub"
	"github.com/tutti-rt/tutti/hub/pebblehub"
	"github.com/tutti-rt/tutti/internal/leak"
)

// childDir makes the test binary the process that is killed.
const childDir = "PEBBLEHUB_TEST_CHILD"

func TestMain(m *testing.M) {
	if dir := os.Getenv(childDir); dir != "" {
		child(dir)
		return
	}
	os.Exit(leak.Run(m))
}

// child commits and says so, until it is killed.
func child(dir string) {
	s, err := pebblehub.Open(dir, pebblehub.Config{})
	if err != nil {
		fmt.Println("error", err)
		return
	}
	l, err := s.Open("/chat")
	if err != nil {
		fmt.Println("error", err)
		return
	}
	state := l.State()
	fmt.Println("epoch", state.Epoch)
	for p := state.Last + 1; ; p++ {
		b := &hub.Batch{Sync: p%16 == 0, Messages: []hub.NewMessage{{Position: p, Time: time.Now(), Body: []byte(fmt.Sprint(p)), Histories: []hub.RoomHistory{{Room: "r"}}}}}
		if err := l.Commit(b); err != nil {
			fmt.Println("error", err)
			return
		}
		fmt.Println(p) // a write of its own: it is out when the next begins
	}
}

// TestKill kills a process that commits, again and again: nothing that it has
// acknowledged is missing, and the epoch stays.
func TestKill(t *testing.T) {
	dir := t.TempDir()
	var acked []string
	epoch := ""
	rounds := 8
	if testing.Short() {
		rounds = 3
	}
	for range rounds {
		cmd := exec.Command(os.Args[0])
		cmd.Env = append(os.Environ(), childDir+"="+dir)
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		lines := bufio.NewScanner(out)
		die := 20 + rand.IntN(400)
		for n := 0; lines.Scan(); n++ {
			line := lines.Text()
			if e, ok := strings.CutPrefix(line, "epoch "); ok {
				if epoch != "" && e != epoch {
					t.Errorf("epoch %q became %q", epoch, e)
				}
				epoch = e
				continue
			}
			if _, err := strconv.Atoi(line); err != nil {
				if n > die {
					break // torn by the kill
				}
				t.Fatalf("child: %s", line)
			}
			acked = append(acked, line)
			if n == die {
				cmd.Process.Kill()
			}
		}
		cmd.Wait()
	}
	_, l := openAt(t, dir)
	tape, err := l.Tape(0, 1<<20)
	if err != nil {
		t.Fatal(err)
	}
	there := make(map[string]bool)
	for _, m := range tape {
		if there[string(m.Body)] {
			t.Errorf("message %s twice", m.Body)
		}
		there[string(m.Body)] = true
	}
	for _, a := range acked {
		if !there[a] {
			t.Errorf("message %s was acknowledged and is gone", a)
		}
	}
	t.Logf("%d acknowledged, %d there", len(acked), len(tape))
}
