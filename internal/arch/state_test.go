package arch

import (
	"go/ast"
	"go/token"
	"slices"
	"strings"
)

// goOwners are the files outside of programs and tests that may say go. All
// others use sync.WaitGroup.Go, which says who waits.
var goOwners = map[string]string{
	"engineio/tasks.go":            "Shutdown waits with a context and for requests too, and a WaitGroup must not grow from zero while somebody waits",
	"internal/serial/mailbox.go":   "a mailbox's goroutine: it comes and goes, and 16 bytes of WaitGroup per idle socket are too many",
	"internal/websocket/outbox.go": "a connection's writer: likewise",
	"internal/websocket/run.go":    "a connection's reader: likewise",
	"internal/websocket/polled.go": "a connection's reader while a message waits: likewise",
	"internal/websocket/loop.go":   "flushers come and go with the work, and nobody has to wait for them",
	"server.go":                    "waits for a WaitGroup, so that one can wait for it and a context",
}

// ruleGoroutines: go only where goOwners says so, and each goroutine has a
// comment that names its owner.
func ruleGoroutines(t *tree) []finding {
	var found []finding
	t.each(func(p *pkg, f *file) {
		if f.test || p.isMain() || p.dir == "hub/hubtest" {
			return
		}
		explained := commentedLines(t, f)
		ast.Inspect(f.File, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.GoStmt:
				if goOwners[f.path] == "" {
					found = append(found, t.at(n, "a go statement: use the WaitGroup of an owner (or list the file in goOwners, with a reason)"))
				}
				if !explained[t.line(n.Pos())] {
					found = append(found, t.at(n, "a goroutine without a comment: who starts it, what ends it, who waits"))
				}
			case *ast.CallExpr:
				sel, ok := n.Fun.(*ast.SelectorExpr)
				if ok && sel.Sel.Name == "Go" && len(n.Args) == 1 && !explained[t.line(n.Pos())] {
					found = append(found, t.at(n, "a goroutine without a comment: who starts it, what ends it, who waits"))
				}
			}
			return true
		})
	})
	return found
}

// commentedLines are the lines with a comment right above or behind them. A
// comment also covers the run of code lines below it up to a blank line, so a
// paragraph has one.
func commentedLines(t *tree, f *file) map[int]bool {
	lines := map[int]bool{}
	for _, g := range f.Comments {
		lines[t.line(g.Pos())] = true
		for i := 0; i <= 4; i++ {
			lines[t.line(g.End())+i] = true
		}
	}
	for _, fn := range f.funcs() { // a short function's own comment explains what it starts
		if fn.Doc != nil && t.line(fn.End())-t.line(fn.Pos()) <= 15 && strings.Contains(strings.ToLower(fn.Doc.Text()), "goroutine") {
			for l := t.line(fn.Pos()); l <= t.line(fn.End()); l++ {
				lines[l] = true
			}
		}
	}
	return lines
}

// ruleSleep: no time.Sleep outside a synctest bubble, where it is free and
// exact: only in a function that makes one, that one is made with, or that only
// such functions call.
func ruleSleep(t *tree) []finding {
	var found []finding
	for _, p := range t.packages {
		bubbles := bubblesOf(p)
		for _, f := range p.files {
			for _, fn := range f.funcs() {
				if f.test && bubbles[fn.Name.Name] || fn.Body == nil {
					continue
				}
				ast.Inspect(fn.Body, func(n ast.Node) bool {
					if f.selects(n, "time", "Sleep") {
						found = append(found, t.at(n, "time.Sleep outside a synctest bubble"))
					}
					return true
				})
			}
		}
	}
	return found
}

// bubblesOf returns the names of p's functions that make a bubble, by
// themselves or through another, or that one is made with.
func bubblesOf(p *pkg) map[string]bool {
	bubbles := map[string]bool{}
	for range 3 { // bubbles within helpers within helpers
		for _, f := range p.files {
			for _, fn := range f.funcs() {
				if !f.test || fn.Body == nil {
					continue
				}
				ast.Inspect(fn.Body, func(n ast.Node) bool {
					call, ok := n.(*ast.CallExpr)
					if !ok {
						return true
					}
					id, _ := call.Fun.(*ast.Ident)
					if !f.selects(call.Fun, "testing/synctest", "Test") && (id == nil || !bubbles[id.Name] || !takesBody(fn, call)) {
						return true
					}
					bubbles[fn.Name.Name] = true
					for _, arg := range call.Args {
						if id, ok := arg.(*ast.Ident); ok {
							bubbles[id.Name] = true
						}
					}
					return true
				})
			}
		}
	}
	callers := callersIn(p)
	for range 3 {
		for name, by := range callers {
			if !slices.ContainsFunc(by, func(caller string) bool { return caller != name && !bubbles[caller] }) {
				bubbles[name] = true
			}
		}
	}
	return bubbles
}

// callersIn returns, for the functions and methods that p's tests declare, the
// names of the functions that call them, if any does.
func callersIn(p *pkg) map[string][]string {
	declared := map[string]bool{}
	for _, f := range p.files {
		for _, fn := range f.funcs() {
			declared[fn.Name.Name] = f.test
		}
	}
	callers := map[string][]string{}
	for _, f := range p.files {
		for _, fn := range f.funcs() {
			ast.Inspect(fn, func(n ast.Node) bool {
				call, ok := n.(*ast.CallExpr)
				if !ok {
					return true
				}
				name := ""
				switch fun := call.Fun.(type) {
				case *ast.Ident:
					name = fun.Name
				case *ast.SelectorExpr:
					name = fun.Sel.Name
				}
				if declared[name] {
					callers[name] = append(callers[name], fn.Name.Name)
				}
				return true
			})
		}
	}
	return callers
}

// takesBody says whether call is handed a function: one written there, or the
// one that fn was handed.
func takesBody(fn *ast.FuncDecl, call *ast.CallExpr) bool {
	handed := map[string]bool{}
	for _, field := range fn.Type.Params.List {
		if _, ok := field.Type.(*ast.FuncType); ok {
			for _, id := range field.Names {
				handed[id.Name] = true
			}
		}
	}
	return slices.ContainsFunc(call.Args, func(e ast.Expr) bool {
		_, lit := e.(*ast.FuncLit)
		id, _ := e.(*ast.Ident)
		return lit || id != nil && handed[id.Name]
	})
}

// ruleInit: nothing happens because a package is imported.
func ruleInit(t *tree) []finding {
	var found []finding
	t.each(func(_ *pkg, f *file) {
		for _, fn := range f.funcs() {
			if fn.Recv == nil && fn.Name.Name == "init" {
				found = append(found, t.at(fn, "init(): do it where it is needed"))
			}
		}
	})
	return found
}

// tableMakers are the functions, of whatever package unless they name one, that a package variable
// may be made with, because what they return is only read.
var tableMakers = []string{
	"errors.New", "fmt.Errorf", "error", "MustCompile", "Must", "NewReplacer", "MakeTable", "NewEncoding", "WithPadding",
	"TypeFor", "TypeOf", "MustParsePrefix", "MustParseAddr", "Repeat", "NewForm",
	// Options of JSON, and the functions that make them.
	"JoinOptions", "DefaultOptionsV1", "WithMarshalers", "JoinMarshalers", "MarshalFunc", "MarshalToFunc",
	"WithUnmarshalers", "JoinUnmarshalers", "UnmarshalFunc", "UnmarshalFromFunc",
}

// varOwners are the files that may have variables all the same.
var varOwners = map[string]string{
	"internal/poll/poll_memory.go": "stands in for the kernel, of which there is one, in bench/scale and nowhere else",
	"internal/sweep/watch.go":      "watches the runtime, of which there is one",
}

// ruleVars: no package variables but errors, tables that nobody changes, pools,
// embedded files and assertions.
func ruleVars(t *tree) []finding {
	var found []finding
	for _, p := range t.packages {
		tables := map[string]bool{}
		for _, f := range p.files {
			if f.test || f.generated || varOwners[f.path] != "" {
				continue
			}
			for _, d := range f.Decls {
				gen, ok := d.(*ast.GenDecl)
				if !ok || gen.Tok != token.VAR {
					continue
				}
				for _, spec := range gen.Specs {
					s := spec.(*ast.ValueSpec)
					for i, id := range s.Names {
						if id.Name == "_" || isPool(f, s, i) || embedded(gen, s) || p.isMain() && isString(s, i) {
							continue
						}
						commented := words(gen.Doc, s.Doc, s.Comment) != ""
						if i >= len(s.Values) || !isTable(s.Values[i]) && !(commented && isConstant(s.Values[i])) {
							found = append(found, t.at(id, "package variable %s: only errors, tables, pools and embedded files", id.Name))
							continue
						}
						tables[id.Name] = true
					}
				}
			}
		}
		found = append(found, changed(t, p, tables)...)
	}
	return found
}

func isPool(f *file, s *ast.ValueSpec, i int) bool {
	of := s.Type
	if many, ok := of.(*ast.ArrayType); ok {
		of = many.Elt
	}
	if f.selects(of, "sync", "Pool") {
		return true
	}
	if i >= len(s.Values) {
		return false
	}
	v := s.Values[i]
	if u, ok := v.(*ast.UnaryExpr); ok {
		v = u.X
	}
	lit, ok := v.(*ast.CompositeLit)
	return ok && f.selects(lit.Type, "sync", "Pool")
}

func embedded(gen *ast.GenDecl, s *ast.ValueSpec) bool {
	for _, g := range []*ast.CommentGroup{gen.Doc, s.Doc} {
		if g == nil {
			continue
		}
		for _, c := range g.List {
			if strings.HasPrefix(c.Text, "//go:embed ") {
				return true
			}
		}
	}
	return false
}

// isString says whether a variable is a string: what a program's build sets
// with -X.
func isString(s *ast.ValueSpec, i int) bool {
	if i < len(s.Values) {
		lit, ok := s.Values[i].(*ast.BasicLit)
		return ok && lit.Kind == token.STRING
	}
	id, ok := s.Type.(*ast.Ident)
	return ok && id.Name == "string"
}

func isTable(e ast.Expr) bool {
	switch e := e.(type) {
	case *ast.CompositeLit:
		return true
	case *ast.UnaryExpr:
		return e.Op == token.AND && isTable(e.X)
	case *ast.BasicLit:
		return false
	case *ast.CallExpr:
		switch fun := e.Fun.(type) {
		case *ast.SelectorExpr:
			x, ok := fun.X.(*ast.Ident)
			return ok && slices.Contains(tableMakers, x.Name+"."+fun.Sel.Name) || slices.Contains(tableMakers, fun.Sel.Name)
		case *ast.IndexExpr: // a generic function
			return isTable(&ast.CallExpr{Fun: fun.X})
		case *ast.Ident:
			return slices.Contains(tableMakers, fun.Name)
		case *ast.ArrayType: // []byte("…")
			return true
		case *ast.FuncLit: // func() [256]bool { … }() fills a table
			return true
		}
	}
	return false
}

// isConstant says whether e is what an unexported function makes of literals.
func isConstant(e ast.Expr) bool {
	call, ok := e.(*ast.CallExpr)
	if !ok || len(call.Args) == 0 {
		return false
	}
	if fun, ok := call.Fun.(*ast.Ident); !ok || fun.IsExported() {
		return false
	}
	return !slices.ContainsFunc(call.Args, func(e ast.Expr) bool {
		_, lit := e.(*ast.BasicLit)
		return !lit
	})
}

// changed finds assignments to tables.
func changed(t *tree, p *pkg, tables map[string]bool) []finding {
	var found []finding
	check := func(own map[string]bool, e ast.Expr) {
		for {
			switch x := e.(type) {
			case *ast.IndexExpr:
				e = x.X
				continue
			case *ast.Ident:
				if tables[x.Name] && !own[x.Name] {
					found = append(found, t.at(x, "the package variable %s is changed: it is to be a table", x.Name))
				}
			}
			return
		}
	}
	for _, f := range p.files {
		for _, fn := range f.funcs() {
			if f.test || fn.Body == nil {
				continue
			}
			own := locals(fn)
			ast.Inspect(fn.Body, func(n ast.Node) bool {
				switch n := n.(type) {
				case *ast.AssignStmt:
					if n.Tok != token.DEFINE {
						for _, e := range n.Lhs {
							check(own, e)
						}
					}
				case *ast.IncDecStmt:
					check(own, n.X)
				case *ast.CallExpr:
					if id, ok := n.Fun.(*ast.Ident); ok && (id.Name == "delete" || id.Name == "clear") {
						check(own, n.Args[0])
					}
				}
				return true
			})
		}
	}
	return found
}

// locals are the names that fn declares anywhere.
func locals(fn *ast.FuncDecl) map[string]bool {
	own := map[string]bool{}
	ast.Inspect(fn, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.Field:
			for _, id := range n.Names {
				own[id.Name] = true
			}
		case *ast.AssignStmt:
			if n.Tok == token.DEFINE {
				for _, e := range n.Lhs {
					if id, ok := e.(*ast.Ident); ok {
						own[id.Name] = true
					}
				}
			}
		case *ast.RangeStmt:
			for _, e := range []ast.Expr{n.Key, n.Value} {
				if id, ok := e.(*ast.Ident); ok {
					own[id.Name] = true
				}
			}
		case *ast.ValueSpec:
			for _, id := range n.Names {
				own[id.Name] = true
			}
		}
		return true
	})
	return own
}

// ruleFields: no embedded lock, which would export Lock and Unlock; a stored
// context has a comment that says why.
func ruleFields(t *tree) []finding {
	var found []finding
	t.each(func(_ *pkg, f *file) {
		ast.Inspect(f.File, func(n ast.Node) bool {
			s, ok := n.(*ast.StructType)
			if !ok {
				return true
			}
			for _, field := range s.Fields.List {
				typ := field.Type
				if star, ok := typ.(*ast.StarExpr); ok {
					typ = star.X
				}
				if len(field.Names) == 0 && (f.selects(typ, "sync", "Mutex") || f.selects(typ, "sync", "RWMutex")) {
					found = append(found, t.at(field, "an embedded lock: name it mu"))
				}
				if f.selects(typ, "context", "Context") && !f.test && words(field.Doc, field.Comment) == "" {
					found = append(found, t.at(field, "a stored context without a comment that says why"))
				}
			}
			return true
		})
	})
	return found
}

// rulePrint: a library writes nothing to the terminal and doesn't end the
// program.
func rulePrint(t *tree) []finding {
	var found []finding
	t.each(func(p *pkg, f *file) {
		if f.test || p.isMain() {
			return
		}
		ast.Inspect(f.File, func(n ast.Node) bool {
			for _, name := range []string{"Print", "Println", "Printf"} {
				if f.selects(n, "fmt", name) {
					found = append(found, t.at(n, "fmt.%s in a library", name))
				}
			}
			for _, name := range []string{"Print", "Println", "Printf", "Fatal", "Fatalf", "Fatalln", "Panic", "Panicf", "Panicln", "Default"} {
				if f.selects(n, "log", name) {
					found = append(found, t.at(n, "log.%s in a library: use log/slog", name))
				}
			}
			if f.selects(n, "os", "Exit") {
				found = append(found, t.at(n, "os.Exit in a library"))
			}
			return true
		})
	})
	return found
}
