package tutti_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"
	"testing"

	"github.com/tutti-rt/tutti"
	"github.com/tutti-rt/tutti/engineio"
	"github.com/tutti-rt/tutti/hub"
)

// spoken are the words that the documents use for a value of a type.
var spoken = map[string]reflect.Type{
	"srv":            reflect.TypeFor[*tutti.Server](),
	"ns":             reflect.TypeFor[*tutti.Namespace](),
	"s":              reflect.TypeFor[*tutti.Socket](),
	"aud":            reflect.TypeFor[tutti.Audience](),
	"m":              reflect.TypeFor[*tutti.Message](),
	"h":              reflect.TypeFor[tutti.Handshake](),
	"Config":         reflect.TypeFor[tutti.Config](),
	"Trace":          reflect.TypeFor[tutti.Trace](),
	"Engine":         reflect.TypeFor[engineio.Config](),
	"Hub":            reflect.TypeFor[hub.Config](),
	"engineio.Trace": reflect.TypeFor[engineio.Trace](),
	"hub.Config":     reflect.TypeFor[hub.Config](),
}

var (
	inline  = regexp.MustCompile("`[^`\n]+`")
	member  = regexp.MustCompile(`(?:^|[^.\w])(srv|ns|s|aud|m|h|Config|Trace|Engine|Hub|engineio\.Trace|hub\.Config)\.([A-Z]\w*)`)
	ofOurs  = regexp.MustCompile(`\b(tutti|engineio|hub)\.([A-Z]\w*)`)
	sources = map[string]string{"tutti": ".", "engineio": "engineio", "hub": "hub"}
)

// TestNames finds names in the prose of the documents that the code does not
// have, or not any more.
func TestNames(t *testing.T) {
	exported := make(map[string]map[string]bool)
	for name, dir := range sources {
		exported[name] = exportedNames(t, dir)
	}
	for _, name := range []string{"README.md", "docs/library.md", "docs/moving-from-socketio.md"} {
		for _, code := range inline.FindAllString(read(t, name), -1) {
			for _, found := range member.FindAllStringSubmatch(code, -1) {
				if typ := spoken[found[1]]; !has(typ, found[2]) {
					t.Errorf("%s says %s: %v has no %s", name, code, typ, found[2])
				}
			}
			for _, found := range ofOurs.FindAllStringSubmatch(code, -1) {
				if !exported[found[1]][found[2]] {
					t.Errorf("%s says %s: package %s has no %s", name, code, found[1], found[2])
				}
			}
		}
	}
}

func has(typ reflect.Type, name string) bool {
	if _, ok := typ.MethodByName(name); ok {
		return true
	}
	if typ.Kind() == reflect.Pointer {
		typ = typ.Elem()
	}
	_, ok := typ.FieldByName(name)
	return ok
}

// exportedNames returns what the package in dir declares, methods left out.
func exportedNames(t *testing.T, dir string) map[string]bool {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "*.go"))
	if err != nil {
		t.Fatal(err)
	}
	names := make(map[string]bool)
	for _, file := range files {
		if strings.HasSuffix(file, "_test.go") {
			continue
		}
		f, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		for _, decl := range f.Decls {
			switch d := decl.(type) {
			case *ast.FuncDecl:
				names[d.Name.Name] = d.Recv == nil || names[d.Name.Name]
			case *ast.GenDecl:
				for _, spec := range d.Specs {
					switch s := spec.(type) {
					case *ast.TypeSpec:
						names[s.Name.Name] = true
					case *ast.ValueSpec:
						for _, id := range s.Names {
							names[id.Name] = true
						}
					}
				}
			}
		}
	}
	return names
}
