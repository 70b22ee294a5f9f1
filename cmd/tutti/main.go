// Command tutti is a real-time server that every Socket.IO client connects to.
//
//	tutti serve --demo chat
//	tutti serve --config tutti.yaml
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
	"slices"
	"strings"
	"syscall"
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
	name, does string
	run        func(ctx context.Context, c call) int
}

// A call is what a command is given.
type call struct {
	args           []string
	environ        []string
	output, errors io.Writer
	signals        <-chan os.Signal
}

// commands returns all commands. It is a function because help is one of them.
func commands() []command {
	return []command{
		{"serve", "run a server", serve},
		{"backup", "copy the data of a server, running or not", backup},
		{"restore", "make a data folder from a backup", restore},
		{"bench", "measure a server under load", bench},
		{"version", "print the version", printVersion},
		{"help", "print this, or with a command's name its flags", help},
	}
}

func main() {
	signals := make(chan os.Signal, 2) // the one that ends, and the one that aborts
	signal.Notify(signals, syscall.SIGTERM, os.Interrupt)
	os.Exit(run(call{os.Args[1:], os.Environ(), os.Stdout, os.Stderr, signals}))
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
	}
	all := commands()
	i := slices.IndexFunc(all, func(cmd command) bool { return cmd.name == name })
	if i < 0 {
		fmt.Fprintf(c.errors, "tutti: there is no command %q\n\n", name)
		printCommands(c.errors)
		return exitUsage
	}
	c.args = c.args[1:]
	return all[i].run(context.Background(), c)
}

func printCommands(w io.Writer) {
	fmt.Fprint(w, "usage: tutti COMMAND [flags]\n\n")
	for _, cmd := range commands() {
		fmt.Fprintf(w, "  %-10s %s\n", cmd.name, cmd.does)
	}
}

func help(_ context.Context, c call) int {
	if len(c.args) == 0 || c.args[0] == "help" || strings.HasPrefix(c.args[0], "-") {
		printCommands(c.output)
		return exitOK
	}
	c.args = []string{c.args[0], "--help"}
	return run(c)
}
