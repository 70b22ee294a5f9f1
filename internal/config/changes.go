package config

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
)

// A Change is a setting in which two sets of settings differ.
type Change struct {
	Name string
	// From and To are what it was and is, as it would be written; of long lists,
	// what was taken out and added. They say less than all of it for what must not
	// be shown, and for what is very long.
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
		c := Change{Name: f.name, Live: f.live}
		c.From, c.To = f.differ(&from, &to)
		all = append(all, c)
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

const (
	// longestShown bounds what a change shows of a value.
	longestShown = 80
	// longestDiffering bounds what it shows of the elements of a list that were
	// added or taken out, if the lists are longer than that: they are what an
	// audit log is read for.
	longestDiffering = 1000
)

// differ shows in what two values differ.
func (f field) differ(from, to *Settings) (was, is string) {
	a, b := f.texts(from), f.texts(to)
	most := longestShown
	if f.isList() && max(shownLength(a), shownLength(b)) > most {
		a, b = without(a, b), without(b, a)
		most = longestDiffering
	}
	return short(a, most), short(b, most)
}

func shownLength(texts []string) int { return len([]rune(strings.Join(texts, ", "))) }

// without returns those of all that are not among others.
func without(all, others []string) []string {
	return slices.DeleteFunc(slices.Clone(all), func(one string) bool { return slices.Contains(others, one) })
}

func short(texts []string, most int) string {
	shown := strings.Join(texts, ", ")
	switch runes := []rune(shown); {
	case shown == "":
		return "nothing"
	case len(runes) > most:
		return string(runes[:most]) + "…"
	}
	return shown
}
