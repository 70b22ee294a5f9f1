package config

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// A Mistake is one thing wrong with the settings.
type Mistake struct {
	Place Place
	Text  string // what is wrong, and what would be right
}

// A Place is where a setting was made: a line of a file, an environment
// variable, or a flag.
type Place struct {
	File string
	Line int
	Name string // of the variable or flag, if File is ""
}

func (p Place) String() string {
	switch {
	case p.File != "" && p.Line > 0:
		return fmt.Sprintf("%s:%d", p.File, p.Line)
	case p.File != "":
		return p.File
	case p.Name != "":
		return p.Name
	}
	return "default"
}

// rank orders places as they are read.
func (p Place) rank() int {
	switch {
	case p.File != "":
		return 0
	case strings.HasPrefix(p.Name, envPrefix):
		return 1
	}
	return 2
}

func (m Mistake) String() string { return m.Place.String() + ": " + m.Text }

// Mistakes is the error of Load: everything that is wrong, files first, in the
// order of their lines. It is never empty.
type Mistakes []Mistake

func (m Mistakes) Error() string {
	lines := make([]string, len(m))
	for i, one := range m {
		lines[i] = one.String()
	}
	return strings.Join(lines, "\n")
}

// sorted returns the mistakes in the order of their places, nil for none.
func (m Mistakes) sorted() error {
	if len(m) == 0 {
		return nil
	}
	slices.SortStableFunc(m, func(a, b Mistake) int {
		return cmp.Or(cmp.Compare(a.Place.rank(), b.Place.rank()), cmp.Compare(a.Place.Line, b.Place.Line))
	})
	return m
}
