// Command tutti is a real-time server that every Socket.IO client connects to.
//
//	tutti serve --demo chat
//	tutti serve --config tutti.yaml
//	tutti publish --room news --event headline '{"text":"all together"}'
//	tutti backup .data /mnt/backup/monday
//	tutti bench fanout http://localhost:3000
//	tutti version
//
// A command has a file of its own. Its exit code is 0 if all went well, 1 if
// something went wrong, and 2 if it was called wrongly.
package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/tutti-rt/tutti/internal/config"
)

// version is set by the build, with -X.
var version = "dev"

// The exit codes.
const (
	exitOK     = 0
	exitFailed = 1
	exitUsage  = 2
)

// A command does one thing. It writes what was asked for to its output, and
// all else to errors.
type command struct {
	run    func(ctx context.Context, c call) int
	manual func() *manual
}

// A call is what a command is given.
type call struct {
	args           []string
	environ        []string
	output, errors io.Writer
	signals        <-chan os.Signal
	input          io.Reader
	hangups        <-chan os.Signal // each asks a server to read its settings again
}

// commands returns all commands. It is a function because help is one of them.
func commands() []command {
	return []command{
		{serve, serveManual},
		{publish, publishManual},
		{subscribe, subscribeManual},
		{rooms, roomsManual},
		{disconnect, disconnectManual},
		{drainCommand, drainManual},
		{reload, reloadManual},
		{configCommand, configManual},
		{token, tokenManual},
		{backup, backupManual},
		{restore, restoreManual},
		{migrate, migrateManual},
		{bench, benchManual},
		{completion, completionManual},
		{printVersion, versionManual},
		{help, helpManual},
	}
}

func main() {
	signals := make(chan os.Signal, 2) // the one that ends, and the one that aborts
	signal.Notify(signals, syscall.SIGTERM, os.Interrupt)
	c := call{os.Args[1:], os.Environ(), os.Stdout, os.Stderr, signals, os.Stdin, nil}
	if len(os.Args) > 1 && os.Args[1] == "serve" { // others end at it
		hangups := make(chan os.Signal, 1)
		signal.Notify(hangups, syscall.SIGHUP)
		c.hangups = hangups
	}
	os.Exit(run(c))
}

func run(c call) int {
	if len(c.args) == 0 {
		printCommands(c.errors)
		return exitUsage
	}
	name := c.args[0]
	switch name {
	case "-h", "-help", "--help":
		name = "help"
	case "-v", "-version", "--version":
		name = "version"
	case completeName:
		return complete(c)
	}
	cmd := commandNamed(name)
	if cmd == nil {
		fmt.Fprintf(c.errors, "tutti: there is no command %q%s\n\n", name, suggestCommand(name))
		printCommands(c.errors)
		return exitUsage
	}
	c.args = c.args[1:]
	return cmd.run(context.Background(), c)
}

func commandNamed(name string) *command {
	for _, cmd := range commands() {
		if cmd.manual().name == name {
			return &cmd
		}
	}
	return nil
}

func suggestCommand(name string) string {
	var known []string
	for _, cmd := range commands() {
		known = append(known, cmd.manual().name)
	}
	if best := config.Closest(name, known); best != "" {
		return "; did you mean " + best + "?"
	}
	return ""
}

func printCommands(w io.Writer) {
	fmt.Fprint(w, "usage: tutti COMMAND [flags]\n\n")
	for _, cmd := range commands() {
		m := cmd.manual()
		fmt.Fprintf(w, "  %-11s %s\n", m.name, m.does)
	}
	fmt.Fprint(w, "\nAll about one of them: tutti help COMMAND\n")
}

func helpManual() *manual {
	return &manual{
		name: "help", does: "explain a command",
		synopsis: []string{"[COMMAND]"},
		about:    "Prints all about a command, or without one the list of commands. tutti COMMAND --help does the same.",
		see:      "docs/cli.md",
	}
}

func help(_ context.Context, c call) int {
	if len(c.args) == 0 || c.args[0] == "help" || strings.HasPrefix(c.args[0], "-") {
		printCommands(c.output)
		return exitOK
	}
	cmd := commandNamed(c.args[0])
	if cmd == nil {
		return run(c) // says so
	}
	cmd.manual().print(c.output)
	return exitOK
}
