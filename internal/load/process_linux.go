package load

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// A reading is what a process has taken since it began.
type reading struct {
	cpu    time.Duration
	waited time.Duration // it was ready to run, and somebody else ran
	rss    int64
}

// readProcess reads what a process has taken. Its threads are summed up because
// what is known of the whole process is counted in ticks of 10 ms.
func readProcess(pid int) (reading, error) {
	var r reading
	tasks, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/schedstat", pid))
	if err != nil || len(tasks) == 0 {
		return r, fmt.Errorf("process %d: not found in /proc", pid)
	}
	for _, name := range tasks {
		text, err := os.ReadFile(name)
		if err != nil {
			continue // the thread has ended
		}
		fields := strings.Fields(string(text))
		if len(fields) < 2 {
			continue
		}
		ran, _ := strconv.ParseInt(fields[0], 10, 64)
		waited, _ := strconv.ParseInt(fields[1], 10, 64)
		r.cpu += time.Duration(ran)
		r.waited += time.Duration(waited)
	}
	if text, err := os.ReadFile(fmt.Sprintf("/proc/%d/statm", pid)); err == nil {
		if fields := bytes.Fields(text); len(fields) > 1 {
			pages, _ := strconv.ParseInt(string(fields[1]), 10, 64)
			r.rss = pages * int64(os.Getpagesize())
		}
	}
	return r, nil
}

// readOwn reads what this program has taken of the core that its loop needs: what
// the calling thread has, or the whole program shared by the cores it may use.
func readOwn() (reading, error) {
	r, err := readProcess(os.Getpid())
	if err != nil {
		return r, err
	}
	r.cpu /= time.Duration(runtime.NumCPU())
	var thread unix.Rusage
	if unix.Getrusage(unix.RUSAGE_THREAD, &thread) == nil {
		r.cpu = max(r.cpu, time.Duration(thread.Utime.Nano()+thread.Stime.Nano()))
	}
	return r, nil
}

// usage returns what was taken between two readings.
func usage(pid int, from, to reading, took time.Duration, operations int64) Usage {
	cpu := to.cpu - from.cpu
	waited := to.waited - from.waited
	u := Usage{PID: pid, CPUSeconds: cpu.Seconds(), RSSAfter: to.rss}
	if took > 0 {
		u.Cores = cpu.Seconds() / took.Seconds()
	}
	if cpu+waited > 0 {
		u.Waited = round(waited.Seconds() / (cpu + waited).Seconds())
	}
	if operations > 0 {
		u.CPUPerOperation = round(float64(cpu.Nanoseconds()) / float64(operations) / 1000)
	}
	return u
}

// raiseLimit allows as many open files as this process may allow itself, and
// says if that's not enough for n.
func raiseLimit(n int) error {
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		return fmt.Errorf("getrlimit: %w", err)
	}
	if limit.Cur < limit.Max {
		limit.Cur = limit.Max
		if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
			return fmt.Errorf("setrlimit: %w", err)
		}
	}
	if uint64(n) > limit.Cur {
		return fmt.Errorf("%d connections are more than the %d open files allowed here: raise ulimit -n", n, limit.Cur)
	}
	return nil
}
