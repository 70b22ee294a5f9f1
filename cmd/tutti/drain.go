package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
)

func drainManual() *manual {
	return &manual{
		name: "drain", does: "end a running server in order",
		synopsis: []string{"[flags]"},
		about: `Has a server do what it does on SIGTERM: it takes no new connections and answers 503 at /healthz, tells its
sessions to go, which come back to another server or to its successor, and ends when they are gone, after timeout.drain at
the latest. This command returns when the server has begun.`,
		options:  operatorOptions,
		examples: []example{{"tutti drain --data /var/lib/tutti", "The server of this machine:"}},
		see:      "tutti reload, docs/operating.md",
	}
}

// drain has a server end.
func drainCommand(ctx context.Context, c call) int {
	return operate(ctx, c, drainManual(), func(ctx context.Context, at *remote) error {
		if err := at.post(ctx, "/api/drain", struct{}{}, nil); err != nil {
			return err
		}
		_, err := fmt.Fprintln(c.output, "draining")
		return err
	})
}

func reloadManual() *manual {
	return &manual{
		name: "reload", does: "have a running server read its settings again",
		synopsis: []string{"[flags]"},
		about: `Has a server do what it does on SIGHUP, and says what came of it. No connection is dropped. If there is anything
wrong with the settings, all of it is reported and the server goes on with those it has. Else it says which
settings are different: those that it has put to use, and those that it needs a new start for.`,
		options:  operatorOptions,
		exits:    "It is 1, too, if the settings were refused.",
		examples: []example{{"tutti config check tutti.yaml && tutti reload --data /var/lib/tutti", "After looking whether it will work:"}},
		see:      "tutti config, docs/configuration.md",
	}
}

// A reloaded is what came of reading the settings again.
type reloaded struct {
	Applied  []string `json:"applied"`  // changes in words, put to use
	Restart  []string `json:"restart"`  // changes that need a new start
	Mistakes []string `json:"mistakes"` // why the settings were refused
}

// reload has a server read its settings again.
func reload(ctx context.Context, c call) int {
	return operate(ctx, c, reloadManual(), func(ctx context.Context, at *remote) error {
		var answer reloaded
		if err := at.post(ctx, "/api/reload", struct{}{}, &answer); err != nil {
			return err
		}
		for _, change := range answer.Applied {
			fmt.Fprintf(c.output, "applied: %s\n", change)
		}
		for _, change := range answer.Restart {
			fmt.Fprintf(c.output, "needs a new start: %s\n", change)
		}
		if len(answer.Applied)+len(answer.Restart) == 0 {
			fmt.Fprintln(c.output, "nothing has changed")
		}
		return nil
	})
}

// operate runs a command that asks a server for one thing, and has no arguments
// but its options.
func operate(ctx context.Context, c call, m *manual, do func(context.Context, *remote) error) int {
	a, code := m.begin(c)
	if a == nil {
		return code
	}
	at, err := a.operators()
	if len(a.rest) > 0 {
		err = errors.Join(fmt.Errorf("%q belongs to no flag", a.rest[0]), err)
	}
	if err != nil {
		return m.misused(c, err)
	}
	ctx, stop := interruptible(ctx, c)
	defer stop()
	if err := do(ctx, at); err != nil {
		for line := range strings.Lines(err.Error()) {
			fmt.Fprintf(c.errors, "tutti %s: %s\n", m.name, strings.TrimRight(line, "\n"))
		}
		return exitFailed
	}
	return exitOK
}
