package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/tutti-rt/tutti/internal/config"
	"github.com/tutti-rt/tutti/packet"
)

func configManual() *manual {
	return &manual{
		name: "config", does: "check or print the settings of a server",
		synopsis: []string{"check FILE [flags of serve]", "print [FILE] [flags of serve]"},
		about: `check reads a settings file as "tutti serve --config FILE" would, with the environment and flags, and
everything that it names: certificates, keys, schemas, folders. It reports all mistakes at once, each
with its line and with what would be right, and starts nothing.

print writes the settings that result, and where each came from.`,
		exits: "check ends with 1 if there is a mistake.",
		examples: []example{
			{"tutti config check /etc/tutti/tutti.yaml && systemctl reload tutti", "Before a server reads them again:"},
			{"tutti config print --listen :80", "What the defaults are:"},
		},
		see: "tutti serve, tutti reload, docs/configuration.md",
	}
}

// configCommand checks or prints settings.
func configCommand(_ context.Context, c call) int {
	m := configManual()
	what := firstOf(c.args)
	switch what {
	case "check", "print":
	case "", "-h", "-help", "--help":
		if what == "" {
			return m.misused(c, errors.New("want check or print"))
		}
		m.print(c.output)
		return exitOK
	default:
		return m.misused(c, fmt.Errorf("there is no %q: want check or print", what))
	}
	args := c.args[1:]
	named := len(args) > 0 && args[0] != "" && args[0][0] != '-'
	if named {
		args = append([]string{"--config", args[0]}, args[1:]...)
	} else if what == "check" && !hasHelp(args) {
		return m.misused(c, errors.New("which FILE?"))
	}
	loaded, err := config.Load(args, c.environ, facts())
	switch {
	case err != nil:
		printMistakes(c.errors, "tutti config", err)
		return exitFailed
	case loaded.Help:
		m.print(c.output)
	case what == "print":
		if _, err := loaded.WriteTo(c.output); err != nil {
			return fail(c, m.name, err)
		}
	default:
		for _, name := range loaded.Ignored {
			fmt.Fprintf(c.errors, "tutti config: the variable %s is no setting\n", name)
		}
		fmt.Fprintf(c.output, "%s is right\n", c.args[1])
	}
	return exitOK
}

func hasHelp(args []string) bool {
	for _, arg := range args {
		if arg == "-h" || arg == "-help" || arg == "--help" {
			return true
		}
	}
	return false
}

// facts is what the settings can't know by themselves.
func facts() config.Facts {
	return config.Facts{Demos: demoNames(), Reserved: packet.Reserved, Further: checkSettings}
}
