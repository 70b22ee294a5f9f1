package main

import (
	"fmt"
	"io"
	"strings"
)

// A manual is what a command is called with: its help text, the reading of its
// arguments and their completion are all made from it.
type manual struct {
	name     string   // "publish"
	does     string   // in the list of commands, and behind the name
	synopsis []string // what follows "tutti publish"; each a way to call it
	about    string   // paragraphs
	options  []option
	flags    string // a list of flags written elsewhere, in the place of options
	exits    string // what the exit codes mean beyond the usual
	examples []example
	see      string // documents and commands
}

// An option is a flag of a command.
type option struct {
	name   string // "room", given as --room
	value  string // what follows, "" for a switch
	does   string
	env    string // the variable that stands in for it, "" for none
	repeat bool
	words  []string // what the value can be, for completion
}

type example struct{ line, does string }

// width of the help text.
const width = 78

// print writes the manual in the order that man pages have.
func (m *manual) print(w io.Writer) {
	fmt.Fprintf(w, "NAME\n    tutti %s - %s\n\nSYNOPSIS\n", m.name, m.does)
	for _, line := range m.synopsis {
		fmt.Fprintln(w, strings.TrimRight("    tutti "+m.name+" "+line, " "))
	}
	fmt.Fprint(w, "\nDESCRIPTION\n")
	for i, paragraph := range strings.Split(strings.TrimSpace(m.about), "\n\n") {
		if i > 0 {
			fmt.Fprintln(w)
		}
		indent(w, paragraph, 4)
	}
	m.printOptions(w)
	fmt.Fprint(w, "\nEXIT STATUS\n    0 if all went well, 1 if something went wrong, 2 if it was called wrongly.\n")
	if m.exits != "" {
		indent(w, m.exits, 4)
	}
	if len(m.examples) > 0 {
		fmt.Fprint(w, "\nEXAMPLES\n")
		for i, e := range m.examples {
			if i > 0 {
				fmt.Fprintln(w)
			}
			indent(w, e.does, 4)
			fmt.Fprintf(w, "        %s\n", e.line)
		}
	}
	if m.see != "" {
		fmt.Fprint(w, "\nSEE ALSO\n")
		indent(w, m.see, 4)
	}
}

func (m *manual) printOptions(w io.Writer) {
	if m.flags != "" {
		fmt.Fprintf(w, "\nOPTIONS\n%s", m.flags)
		return
	}
	fmt.Fprint(w, "\nOPTIONS\n")
	for _, o := range append(m.options[:len(m.options):len(m.options)], helpOption) {
		fmt.Fprintf(w, "    %s\n", strings.TrimSpace("--"+o.name+" "+o.value))
		does := o.does
		if o.repeat {
			does += " Repeatable."
		}
		if o.env != "" {
			does += " Variable: " + o.env + "."
		}
		indent(w, does, 8)
	}
}

var helpOption = option{name: "help", does: "Print this."}

// indent writes a paragraph in lines of the help text's width. One whose lines
// begin with a space is written as it is.
func indent(w io.Writer, paragraph string, by int) {
	margin := strings.Repeat(" ", by)
	if strings.HasPrefix(paragraph, " ") {
		for line := range strings.Lines(paragraph) {
			fmt.Fprintf(w, "%s%s\n", margin, strings.TrimRight(line, "\n"))
		}
		return
	}
	line := margin
	for word := range strings.FieldsSeq(paragraph) {
		if len(line) > by && len(line)+1+len(word) > width {
			fmt.Fprintln(w, line)
			line = margin
		}
		if len(line) > by {
			line += " "
		}
		line += word
	}
	fmt.Fprintln(w, line)
}
