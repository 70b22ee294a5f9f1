package admin

import (
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// system fills in what the system says of the process.
func (p *process) system() {
	if text, err := os.ReadFile("/proc/self/statm"); err == nil {
		if fields := strings.Fields(string(text)); len(fields) > 1 {
			pages, _ := strconv.ParseFloat(fields[1], 64) // 0 if it is none
			p.Resident = pages * float64(os.Getpagesize())
		}
	}
	if info, err := os.Stat("/proc/self/fd"); err == nil {
		p.Descriptors = float64(info.Size()) // Linux 6.2 and newer tell how many
	}
	if p.Descriptors == 0 {
		p.Descriptors = countDescriptors()
	}
	var limit syscall.Rlimit
	if syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit) == nil {
		p.DescriptorLimit = float64(limit.Cur)
	}
	var usage syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &usage) == nil {
		p.CPU = (time.Duration(usage.Utime.Nano()) + time.Duration(usage.Stime.Nano())).Seconds()
	}
}

// countDescriptors counts them one by one, on systems that do not tell.
func countDescriptors() float64 {
	dir, err := os.Open("/proc/self/fd")
	if err != nil {
		return 0
	}
	defer dir.Close()
	names, err := dir.Readdirnames(-1)
	if err != nil {
		return 0
	}
	return float64(len(names) - 1) // without dir
}
