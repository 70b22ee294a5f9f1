package arch

import (
	"cmp"
	"os"
	"path/filepath"
	"slices"
	"testing"
)

// rules are what every Go file of the repository keeps to.
var rules = []struct {
	name  string
	check func(*tree) []finding
}{
	{"imports", ruleImports},
	{"foreign", ruleForeign},
	{"pure", rulePure},
	{"functions", ruleFunctions},
	{"files", ruleFiles},
	{"packages", rulePackages},
	{"budgets", ruleBudgets},
	{"names", ruleNames},
	{"signatures", ruleSignatures},
	{"docs", ruleDocs},
	{"todo", ruleTodo},
	{"errors", ruleErrors},
	{"goroutines", ruleGoroutines},
	{"sleep", ruleSleep},
	{"init", ruleInit},
	{"vars", ruleVars},
	{"fields", ruleFields},
	{"print", rulePrint},
}

const root = "../.."

func TestHouse(t *testing.T) {
	tree, err := load(os.DirFS(root))
	if err != nil {
		t.Fatal(err)
	}
	if len(tree.packages) < 3 {
		t.Fatalf("found %d packages, which can't be all", len(tree.packages))
	}
	report(t, tree.broken)
	for _, r := range rules {
		t.Run(r.name, func(t *testing.T) { report(t, r.check(tree)) })
	}
}

func TestText(t *testing.T) {
	found, err := checkText(os.DirFS(root), tracked(t, root))
	if err != nil {
		t.Fatal(err)
	}
	report(t, found)
}

// TestLight guards that who uses the library alone doesn't pay for engines,
// bridges and the program.
func TestLight(t *testing.T) {
	for _, dir := range []string{".", "packet", "engineio", "hub", "door", "client"} {
		if files, _ := filepath.Glob(filepath.Join(root, dir, "*.go")); len(files) == 0 {
			continue // not there yet
		}
		report(t, checkLight(t, root, dir))
	}
}

func report(t *testing.T, found []finding) {
	t.Helper()
	slices.SortFunc(found, func(a, b finding) int {
		return cmp.Or(cmp.Compare(a.path, b.path), cmp.Compare(a.line, b.line))
	})
	for _, f := range found {
		t.Error(f)
	}
}
