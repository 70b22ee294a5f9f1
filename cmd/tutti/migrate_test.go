package main

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// An engineServer is a real one, of a test's own.
type engineServer struct{ scheme, addr string }

func (s engineServer) url(addr string) string { return s.scheme + "://" + addr }

// startEngine starts Redis or NATS, by the scheme of its URLs.
func startEngine(t *testing.T, scheme string) engineServer {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := l.Addr().String()
	l.Close()
	_, port, _ := net.SplitHostPort(addr)
	args := map[string][]string{
		"redis": {"redis-server", "--port", port, "--bind", "127.0.0.1", "--dir", t.TempDir(), "--save", "", "--appendonly", "yes", "--appendfsync", "always"},
		"nats":  {"nats-server", "--addr", "127.0.0.1", "--port", port, "--jetstream", "--store_dir", t.TempDir()},
	}[scheme]
	cmd := exec.Command(args[0], args[1:]...)
	if err := cmd.Start(); err != nil {
		t.Fatalf("run scripts/debian.sh %s: %v", args[0], err)
	}
	t.Cleanup(func() {
		cmd.Process.Kill()
		cmd.Wait()
	})
	deadline := time.Now().Add(patience)
	for {
		nc, err := net.Dial("tcp", addr)
		if err == nil {
			nc.Close()
			return engineServer{scheme, addr}
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s does not answer: %v", args[0], err)
		}
		<-time.After(5 * time.Millisecond)
	}
}

// A dam passes on so many bytes to a server, and no more.
type dam struct {
	addr string
	full chan struct{} // closed when it passes no more on
}

func startDam(t *testing.T, to string, most int64) *dam {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	d := &dam{addr: l.Addr().String(), full: make(chan struct{})}
	var mu sync.Mutex
	var wg sync.WaitGroup
	over := make(chan struct{})
	t.Cleanup(func() {
		l.Close()
		close(over)
		wg.Wait()
	})
	pass := func(client, server net.Conn) {
		for buf := make([]byte, 4096); ; {
			n, err := client.Read(buf)
			if err != nil {
				server.Close()
				return
			}
			mu.Lock()
			was := most > 0
			most -= int64(n)
			if was && most <= 0 {
				close(d.full)
			}
			now := most > 0
			mu.Unlock()
			if !now {
				<-over
				return
			}
			if _, err := server.Write(buf[:n]); err != nil {
				return
			}
		}
	}
	wg.Go(func() {
		for {
			client, err := l.Accept()
			if err != nil {
				return
			}
			server, err := net.Dial("tcp", to)
			if err != nil {
				client.Close()
				continue
			}
			wg.Go(func() {
				defer client.Close()
				defer server.Close()
				pass(client, server)
			})
			wg.Go(func() {
				io.Copy(client, server)
				client.Close()
			})
		}
	})
	return d
}

// TestMigrate: a command that is killed in the middle is given again, and
// everything is moved once. Who may serve what is said at each step.
func TestMigrate(t *testing.T) {
	for _, scheme := range []string{"redis", "nats"} {
		t.Run(scheme, func(t *testing.T) {
			s := startEngine(t, scheme)
			data := filepath.Join(t.TempDir(), "data")
			folder := append([]string{"--data", data}, durableChat...)
			nodes := append([]string{"--engine", s.url(s.addr), "--cluster", "shop"}, durableChat...)
			p := start(t, folder...)
			var want []string
			for i := range 40 {
				text := fmt.Sprint(i, strings.Repeat("x", 6000))
				if status, answer := post(t, p.url+"/api/publish", fmt.Sprintf(`{"room":"chat:a","event":"message","data":%q}`, text)); status != http.StatusOK {
					t.Fatalf("publish: %d %s", status, answer)
				}
				want = append(want, text)
			}
			p.kill()
			command := func(args ...string) outcome {
				t.Helper()
				return runCommand(t, nil, "", args...)
			}
			migrate := func(addr string) []string {
				return []string{"migrate", "--from", data, "--to", s.url(addr), "--cluster", "shop"}
			}
			holds := func(flags []string) {
				t.Helper()
				p := start(t, flags...)
				if got := p.history("chat:a"); !slices.Equal(got, want) {
					t.Errorf("%q: %d messages, want %d, or others", flags, len(got), len(want))
				}
				p.kill()
			}
			command("migrate", "--from", data, "--undo").want(t, "nothing to undo", exitFailed, "", "was not moved")

			d := startDam(t, s.addr, 100_000)
			cmd := invoke(t, migrate(d.addr)...)
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			<-d.full
			cmd.Process.Kill()
			cmd.Wait()
			command(append([]string{"serve", "--listen", "127.0.0.1:0"}, nodes...)...).want(t, "a node before all is there", exitFailed, "", `let "tutti migrate" complete it`)
			holds(folder) // it was not moved yet
			other := append(migrate(s.addr), "--cluster", "other")
			if o := command(append(other, "--window", "soon")...); o.code != exitUsage {
				t.Errorf("a window that is none: %+v", o)
			}

			if o := command(migrate(s.addr)...); o.code != exitOK || !strings.Contains(o.stdout, "moved "+data) {
				t.Fatalf("the second time: %+v", o)
			}
			command(append([]string{"serve", "--listen", "127.0.0.1:0"}, folder...)...).want(t, "the folder after that", exitFailed, "", "was moved to "+s.url(s.addr))
			command(migrate(s.addr)...).want(t, "a third time", exitFailed, "", "that is complete")
			holds(nodes)

			command("migrate", "--from", data, "--undo").want(t, "undo", exitOK, "can be served again", "")
			if o := command(migrate(s.addr)...); o.code != exitFailed || !strings.Contains(o.stderr, "in use") {
				t.Errorf("where it has been already: %+v", o)
			}
			holds(folder) // it was refused
			holds(nodes)  // and that is as it was
		})
	}
	command := func(args ...string) outcome { return runCommand(t, nil, "", args...) }
	if o := command("migrate", "--from", t.TempDir(), "--to", "kafka://h"); o.code != exitUsage || !strings.Contains(o.stderr, "want an engine") {
		t.Errorf("an engine that there is none of: %+v", o)
	}
	command("migrate", "--from", t.TempDir(), "--to", "nats://h").want(t, "no folder", exitFailed, "", "is no data folder")
}
