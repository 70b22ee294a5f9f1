package hub_test

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// bugs are mistakes that others have made, and the tests that must see them. Each
// replaces a text of the package's source while the tests are compiled: nothing
// of it is in the package.
var bugs = []struct {
	name, file, right, wrong, seen string
}{
	{"a publish is answered before it is written", "tape.go",
		"return m.position, false, g.wait(ctx)", "return m.position, false, nil", "TestPublishersShareACommit"},
	{"what could not be written is delivered", "tape.go",
		"if failed == nil && len(g.messages) > 0 {", "if len(g.messages) > 0 {", "TestPublishersShareACommit"},
	{"no dedup", "tape.go",
		"if first, ok := t.ids.find(m); ok {", "if first, ok := t.ids.find(m); ok && m.ID == \"\" {", "TestMemory"},
	{"ids forgotten by a restart", "tape.go",
		"			t.ids.add(m, nil, memory.Window)\n", "", "TestMemory"},
	{"replay off by one", "recent.go",
		"slices.BinarySearchFunc(r.list, p+1,", "slices.BinarySearchFunc(r.list, p+2,", "TestMemory|TestNothingLost"},
	{"replay from the store off by one", "tape.go",
		"stored, err := t.log.Tape(p, limit)", "stored, err := t.log.Tape(p+1, limit)", "TestMemory"},
	{"replay begins where the space is", "session.go",
		"s.cursor.Store(uint64(at))", "s.cursor.Store(uint64(max(at, sp.head)))", "TestMemory"},
	{"no fencing", "session.go",
		"fenced.session, fenced.lost = nil, true\n			fenced.rise()", "fenced.lost = true", "TestMemory|TestNothingLost"},
	{"joins are not written", "move.go",
		"saved = sp.save(true, moved...)", "saved = sp.save(true)", "TestMemory|TestMovedByOthers"},
	{"joins are not synced", "move.go",
		"saved = sp.save(true, moved...)", "saved = sp.save(false, moved...)", "TestJoinSurvivesPower"},
	{"anybody may take a session over", "session.go",
		"case s.owner != owner:", "case false:", "TestForeignSession"},
	{"what was published before a join is replayed", "catchup.go",
		"return true\n	}\n	for _, name := range m.Rooms {\n		if i := s.find(name); i >= 0 && s.places[i].since < m.position {",
		"return true\n	}\n	for _, name := range m.Rooms {\n		if i := s.find(name); i >= 0 {", "TestMemory"},
	{"erased messages are replayed", "tape.go",
		"t.recent.erase(", "_ = (", "TestMemory"},
}

// TestBites: the tests of memory see each of the bugs.
func TestBites(t *testing.T) {
	if testing.Short() {
		t.Skip("compiles the package again for every bug")
	}
	for _, bug := range bugs {
		t.Run(bug.name, func(t *testing.T) {
			t.Parallel()
			source, err := os.ReadFile(bug.file)
			if err != nil {
				t.Fatal(err)
			}
			text := string(source)
			if strings.Count(text, bug.right) != 1 {
				t.Fatalf("%s has %q %d times", bug.file, bug.right, strings.Count(text, bug.right))
			}
			dir := t.TempDir()
			mutant := filepath.Join(dir, bug.file)
			if err := os.WriteFile(mutant, []byte(strings.Replace(text, bug.right, bug.wrong, 1)), 0o600); err != nil {
				t.Fatal(err)
			}
			whole, err := filepath.Abs(bug.file)
			if err != nil {
				t.Fatal(err)
			}
			overlay, err := json.Marshal(map[string]map[string]string{"Replace": {whole: mutant}})
			if err != nil {
				t.Fatal(err)
			}
			list := filepath.Join(dir, "overlay.json")
			if err := os.WriteFile(list, overlay, 0o600); err != nil {
				t.Fatal(err)
			}
			cmd := exec.CommandContext(t.Context(), "go", "test", "-short", "-overlay", list, "-timeout", "60s",
				"-run", "^("+bug.seen+")$", ".", "-rapid.nofailfile", "-rapid.checks=500", "-rapid.shrinktime=1s")
			out, err := cmd.CombinedOutput()
			switch {
			case err == nil:
				t.Errorf("%s: not seen by %s", bug.name, bug.seen)
			case strings.Contains(string(out), "[build failed]"):
				t.Errorf("the bug does not compile:\n%s", out)
			}
		})
	}
}
