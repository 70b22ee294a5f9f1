package tutti_test

import (
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// setting finds the settings in the page that is generated from them.
var setting = regexp.MustCompile("(?m)^\\| `([a-z.-]+)` \\|")

// TestLimitsAreDocumented holds docs/limits.md to the settings: each limit and
// rate is in it.
func TestLimitsAreDocumented(t *testing.T) {
	page := read(t, "docs/limits.md")
	also := []string{"hosts", "traces.rate", "auth.revoked", "auth.session-asked", "ping.interval", "ping.timeout", "door.streams", "door.rooms"}
	found := 0
	for _, match := range setting.FindAllStringSubmatch(read(t, "docs/configuration.md"), -1) {
		name := match[1]
		group, rest, _ := strings.Cut(name, ".")
		limits := slices.Contains([]string{"limit", "rate"}, group) || group == "timeout" && rest != "drain" && rest != "pace" ||
			group == "door" && (strings.HasSuffix(rest, "rate") || strings.HasSuffix(rest, "burst")) || slices.Contains(also, name)
		if !limits {
			continue
		}
		found++
		if !strings.Contains(page, "`"+name+"`") {
			t.Errorf("docs/limits.md has no %s", name)
		}
	}
	if found < 60 {
		t.Errorf("docs/configuration.md has %d limits, which are too few to be all", found)
	}
}

// TestTables finds tables that an empty line tears apart: what follows it is no
// table.
func TestTables(t *testing.T) {
	pages, err := filepath.Glob("docs/*.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range append(pages, "README.md", "DESIGN.md") {
		lines := strings.Split(read(t, name), "\n")
		for i := 1; i < len(lines)-1; i++ {
			begins := strings.HasPrefix(lines[i], "|") && !strings.HasPrefix(lines[i-1], "|")
			if begins && strings.Trim(lines[i+1], "|-: ") != "" {
				t.Errorf("%s:%d: a row without a table", name, i+1)
			}
		}
	}
}
