package hostile

import (
	"encoding/json"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
)

// publishKept publishes to a room with a history, and returns the answer.
func (w *wire) publishKept(t *testing.T, id, size int) string {
	t.Helper()
	return w.call(t, id, "publish", `{"room":"room:kept","event":"e","data":"`+strings.Repeat(strconv.Itoa(id%10), size)+`"}`)
}

// kept counts the messages that are in that room's history.
func (s *server) kept(t *testing.T) (n int) {
	t.Helper()
	w := must(t)(s.socket(""))
	defer w.Close()
	w.call(t, 1, "join", `{"room":"room:kept"}`)
	before := ""
	for id := 2; ; id++ {
		var pages []struct {
			Messages []struct {
				Offset string `json:"offset"`
			} `json:"messages"`
			More  bool   `json:"more"`
			Error string `json:"error"`
		}
		answer := w.call(t, id, "history", `{"room":"room:kept","limit":200`+before+`}`)
		if err := json.Unmarshal([]byte(answer[strings.IndexByte(answer, '['):]), &pages); err != nil || len(pages) != 1 || pages[0].Error != "" {
			t.Fatalf("history is answered %.200s (%v)", answer, err)
		}
		page := pages[0]
		if n += len(page.Messages); !page.More || len(page.Messages) == 0 {
			return n
		}
		before = fmt.Sprintf(`,"before":%q`, page.Messages[0].Offset)
	}
}

// TestStorage: a folder that is full or damaged. A server whose disk has failed
// serves nobody any more, on purpose: what holds for all after other items holds
// here after a start on a disk that works.
func TestStorage(t *testing.T) {
	const section = "Storage"
	t.Run("full-disk", func(t *testing.T) {
		full, after := t.TempDir(), t.TempDir()
		mount := []string{"unshare", "--mount", "--map-root-user", "sh", "-c", `mount -t tmpfs -o size=256m none "` + full + `" || exit 1; "$0" "$@" & p=$!; trap "kill -TERM $p" TERM; wait $p; wait $p; code=$?; cp -a "` + full + `/." "` + after + `"; exit $code`}
		if os.Getuid() == 0 {
			mount = append([]string{"unshare", "--mount"}, mount[3:]...)
		}
		none := []string{"--limit-data=200KB", "--rate-connection-publishes=none", "--rate-room-publishes=none", "--rate-connection-events=none"}
		s := start(t, mount, append(in(t, full), none...)...)
		s.fails = true
		logged := len(s.log.String())
		before := s.first
		w := must(t)(s.socket(""))
		acknowledged, refused := 0, false
		for ; acknowledged < 3000 && !refused; acknowledged++ {
			refused = strings.Contains(w.publishKept(t, acknowledged, 100_000), `"error"`)
		}
		acknowledged--
		t.Logf("%d messages of 100 kB", acknowledged)
		if !refused {
			t.Fatal("a full disk acknowledges")
		}
		if got := w.publishKept(t, 5000, 1); !strings.Contains(got, `"code":"unavailable"`) {
			t.Errorf("after that: %s", got)
		}
		if status, _ := s.request(t, "GET", "/healthz", ""); status != 503 {
			t.Errorf("healthz: %d", status)
		}
		it := item{"full disk", "publications until the disk is full; then a start on one that is not", "refused: unavailable; nothing is acknowledged any more, `/healthz` is 503. After the start: all that was acknowledged is there", []string{"tutti_store_failed", "log: no space left"}, nil}
		s.tells(t, it, before, logged)
		w.Close()
		s.stop(t)
		s = start(t, nil, append(in(t, after), none...)...)
		if n := s.kept(t); n < acknowledged || n > acknowledged+1 {
			t.Errorf("%d messages were acknowledged, %d are there", acknowledged, n)
		}
		survive(t, s, section, nil)
		if !t.Failed() {
			note(section, it)
		}
	})
	damage(t, section)
}

// in are the settings of a subject with a folder.
func in(t *testing.T, folder string) []string {
	args := subject(t)
	for i, a := range args {
		if strings.HasPrefix(a, "--data=") {
			args[i] = "--data=" + folder
		}
	}
	return args
}

// damageWords are those with which it ends.
var damageWords = []string{"stored data damaged", "has format", "is not empty and not a data directory"}

// damage starts the program with folders that were damaged.
func damage(t *testing.T, section string) {
	const messages = 50
	dir := t.TempDir()
	s := start(t, nil, in(t, dir)...)
	w := must(t)(s.socket(""))
	for i := range messages {
		if got := w.publishKept(t, i, 1000); strings.Contains(got, `"error"`) {
			t.Fatalf("message %d: %s", i, got)
		}
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
				started, kept, words := tryStart(t, damaged)
				if started && kept != messages { // it was stopped in order: no write was torn
					t.Errorf("%s %s: %d messages were acknowledged, %d are there", file, how, messages, kept)
				}
				named := strings.Contains(words, damaged) && slices.ContainsFunc(damageWords, func(w string) bool { return strings.Contains(words, w) })
				if strings.Contains(words, "panic") || strings.Contains(words, "goroutine ") || !started && !named {
					t.Errorf("%s %s: %s", file, how, words)
				}
			}
			if len(files) < 3 {
				t.Errorf("only %v to damage", files)
			}
			if !t.Failed() {
				note(section, item{"file " + how, "each file of the folder " + how + ", then a start", "it starts and serves all that was acknowledged; or it ends, and names the folder and what is wrong with it", []string{"log: " + strings.Join(damageWords, " or log: ")}, nil})
			}
		})
	}
}

// tryStart runs the program with a folder until it answers or ends, and returns
// what it said. If it answers, somebody comes, and counts the messages.
func tryStart(t *testing.T, data string) (started bool, kept int, words string) {
	t.Helper()
	s := &server{address: freeAddress(t), log: &journal{}}
	p := exec.Command(program, append(in(t, data), "--listen="+s.address)...)
	p.Args = append([]string{program, "serve"}, p.Args[1:]...)
	p.Stdout, p.Stderr = s.log, s.log
	if err := p.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() { // ends with the process
		defer close(ended)
		_ = p.Wait() // how is told by what it said
	}()
	over := func() bool {
		select {
		case <-ended:
			return true
		default:
			return false
		}
	}
	if !eventually(func() bool { return over() || strings.Contains(s.log.String(), "listening") }) {
		t.Errorf("it neither starts nor ends: %s", s.log)
	}
	if started = !over(); started {
		s.fresh(t)
		kept = s.kept(t)
	}
	_ = p.Process.Signal(syscall.SIGTERM) // or it has ended
	<-ended
	if code := p.ProcessState.ExitCode(); started != (code == 0) {
		t.Errorf("it started: %v; and ended with %d: %s", started, code, s.log)
	}
	return started, kept, s.log.String()
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
