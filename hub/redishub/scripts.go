package redishub

import (
	"crypto/sha1" //nolint:gosec // what EVALSHA names scripts by
	"embed"
	"encoding/hex"
	"fmt"
)

//go:embed scripts/*.lua scripts/import/*.lua
var scriptFiles embed.FS

// A script is one of the files in scripts.
type script int

const (
	scriptEnter script = iota
	scriptCommit
	scriptRead
	scriptHistory
	scriptErase
	scriptSession
	scriptBeat
	scriptHeads
	scripts
)

var scriptNames = [scripts]string{"enter", "commit", "read", "history", "erase", "session", "beat", "heads"}

// A repertoire is the scripts as they are for one life of the server.
type repertoire struct {
	text [scripts]string
	sha  [scripts]string
}

func newRepertoire(life string) (*repertoire, error) {
	begin, err := scriptFiles.ReadFile("scripts/begin.lua")
	if err != nil {
		return nil, fmt.Errorf("read scripts: %w", err)
	}
	r := new(repertoire)
	for i, name := range scriptNames {
		body, err := scriptFiles.ReadFile("scripts/" + name + ".lua")
		if err != nil {
			return nil, fmt.Errorf("read scripts: %w", err)
		}
		r.text[i] = fmt.Sprintf("local LIFE = '%s'\nlocal BASE = %d\n%s%s", life, firstMilli, begin, body)
		sum := sha1.Sum([]byte(r.text[i])) //nolint:gosec // as above
		r.sha[i] = hex.EncodeToString(sum[:])
	}
	return r, nil
}
