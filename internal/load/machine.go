package load

import (
	"fmt"
	"os"
	"regexp"
	"runtime"
	"strings"
)

// Machine describes where this runs, as far as it is known.
func Machine() string {
	model := "unknown processor"
	if text, err := os.ReadFile("/proc/cpuinfo"); err == nil {
		if m := regexp.MustCompile(`(?m)^model name\s*:\s*(.*)$`).FindSubmatch(text); m != nil {
			model = string(m[1])
		}
	}
	kernel := ""
	if text, err := os.ReadFile("/proc/sys/kernel/osrelease"); err == nil {
		kernel = " " + strings.TrimSpace(string(text))
	}
	return fmt.Sprintf("%d cores of %s, %s%s, %s", runtime.NumCPU(), model, runtime.GOOS, kernel, runtime.Version())
}
