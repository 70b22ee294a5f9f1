package config

import (
	"cmp"
	"fmt"
	"reflect"
	"slices"
	"strings"
)

// Facts is what only the program knows and its settings are checked against.
type Facts struct {
	// Demos are the names of the demo applications.
	Demos []string
	// Reserved, if set, says which event names belong to the protocol.
	Reserved func(event string) bool
	// Further, if set, finds what only shows when settings are put to use, such as
	// in files that they name. It is asked whatever else is wrong.
	Further func(*Loaded) Mistakes
}

// Loaded is the outcome of Load.
type Loaded struct {
	Settings

	// Help and Print say that the user asked for the help text or for the
	// settings instead of a server.
	Help, Print bool

	// Ignored are the environment variables that look like ours, but are no
	// settings and resemble none: they may be another program's, or a mistake.
	Ignored []string

	places map[string][]Place // where each value of a setting came from
}

// loader collects settings and mistakes.
type loader struct {
	Loaded
	fields   []field
	mistakes Mistakes
}

// Load reads the settings from the file that args or the environment name, the
// environment ("KEY=value", as os.Environ gives it) and args, in this order;
// what is read later overrides. Its error is of type Mistakes and lists all of
// them.
func Load(args, environ []string, facts Facts) (*Loaded, error) {
	l := &loader{fields: fields()}
	l.Settings = Default()
	l.places = map[string][]Place{}

	flags := l.parseFlags(args)
	if l.Help {
		return &l.Loaded, nil
	}
	env := l.parseEnv(environ)
	// The last of the flags counts, as with any flag; a flag beats the variable.
	for _, from := range [][]assignment{flags, env} {
		i := slices.IndexFunc(from, func(a assignment) bool { return a.name == "config" })
		if i < 0 {
			continue
		}
		a := from[i]
		l.readFile(a.values[len(a.values)-1], a.places[len(a.places)-1])
		break
	}
	l.apply(env)
	l.apply(flags)
	if err := l.check(facts); err != nil {
		return nil, err
	}
	return &l.Loaded, nil
}

func (l *loader) check(facts Facts) error {
	l.validate(facts)
	if facts.Further != nil {
		l.mistakes = append(l.mistakes, facts.Further(&l.Loaded)...)
	}
	return l.mistakes.sorted()
}

// Check checks settings that a running server would have after it has put some
// of those to use that were loaded: each of the two may be right, and what
// becomes of both be wrong. Its error is as that of Load.
func (l *Loaded) Check(merged Settings, facts Facts) error {
	both := &loader{Loaded: *l, fields: fields()}
	both.Settings = merged
	err := both.check(facts)
	for i := range both.mistakes {
		both.mistakes[i].Text += " (settings that take a new start are as they were)"
	}
	return err
}

// An assignment is what one source says about one setting.
type assignment struct {
	name   string
	values []string
	places []Place
}

// apply sets what a source says. A list replaces that of the source before.
func (l *loader) apply(from []assignment) {
	for _, a := range from {
		i := slices.IndexFunc(l.fields, func(f field) bool { return f.name == a.name })
		if i >= 0 {
			l.assign(l.fields[i], a)
		}
	}
}

func (l *loader) assign(f field, a assignment) {
	v := f.of(&l.Settings)
	if !f.isList() {
		last := len(a.values) - 1
		if err := set(v, a.values[last]); err != nil {
			l.wrong(a.places[last], "%s is %q: %v", f.name, a.values[last], err)
			return
		}
		l.places[f.name] = a.places[last:]
		return
	}
	list := reflect.Zero(f.typ)
	var places []Place
	for i, value := range a.values {
		element := reflect.New(f.typ.Elem()).Elem()
		if err := set(element, value); err != nil {
			if f.isSecret() {
				l.wrong(a.places[i], "%s: %v", f.name, err)
			} else {
				l.wrong(a.places[i], "%s is %q: %v", f.name, value, err)
			}
			continue
		}
		list = reflect.Append(list, element)
		places = append(places, a.places[i])
	}
	v.Set(list)
	l.places[f.name] = places
}

func (l *loader) wrong(at Place, format string, args ...any) {
	l.mistakes = append(l.mistakes, Mistake{at, fmt.Sprintf(format, args...)})
}

// parseFlags reads "--name value", "--name=value" and "--switch". It goes on
// after a mistake, which is why it isn't package flag: that stops at the first.
func (l *loader) parseFlags(args []string) []assignment {
	var got []assignment
	for i := 0; i < len(args); i++ {
		arg := args[i]
		if arg == "-h" || arg == "--help" || arg == "-help" {
			l.Help = true
			return nil
		}
		if len(arg) < 2 || arg[0] != '-' {
			l.wrong(Place{Name: "argument"}, "unexpected %q: settings are given as --name value", arg)
			continue
		}
		name, value, joined := strings.Cut("--"+strings.TrimLeft(arg, "-"), "=")
		next := i+1 < len(args) && !strings.HasPrefix(args[i+1], "--")
		f, known := l.flagNamed(name)
		if !known {
			l.wrong(Place{Name: name}, "no such flag%s", l.suggest(name, field.flag))
			if next && !joined {
				i++ // most likely its value
			}
			continue
		}
		switch {
		case joined:
		case f.isSwitch():
			value = "true"
		case next:
			i++
			value = args[i]
		default:
			l.wrong(Place{Name: name}, "needs a value: %s %s", name, f.placeholder)
			continue
		}
		if name == "--print-config" {
			l.Print = value == "true"
			continue
		}
		got = add(got, f.name, value, Place{Name: name})
	}
	return got
}

// The two flags that are no settings, because a file can't say them.
var (
	configField = field{name: "config", placeholder: "FILE", help: "Read settings from a YAML file. Environment variables and flags override it."}
	printField  = field{name: "print-config", help: "Print the settings as a YAML file, with where each came from, and end."}
)

func (l *loader) flagNamed(name string) (field, bool) {
	switch name {
	case configField.flag():
		f := configField
		f.typ = reflect.TypeFor[string]()
		return f, true
	case printField.flag():
		f := printField
		f.typ = reflect.TypeFor[bool]()
		return f, true
	}
	i := slices.IndexFunc(l.fields, func(f field) bool { return f.flag() == name })
	if i < 0 {
		return field{}, false
	}
	return l.fields[i], true
}

// parseEnv reads the variables that start with TUTTI_. A list is written with
// commas. A name that is near one of ours is a mistake, any other is not: a
// machine may have variables of that name for purposes of its own.
func (l *loader) parseEnv(environ []string) []assignment {
	var got []assignment
	for _, entry := range environ {
		name, value, _ := strings.Cut(entry, "=")
		if !strings.HasPrefix(name, envPrefix) || isServiceLink(name) || slices.Contains(commandVariables, name) {
			continue
		}
		at := Place{Name: name}
		if name == configField.env() {
			got = add(got, configField.name, value, at)
			continue
		}
		i := slices.IndexFunc(l.fields, func(f field) bool { return f.env() == name })
		if i < 0 {
			if hint := l.suggest(name, field.env); hint != "" {
				l.wrong(at, "no such setting%s", hint)
			} else {
				l.Ignored = append(l.Ignored, name)
			}
			continue
		}
		if !l.fields[i].isList() {
			got = add(got, l.fields[i].name, value, at)
			continue
		}
		for part := range strings.SplitSeq(value, ",") {
			got = add(got, l.fields[i].name, strings.TrimSpace(part), at)
		}
	}
	// In whatever order the environment is, mistakes come in ours.
	slices.SortFunc(got, func(a, b assignment) int { return cmp.Compare(a.places[0].Name, b.places[0].Name) })
	return got
}

// commandVariables tell the other commands where a server is, and are near the
// names of settings.
var commandVariables = []string{"TUTTI_URL", "TUTTI_KEY", "TUTTI_ADMIN", "TUTTI_ADMIN_KEY"}

// isServiceLink says whether Kubernetes set the variable: for a service named
// "tutti" every pod gets TUTTI_PORT, TUTTI_SERVICE_HOST and so on.
func isServiceLink(name string) bool {
	rest := strings.TrimPrefix(name, envPrefix)
	return rest == "PORT" || strings.HasPrefix(rest, "PORT_") || strings.HasPrefix(rest, "SERVICE_")
}

func add(to []assignment, name, value string, at Place) []assignment {
	i := slices.IndexFunc(to, func(a assignment) bool { return a.name == name })
	if i < 0 {
		return append(to, assignment{name, []string{value}, []Place{at}})
	}
	to[i].values = append(to[i].values, value)
	to[i].places = append(to[i].places, at)
	return to
}

// suggest is "; did you mean x?" or "".
func (l *loader) suggest(name string, write func(field) string) string {
	var known []string
	for _, f := range append([]field{configField, printField}, l.fields...) {
		known = append(known, write(f))
	}
	if c := Closest(name, known); c != "" {
		return fmt.Sprintf("; did you mean %s?", c)
	}
	return ""
}
