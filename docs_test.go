package tutti_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// quoting are the documents whose Go code is quoted from tests that run.
var quoting = []string{"README.md", "docs/library.md", "docs/moving-from-socketio.md", "docs/metrics.md", "docs/verbs.md", "docs/doors.md", "docs/auth.md", "docs/limits.md"}

// TestDocuments holds the documents and the examples together: every block of
// Go in a document stands, as it is, in a test of this package, and a whole
// program compiles besides, and has each of its declarations there.
func TestDocuments(t *testing.T) {
	var tests strings.Builder
	for _, pattern := range []string{"*_test.go", "metrics/*_test.go"} {
		names, err := filepath.Glob(pattern)
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range names {
			tests.WriteString(flat(read(t, name)))
		}
	}
	for _, name := range quoting {
		blocks := goBlock.FindAllStringSubmatch(read(t, name), -1)
		if name == "README.md" && len(blocks) == 0 {
			t.Error("README.md has no program")
		}
		for _, block := range blocks {
			code := block[1]
			if strings.HasPrefix(code, "package main") {
				compile(t, code)
				code = setUp(code)
			}
			for _, part := range strings.Split(code, "\n\n") {
				if part = flat(part); !strings.Contains(tests.String(), part) {
					t.Errorf("%s quotes what is in no test:\n%s", name, part)
				}
			}
		}
	}
}

var goBlock = regexp.MustCompile("(?s)```go\n(.*?)```")

// setUp is what a program declares, and does before it listens: what an
// example can do too.
func setUp(program string) string {
	_, program, _ = strings.Cut(program, "\n)\n") // imports
	program = strings.Replace(program, "func main() {\n", "", 1)
	program, _, _ = strings.Cut(program, "\thttp.Handle(")
	return strings.TrimSpace(program)
}

// flat takes the indentation away, and lines that only say "…".
func flat(code string) string {
	var b strings.Builder
	for line := range strings.Lines(code) {
		b.WriteString(strings.TrimSpace(line))
		b.WriteByte('\n')
	}
	return b.String()
}

func compile(t *testing.T, program string) {
	t.Helper()
	dir := t.TempDir()
	file := filepath.Join(dir, "main.go")
	if err := os.WriteFile(file, []byte(program), 0o600); err != nil {
		t.Fatal(err)
	}
	out, err := exec.CommandContext(t.Context(), "go", "vet", file).CombinedOutput()
	if err != nil {
		t.Errorf("the program of README.md: %v\n%s", err, out)
	}
	if fmted, err := exec.CommandContext(t.Context(), "gofmt", "-l", file).CombinedOutput(); err != nil || len(fmted) > 0 {
		t.Errorf("the program of README.md is not formatted: %v %s", err, fmted)
	}
}

func read(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
