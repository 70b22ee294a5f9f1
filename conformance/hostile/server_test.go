package hostile

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// program is the program under test, built once.
var program string

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "hostile")
	if err == nil {
		program = filepath.Join(dir, "tutti")
		build := exec.Command("go", "build", "-o", program, "github.com/tutti-rt/tutti/cmd/tutti")
		build.Stderr = os.Stderr
		err = build.Run()
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "hostile:", err)
		os.Exit(1)
	}
	code := m.Run()
	if code == 0 {
		code = report()
	}
	os.RemoveAll(dir)
	os.Exit(code)
}

// A server is a process of the program.
type server struct {
	address string // of the public listener
	admin   string // of the operators'
	process *exec.Cmd
	log     *journal
	first   readings // before the first item
	holds   float64  // how much more memory it may have after an item than others may
	keeps   float64  // how much more memory it may have in the end than at first
	fails   bool     // it is to end with an error

	clock     string // the file that says by how many seconds its clock is put
	encrypted bool   // the public listener speaks TLS
}

// subject are the settings that most items run against: everything open that
// can be, so that what is refused is refused for what it is, and times short
// enough to be waited for.
func subject(t *testing.T) []string {
	return []string{
		"--open=room:*", "--allow=closed:* join=token publish=token history=token presence=token", "--allow=members:* join=anyone history=members presence=members publish=members",
		"--relay=echo", "--namespace=/other", "--data=" + t.TempDir(), "--durable=room:kept*", "--limit-tape=1MB",
		"--door-listen=news*", "--door-publish=news*", "--allow-eio3", "--compress-websocket=1KiB",
		"--ping-interval=400ms", "--ping-timeout=1200ms", "--timeout-header=1s", "--timeout-idle=1s", "--timeout-connect=2s",
		"--timeout-upgrade=300ms", "--timeout-attachment=1s", "--timeout-write=1s",
		"--origin=" + allowed, "--trusted-proxies=127.0.0.1", "--auth-anonymous=true",
		"--timeout-refusal=0s", // many are refused one after another here
	}
}

// start runs the program until the test ends. wrap is what it is run by, as a
// shell that sets limits; nil: nothing.
func start(t *testing.T, wrap []string, args ...string) *server {
	t.Helper()
	s := &server{address: freeAddress(t), admin: freeAddress(t), log: &journal{}}
	line := append(append([]string{}, wrap...), program, "serve", "--listen="+s.address, "--admin="+s.admin, "--log-level=debug", "--log-format=json")
	s.encrypted = slices.ContainsFunc(args, func(a string) bool { return strings.HasPrefix(a, "--tls-cert") })
	s.run(t, append(line, args...))
	return s
}

// run runs a command that is the server, until the test ends.
func (s *server) run(t *testing.T, line []string) {
	t.Helper()
	s.process = exec.Command(line[0], line[1:]...)
	s.process.Stderr = s.log
	s.process.Stdout = s.log
	if err := s.process.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.stop(t) })
	s.await(t)
	s.warm(t)
	if err := s.begin(); err != nil {
		t.Fatal(err)
	}
}

// warm has all there that a server keeps once it has been used: what the first
// client brings about, and the tape at its full size.
func (s *server) warm(t *testing.T) {
	t.Helper()
	s.fresh(t)
	if !slices.Contains(s.process.Args, "--relay=echo") {
		return
	}
	w := must(t)(s.socket(""))
	for range 40 {
		w.text(t, `42["echo","`+strings.Repeat("x", 50_000)+`"]`)
		w.until(t, `42["echo",`)
	}
	w.Close()
}

// begin takes the readings with which those at the end are compared.
func (s *server) begin() error {
	var err error
	if !eventually(func() bool {
		s.first, err = s.settled()
		return err == nil && s.first["tutti_sessions"] == 0
	}) {
		return fmt.Errorf("readings at the start: %w", err)
	}
	return nil
}

// await returns when the server answers.
func (s *server) await(t *testing.T) {
	t.Helper()
	if !eventually(func() bool { _, err := s.metrics(); return err == nil && strings.Contains(s.log.String(), "listening") }) {
		t.Fatalf("the server does not start: %s", s.log)
	}
}

// stop ends the process as an operator would, and then it must be over.
func (s *server) stop(t *testing.T) {
	if s.process.ProcessState != nil {
		return
	}
	_ = s.process.Process.Signal(syscall.SIGTERM)
	done := make(chan error, 1)
	go func() { done <- s.process.Wait() }() // ends with the process
	select {
	case err := <-done:
		if testing.Verbose() {
			t.Log(s.log.last(4))
		}
		if err != nil && !t.Failed() && !s.fails {
			t.Errorf("the server ended with %v: %s", err, s.log.last(20))
		}
	case <-time.After(30 * time.Second):
		_ = s.process.Process.Kill()
		t.Errorf("the server did not end: %s", s.log.last(20))
	}
}

func freeAddress(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// A journal is what a process has written.
type journal struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (j *journal) Write(p []byte) (int, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.text.Write(p)
}

func (j *journal) String() string {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.text.String()
}

func (j *journal) last(lines int) string {
	all := strings.Split(j.String(), "\n")
	return strings.Join(all[max(0, len(all)-lines):], "\n")
}

// readings are the values of /metrics by series.
type readings map[string]float64

// client is for requests of ours that no test is about: it keeps no
// connections, so that none are counted.
var client = &http.Client{Timeout: 20 * time.Second, Transport: &http.Transport{DisableKeepAlives: true, TLSClientConfig: anyCertificate}}

// anyCertificate believes every server: those of these tests have made theirs
// themselves.
var anyCertificate = &tls.Config{InsecureSkipVerify: true}

// metrics reads /metrics.
func (s *server) metrics() (readings, error) {
	resp, err := client.Get("http://" + s.admin + "/metrics")
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	r := readings{}
	lines := bufio.NewScanner(resp.Body)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		name, value, ok := cutLast(lines.Text())
		if v, err := strconv.ParseFloat(value, 64); ok && err == nil {
			r[name] = v
		}
	}
	return r, lines.Err()
}

func cutLast(line string) (name, value string, ok bool) {
	i := strings.LastIndexByte(line, ' ')
	if i < 0 || strings.HasPrefix(line, "#") {
		return "", "", false
	}
	return line[:i], line[i+1:], true
}

// sum adds up the series that begin like that.
func (r readings) sum(prefix string) float64 {
	total := 0.0
	for name, v := range r {
		if strings.HasPrefix(name, prefix) {
			total += v
		}
	}
	return total
}

// of adds up the series of a metric.
func (r readings) of(metric string) float64 { return r[metric] + r.sum(metric+"{") }

// settled has the server collect its garbage and reads its metrics.
func (s *server) settled() (readings, error) {
	resp, err := client.Get("http://" + s.admin + "/debug/pprof/heap?gc=1")
	if err != nil {
		return nil, err
	}
	_, err = io.Copy(io.Discard, resp.Body)
	if err = errors.Join(err, resp.Body.Close()); err != nil {
		return nil, err
	}
	return s.metrics()
}

// goroutines says what the server's goroutines are doing.
func (s *server) goroutines() string {
	resp, err := client.Get("http://" + s.admin + "/debug/pprof/goroutine?debug=1")
	if err != nil {
		return err.Error()
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	return fmt.Sprint(string(text), err)
}

// patience is how long anything is waited for. It says nothing about how long it
// takes.
const patience = 45 * time.Second

// eventually waits for something to become true.
func eventually(what func() bool) bool { return within(patience, what) }

// within waits so long for something to become true.
func within(long time.Duration, what func() bool) bool {
	ctx, cancel := context.WithTimeout(context.Background(), long)
	defer cancel()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for !what() {
		select {
		case <-ctx.Done():
			return false
		case <-tick.C:
		}
	}
	return true
}
