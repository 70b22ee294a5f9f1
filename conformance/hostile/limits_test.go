package hostile

import (
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestLimits: what one address and one user may have.
func TestLimits(t *testing.T) {
	s := start(t, nil, append(subject(t), "--limit-address=20", "--limit-user=3", "--rate-address-handshakes=100/s burst=200", "--limit-busy=1000", "--limit-sessions=300",
		"--ping-interval=5s", "--ping-timeout=5s", "--timeout-connect=20s")...)
	survive(t, s, "Limits of addresses and users", []item{
		{"sessions of one address", "50 sessions of one address, of which 20 may be", "503 and `Retry-After`; connect_error at a stock client", []string{`tutti_limit_hits_total{limit="address sessions",stage="quota"}`}, func(t *testing.T, s *server) {
			n := 0
			for range 50 {
				if w, err := s.socket("X-Forwarded-For: 203.0.113.7\r\n"); err == nil {
					defer w.Close()
					n++
				}
			}
			if n != 20 {
				t.Errorf("%d are let in", n)
			}
			if w, err := s.socket("X-Forwarded-For: 203.0.113.8\r\n"); err != nil {
				t.Errorf("another address: %v", err)
			} else {
				w.Close()
			}
		}},
		{"handshakes of one address", "1,000 handshakes of one address at once", "503 and `Retry-After`, before anything is kept", []string{`tutti_limit_hits_total{limit="address handshakes",stage="quota"}`}, func(t *testing.T, s *server) {
			r, _ := http.NewRequest("GET", "http://"+s.address+"/socket.io/?EIO=4&transport=websocket", nil)
			r.Header = http.Header{"X-Forwarded-For": {"203.0.113.9"}, "Connection": {"Upgrade"}, "Upgrade": {"websocket"}, "Sec-Websocket-Version": {"13"}, "Sec-Websocket-Key": {"dGhlIHNhbXBsZSBub25jZQ=="}}
			got := map[int]int{}
			for range 1000 {
				resp, err := client.Do(r)
				if err != nil {
					t.Fatal(err)
				}
				got[resp.StatusCode]++
				if resp.StatusCode == 503 && resp.Header.Get("Retry-After") == "" {
					t.Error("not told when to come again")
				}
				resp.Body.Close()
			}
			if got[503] == 0 {
				t.Errorf("answered %v", got)
			}
		}},
		{"made up addresses", "5,000 handshakes, each with another `X-Forwarded-For` in front of the true one", "held to the limits of the true one", []string{`tutti_limit_hits_total{limit="address sessions",stage="quota"}`}, func(t *testing.T, s *server) {
			n := 0
			for i := range 60 {
				if w, err := s.socket(fmt.Sprintf("X-Forwarded-For: 10.%d.1.1, 203.0.113.77\r\n", i)); err == nil {
					defer w.Close()
					n++
				}
			}
			if n != 20 {
				t.Errorf("%d are let in", n)
			}
		}},
		{"too many sessions", "400 sessions, of which 300 may be", "503 and `Retry-After`", []string{`tutti_limit_hits_total{limit="MaxSessions",stage="engine"}`}, func(t *testing.T, s *server) {
			n := 0
			for i := range 400 {
				if w, err := s.socket(fmt.Sprintf("X-Forwarded-For: 198.51.100.%d\r\n", i/10+1)); err == nil {
					defer w.Close()
					n++
				}
			}
			if n < 250 || n > 300 {
				t.Errorf("%d are let in", n)
			}
		}},
	})
}

// TestDescriptors: a process that may have few files open.
func TestDescriptors(t *testing.T) {
	few := []string{"sh", "-c", `ulimit -n 160; exec "$0" "$@"`}
	hold := func(reserve string, evidence ...string) item {
		return item{"no files left, reserve " + reserve, "500 connections that say nothing, to a process that may have 160 files open", "503, or closed at once; the listener rests in between, operators get in", evidence, func(t *testing.T, s *server) {
			for range 500 {
				c, err := net.Dial("tcp", s.address)
				if err != nil {
					t.Fatal(err)
				}
				defer c.Close()
			}
			if !eventually(func() bool { _, err := s.metrics(); return err == nil }) {
				t.Error("operators can't look")
			}
			if n := strings.Count(s.log.String(), "Accept error"); n > 200 {
				t.Errorf("the listener tried %d times: it spins", n)
			}
		}}
	}
	s := start(t, few, append(subject(t), "--limit-reserve=60")...)
	survive(t, s, "Resources: files", []item{hold("60", `tutti_limit_hits_total{limit="files",stage="listener"}`)})
	s = start(t, few, append(subject(t), "--limit-reserve=0")...)
	survive(t, s, "Resources: files", []item{hold("0", noRequest)})
}

// TestStorage: a folder that is damaged or full.
func TestStorage(t *testing.T) {
	const section = "Storage"
	full := t.TempDir()
	mount := []string{"unshare", "--mount", "--map-root-user", "sh", "-c", `mount -t tmpfs -o size=128m none "` + full + `" && exec "$0" "$@"`}
	if os.Getuid() == 0 {
		mount = append([]string{"unshare", "--mount"}, mount[3:]...)
	}
	args := subject(t)
	for i, a := range args {
		if strings.HasPrefix(a, "--data=") {
			args[i] = "--data=" + full
		}
	}
	s := start(t, mount, append(args, "--limit-data=200KB", "--rate-connection-publishes=none", "--rate-room-publishes=none", "--rate-connection-events=none")...)
	s.fails = true
	t.Run("full-disk", func(t *testing.T) {
		w := must(t)(s.socket(""))
		refusedAt := 0
		for i := 0; i < 3000 && refusedAt == 0; i++ {
			got := w.call(t, i, "publish", `{"room":"room:kept","event":"e","data":"`+strings.Repeat(fmt.Sprint(i%10), 100_000)+`"}`)
			if strings.Contains(got, `"error"`) {
				refusedAt = i
			}
		}
		if refusedAt == 0 {
			t.Fatal("a full disk acknowledges")
		}
		if got := w.call(t, 5000, "publish", `{"room":"room:kept","event":"e","data":1}`); !strings.Contains(got, `"code":"unavailable"`) {
			t.Errorf("after that: %s", got)
		}
		if status, _ := s.request(t, "GET", "/healthz", ""); status != 503 {
			t.Errorf("healthz: %d", status)
		}
		r, err := s.metrics()
		if err != nil || r["tutti_store_failed"] != 1 || strings.Contains(s.log.String(), "panic") {
			t.Errorf("operators see nothing of it: %v %s", err, s.log.last(5))
		}
		if !t.Failed() {
			note(section, item{"full disk", "publications until the disk is full", "refused: unavailable; nothing is acknowledged any more, `/healthz` is 503", []string{"tutti_store_failed"}, nil})
		}
	})
	damage(t, section)
}

// damage starts the program with folders that were damaged.
func damage(t *testing.T, section string) {
	dir := t.TempDir()
	args := append(subject(t), "--data="+dir)
	s := start(t, nil, args...)
	w := must(t)(s.socket(""))
	for i := range 50 {
		w.call(t, i, "publish", `{"room":"room:kept","event":"e","data":"`+strings.Repeat("x", 1000)+`"}`)
	}
	w.Close()
	s.stop(t)
	for _, how := range []string{"cut short", "empty", "missing", "flipped"} {
		t.Run(strings.ReplaceAll(how, " ", "-"), func(t *testing.T) {
			files := filesIn(t, dir)
			for _, file := range files {
				damaged := t.TempDir()
				if err := os.CopyFS(damaged, os.DirFS(dir)); err != nil {
					t.Fatal(err)
				}
				spoil(t, filepath.Join(damaged, file), how)
				words := tryStart(t, damaged)
				if strings.Contains(words, "panic") || strings.Contains(words, "goroutine ") {
					t.Errorf("%s %s: %s", file, how, words)
				}
			}
			if len(files) < 3 {
				t.Errorf("only %v to damage", files)
			}
			if !t.Failed() {
				note(section, item{"file " + how, "each file of the folder " + how + ", then a start", "it starts, or ends with words that say what to do", []string{"log: words"}, nil})
			}
		})
	}
}

// filesIn returns the files below a folder that have something in them.
func filesIn(t *testing.T, dir string) (files []string) {
	t.Helper()
	err := fs.WalkDir(os.DirFS(dir), ".", func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		if info, err := d.Info(); err != nil || info.Size() > 0 {
			files = append(files, path)
			return err
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

func spoil(t *testing.T, file, how string) {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	switch how {
	case "missing":
		if err := os.Remove(file); err != nil {
			t.Fatal(err)
		}
		return
	case "cut short":
		text = text[:len(text)/2]
	case "empty":
		text = nil
	case "flipped":
		text[len(text)/2] ^= 0x10
	}
	if err := os.WriteFile(file, text, 0o600); err != nil {
		t.Fatal(err)
	}
}
