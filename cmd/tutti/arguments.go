package main

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/tutti-rt/tutti/internal/config"
)

// arguments are those of one call, read.
type arguments struct {
	manual  *manual
	environ []string
	values  map[string][]string // by the option's name
	rest    []string            // what is no option
}

// errHelp says that the call asks for help instead.
var errHelp = errors.New("help")

// read reads arguments: "--name value", "--name=value", "--switch", and the
// rest, which may stand between them; all that follows "--" is rest. It reports
// all mistakes.
func (m *manual) read(args, environ []string) (*arguments, error) {
	a := &arguments{manual: m, environ: environ, values: map[string][]string{}}
	var errs []error
	for i := 0; i < len(args); i++ {
		arg := args[i]
		switch {
		case arg == "-h" || arg == "-help" || arg == "--help":
			return nil, errHelp
		case arg == "--":
			a.rest = append(a.rest, args[i+1:]...)
			return a, errors.Join(errs...)
		case len(arg) < 2 || arg[0] != '-' || isNumber(arg):
			a.rest = append(a.rest, arg)
			continue
		}
		name, value, joined := strings.Cut(strings.TrimLeft(arg, "-"), "=")
		o := m.option(name)
		switch {
		case o == nil:
			errs = append(errs, fmt.Errorf("there is no flag --%s%s", name, m.suggest(name)))
			continue
		case joined && o.value == "":
			errs = append(errs, fmt.Errorf("--%s takes no value", name))
			continue
		case joined:
		case o.value == "":
			value = "true"
		case i+1 == len(args):
			errs = append(errs, fmt.Errorf("--%s needs a value: --%s %s", name, name, o.value))
			continue
		default:
			i++
			value = args[i]
		}
		if len(a.values[name]) > 0 && !o.repeat {
			errs = append(errs, fmt.Errorf("--%s is there twice", name))
		}
		a.values[name] = append(a.values[name], value)
	}
	return a, errors.Join(errs...)
}

// isNumber tells a negative number, which may be data, from a flag.
func isNumber(arg string) bool {
	_, err := strconv.ParseFloat(arg, 64)
	return err == nil
}

func (m *manual) option(name string) *option {
	i := slices.IndexFunc(m.options, func(o option) bool { return o.name == name })
	if i < 0 {
		return nil
	}
	return &m.options[i]
}

func (m *manual) suggest(name string) string {
	var known []string
	for _, o := range m.options {
		known = append(known, o.name)
	}
	if best := config.Closest(name, known); best != "" {
		return "; did you mean --" + best + "?"
	}
	return ""
}

// given says whether an option is among the arguments themselves.
func (a *arguments) given(name string) bool { return len(a.values[name]) > 0 }

// value is an option's, or its variable's, or "".
func (a *arguments) value(name string) string {
	if v := a.values[name]; len(v) > 0 {
		return v[0]
	}
	if o := a.manual.option(name); o != nil && o.env != "" {
		return variable(a.environ, o.env)
	}
	return ""
}

// number is an option's whole number, or what it is without one.
func (a *arguments) number(name string, without int) (int, error) {
	text := a.value(name)
	if text == "" {
		return without, nil
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 {
		return 0, fmt.Errorf("--%s is %q: want a number of 1 or more", name, text)
	}
	return n, nil
}

func variable(environ []string, name string) string {
	for _, entry := range environ {
		if value, ok := strings.CutPrefix(entry, name+"="); ok {
			return value
		}
	}
	return ""
}

// begin reads the arguments of a call. With nil the call is over, and the exit
// code says how.
func (m *manual) begin(c call) (*arguments, int) {
	a, err := m.read(c.args, c.environ)
	switch {
	case errors.Is(err, errHelp):
		m.print(c.output)
		return nil, exitOK
	case err != nil:
		return nil, m.misused(c, err)
	}
	return a, exitOK
}

// misused says what was wrong with a call.
func (m *manual) misused(c call, err error) int {
	for line := range strings.Lines(err.Error()) {
		fmt.Fprintf(c.errors, "tutti %s: %s\n", m.name, strings.TrimRight(line, "\n"))
	}
	fmt.Fprintf(c.errors, "usage: tutti %s %s\nAll of it: tutti help %s\n", m.name, m.synopsis[0], m.name)
	return exitUsage
}
