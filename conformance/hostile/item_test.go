package hostile

import (
	"flag"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

var update = flag.Bool("update", false, "write docs/hostile-inputs.md anew")

// An item is one entry of the checklist.
type item struct {
	name  string
	tried string // in words, for the report
	told  string // what the peer is told
	// evidence is what tells an operator: the beginning of series, of which one
	// must have grown, or with "log: " a text that must stand in the log; with
	// " or " between them one is enough. It is taken before anybody else comes.
	evidence []string
	attack   func(t *testing.T, s *server)
}

// nothing is the evidence of what harms nobody.
const nothing = "nothing: it is served"

// times is an item whose attack does something n times, and says so in the place
// of {n}.
func times(n int, it item, attack func(t *testing.T, s *server, n int)) item {
	it.tried = strings.ReplaceAll(it.tried, "{n}", count(n))
	it.attack = func(t *testing.T, s *server) { attack(t, s, n) }
	return it
}

// count is a number as people write it.
func count(n int) string {
	if n < 1000 {
		return strconv.Itoa(n)
	}
	return fmt.Sprintf("%s,%03d", count(n/1000), n%1000)
}

// A variant is one of several things to send, with its name for the report.
type variant struct{ name, text string }

// names are those of variants, each once.
func names(variants []variant) string {
	var all []string
	for _, v := range variants {
		if !slices.Contains(all, v.name) {
			all = append(all, v.name)
		}
	}
	return strings.Join(all, ", ")
}

// survive runs items against a server, each as a test, and looks at the server
// after each. At the end it must be as it was before the first item of all: what
// each leaves behind may not add up.
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
			s.tells(t, it, before, logged) // before the fresh client adds to what has grown
			s.fresh(t)
			before["go_memstats_heap_alloc_bytes"] += s.holds
			s.quiet(t, before)
			if !t.Failed() {
				note(section, it)
			}
		})
	}
	if !t.Failed() {
		limit := maps.Clone(s.first)
		limit["go_memstats_heap_alloc_bytes"] += s.keeps
		s.quiet(t, limit)
	}
}

// returning are the readings that must come back to what they were, and by how
// much they may miss it: pools and tables keep some of what they have grown to,
// on purpose. The same is allowed after an item and after all of them.
var returning = map[string]float64{
	"go_goroutines":                6,
	"go_memstats_heap_alloc_bytes": 6 << 20,
	"process_open_fds":             6,
	"tutti_sessions":               0,
	"tutti_streams":                0,
	"tutti_rooms":                  0,
	"tutti_sockets":                0,
}

// quiet fails unless the server comes back to what it was.
func (s *server) quiet(t *testing.T, before readings) {
	t.Helper()
	var wrong []string
	began := time.Now()
	if eventually(func() bool {
		now := s.unrest(before)
		if wrong = now; len(now) > 0 && time.Since(began) > 3*time.Second && testing.Verbose() {
			t.Log("not at rest:", now)
		}
		return len(now) == 0
	}) {
		return
	}
	profile := s.goroutines()
	t.Fatalf("the server did not come to rest: %s\n%s\n%s", strings.Join(wrong, ", "), s.log.last(10), profile[:min(len(profile), 6000)])
}

// unrest says what is not as it was before.
func (s *server) unrest(before readings) (wrong []string) {
	now, err := s.settled()
	if err != nil {
		return []string{err.Error()}
	}
	for name, slack := range returning {
		was, is := before.of(name), now.of(name)
		if name == "go_goroutines" && is > was+slack {
			is -= float64(resting(s.goroutines()))
		}
		if is > was+slack {
			wrong = append(wrong, fmt.Sprintf("%s was %.0f and is %.0f", name, was, is))
		}
	}
	if n := now["tutti_waiting_bytes"]; n != 0 {
		wrong = append(wrong, fmt.Sprintf("%.0f bytes wait", n))
	}
	return wrong
}

// resting counts the goroutines that wait for the next handler to run. There is
// a limit to them, and they end when nobody has needed them for some seconds.
func resting(profile string) (n int) {
	_, profile, _ = strings.Cut(profile, "\n") // the total
	for block := range strings.SplitSeq(profile, "\n\n") {
		head, frames, _ := strings.Cut(block, "\n")
		if frame, _, _ := strings.Cut(frames, "\n"); strings.Contains(frame, "serial.(*Crew).serve") {
			var these int
			_, _ = fmt.Sscanf(head, "%d @", &these)
			n += these
		}
	}
	return n
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
		if e != nothing && !eventually(func() bool { return s.shows(e, before, logged) }) {
			t.Errorf("%s did not grow from %.0f, or is not in the log: %s", e, before.sum(e), s.log.last(10))
		}
	}
}

// shows says whether there is an evidence by now.
func (s *server) shows(evidence string, before readings, logged int) bool {
	now, err := s.metrics()
	if err != nil {
		return false
	}
	for e := range strings.SplitSeq(evidence, " or ") {
		if text, ok := strings.CutPrefix(e, "log: "); ok && strings.Contains(s.log.String()[logged:], text) || !ok && now.sum(e) > before.sum(e) {
			return true
		}
	}
	return false
}

// bearable is how long a new client tries before it is not served: about as long
// as a person does.
const bearable = 10 * time.Second

// fresh fails unless a new client is served, over both transports. Like any
// client it tries again if it is cut off: these servers give it a second to answer
// a heartbeat, which on a busy machine may be too little.
func (s *server) fresh(t *testing.T) {
	t.Helper()
	var err error
	if !within(bearable, func() bool { err = s.serves(); return err == nil }) {
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
	_ = w.SetDeadline(time.Now().Add(bearable))
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
		if e == nothing {
			evidence = append(evidence, e)
			continue
		}
		evidence = append(evidence, "`"+strings.ReplaceAll(strings.ReplaceAll(e, "log: ", ""), " or ", "` or `")+"`")
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
