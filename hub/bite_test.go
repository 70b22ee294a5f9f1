package hub_test

import (
	"encoding/json"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// bugs are mistakes that others have made, and the tests that must see them. Each
// replaces a text of a function while the tests are compiled: nothing of it is
// in the package.
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
	{"an acknowledgement overtakes its message at home", "sharedtape.go",
		"		t.await(ctx, p)\n", "", "TestClusterOrder"},
	{"a takeover undoes a join", "move.go",
		"				sp.keeper.renew(s.session)\n", "", "TestClusterJoinWhileReturning"},
	{"a node goes on that was fenced", "sharedsession.go",
		"			case errors.Is(s.Err, ErrFenced) && s.Generation == x.generation:\n				fenced = sp.fence(x, fenced)\n", "", "TestClusterFence"},
	{"sessions of a node that died are forgotten", "sharedsession.go",
		"			records = append(records, k.record(x))\n", "", "TestClusterQuiet"},
	{"a quiet node falls behind what is kept", "sharedsession.go",
		"		_, err := t.line.Listen(ctx)\n		cancel()\n", "		err := ctx.Err()\n		cancel()\n", "TestClusterSlowReader"},
	{"the memory stands for rooms that were not heard", "sharedtape.go",
		"if ok && heard {", "if _ = heard; ok {", "TestClusterRecovery"},
	{"a room is ignored behind the back of who joins it", "ears.go",
		"if e != nil && e.ending != nil {", "if e != nil && false {", "TestClusterJoinWhileIgnored"},
	{"sessions outlive their log", "sharedsession.go",
		"			clear(sp.sessions.byID)\n", "", "TestClusterWiped"},
	{"offsets of other nodes are refused", "history.go",
		"	if err := sp.tape.barrier(ctx); err != nil {\n		return 0, err\n	}\n", "", "TestClusterHistory"},
}

// TestBites: the tests of memory see each of the bugs. They are compiled into
// one program, and a variable of the environment says which of them it has.
func TestBites(t *testing.T) {
	if testing.Short() {
		t.Skip("compiles the package again")
	}
	dir := t.TempDir()
	replace := map[string]string{}
	put := func(name, text string) {
		path, err := filepath.Abs(name)
		if err != nil {
			t.Fatal(err)
		}
		replace[path] = filepath.Join(dir, name)
		if err := os.WriteFile(replace[path], []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	put("bug.go", "package hub\n\nimport \"os\"\n\nvar bug = os.Getenv(\"BUG\")\n")
	for _, bug := range bugs {
		if _, err := os.Stat(filepath.Join(dir, bug.file)); err != nil {
			put(bug.file, withBugs(t, bug.file))
		}
	}
	overlay, err := json.Marshal(map[string]any{"Replace": replace})
	if err != nil {
		t.Fatal(err)
	}
	list, program := filepath.Join(dir, "overlay.json"), filepath.Join(dir, "hub.test")
	if err := os.WriteFile(list, overlay, 0o600); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.CommandContext(t.Context(), "go", "test", "-c", "-o", program, "-overlay", list, ".").CombinedOutput(); err != nil {
		t.Fatalf("a bug does not compile: %v\n%s", err, out)
	}
	run := func(name, tests, times string) (string, error) {
		cmd := exec.CommandContext(t.Context(), program, "-test.short", "-test.failfast", "-test.timeout", "120s", "-test.run", "^("+tests+")$",
			"-test.count="+times, "-rapid.nofailfile", "-rapid.checks=500", "-rapid.shrinktime=1s")
		cmd.Env = append(os.Environ(), "BUG="+name)
		out, err := cmd.CombinedOutput()
		return string(out), err
	}
	seen := map[string]bool{}
	for _, bug := range bugs {
		seen[bug.seen] = true
		t.Run(bug.name, func(t *testing.T) {
			t.Parallel()
			// Some need luck, with the order of goroutines or the dice.
			if _, err := run(bug.name, bug.seen, "40"); err == nil {
				t.Errorf("%s: not seen by %s", bug.name, bug.seen)
			}
		})
	}
	t.Run("none", func(t *testing.T) {
		t.Parallel()
		if out, err := run("", strings.Join(slices.Sorted(maps.Keys(seen)), "|"), "1"); err != nil {
			t.Errorf("seen where there is no bug: %v\n%s", err, out)
		}
	})
}

// withBugs returns a file in which every function with a bug calls a copy of
// itself that has it, if that is the bug.
func withBugs(t *testing.T, name string) string {
	t.Helper()
	source, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	text := string(source)
	parsed, err := parser.ParseFile(token.NewFileSet(), name, text, 0)
	if err != nil {
		t.Fatal(err)
	}
	heads := map[*ast.FuncDecl]string{} // what its body begins with now
	var copies strings.Builder
	for i, bug := range bugs {
		if bug.file != name {
			continue
		}
		if n := strings.Count(text, bug.right); n != 1 {
			t.Fatalf("%s has %q %d times", bug.file, bug.right, n)
		}
		at := token.Pos(strings.Index(text, bug.right) + 1) // a file's first byte is at 1
		in := slices.IndexFunc(parsed.Decls, func(d ast.Decl) bool {
			f, ok := d.(*ast.FuncDecl)
			return ok && f.Body.Pos() < at && at < f.Body.End()
		})
		if in < 0 {
			t.Fatalf("%s: in no function", bug.name)
		}
		f := parsed.Decls[in].(*ast.FuncDecl)
		twin := fmt.Sprint(f.Name.Name, "WithBug", i)
		heads[f] += fmt.Sprintf("\nif bug == %q { %s }\n", bug.name, twinCall(f, twin))
		fmt.Fprintf(&copies, "\n%s%s%s\n", text[f.Pos()-1:f.Name.Pos()-1], twin,
			strings.Replace(text[f.Name.End()-1:f.End()-1], bug.right, bug.wrong, 1))
	}
	for _, d := range slices.Backward(parsed.Decls) { // from behind: positions before stay
		f, ok := d.(*ast.FuncDecl)
		if !ok || heads[f] == "" {
			continue
		}
		text = text[:f.Body.Lbrace] + heads[f] + text[f.Body.Lbrace:]
		for _, n := range slices.Backward(parameters(f)) {
			text = text[:n.Pos()-1] + named(n) + text[n.End()-1:]
		}
	}
	return text + copies.String()
}

// twinCall is the statement by which a function becomes a call of its twin.
func twinCall(f *ast.FuncDecl, twin string) string {
	if f.Recv != nil {
		twin = f.Recv.List[0].Names[0].Name + "." + twin
	}
	var args []string
	for _, n := range parameters(f) {
		args = append(args, named(n))
	}
	twin += "(" + strings.Join(args, ", ")
	if p := f.Type.Params.List; len(p) > 0 {
		if _, ok := p[len(p)-1].Type.(*ast.Ellipsis); ok {
			twin += "..."
		}
	}
	if f.Type.Results == nil {
		return twin + "); return"
	}
	return "return " + twin + ")"
}

func parameters(f *ast.FuncDecl) (names []*ast.Ident) {
	for _, p := range f.Type.Params.List {
		names = append(names, p.Names...)
	}
	return names
}

// named gives a parameter without a name one.
func named(n *ast.Ident) string {
	if n.Name == "_" {
		return fmt.Sprint("blank", n.Pos())
	}
	return n.Name
}
