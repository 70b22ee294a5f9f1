package hostile

import (
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
)

// application runs the one of folder app.
func application(t *testing.T, args ...string) *server {
	t.Helper()
	binary := filepath.Join(t.TempDir(), "app")
	build := exec.Command("go", "build", "-o", binary, "github.com/tutti-rt/tutti/conformance/hostile/app")
	build.Stderr = os.Stderr
	if err := build.Run(); err != nil {
		t.Fatal(err)
	}
	s := &server{address: freeAddress(t), admin: freeAddress(t), log: &journal{}}
	s.run(t, append([]string{binary, "--listen=" + s.address, "--admin=" + s.admin}, args...))
	return s
}

// TestApplication: what clients can do to handlers that wait for them, and to
// namespaces whose names they choose.
func TestApplication(t *testing.T) {
	const members, owed, family = 100, 10_000, 1000 // the second is the default of MaxPendingCalls
	s := application(t, fmt.Sprintf("--dynamic=%d", family))
	survive(t, s, "Socket.IO: acknowledgements", []item{
		times(members*owed, item{"pending acknowledgements", fmt.Sprintf("{n} answers that %d sockets owe and do not give, which is %s each and as many as may be; and 200 more each", members, count(owed)), "nothing; the application's further calls fail. All end with the sockets", []string{`tutti_limit_hits_total{limit="pending calls",stage="server"}`}, nil}, func(t *testing.T, s *server, n int) {
			pendingCalls(t, s, members, n/members)
		}),
		{"an acknowledgement twice", "an answer to a call that is really outstanding, twice, then once more while another call is; answers under ids nearby", "the first counts, the others are nothing", []string{"tutti_packets_received_total"}, ackTwice},
		{"two events with one id", "events that ask for an answer under the same id, while the first is outstanding", "an answer to each", []string{received}, func(t *testing.T, s *server) {
			w := must(t)(s.socket(""))
			w.text(t, `427["ask me"]`)
			question := w.until(t, "42")
			w.text(t, `427["echo","b"]`)
			w.text(t, `427["echo","c"]`)
			w.text(t, "43"+digits(question)+`["a"]`)
			for _, want := range []string{`437["a"]`, `437["b"]`, `437["c"]`} {
				if got := w.until(t, "43"); got != want {
					t.Errorf("answered %s, want %s", got, want)
				}
			}
			w.Close()
		}},
	})
	survive(t, s, "Socket.IO: namespaces of a family", []item{
		times(2*family, item{"namespaces of a family", fmt.Sprintf("{n} namespaces whose names clients made up, over 20 sessions, of which %s may be", count(family)), "connect_error: Too many namespaces. Those of one session are too many first, if it alone asks", []string{`tutti_limit_hits_total{limit="dynamic namespaces",stage="server"}`, "tutti_namespaces_created_total"}, nil}, func(t *testing.T, s *server, n int) {
			const sessions = 20
			var in atomic.Int32
			var all [sessions]*wire
			crowd(sessions, func(i int) {
				w := must(t)(s.engine(""))
				all[i] = w
				for j := range n / sessions {
					if err := w.send(opText, fmt.Appendf(nil, "40/family-%d-%d,", i, j)); err != nil {
						t.Error(err)
						return
					}
					switch got := w.until(t, "4"); {
					case strings.HasPrefix(got, "40/family-"):
						in.Add(1)
					case !strings.Contains(got, "Too many namespaces"):
						t.Errorf("answered %s", got)
					}
				}
			})
			if in.Load() != family {
				t.Errorf("%d are there", in.Load())
			}
			for _, w := range all {
				w.Close()
			}
		}),
	})
}

// digits are those behind the type of a packet: its id.
func digits(packet string) string {
	id, _, _ := strings.Cut(packet[2:], "[")
	return id
}

func pendingCalls(t *testing.T, s *server, members, owed int) {
	var all []*wire
	var asked atomic.Int64
	for range members {
		w := must(t)(s.socket(""))
		w.call(t, 1, "join", `{}`)
		all = append(all, w)
	}
	for _, w := range all {
		go func() { // ends with the connection
			for {
				_, data, err := w.read()
				if err != nil {
					return
				}
				if strings.Contains(string(data), `["question"`) {
					asked.Add(1)
				}
			}
		}()
	}
	asker := must(t)(s.socket(""))
	const more = 200
	for i := range 10 { // in parts, so that none reads too slowly
		asker.call(t, 2+i, "ask all", fmt.Sprint((owed+more)/10))
		if want := int64(min((i+1)*(owed+more)/10, owed) * members); !eventually(func() bool { return asked.Load() >= want }) {
			t.Fatalf("%d are asked, want %d", asked.Load(), want)
		}
	}
	s.fresh(t) // while all of them wait
	if n := asked.Load(); n != int64(owed*members) {
		t.Errorf("%d are asked", n)
	}
	if sessions, err := s.metrics(); err != nil || sessions["tutti_sessions"] < float64(members) {
		t.Errorf("%.0f sessions are there (%v)", sessions["tutti_sessions"], err)
	}
	for _, w := range append(all, asker) {
		w.Close()
	}
}

func ackTwice(t *testing.T, s *server) {
	w := must(t)(s.socket(""))
	w.text(t, `421["ask me"]`)
	first := digits(w.until(t, "42"))
	for _, packet := range []string{"999999[\"wrong\"]", first + "0[\"wrong\"]", first + `["right"]`, first + `["again"]`} {
		w.text(t, "43"+packet)
	}
	if got := w.until(t, "431["); got != `431["right"]` {
		t.Errorf("the handler has %s", got)
	}
	w.text(t, `422["ask me"]`)
	second := digits(w.until(t, "42"))
	if second == first {
		t.Error("two calls have one id")
	}
	w.text(t, "43"+first+`["late"]`)
	w.text(t, "43"+second+`["right"]`)
	if got := w.until(t, "432["); got != `432["right"]` {
		t.Errorf("the handler has %s", got)
	}
	w.text(t, `423["echo","on"]`)
	if got := w.until(t, "43"); got != `433["on"]` {
		t.Errorf("answered %s", got)
	}
	w.Close()
	_, _ = io.Copy(io.Discard, w)
}
