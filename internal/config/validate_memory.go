package config

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// verbs are the names of the standard verbs' events.
var verbs = []string{"join", "leave", "publish", "history", "presence", "state"}

// checkMemory checks what is kept, and where.
func (l *loader) checkMemory() {
	switch {
	case l.Data != "":
		l.checkData()
	case len(l.Durable) > 0 && l.Engine == "":
		l.not("durable", "needs a folder to keep histories in: give data, such as --data .data, or an engine")
	}
	if l.Data != "" && l.Engine != "" {
		l.conflict("data", "engine", "data and engine both keep what must outlive the program: choose one")
	}
	known := append([]string{"/"}, l.Namespaces...)
	for i, name := range l.Memory {
		if !slices.Contains(known, name) {
			l.wrong(l.placeOf("memory", i), "memory is %q: want %s", name, alternatives(known))
		}
	}
}

func (l *loader) checkData() {
	data := string(l.Data)
	if info, err := os.Stat(data); err == nil && !info.IsDir() {
		l.not("data", "is %q, which is a file: want a folder", l.Data)
	}
	if l.Static == "" {
		return
	}
	static, err := filepath.Abs(string(l.Static))
	if err != nil {
		return
	}
	if data, err = filepath.Abs(data); err != nil {
		return
	}
	inside, err := filepath.Rel(static, data)
	if err == nil && inside != ".." && !strings.HasPrefix(inside, ".."+string(filepath.Separator)) && !strings.HasPrefix(filepath.Base(inside), ".") {
		l.conflict("data", "static", "data lies in the folder of static, which is served to everyone: choose another")
	}
}

// checkVerbs checks what would answer to the events of the verbs.
func (l *loader) checkVerbs(facts Facts) {
	for i, pattern := range l.Open {
		if err := checkPattern(pattern); err != nil {
			l.wrong(l.placeOf("open", i), "open: %v", err)
		}
	}
	for i, rule := range l.Allow {
		for _, event := range rule.Events {
			if facts.Reserved != nil && facts.Reserved(event) {
				l.wrong(l.placeOf("allow", i), "allow: event=%s belongs to the protocol: want a name of your own", event)
			}
		}
	}
	for _, setting := range []struct {
		name string
		set  bool
	}{{"open", len(l.Open) > 0}, {"allow", len(l.Allow) > 0}} {
		if !setting.set {
			continue
		}
		if l.Demo != "" {
			l.conflict(setting.name, "demo", "%s and demo can't go together: a demo handles its events itself", setting.name)
		}
		for i, event := range l.Relay {
			if slices.Contains(verbs, event) {
				l.wrong(l.placeOf("relay", i), "relay is %q, which %s makes a verb: choose another name", event, setting.name)
			}
		}
	}
}
