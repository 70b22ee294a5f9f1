// Package clientfiles carries the official Socket.IO client files in the
// program, so that a page can load its client from the server it talks to.
//
// "make client" installs the version that package.json pins and copies eight
// files and their licence to dist, which is embedded. A program built without
// them works, but [Files] says what is missing.
//
// May import: nothing of ours.
package clientfiles

import (
	"embed"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"regexp"
)

//go:embed all:dist
var dist embed.FS

//go:embed package.json
var manifest []byte

// ErrAbsent is returned by Files when the program was built without the client
// files.
var ErrAbsent = errors.New("clientfiles: the Socket.IO client files are not in this program: run `make client`, then build it again")

// names are the files that Socket.IO's own server hands out.
var names = []string{
	"socket.io.js", "socket.io.js.map",
	"socket.io.min.js", "socket.io.min.js.map",
	"socket.io.esm.min.js", "socket.io.esm.min.js.map",
	"socket.io.msgpack.min.js", "socket.io.msgpack.min.js.map",
}

var banner = regexp.MustCompile(`^/\*!\s+\* Socket\.IO v(\S+)\s`)

// Files returns the client files, by name at the root of the file system
// (socket.io.min.js and so on), and their version, such as "4.8.4". The error
// wraps ErrAbsent when there are none, and says so when some are missing or of
// another version than package.json pins.
func Files() (files fs.FS, version string, err error) {
	sub, err := fs.Sub(dist, "dist")
	if err != nil {
		return nil, "", fmt.Errorf("client files: %w", err)
	}
	version, err = check(sub, manifest)
	if err != nil {
		return nil, "", err
	}
	return sub, version, nil
}

// check returns the version of the client files in files, which must be
// complete and of the version that manifest pins.
func check(files fs.FS, manifest []byte) (version string, err error) {
	var pinned struct {
		Dependencies map[string]string `json:"dependencies"`
	}
	if err := json.Unmarshal(manifest, &pinned); err != nil {
		return "", fmt.Errorf("client files: package.json: %w", err)
	}
	text, err := fs.ReadFile(files, names[0])
	if errors.Is(err, fs.ErrNotExist) {
		return "", ErrAbsent
	}
	if err != nil {
		return "", fmt.Errorf("client files: %w", err)
	}
	found := banner.FindSubmatch(text)
	if found == nil {
		return "", fmt.Errorf("client files: %s doesn't start with Socket.IO's banner: run `make client`", names[0])
	}
	version = string(found[1])
	if want := pinned.Dependencies["socket.io"]; version != want {
		return "", fmt.Errorf("client files: version %s is embedded, %s is pinned: run `make client`, then build again", version, want)
	}
	for _, name := range names {
		if _, err := fs.Stat(files, name); err != nil {
			return "", fmt.Errorf("client files: %w: run `make client`, then build again", err)
		}
	}
	return version, nil
}
