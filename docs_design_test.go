package tutti_test

import (
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

var (
	code = regexp.MustCompile("(?s)```.*?```|`[^`\n]+`")
	link = regexp.MustCompile(`\]\(([^)#:]+)(?:#[^)]*)?\)`)
	// starts is what starts a goroutine, at once or later.
	starts   = regexp.MustCompile(`(?m)^\s*go |\.Go\(func|\.Go\([a-z]|\bAfterFunc\(`)
	property = regexp.MustCompile("(?m)^\\| `([a-z/]+)`(?: \\(root\\))? \\| ")
)

// TestLinks: what documents refer to is there, and docs/README.md lists all of
// docs. Pictures are made by another test.
func TestLinks(t *testing.T) {
	var documents []string
	for _, pattern := range []string{"*.md", "docs/*.md", "demo/*/*.md"} {
		names, err := filepath.Glob(pattern)
		if err != nil {
			t.Fatal(err)
		}
		documents = append(documents, names...)
	}
	index := read(t, "docs/README.md")
	for _, name := range documents {
		for _, l := range link.FindAllStringSubmatch(code.ReplaceAllString(read(t, name), ""), -1) {
			if strings.HasSuffix(l[1], ".png") {
				continue
			}
			if _, err := os.Stat(path.Join(path.Dir(name), l[1])); err != nil {
				t.Errorf("%s refers to %s: %v", name, l[1], err)
			}
		}
		if base, ok := strings.CutPrefix(name, "docs/"); ok && base != "README.md" && !strings.Contains(index, "("+base+")") {
			t.Errorf("docs/README.md does not list %s", base)
		}
	}
}

// TestDesign: the tables of DESIGN.md list every package, and every file that
// starts goroutines.
func TestDesign(t *testing.T) {
	design := read(t, "DESIGN.md")
	listed := make(map[string]bool)
	for _, row := range property.FindAllStringSubmatch(design, -1) {
		listed[row[1]] = true
	}
	err := fs.WalkDir(os.DirFS("."), ".", func(name string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && name != "." && (strings.HasPrefix(d.Name(), ".") || d.Name() == "node_modules" || d.Name() == "testdata"):
			return fs.SkipDir
		case d.IsDir() || path.Ext(name) != ".go":
			return nil
		}
		dir := path.Dir(name)
		if dir == "." {
			dir = "tutti"
		}
		if !listed[dir] && !strings.HasPrefix(dir, "conformance/") {
			listed[dir] = true // said once
			t.Errorf("the table of packages lacks %s", dir)
		}
		tests := strings.HasSuffix(name, "_test.go") || dir == "internal/pipe" || dir == "internal/siotest" || strings.HasPrefix(dir, "conformance/")
		if !tests && starts.MatchString(read(t, name)) && !strings.Contains(design, "`"+name+"`") {
			t.Errorf("the table of goroutines lacks %s", name)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for dir := range listed {
		if dir == "tutti" {
			continue
		}
		if _, err := os.Stat(dir); err != nil {
			t.Errorf("the table of packages lists %s: %v", dir, err)
		}
	}
}
