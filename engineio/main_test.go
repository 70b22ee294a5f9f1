package engineio_test

import (
	"fmt"
	"os"
	"runtime"
	"strings"
	"testing"
)

// TestMain fails the package if a goroutine survives its tests.
func TestMain(m *testing.M) {
	code := m.Run()
	if code == 0 && leaked() {
		code = 1
	}
	os.Exit(code)
}

// leaked waits for the last goroutines, which may be ending, by giving way to them; it reports whether some stay.
func leaked() bool {
	var stacks string
	for range 100_000 {
		buf := make([]byte, 1<<20)
		stacks = string(buf[:runtime.Stack(buf, true)])
		if !strings.Contains(stacks, "engineio.(") && !strings.Contains(stacks, "websocket.(") && !strings.Contains(stacks, "net/http.(*conn)") {
			return false
		}
		runtime.Gosched()
	}
	fmt.Fprintln(os.Stderr, "leaked goroutines:\n"+stacks)
	return true
}
