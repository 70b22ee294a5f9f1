package hostile

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// putsClock is added to the program: on SIGUSR1 its clock is put by as many
// seconds as a file says.
const putsClock = `package main

import (
	"fmt"
	"os"
	"os/signal"
	"strconv"
	"syscall"
	"time"
)

var _ = putClock()

func putClock() bool {
	told := make(chan os.Signal, 1)
	signal.Notify(told, syscall.SIGUSR1)
	go func() {
		for range told {
			text, _ := os.ReadFile(os.Getenv("HOSTILE_CLOCK"))
			time.HostileClock, _ = strconv.ParseInt(string(text), 10, 64)
			fmt.Fprintln(os.Stderr, "the clock is put by", time.HostileClock)
		}
	}()
	return true
}
`

// clockProgram builds the program with a time.Now that can be put forward and
// back, as a machine's clock can; what counts time since something goes on, as it
// does there. Neither libfaketime (Go does not ask the C library) nor a time
// namespace (which has no clock of the day) can do it.
func clockProgram(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	source := func(format string) string {
		out, err := exec.Command("go", "list", "-f", "{{.Dir}}", format).Output()
		if err != nil {
			t.Fatal(err)
		}
		return strings.TrimSpace(string(out))
	}
	now := filepath.Join(source("time"), "time.go")
	text, err := os.ReadFile(now)
	if err != nil {
		t.Fatal(err)
	}
	const before = "func Now() Time {\n\tsec, nsec, mono := runtimeNow()\n"
	if strings.Count(string(text), before) != 1 {
		t.Fatal("time.Now is not as it was: this test puts the clock in its first line")
	}
	patched := strings.Replace(string(text), before, "var HostileClock int64\n\n"+before+"\tsec += HostileClock\n", 1)
	replace := map[string]string{now: filepath.Join(dir, "time.go"), filepath.Join(source("github.com/tutti-rt/tutti/cmd/tutti"), "hostile_clock.go"): filepath.Join(dir, "clock.go")}
	overlay, err := json.Marshal(map[string]any{"Replace": replace})
	if err != nil {
		t.Fatal(err)
	}
	for file, text := range map[string]string{"time.go": patched, "clock.go": putsClock, "overlay.json": string(overlay)} {
		if err := os.WriteFile(filepath.Join(dir, file), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	binary := filepath.Join(dir, "tutti")
	build := exec.Command("go", "build", "-overlay", filepath.Join(dir, "overlay.json"), "-o", binary, "github.com/tutti-rt/tutti/cmd/tutti")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v %s", err, out)
	}
	return binary
}

// put puts the server's clock.
func (s *server) put(t *testing.T, by time.Duration) {
	t.Helper()
	logged := len(s.log.String())
	if err := os.WriteFile(s.clock, []byte(strconv.Itoa(int(by/time.Second))), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := s.process.Process.Signal(syscall.SIGUSR1); err != nil {
		t.Fatal(err)
	}
	if !eventually(func() bool { return strings.Contains(s.log.String()[logged:], "the clock is put by") }) {
		t.Fatal("the clock stays as it is")
	}
}

// TestClock: the clock of the machine is put forward and back under the program.
func TestClock(t *testing.T) {
	c := newClerk(t)
	s := &server{address: freeAddress(t), admin: freeAddress(t), log: &journal{}, clock: filepath.Join(t.TempDir(), "clock")}
	t.Setenv("HOSTILE_CLOCK", s.clock)
	s.run(t, append([]string{clockProgram(t), "serve", "--listen=" + s.address, "--admin=" + s.admin, "--log-level=debug", "--log-format=json", "--auth-anonymous=true", "--auth-token=* secret-file=" + c.secret}, subject(t)...))
	s.keeps = 2 << 20
	var items []item
	for _, jump := range []struct {
		name string
		by   time.Duration
	}{{"an hour forward", time.Hour}, {"a year forward", 365 * 24 * time.Hour}, {"an hour back", -time.Hour}, {"a year back", -365 * 24 * time.Hour}} {
		items = append(items, item{"clock put " + jump.name, "the clock of the machine is put " + jump.name + " while clients are there, one of them beyond its rate, and one is away; and back again", "nothing: heartbeats go on, nobody is closed; rates let in again as before; messages keep their order, none is lost, each is published once; who was away is recovered or told", []string{nothing}, func(t *testing.T, s *server) {
			clockPut(t, s, jump.by)
		}})
	}
	items = append(items, item{"tokens and the clock", "a token that holds for an hour, shown while the clock is two hours ahead, a day back, and right", "token_expired; invalid_token (it is of the future); let in", []string{`tutti_identities_total{result="token_expired"}`}, func(t *testing.T, s *server) {
		token := c.token(t, "ann")
		for _, at := range []struct {
			by   time.Duration
			want string
		}{{2 * time.Hour, `"code":"token_expired"`}, {-24 * time.Hour, `"code":"invalid_token"`}, {0, "40{"}} {
			s.put(t, at.by)
			w, answer := s.enter(t, fmt.Sprintf(`{"token":%q}`, token))
			if !strings.Contains(answer, at.want) {
				t.Errorf("with the clock put by %v: %s", at.by, answer)
			}
			w.Close()
		}
	}})
	survive(t, s, "Clock", items)
}

// clockPut puts the clock while clients are there, and back.
func clockPut(t *testing.T, s *server, by time.Duration) {
	w := must(t)(s.socket(""))
	w.call(t, 1, "join", `{"room":"room:kept"}`)
	before := s.kept(t)
	publish := func(id, data int) {
		t.Helper()
		if got := w.call(t, id, "publish", fmt.Sprintf(`{"room":"room:kept","event":"e","data":%d,"id":"%d-%v"}`, data, data, by)); !strings.Contains(got, `"offset":`) {
			t.Errorf("publishing is answered %s", got)
		}
	}
	publish(10, 10)
	busy := must(t)(s.socket(""))
	if !busy.calls(2000, tooMany, func(i int) string {
		return fmt.Sprintf(`42%d["publish",{"room":"room:busy","event":"e"}]`, i)
	}) {
		t.Error("never refused")
	}
	busy.Close()
	busy = must(t)(s.socket(""))
	pid, offset := s.secrets(t)

	s.put(t, by)
	publish(11, 11)
	publish(12, 10) // a second time
	for range 3 {
		w.until(t, "2")
	}
	if !within(bearable, func() bool {
		return strings.Contains(busy.call(t, 5000, "publish", `{"room":"room:busy","event":"e"}`), `"offset":`)
	}) {
		t.Error("the rate lets nobody in any more")
	}
	back := must(t)(s.engine(""))
	back.text(t, fmt.Sprintf(`40{"pid":%q,"offset":%q}`, pid, offset))
	if got := back.until(t, "40{"); !strings.Contains(got, pid) {
		back.until(t, `42["unrecovered",`)
	}
	back.Close()
	s.fresh(t)

	s.put(t, 0)
	publish(13, 13)
	for range 3 {
		w.until(t, "2")
	}
	if n := s.kept(t) - before; n != 3 {
		t.Errorf("%d messages more are in the history, want 3", n)
	}
	var heard []string
	answer := w.call(t, 20, "history", `{"room":"room:kept","limit":3}`)
	for _, m := range strings.Split(answer, `"data":`)[1:] {
		heard = append(heard, m[:strings.IndexAny(m, ",}")])
	}
	if got := strings.Join(heard, " "); got != "10 11 13" {
		t.Errorf("the history is %s", got)
	}
	busy.Close()
	w.Close()
}
