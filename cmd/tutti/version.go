package main

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"runtime/debug"

	"github.com/tutti-rt/tutti/internal/clientfiles"
)

// printVersion prints the versions of the program, of Go, and of the client
// files that the program carries.
func printVersion(_ context.Context, c call) int {
	if len(c.args) > 0 {
		fmt.Fprintln(c.errors, "usage: tutti version")
		if c.args[0] == "--help" {
			return exitOK
		}
		return exitUsage
	}
	_, client, err := clientfiles.Files()
	switch {
	case errors.Is(err, clientfiles.ErrAbsent):
		client = "none"
	case err != nil:
		client = "damaged"
	}
	fmt.Fprintf(c.output, "tutti %s %s/%s %s, Socket.IO client %s\n", programVersion(), runtime.GOOS, runtime.GOARCH, runtime.Version(), client)
	return exitOK
}

// programVersion is what the build set, or the module's version if the go
// command installed the program.
func programVersion() string {
	if version != "dev" {
		return version
	}
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" && info.Main.Version != "(devel)" {
		return info.Main.Version
	}
	return version
}
