package config

import (
	"fmt"
	"reflect"
	"strings"
)

// A Change is a setting in which two sets of settings differ.
type Change struct {
	Name string
	// From and To are what it was and is, as it would be written. They say less
	// than all of it for what must not be shown, and for what is long.
	From, To string
	// Live says whether a running server can put it to use.
	Live bool
}

// String says what has changed, in one line.
func (c Change) String() string {
	if c.From == c.To {
		return c.Name + ": changed"
	}
	return fmt.Sprintf("%s: %s → %s", c.Name, c.From, c.To)
}

// Changes returns how to differs from from, in the order of the settings.
func Changes(from, to Settings) []Change {
	var all []Change
	for _, f := range fields() {
		if reflect.DeepEqual(f.of(&from).Interface(), f.of(&to).Interface()) {
			continue
		}
		all = append(all, Change{f.name, f.short(&from), f.short(&to), f.live})
	}
	return all
}

// TakeLive returns running with those settings of wanted that a running server
// can put to use.
func TakeLive(running, wanted Settings) Settings {
	for _, f := range fields() {
		if f.live {
			f.of(&running).Set(f.of(&wanted))
		}
	}
	return running
}

// longestShown bounds what a change shows of a value.
const longestShown = 80

func (f field) short(s *Settings) string {
	shown := strings.Join(f.texts(s), ", ")
	switch runes := []rune(shown); {
	case shown == "":
		return "nothing"
	case len(runes) > longestShown:
		return string(runes[:longestShown]) + "…"
	}
	return shown
}
