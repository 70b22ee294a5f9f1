package hostile

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write docs/hostile-inputs.md anew")

// An item is one entry of the checklist.
type item struct {
	name  string
	tried string // in words, for the report
	told  string // what the peer is told
	// evidence is what tells an operator: the beginning of series, of which one
	// must have grown, or with "log: " a text that must stand in the log.
	evidence []string
	attack   func(t *testing.T, s *server)
}

// survive runs items against a server, each as a test, and looks at the server
// after each.
func survive(t *testing.T, s *server, section string, items []item) {
	t.Helper()
	for _, it := range items {
		t.Run(strings.ReplaceAll(it.name, " ", "-"), func(t *testing.T) {
			before, err := s.settled()
			if err != nil {
				t.Fatal(err)
			}
			logged := len(s.log.String())
			it.attack(t, s)
			s.fresh(t)
			s.quiet(t, before)
			s.tells(t, it, before, logged)
			if !t.Failed() {
				note(section, it)
			}
		})
	}
}

// quiet fails unless the server comes back to what it was.
func (s *server) quiet(t *testing.T, before readings) {
	t.Helper()
	var now readings
	var err error
	ok := eventually(func() bool {
		if now, err = s.settled(); err != nil {
			return false
		}
		return now["go_goroutines"] <= before["go_goroutines"]+slackGoroutines &&
			now["go_memstats_heap_alloc_bytes"] <= before["go_memstats_heap_alloc_bytes"]+slackHeap &&
			now["process_open_fds"] <= before["process_open_fds"]+slackFiles &&
			now["tutti_sessions"] <= before["tutti_sessions"] && now["tutti_waiting_bytes"] == 0
	})
	if ok {
		return
	}
	for _, name := range []string{"go_goroutines", "go_memstats_heap_alloc_bytes", "process_open_fds", "tutti_sessions", "tutti_waiting_bytes"} {
		t.Errorf("%s was %.0f and is %.0f", name, before[name], now[name])
	}
	t.Fatalf("the server did not come to rest (%v): %s\n%s", err, s.log.last(10), s.goroutines())
}

// tells fails unless an operator could have noticed, and if anything panicked.
func (s *server) tells(t *testing.T, it item, before readings, logged int) {
	t.Helper()
	log := s.log.String()[logged:]
	if i := strings.Index(log, "panic"); i >= 0 {
		t.Errorf("something panicked: %s", log[i:min(len(log), i+2000)])
	}
	if len(it.evidence) == 0 {
		t.Error("the item says nothing about what an operator sees")
	}
	for _, e := range it.evidence {
		if text, ok := strings.CutPrefix(e, "log: "); ok && !strings.Contains(log, text) {
			t.Errorf("the log has no %q: %s", text, s.log.last(10))
		} else if !ok && !eventually(func() bool { now, err := s.metrics(); return err == nil && now.sum(e) > before.sum(e) }) {
			t.Errorf("%s did not grow from %.0f", e, before.sum(e))
		}
	}
}

// fresh fails unless a new client is served, over both transports. Like any
// client it tries again if it is cut off: these servers give it a second to answer
// a heartbeat, which on a busy machine may be too little.
func (s *server) fresh(t *testing.T) {
	t.Helper()
	var err error
	if !eventually(func() bool { err = s.serves(); return err == nil }) {
		t.Fatalf("a fresh client is not served: %v; %s", err, s.log.last(5))
	}
	s.request(t, "POST", s.poll(t), "1")
}

// serves connects and has a call answered.
func (s *server) serves() error {
	w, err := s.socket("")
	if err != nil {
		return err
	}
	defer w.Close()
	if err := w.send(opText, []byte(`421["join",{"room":"room:fresh"}]`)); err != nil {
		return err
	}
	for {
		op, data, err := w.read()
		switch text := string(data); {
		case err != nil:
			return err
		case op == opClose:
			return fmt.Errorf("closed with %s", closeText(data))
		case strings.HasPrefix(text, "431[{") && !strings.Contains(text, "error"):
			return nil
		case strings.HasPrefix(text, "431["):
			return fmt.Errorf("answered %s", text)
		}
	}
}

// survived are the lines of the report.
var survived = map[string][]string{}

// sections are those of the report.
var sections []string

func note(section string, it item) {
	if !slices.Contains(sections, section) {
		sections = append(sections, section)
	}
	var evidence []string
	for _, e := range it.evidence {
		evidence = append(evidence, "`"+strings.TrimPrefix(e, "log: ")+"`")
	}
	survived[section] = append(survived[section], fmt.Sprintf("| %s | %s | %s | %s |", it.name, it.tried, it.told, strings.Join(evidence, ", ")))
}

// report writes the document, or compares it with what was seen if all ran.
func report() int {
	file := filepath.Join("..", "..", "docs", "hostile-inputs.md")
	if flag.Lookup("test.run").Value.String() != "" {
		return 0 // a part says nothing about the whole
	}
	var b strings.Builder
	b.WriteString(reportHead)
	slices.Sort(sections) // tests run in any order
	for _, section := range sections {
		fmt.Fprintf(&b, "\n## %s\n\n| item | tried | what the peer is told | what the operator sees |\n| --- | --- | --- | --- |\n", section)
		for _, line := range survived[section] {
			b.WriteString(line + "\n")
		}
	}
	b.WriteString(reportEnd)
	if *update {
		if err := os.WriteFile(file, []byte(b.String()), 0o666); err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		return 0
	}
	text, err := os.ReadFile(file)
	if err != nil || string(text) != b.String() {
		fmt.Fprintf(os.Stderr, "docs/hostile-inputs.md is not what was seen: go test ./conformance/hostile -update (%v)\n", err)
		return 1
	}
	return 0
}
