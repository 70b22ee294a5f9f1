package main

import (
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/tutti-rt/tutti/internal/config"
)

// printOpen says in a few lines what a server serves, and to whom: what its
// operator should see before anybody else does.
func printOpen(w io.Writer, s config.Settings) {
	for _, line := range openTo(s) {
		fmt.Fprintf(w, "  %-11s %s\n", line[0], line[1])
	}
}

// openTo are the lines, each with what it is about before it.
func openTo(s config.Settings) [][2]string {
	s = withDemo(s)
	namespaces := append([]string{"/"}, s.Namespaces...)
	lines := [][2]string{
		{"Socket.IO", fmt.Sprintf("at %s, %s %s, by %s", s.Path, oneOrMore(len(namespaces), "namespace"), list(namespaces), list(s.Transport))},
		{"pages", "of this server" + originsText(s)},
	}
	switch {
	case s.Demo != "":
		lines = append(lines, [2]string{"application", "the demo " + s.Demo + ", at /"})
	case len(s.Relay) > 0:
		lines = append(lines, [2]string{"application", "passes " + list(s.Relay) + " on to everyone"})
	}
	who := "anyone may"
	if from := identified(s); len(from) > 0 || !s.AllowsAnonymous() {
		lines = append(lines, [2]string{"come in", comers(s, from)})
	}
	if !s.AllowsAnonymous() {
		who = "they may"
	}
	lines = append(lines, [2]string{who, anyone(s)})
	if len(s.Door.Key) > 0 {
		var keys []string
		for _, k := range s.Door.Key {
			keys = append(keys, k.Name+" ("+list(k.Rooms)+")")
		}
		lines = append(lines, [2]string{"keys open", list(keys)})
	}
	if names := remembering(s); len(names) > 0 {
		kept := "until the program ends"
		switch {
		case s.Data != "":
			kept = "in " + string(s.Data)
		case s.Engine != "":
			kept = "by the engine, for all nodes of " + s.Cluster
		}
		lines = append(lines, [2]string{"memory", fmt.Sprintf("of %s, %v, kept %s", list(names), s.Window, kept)})
	}
	return lines
}

// identified are the ways in which somebody can say who it is.
func identified(s config.Settings) []string {
	var from []string
	for _, t := range s.Auth.Token {
		issuer := t.Name
		if issuer == "*" {
			issuer = "any issuer"
		}
		from = append(from, "a token of "+issuer)
	}
	for _, k := range s.Auth.Key {
		from = append(from, "the key "+k.Name)
	}
	if s.Auth.SessionURL != "" {
		from = append(from, "a cookie that "+s.Auth.SessionURL+" knows")
	}
	return from
}

// comers says who is let in at all.
func comers(s config.Settings, from []string) string {
	switch {
	case len(from) == 0:
		return "with a key of door.key only; give others with auth.token, auth.key or auth.session-url"
	case s.AllowsAnonymous():
		return "anyone; known by " + list(from)
	}
	return "with " + list(from) + "; nobody without"
}

func originsText(s config.Settings) string {
	switch {
	case slices.Contains(s.Origin, "*"):
		return " and of every other site"
	case len(s.Origin) > 0:
		return " and " + list(s.Origin)
	}
	return " only; give others with --origin"
}

// anyone is what everybody may who is let in.
func anyone(s config.Settings) string {
	var may []string
	add := func(what string, patterns []string) {
		if len(patterns) > 0 {
			may = append(may, what+" "+list(patterns))
		}
	}
	add("listen to", s.Door.Listen)
	add("publish to", s.Door.Publish)
	add("do everything in", s.Open)
	for _, verb := range []string{"join", "publish", "history", "presence"} {
		var patterns []string
		for _, r := range s.Allow {
			if map[string]string{"join": r.Join, "publish": r.Publish, "history": r.History, "presence": r.Presence}[verb] == "anyone" {
				pattern := r.Pattern
				if verb == "publish" && len(r.Events) > 0 {
					pattern += " (" + list(r.Events) + ")"
				}
				patterns = append(patterns, pattern)
			}
		}
		what := map[string]string{"join": "join", "publish": "publish in", "history": "read the history of", "presence": "see who is in"}[verb]
		add(what, patterns)
	}
	if s.RelayText {
		may = append(may, "talk at /ws")
	}
	if len(may) == 0 {
		if len(s.Auth.Grant) > 0 {
			return "do what auth.grant and their tokens say"
		}
		return "connect, and use no room: see --open, --allow and --door-listen"
	}
	return strings.Join(may, "; ")
}

// longestList is how many are named before the rest is counted.
const longestList = 5

func list(names []string) string {
	if len(names) <= longestList {
		return strings.Join(names, ", ")
	}
	return fmt.Sprintf("%s and %d more", strings.Join(names[:longestList], ", "), len(names)-longestList)
}

func oneOrMore(n int, thing string) string {
	if n == 1 {
		return thing
	}
	return thing + "s"
}
