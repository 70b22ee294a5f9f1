package arch

import (
	"cmp"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path"
	"slices"
	"strings"
)

const module = "github.com/tutti-rt/tutti"

// A tree is every Go file of the repository, parsed but not type-checked, so
// that the rules run in well under a second and also while a package doesn't
// compile yet.
type tree struct {
	fset     *token.FileSet
	packages []*pkg // by dir
	broken   []finding
}

// A pkg is the Go files of one folder.
type pkg struct {
	dir   string // "." is the root
	name  string // of its non-test files
	files []*file
}

type file struct {
	*ast.File
	path      string // from the root, slashes
	lines     int
	test      bool
	generated bool
}

// A finding is one place that breaks a rule.
type finding struct {
	path string
	line int
	text string
}

func (f finding) String() string { return fmt.Sprintf("%s:%d: %s", f.path, f.line, f.text) }

// load parses every Go file below root but those that the go command doesn't
// see either.
func load(root fs.FS) (*tree, error) {
	t := &tree{fset: token.NewFileSet()}
	byDir := map[string]*pkg{}
	err := fs.WalkDir(root, ".", func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name := d.Name()
		if d.IsDir() {
			if p != "." && (name[0] == '.' || name[0] == '_' || name == "testdata" || name == "node_modules" || name == "vendor") {
				return fs.SkipDir
			}
			return nil
		}
		if path.Ext(name) != ".go" || name[0] == '.' || name[0] == '_' {
			return nil
		}
		f, err := t.parse(root, p)
		if err != nil {
			t.broken = append(t.broken, finding{p, 1, fmt.Sprintf("doesn't parse: %v", err)})
			return nil
		}
		dir := path.Dir(p)
		if byDir[dir] == nil {
			byDir[dir] = &pkg{dir: dir}
			t.packages = append(t.packages, byDir[dir])
		}
		byDir[dir].add(f)
		return nil
	})
	slices.SortFunc(t.packages, func(a, b *pkg) int { return cmp.Compare(a.dir, b.dir) })
	return t, err
}

func (t *tree) parse(root fs.FS, p string) (*file, error) {
	text, err := fs.ReadFile(root, p)
	if err != nil {
		return nil, err
	}
	f, err := parser.ParseFile(t.fset, p, text, parser.ParseComments|parser.SkipObjectResolution)
	if err != nil {
		return nil, err
	}
	return &file{
		File:      f,
		path:      p,
		lines:     strings.Count(string(text), "\n"),
		test:      strings.HasSuffix(p, "_test.go"),
		generated: ast.IsGenerated(f),
	}, nil
}

func (p *pkg) add(f *file) {
	p.files = append(p.files, f)
	if !f.test {
		p.name = f.Name.Name
	}
}

// isMain says whether p is a program.
func (p *pkg) isMain() bool { return p.name == "main" }

// at is a finding at n.
func (t *tree) at(n ast.Node, format string, args ...any) finding {
	pos := t.fset.Position(n.Pos())
	return finding{pos.Filename, pos.Line, fmt.Sprintf(format, args...)}
}

func (t *tree) line(p token.Pos) int { return t.fset.Position(p).Line }

// each calls visit for every file.
func (t *tree) each(visit func(*pkg, *file)) {
	for _, p := range t.packages {
		for _, f := range p.files {
			visit(p, f)
		}
	}
}

// funcs returns the functions and methods that f declares.
func (f *file) funcs() []*ast.FuncDecl {
	var found []*ast.FuncDecl
	for _, d := range f.Decls {
		if fn, ok := d.(*ast.FuncDecl); ok {
			found = append(found, fn)
		}
	}
	return found
}

// imports returns the local name of the package path in f, "" if f doesn't
// import it.
func (f *file) importName(importPath string) string {
	for _, spec := range f.Imports {
		if strings.Trim(spec.Path.Value, "`\"") != importPath {
			continue
		}
		if spec.Name != nil {
			return spec.Name.Name
		}
		return path.Base(importPath)
	}
	return ""
}

// calls says whether n is the selector name of the package importPath in f,
// called or not.
func (f *file) selects(n ast.Node, importPath, name string) bool {
	sel, ok := n.(*ast.SelectorExpr)
	if !ok || sel.Sel.Name != name {
		return false
	}
	x, ok := sel.X.(*ast.Ident)
	return ok && x.Name == f.importName(importPath) && x.Name != ""
}

// receiver is the name of the type that fn is a method of, "" for a function.
func receiver(fn *ast.FuncDecl) string {
	if fn.Recv == nil || len(fn.Recv.List) == 0 {
		return ""
	}
	typ := fn.Recv.List[0].Type
	for {
		switch t := typ.(type) {
		case *ast.StarExpr:
			typ = t.X
		case *ast.ParenExpr:
			typ = t.X
		case *ast.IndexExpr:
			typ = t.X
		case *ast.IndexListExpr:
			typ = t.X
		case *ast.Ident:
			return t.Name
		default:
			return ""
		}
	}
}

// public says whether users of the package can call fn.
func public(fn *ast.FuncDecl) bool {
	recv := receiver(fn)
	return fn.Name.IsExported() && (recv == "" || ast.IsExported(recv))
}

// words is the text of a comment, "" for none.
func words(groups ...*ast.CommentGroup) string {
	for _, g := range groups {
		if text := strings.TrimSpace(g.Text()); text != "" {
			return text
		}
	}
	return ""
}
