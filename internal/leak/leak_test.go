package leak

import (
	"strings"
	"testing"
)

type tests func() int

func (t tests) Run() int { return t() }

func TestRun(t *testing.T) {
	stop, stopped := make(chan struct{}), make(chan struct{})
	defer func() {
		close(stop)
		<-stopped
	}()
	idle := tests(func() int { return 0 })
	leaking := tests(func() int {
		go func() {
			defer close(stopped)
			<-stop
		}()
		return 0
	})
	ending := tests(func() int {
		go func() {}()
		return 0
	})
	failing := tests(func() int { return 3 })
	for _, tt := range []struct {
		rule  string
		tests Tests
		code  int
		says  string
	}{
		{"nothing is left", idle, 0, ""},
		{"who is ending may end", ending, 0, ""},
		{"a goroutine stays", leaking, 1, "leak.TestRun"},
		{"tests that fail have failed", failing, 3, ""},
	} {
		var out strings.Builder
		wait := patience
		if tt.code == 1 {
			wait = 0
		}
		if code := run(tt.tests, &out, wait); code != tt.code || !strings.Contains(out.String(), tt.says) {
			t.Errorf("%s: code %d, %s", tt.rule, code, out.String())
		}
	}
}
