package arch

import (
	"bytes"
	"io/fs"
	"os/exec"
	"path"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// outside is what no file of the repository may name: folders of the machine
// it was written on, and the hosts of package registries, which every user may
// have set to others. The patterns are spelt so that they don't match here.
var outside = regexp.MustCompile(`(?:^|[^A-Za-z0-9_.$}\-])(?:/[w]ork/|/[r]oot/)|` +
	`registry\.[n]pmjs|registry\.[y]arnpkg|proxy\.[g]olang|sum\.[g]olang|deb\.[d]ebian|security\.[d]ebian|pypi\.[o]rg|vuln\.[g]o\.dev`)

// binaryExts are not looked into.
var binaryExts = []string{".png", ".jpg", ".ico", ".woff2", ".gz", ".zip", ".wasm"}

// checkText looks for outside in the files named.
func checkText(root fs.FS, names []string) ([]finding, error) {
	var found []finding
	for _, name := range names {
		if slices.Contains(binaryExts, path.Ext(name)) {
			continue
		}
		text, err := fs.ReadFile(root, name)
		if err != nil {
			continue // deleted but still tracked
		}
		for i, line := range bytes.Split(text, []byte("\n")) {
			if hit := outside.Find(line); hit != nil {
				found = append(found, finding{name, i + 1, "names a machine's folder or a registry's host: " + strings.TrimSpace(string(hit))})
			}
		}
	}
	return found, nil
}

// tracked returns the files that git keeps.
func tracked(t *testing.T, root string) []string {
	cmd := exec.CommandContext(t.Context(), "git", "ls-files", "-z")
	cmd.Dir = root
	out, err := cmd.Output()
	if err != nil {
		t.Skipf("not a git checkout: %v", err)
	}
	return strings.FieldsFunc(string(out), func(r rune) bool { return r == 0 })
}

// heavy are words in the import paths of what a user of the library alone must
// not compile.
var heavy = regexp.MustCompile(`redis|rueidis|nats-io|kafka|franz-go|amqp|rabbitmq|prometheus|opentelemetry|pebble|quic-go|mqtt|kong|yaml|go-jose`)

// checkLight lists the heavy packages that dir's package compiles.
func checkLight(t *testing.T, root, dir string) []finding {
	cmd := exec.CommandContext(t.Context(), "go", "list", "-deps", "./"+dir)
	cmd.Dir = root
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return []finding{{dir, 1, "go list -deps: " + strings.TrimSpace(stderr.String())}}
	}
	var found []finding
	for dep := range strings.Lines(string(out)) {
		if dep = strings.TrimSpace(dep); heavy.MatchString(dep) {
			found = append(found, finding{dir, 1, "who imports this package alone compiles " + dep})
		}
	}
	return found
}
