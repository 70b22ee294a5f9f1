//go:build unix

package limit

import (
	"math"
	"syscall"
)

// Files returns how many files and sockets the process may have open, 0 if
// nobody knows.
func Files() int {
	var l syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &l); err != nil || uint64(l.Cur) > math.MaxInt32 {
		return 0
	}
	return int(l.Cur)
}
