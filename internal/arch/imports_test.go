package arch

import (
	"go/ast"
	"slices"
	"strings"
)

// mayImport is the floor plan: data flows one way, and no import points against
// it. The first row whose dir matches counts; "x/..." is everything below x,
// "public" whatever a user of the module could import too, "all" everything.
var mayImport = []struct {
	dir string
	may []string
}{
	{"packet", nil},
	{"auth", nil},
	{"auth/...", []string{"auth"}},
	{"internal/...", []string{"internal/..."}},
	{"quota", []string{"internal/limit"}},
	{"engineio", []string{"quota", "internal/..."}},
	{"engineio/...", []string{"engineio", "internal/..."}},
	{"hub", []string{"packet", "internal/turn"}},
	{"hub/hubtest", []string{"hub", "packet"}},
	{"hub/nodehub", []string{"hub", "packet", "hub/redishub/nodewire", "internal/..."}},
	{"hub/...", []string{"hub", "packet", "internal/..."}},
	{"verb", []string{"hub", "packet", "quota"}},
	{".", []string{"packet", "engineio", "hub", "verb", "quota", "auth", "internal/..."}},
	{"door", []string{"hub", "packet", "verb", "auth", "quota", "internal/..."}},
	{"door/...", []string{"door", "hub", "packet", "auth", "internal/..."}},
	{"schema", []string{"packet", "hub", "verb", "."}},
	{"bridge", []string{"hub", "packet", "internal/..."}},
	{"bridge/...", []string{"bridge", "hub", "packet", "internal/..."}},
	{"yjs", []string{"hub", "packet", "auth"}},
	{"metrics", []string{"public", "internal/..."}},
	{"tracing", []string{"public", "internal/..."}},
	{"admin", []string{"public", "internal/..."}},
	{"client", []string{"packet", "engineio", "internal/..."}},
	{"demo/...", []string{"public"}},
	{"cmd/...", []string{"all"}},
	{"conformance/...", []string{"all"}},
	{"bench/...", []string{"all"}},
}

// onlyFor says who else may import a package: tests, if the list is empty.
var onlyFor = map[string][]string{
	"internal/pipe":    {"internal/siotest"}, // the network of tests
	"internal/siotest": nil,                  // the client of tests and examples
	"internal/leak":    nil,                  // the TestMain of packages with goroutines
	"internal/arch":    nil,
	"internal/config":  {"cmd/..."}, // settings are the program's, a library has a Config
	"internal/load":    {"cmd/...", "bench/..."},
	"hub/hubtest":      {"hub/...", "."}, // the engines of tests
}

// neverFor are packages of the standard library and of others that a folder
// must do without, whatever it imports of ours.
var neverFor = []struct {
	dir, path, why string
}{
	{"packet", "net", "packet is pure: no socket"},
	{"packet", "net/http", "packet is pure: no socket"},
	{"packet", "os", "packet is pure"},
	{"packet", "context", "packet is pure: nothing waits"},
	{"packet", "log/slog", "packet is pure: errors are returned"},
	{"hub", "net/http", "the hub knows no protocol"},
}

func matches(pattern, dir string) bool {
	if below, ok := strings.CutSuffix(pattern, "/..."); ok {
		return strings.HasPrefix(dir, below+"/")
	}
	return pattern == dir
}

func isPublic(dir string) bool {
	return !strings.Contains("/"+dir+"/", "/internal/") && !strings.HasPrefix(dir, "cmd/") && !strings.HasPrefix(dir, "conformance/")
}

func allowed(may []string, dir string) bool {
	return slices.ContainsFunc(may, func(pattern string) bool {
		return pattern == "all" || pattern == "public" && isPublic(dir) || matches(pattern, dir)
	})
}

// ruleImports checks every import of ours against mayImport. A test may import
// all of internal and what lies below its own folder besides.
func ruleImports(t *tree) []finding {
	var found []finding
	t.each(func(p *pkg, f *file) {
		row := slices.IndexFunc(mayImport, func(r struct {
			dir string
			may []string
		}) bool {
			return matches(r.dir, p.dir)
		})
		if row < 0 {
			found = append(found, t.at(f.Name, "%s is not in the import table of internal/arch/imports_test.go: add a row", p.dir))
			return
		}
		for _, spec := range f.Imports {
			dir, ours := ourDir(strings.Trim(spec.Path.Value, "`\""))
			if !ours || f.test && (dir == p.dir || strings.HasPrefix(dir, "internal/") || below(dir, p.dir)) {
				continue
			}
			who, limited := onlyFor[dir]
			if f.test && limited && allowed(who, p.dir) {
				continue
			}
			if !allowed(mayImport[row].may, dir) {
				found = append(found, t.at(spec, "%s may not import %s, only %v", p.dir, dir, mayImport[row].may))
			}
			if limited && !f.test && !allowed(who, p.dir) {
				found = append(found, t.at(spec, "%s is only for %v and tests", dir, who))
			}
		}
	})
	return found
}

// clocks are what a pure package may not use of package time.
var clocks = []string{"Now", "Since", "Until", "Sleep", "After", "AfterFunc", "Tick", "NewTimer", "NewTicker"}

// rulePure: packet has no clock. It may know a time.Time.
func rulePure(t *tree) []finding {
	var found []finding
	t.each(func(p *pkg, f *file) {
		if p.dir != "packet" || f.test {
			return
		}
		ast.Inspect(f.File, func(n ast.Node) bool {
			for _, name := range clocks {
				if f.selects(n, "time", name) {
					found = append(found, t.at(n, "packet is pure: no time.%s", name))
				}
			}
			return true
		})
	})
	return found
}

// ruleForeign checks imports of packages that aren't ours.
func ruleForeign(t *tree) []finding {
	var found []finding
	t.each(func(p *pkg, f *file) {
		for _, spec := range f.Imports {
			path := strings.Trim(spec.Path.Value, "`\"")
			if f.test {
				if strings.HasPrefix(path, "github.com/stretchr/testify") {
					found = append(found, t.at(spec, "tests use the standard library only"))
				}
				continue
			}
			for _, n := range neverFor {
				if matches(n.dir, p.dir) && path == n.path {
					found = append(found, t.at(spec, "%s may not import %s: %s", p.dir, path, n.why))
				}
			}
			if strings.HasPrefix(path, "testing") && p.dir != "hub/hubtest" {
				found = append(found, t.at(spec, "only tests import %s", path))
			}
		}
	})
	return found
}

// ourDir is the folder of an import path of this module.
func ourDir(path string) (dir string, ours bool) {
	if path == module {
		return ".", true
	}
	return strings.CutPrefix(path, module+"/")
}

func below(dir, parent string) bool {
	return parent == "." && isPublic(dir) || strings.HasPrefix(dir, parent+"/")
}
