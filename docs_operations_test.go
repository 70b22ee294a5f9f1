package tutti_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// TestAlerts: docs/operations.md says what to do about each alert, and about no
// other.
func TestAlerts(t *testing.T) {
	names := func(re, text string) (list []string) {
		for _, found := range regexp.MustCompile(re).FindAllStringSubmatch(text, -1) {
			list = append(list, found[1])
		}
		return list
	}
	alerts := names(`(?m)^ *- alert: (\w+)`, read(t, "deploy/prometheus/alerts.yml"))
	described := names(`(?m)^### (Tutti\w+)$`, read(t, "docs/operations.md"))
	if len(alerts) < 10 || !slices.Equal(alerts, described) {
		t.Errorf("the alerts are\n%v\ndocs/operations.md describes\n%v", alerts, described)
	}
}

// TestAlertTests: of every alert the tests that promtool runs say when it fires,
// and when it does not.
func TestAlertTests(t *testing.T) {
	tests := read(t, "deploy/prometheus/alerts_test.yml")
	for _, found := range regexp.MustCompile(`(?m)^ *- alert: (\w+)`).FindAllStringSubmatch(read(t, "deploy/prometheus/alerts.yml"), -1) {
		name := found[1]
		for what, re := range map[string]string{
			"fires":         `(?m)^ *- eval_time: \w+\n *alertname: ` + name + `\n *exp_alerts:\n *- exp_labels:`,
			"does not fire": `(?m)^ *- \{eval_time: \w+, alertname: ` + name + `\}`,
		} {
			if !regexp.MustCompile(re).MatchString(tests) {
				t.Errorf("no test in deploy/prometheus/alerts_test.yml shows that %s %s", name, what)
			}
		}
	}
}

// TestGuide: the files of deploy that docs/operations.md quotes stand there as
// they are, behind a comment with their name; -update puts them there.
func TestGuide(t *testing.T) {
	text := read(t, "docs/operations.md")
	languages := map[string]string{".yaml": "yaml", ".service": "ini", ".site": "nginx", ".logrotate": ""}
	quoted := regexp.MustCompile("(?s)<!-- (deploy/[a-z.]+) -->\n(\n```[a-z]*\n.*?\n```\n)?")
	var names []string
	current := quoted.ReplaceAllStringFunc(text, func(part string) string {
		name := quoted.FindStringSubmatch(part)[1]
		names = append(names, name)
		return "<!-- " + name + " -->\n\n```" + languages[path.Ext(name)] + "\n" + read(t, name) + "```\n"
	})
	if want := []string{"deploy/tutti.yaml", "deploy/tutti.service", "deploy/nginx.site", "deploy/tutti.logrotate"}; !slices.Equal(names, want) {
		t.Errorf("docs/operations.md quotes %v, want %v", names, want)
	}
	switch {
	case *updateDocs:
		if err := os.WriteFile("docs/operations.md", []byte(current), 0o600); err != nil {
			t.Fatal(err)
		}
	case current != text:
		t.Error("docs/operations.md quotes a file of deploy that is another now: go test -run TestGuide -update .")
	}
	// The unit gives the server more time than it takes for itself.
	unit := read(t, "deploy/tutti.service")
	drain := regexp.MustCompile("`timeout.drain`.*\\| `(\\d+)s` \\|").FindStringSubmatch(read(t, "docs/configuration.md"))
	stop := regexp.MustCompile(`(?m)^TimeoutStopSec=(\d+)$`).FindStringSubmatch(unit)
	if drain == nil || stop == nil || !strings.Contains(unit, "timeout.drain, which is "+drain[1]+" s ") {
		t.Fatalf("the unit says another time than timeout.drain has: %v, %v", drain, stop)
	}
	if of, _ := strconv.Atoi(drain[1]); of == 0 {
		t.Error("no time")
	} else if till, _ := strconv.Atoi(stop[1]); till <= of {
		t.Errorf("the unit kills after %d s what takes %d s", till, of)
	}
}

// TestLogKeys: docs/operations.md names all keys that the log has, and no
// other: who searches logs relies on them.
func TestLogKeys(t *testing.T) {
	_, table, _ := strings.Cut(read(t, "docs/operations.md"), "| key | is |")
	table, _, _ = strings.Cut(table, "\n\n")
	documented := make(map[string]bool)
	for line := range strings.Lines(table) {
		cells := strings.Split(line, "|")
		if len(cells) < 3 {
			continue
		}
		for _, name := range regexp.MustCompile("`([a-z]+)`").FindAllStringSubmatch(cells[1], -1) {
			documented[name[1]] = true
		}
	}
	used := make(map[string]string)
	err := fs.WalkDir(os.DirFS("."), ".", func(name string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && (name == "conformance" || name == "bench" || d.Name() == "node_modules" || strings.HasPrefix(d.Name(), ".") && name != "."):
			return fs.SkipDir
		case !d.IsDir() && path.Ext(name) == ".go" && !strings.HasSuffix(name, "_test.go"):
			logKeys(t, name, used)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(used) < 10 {
		t.Fatalf("found only %v", used)
	}
	for key, where := range used {
		if !documented[key] {
			t.Errorf("%s logs %q, which docs/operations.md does not explain", where, key)
		}
		delete(documented, key)
	}
	for key := range documented {
		t.Errorf("docs/operations.md explains the log's %q, which nothing logs", key)
	}
}

// logKeys adds the keys of attributes that a file logs.
func logKeys(t *testing.T, name string, used map[string]string) {
	t.Helper()
	file, err := parser.ParseFile(token.NewFileSet(), name, read(t, name), parser.SkipObjectResolution)
	if err != nil {
		t.Fatal(err)
	}
	add := func(e ast.Expr) {
		switch e := e.(type) {
		case *ast.BasicLit:
			if key, err := strconv.Unquote(e.Value); err == nil {
				used[key] = name
			}
		case *ast.Ident:
			if key, ok := keyConstants[e.Name]; ok {
				used[key] = name
			} else if strings.HasPrefix(e.Name, "key") {
				t.Errorf("%s: a key that this test does not know: %s", name, e.Name)
			}
		}
	}
	ast.Inspect(file, func(n ast.Node) bool {
		call, ok := n.(*ast.CallExpr)
		if !ok || len(call.Args) < 2 {
			return true
		}
		fn, ok := call.Fun.(*ast.SelectorExpr)
		if !ok {
			return true
		}
		switch of := lastName(fn.X); {
		case of == "slog" && slices.Contains([]string{"String", "Any", "Int", "Int64", "Duration", "Time", "Bool"}, fn.Sel.Name):
			add(call.Args[0])
		case strings.EqualFold(of, "log") && slices.Contains([]string{"Debug", "Info", "Warn", "Error"}, fn.Sel.Name):
			for i := 1; i < len(call.Args); i += 2 {
				if attr, ok := call.Args[i].(*ast.CallExpr); ok && attr != nil {
					i-- // slog.String(…): an attribute of its own, found by itself
					continue
				}
				add(call.Args[i])
			}
		}
		return true
	})
}

// keyConstants are the constants that stand for keys.
var keyConstants = map[string]string{"keySession": "sid", "keySocket": "socket", "keyNamespace": "nsp", "keyEvent": "event", "keyErr": "err"}

// lastName is the name of what a method is called on.
func lastName(e ast.Expr) string {
	switch e := e.(type) {
	case *ast.Ident:
		return e.Name
	case *ast.SelectorExpr:
		return e.Sel.Name
	}
	return ""
}
