// Package leak finds goroutines that outlive the tests of a package.
//
// May import: nothing of ours.
package leak

import (
	"fmt"
	"io"
	"os"
	"runtime"
	"strings"
	"time"
)

// Tests is what a TestMain is given, a *testing.M.
type Tests interface {
	Run() int
}

// patience is how long goroutines that are ending may take, on a machine that is
// busy. Nothing waits for it but a failure.
const patience = 5 * time.Second

// Run runs the tests and returns the exit code of the process: a failure also if
// goroutines of this module or of an HTTP server stay behind, which it prints.
func Run(m Tests) int { return run(m, os.Stderr, patience) }

func run(m Tests, w io.Writer, patience time.Duration) int {
	code := m.Run()
	deadline := time.Now().Add(patience)
	for code == 0 {
		stay := left()
		if len(stay) == 0 {
			break
		}
		if time.Now().After(deadline) {
			fmt.Fprintf(w, "goroutines left behind:\n\n%s\n", strings.Join(stay, "\n\n"))
			code = 1
		}
		runtime.Gosched()
	}
	return code
}

// left returns the stacks of what is left but for the caller's, which comes
// first.
func left() []string {
	buf := make([]byte, 1<<20)
	stacks := strings.Split(string(buf[:runtime.Stack(buf, true)]), "\n\n")
	var stay []string
	for _, stack := range stacks[1:] {
		if strings.Contains(stack, "tutti-rt/tutti") || strings.Contains(stack, "net/http.(*conn)") {
			stay = append(stay, stack)
		}
	}
	return stay
}
