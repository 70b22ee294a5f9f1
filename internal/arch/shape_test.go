package arch

import (
	"go/ast"
	"path"
	"slices"
	"strings"
)

// The budgets. They are those of the codebases one likes to read: see what the
// numbers of coder/websocket, connect-go and x/net/quic have in common.
const (
	maxFunc        = 100 // lines of the longest function
	longFunc       = 45  // lines that 95 % of a package's functions keep to
	maxParams      = 5
	maxFile        = 500
	maxTestFile    = 800
	maxExported    = 60 // exported names of a package, methods included
	maxExportedTop = 130
	// The hub has the contracts of its stores, engines and others besides, which
	// whoever calls declares, and not a package of its own.
	maxExportedHub = 168
	// The verbs have the codes of their refusals besides.
	maxExportedVerb = 80
	// Of settings, each kind of value has its type and its way to be read and
	// written.
	maxExportedConfig = 120
	// A third of auth are the words of codes, permissions and methods; doors need
	// what reviews who is connected.
	maxExportedAuth = 84
)

// ruleFunctions: none longer than 100 lines, at most one in twenty (and one in
// a smaller package) longer than 45; at most five parameters. The tables of a
// test are not counted: they are data.
func ruleFunctions(t *tree) []finding {
	var found []finding
	for _, p := range t.packages {
		var long []finding
		n := 0
		for _, f := range p.files {
			if f.generated {
				continue
			}
			for _, fn := range f.funcs() {
				lines := t.line(fn.End()) - t.line(fn.Pos()) + 1
				if f.test {
					lines -= tableLines(t, fn)
				}
				if lines > maxFunc {
					found = append(found, t.at(fn, "%s has %d lines, at most %d", fn.Name.Name, lines, maxFunc))
				}
				if got := fn.Type.Params.NumFields(); got > maxParams {
					found = append(found, t.at(fn, "%s has %d parameters, at most %d", fn.Name.Name, got, maxParams))
				}
				if f.test {
					continue
				}
				n++
				if lines > longFunc {
					long = append(long, t.at(fn, "%s has %d lines; 95 %% of a package's functions keep to %d", fn.Name.Name, lines, longFunc))
				}
			}
		}
		if len(long) > max(1, n/20) {
			found = append(found, long...)
		}
	}
	return found
}

// tableLines are the lines of fn's longest list of structs.
func tableLines(t *tree, fn *ast.FuncDecl) int {
	longest := 0
	ast.Inspect(fn, func(n ast.Node) bool {
		lit, ok := n.(*ast.CompositeLit)
		if ok {
			switch lit.Type.(type) {
			case *ast.ArrayType, *ast.MapType:
				longest = max(longest, t.line(lit.End())-t.line(lit.Pos()))
			}
		}
		return true
	})
	return longest
}

// ruleFiles: a file that outgrows its budget is split by concern.
func ruleFiles(t *tree) []finding {
	var found []finding
	t.each(func(_ *pkg, f *file) {
		limit := maxFile
		if f.test {
			limit = maxTestFile
		}
		if f.lines > limit && !f.generated {
			found = append(found, t.at(f.Name, "%d lines, at most %d: split it by concern", f.lines, limit))
		}
	})
	return found
}

// noNames are package names that say nothing.
var noNames = []string{"util", "utils", "common", "helper", "helpers", "misc", "types", "shared", "base", "manager", "internal", "lib", "core"}

// rulePackages: a package is named for a protocol, a dependency or what it does.
func rulePackages(t *tree) []finding {
	var found []finding
	for _, p := range t.packages {
		f := p.files[0]
		for _, name := range []string{p.name, path.Base(p.dir)} {
			if slices.Contains(noNames, name) {
				found = append(found, t.at(f.Name, "package name %q says nothing", name))
				break
			}
		}
		if p.name != "" && (strings.ToLower(p.name) != p.name || strings.Contains(p.name, "_")) {
			found = append(found, t.at(f.Name, "package name %q is not one lower-case word", p.name))
		}
	}
	return found
}

// ruleBudgets counts exported names: declared ones, and methods of exported
// types.
func ruleBudgets(t *tree) []finding {
	var found []finding
	for _, p := range t.packages {
		if p.isMain() {
			continue
		}
		n := 0
		for _, f := range p.files {
			if !f.test && !f.generated {
				n += len(exported(f))
			}
		}
		limit := maxExported
		if p.dir == "." {
			limit = maxExportedTop
		}
		if p.dir == "hub" {
			limit = maxExportedHub
		}
		if p.dir == "verb" {
			limit = maxExportedVerb
		}
		if p.dir == "internal/config" {
			limit = maxExportedConfig
		}
		if p.dir == "auth" {
			limit = maxExportedAuth
		}
		if n > limit {
			found = append(found, t.at(p.files[0].Name, "package exports %d names, at most %d", n, limit))
		}
	}
	return found
}

// exported returns the exported names that f declares.
func exported(f *file) []*ast.Ident {
	var names []*ast.Ident
	for _, d := range f.Decls {
		switch d := d.(type) {
		case *ast.FuncDecl:
			if public(d) {
				names = append(names, d.Name)
			}
		case *ast.GenDecl:
			for _, spec := range d.Specs {
				switch s := spec.(type) {
				case *ast.TypeSpec:
					names = append(names, s.Name)
				case *ast.ValueSpec:
					names = append(names, s.Names...)
				}
			}
		}
	}
	return slices.DeleteFunc(names, func(id *ast.Ident) bool { return !id.IsExported() })
}

// ruleNames: Go's words, not another language's.
func ruleNames(t *tree) []finding {
	var found []finding
	t.each(func(p *pkg, f *file) {
		if f.test || f.generated {
			return
		}
		for _, id := range exported(f) {
			if strings.Contains(id.Name, "_") {
				found = append(found, t.at(id, "%s: no underscores in exported names", id.Name))
			}
			if rest, ok := strings.CutPrefix(id.Name, "Get"); ok && rest != "" && ast.IsExported(rest) {
				found = append(found, t.at(id, "%s: a getter is called %s", id.Name, rest))
			}
		}
	})
	return found
}

// ruleSignatures: a context comes first, and any is only for what is variadic
// (Emit's arguments) or scanned into.
func ruleSignatures(t *tree) []finding {
	var found []finding
	t.each(func(p *pkg, f *file) {
		if f.test || f.generated {
			return
		}
		for _, fn := range f.funcs() {
			for i, field := range fn.Type.Params.List {
				if f.selects(field.Type, "context", "Context") && i > 0 {
					found = append(found, t.at(field, "%s: the context is the first parameter", fn.Name.Name))
				}
				if isAny(field.Type) && public(fn) && !p.isMain() && !strings.HasPrefix(fn.Name.Name, "Scan") && fn.Name.Name != "Any" {
					found = append(found, t.at(field, "%s: any in an exported signature", fn.Name.Name))
				}
			}
			if fn.Type.Results == nil || !public(fn) || p.isMain() {
				continue
			}
			for _, field := range fn.Type.Results.List {
				if isAny(field.Type) && !standardMethods[fn.Name.Name] {
					found = append(found, t.at(field, "%s: any in an exported signature", fn.Name.Name))
				}
			}
		}
	})
	return found
}

// standardMethods have the signature that an interface of the standard library
// gives them.
var standardMethods = map[string]bool{"Value": true, "Pop": true, "As": true}

func isAny(e ast.Expr) bool {
	switch e := e.(type) {
	case *ast.Ident:
		return e.Name == "any"
	case *ast.InterfaceType:
		return e.Methods.NumFields() == 0
	case *ast.ArrayType:
		return isAny(e.Elt)
	case *ast.MapType:
		return isAny(e.Value) || isAny(e.Key)
	case *ast.StarExpr:
		return isAny(e.X)
	}
	return false
}
