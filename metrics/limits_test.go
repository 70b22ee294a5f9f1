package metrics_test

import (
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/tutti-rt/tutti/metrics"
)

// series is a limit of a stage, as the page of metrics has it.
var series = regexp.MustCompile(`^tutti_limit_hits_total\{limit="([^"]+)",stage="([^"]+)"\}`)

// TestLimitsAreDocumented holds docs/metrics.md to the limits of each stage.
func TestLimitsAreDocumented(t *testing.T) {
	text, err := os.ReadFile("../docs/metrics.md")
	if err != nil {
		t.Fatal(err)
	}
	rows := make(map[string]string) // all rows of a stage
	for line := range strings.Lines(string(text)) {
		if rest, ok := strings.CutPrefix(line, "| `"); ok {
			stage, words, _ := strings.Cut(rest, "`")
			rows[stage] += words
		}
	}
	found := 0
	for name := range scrape(t, metrics.New()) {
		match := series.FindStringSubmatch(name)
		if match == nil || match[1] == "other" || match[2] == "quota" && strings.ContainsAny(match[1], " ") {
			continue // of rates the table names one and says that there are others
		}
		found++
		if !strings.Contains(rows[match[2]], "`"+match[1]+"`") {
			t.Errorf("docs/metrics.md does not say what the limit %q of the stage %q is", match[1], match[2])
		}
	}
	if found < 30 {
		t.Errorf("%d limits are too few to be all", found)
	}
}
