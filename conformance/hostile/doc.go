// Package hostile tries on the program what went wrong elsewhere: every kind of
// input and load from which another server has died, over the wire and against
// `tutti serve` as a process of its own.
//
// After each the server must be as it was: a fresh client is answered, memory
// and goroutines are back where they were, nothing panicked, and a metric or a
// line in the log tells an operator what happened. docs/hostile-inputs.md is
// written by these tests: go test ./conformance/hostile -update.
//
// May import: everything.
package hostile
