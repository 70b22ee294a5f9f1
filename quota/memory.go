package quota

import (
	"bytes"
	"math"
	"os"
	"runtime/debug"
	"strconv"
)

// MemoryLimit returns how much memory the process may use, in bytes: the least of
// GOMEMLIMIT, the limit of its control group and the machine's memory, as far as
// they can be found out; 0 if none can.
func MemoryLimit() int64 {
	least := debug.SetMemoryLimit(-1) // which only asks
	for _, file := range []string{"/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"} {
		if text, err := os.ReadFile(file); err == nil {
			least = lesser(least, string(bytes.TrimSpace(text)), 1)
		}
	}
	if text, err := os.ReadFile("/proc/meminfo"); err == nil {
		for line := range bytes.Lines(text) {
			if f := bytes.Fields(line); len(f) == 3 && string(f[0]) == "MemTotal:" {
				least = lesser(least, string(f[1]), 1<<10)
			}
		}
	}
	if least == math.MaxInt64 {
		return 0
	}
	return least
}

// lesser returns the lesser of n and what is written, times a unit. "max" is no
// number, and means none.
func lesser(n int64, text string, unit int64) int64 {
	v, err := strconv.ParseInt(text, 10, 64)
	if err != nil || v <= 0 || v > math.MaxInt64/unit {
		return n
	}
	return min(n, v*unit)
}
