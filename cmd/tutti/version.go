package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"runtime"
	"runtime/debug"

	"github.com/tutti-rt/tutti/internal/clientfiles"
)

func versionManual() *manual {
	return &manual{
		name: "version", does: "print the version, and how the program was built",
		synopsis: []string{"[--json]"},
		about:    "Prints the version of the program and of what it was built from: Go, the commit, and the Socket.IO client's files that it carries.",
		options:  []option{{name: "json", does: "Write JSON."}},
	}
}

// A build is what the program was made of.
type build struct {
	Version  string `json:"version"`
	Commit   string `json:"commit,omitempty"`
	Time     string `json:"time,omitempty"` // of the commit
	Modified bool   `json:"modified,omitempty"`
	Go       string `json:"go"`
	Platform string `json:"platform"`
	Client   string `json:"client"` // Socket.IO's, or "none"
}

// printVersion prints the versions of the program, of Go, and of the client
// files that the program carries.
func printVersion(_ context.Context, c call) int {
	m := versionManual()
	a, code := m.begin(c)
	if a == nil {
		return code
	}
	if len(a.rest) > 0 {
		return m.misused(c, fmt.Errorf("%q is too much", a.rest[0]))
	}
	b := thisBuild()
	var err error
	if a.given("json") {
		err = json.NewEncoder(c.output).Encode(b)
	} else {
		err = b.print(c)
	}
	if err != nil {
		return fail(c, m.name, err)
	}
	return exitOK
}

func (b build) print(c call) error {
	fmt.Fprintf(c.output, "tutti %s %s %s, Socket.IO client %s\n", b.Version, b.Platform, b.Go, b.Client)
	if b.Commit == "" {
		return nil
	}
	changed := ""
	if b.Modified {
		changed = ", with changes that are not committed"
	}
	_, err := fmt.Fprintf(c.output, "commit %s of %s%s\n", b.Commit, b.Time, changed)
	return err
}

func thisBuild() build {
	b := build{Version: programVersion(), Go: runtime.Version(), Platform: runtime.GOOS + "/" + runtime.GOARCH}
	_, client, err := clientfiles.Files()
	switch {
	case errors.Is(err, clientfiles.ErrAbsent):
		b.Client = "none"
	case err != nil:
		b.Client = "damaged"
	default:
		b.Client = client
	}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return b
	}
	for _, s := range info.Settings {
		switch s.Key {
		case "vcs.revision":
			b.Commit = s.Value
		case "vcs.time":
			b.Time = s.Value
		case "vcs.modified":
			b.Modified = s.Value == "true"
		}
	}
	return b
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
