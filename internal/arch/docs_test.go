package arch

import (
	"go/ast"
	"go/token"
	"regexp"
	"strings"
)

// ruleDocs: every exported name has a comment that starts with it ("A Mailbox
// runs …" will do for a type), every package one that starts with "Package x".
// The names of a group of constants or variables may share the group's comment.
func ruleDocs(t *tree) []finding {
	var found []finding
	for _, p := range t.packages {
		if p.name == "" {
			continue // tests only
		}
		if !p.isMain() && !documented(p) {
			found = append(found, t.at(p.files[0].Name, "no comment starts with %q", "Package "+p.name))
		}
		for _, f := range p.files {
			if f.test || f.generated || p.isMain() {
				continue
			}
			for _, d := range f.Decls {
				switch d := d.(type) {
				case *ast.FuncDecl:
					if public(d) && !plain[d.Name.Name] {
						found = append(found, startsWith(t, d.Name, words(d.Doc), "")...)
					}
				case *ast.GenDecl:
					found = append(found, groupDocs(t, d)...)
				}
			}
		}
	}
	return found
}

// plain are methods that do what they do everywhere.
var plain = map[string]bool{"Error": true, "Unwrap": true, "String": true, "ServeHTTP": true, "LogValue": true}

func documented(p *pkg) bool {
	for _, f := range p.files {
		if !f.test && strings.HasPrefix(words(f.Doc), "Package "+p.name+" ") {
			return true
		}
	}
	return false
}

// groupDocs checks a declaration of types, constants or variables.
func groupDocs(t *tree, d *ast.GenDecl) []finding {
	var found []finding
	for _, spec := range d.Specs {
		switch s := spec.(type) {
		case *ast.TypeSpec:
			if s.Name.IsExported() {
				found = append(found, startsWith(t, s.Name, words(s.Doc, d.Doc), "A An The")...)
				found = append(found, fieldDocs(t, s)...)
			}
		case *ast.ValueSpec:
			grouped := d.Lparen.IsValid()
			for _, id := range s.Names {
				switch {
				case !id.IsExported():
				case grouped && words(s.Doc, s.Comment, d.Doc) == "":
					found = append(found, t.at(id, "%s has no comment, nor has its group", id.Name))
				case !grouped:
					found = append(found, startsWith(t, id, words(d.Doc, s.Comment), "The")...)
				}
			}
		}
	}
	return found
}

// fieldDocs checks that the exported fields of a configuration say what they
// are: what, unit, default, zero, negative. A comment reaches to the end of its
// paragraph.
func fieldDocs(t *tree, s *ast.TypeSpec) []finding {
	typ, ok := s.Type.(*ast.StructType)
	if !ok || !regexp.MustCompile(`(Config|Options|Limits)$`).MatchString(s.Name.Name) {
		return nil
	}
	var found []finding
	paragraph := 0 // the line up to which a comment reaches
	for _, field := range typ.Fields.List {
		if words(field.Doc) != "" || t.line(field.Pos()) == paragraph+1 {
			paragraph = t.line(field.End())
		}
		for _, id := range field.Names {
			if id.IsExported() && words(field.Comment) == "" && paragraph != t.line(field.End()) {
				found = append(found, t.at(id, "%s.%s has no comment: what is it, unit, default, zero?", s.Name.Name, id.Name))
			}
		}
	}
	return found
}

// startsWith checks that text starts with the name of id, after one of the
// articles.
func startsWith(t *tree, id *ast.Ident, text, articles string) []finding {
	first, rest, _ := strings.Cut(text, " ")
	if strings.Contains(" "+articles+" ", " "+first+" ") && articles != "" {
		first, rest, _ = strings.Cut(rest, " ")
	}
	if text == "" {
		return []finding{t.at(id, "%s has no comment", id.Name)}
	}
	first, _, newline := strings.Cut(first, "\n")
	if strings.TrimRight(first, ",.:;") != id.Name {
		return []finding{t.at(id, "the comment of %s doesn't start with its name", id.Name)}
	}
	if rest == "" && !newline {
		return []finding{t.at(id, "the comment of %s says nothing", id.Name)}
	}
	return nil
}

var (
	todo  = regexp.MustCompile(`\b(TODO|FIXME|XXX|HACK)\b`)
	issue = regexp.MustCompile(`(TODO|FIXME|XXX|HACK)\s*\(?#\d+`)
)

// ruleTodo: what is left to do has an issue.
func ruleTodo(t *tree) []finding {
	var found []finding
	t.each(func(_ *pkg, f *file) {
		for _, g := range f.Comments {
			for _, c := range g.List {
				if todo.MatchString(c.Text) && !issue.MatchString(c.Text) {
					found = append(found, t.at(c, "a TODO without an issue: write TODO(#123)"))
				}
			}
		}
	})
	return found
}

// ruleErrors: sentinels carry the package's name, and no text says "failed to".
func ruleErrors(t *tree) []finding {
	var found []finding
	t.each(func(p *pkg, f *file) {
		if f.test {
			return
		}
		ast.Inspect(f.File, func(n ast.Node) bool {
			call, ok := n.(*ast.CallExpr)
			if ok && len(call.Args) > 0 && (f.selects(call.Fun, "errors", "New") || f.selects(call.Fun, "fmt", "Errorf")) {
				if text, ok := call.Args[0].(*ast.BasicLit); ok && strings.Contains(text.Value, "failed to") {
					found = append(found, t.at(text, `an error that says "failed to": say what we were doing`))
				}
			}
			return true
		})
		if p.isMain() {
			return
		}
		for _, d := range f.Decls {
			gen, ok := d.(*ast.GenDecl)
			if !ok || gen.Tok != token.VAR {
				continue
			}
			for _, spec := range gen.Specs {
				found = append(found, sentinels(t, f, p.name, spec.(*ast.ValueSpec))...)
			}
		}
	})
	return found
}

func sentinels(t *tree, f *file, name string, s *ast.ValueSpec) []finding {
	var found []finding
	for i, id := range s.Names {
		if !strings.HasPrefix(id.Name, "Err") || i >= len(s.Values) {
			continue
		}
		call, ok := s.Values[i].(*ast.CallExpr)
		if !ok || !f.selects(call.Fun, "errors", "New") {
			continue
		}
		text, ok := call.Args[0].(*ast.BasicLit)
		if ok && !strings.HasPrefix(strings.Trim(text.Value, "`\""), name+": ") {
			found = append(found, t.at(id, "the text of %s doesn't start with %q", id.Name, name+": "))
		}
	}
	return found
}
