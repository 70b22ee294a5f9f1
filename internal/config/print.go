package config

import (
	"fmt"
	"io"
	"strings"

	"go.yaml.in/yaml/v3"
)

// WriteTo writes the settings as a YAML file that Load would read back, each
// that isn't the default with where it came from.
func (l *Loaded) WriteTo(w io.Writer) (int64, error) {
	var b strings.Builder
	group := ""
	for _, f := range fields() {
		indent, name := "", f.name
		if g, rest, ok := strings.Cut(f.name, "."); ok {
			if g != group {
				fmt.Fprintf(&b, "%s:\n", g)
			}
			group, indent, name = g, "  ", rest
		}
		values := f.texts(&l.Settings)
		if !f.isList() {
			if values[0] == "" {
				continue // an empty text is the same as none
			}
			fmt.Fprintf(&b, "%s%s: %s%s\n", indent, name, scalarText(values[0], f), l.comment(f.name, 0))
			continue
		}
		if len(values) == 0 {
			fmt.Fprintf(&b, "%s%s: []\n", indent, name)
			continue
		}
		fmt.Fprintf(&b, "%s%s:\n", indent, name)
		for i, value := range values {
			fmt.Fprintf(&b, "%s  - %s%s\n", indent, scalarText(value, f), l.comment(f.name, i))
		}
	}
	n, err := io.WriteString(w, b.String())
	return int64(n), err
}

// comment names the source of a value, "" for a default.
func (l *Loaded) comment(name string, i int) string {
	places := l.places[name]
	if i >= len(places) {
		return ""
	}
	return "  # " + places[i].String()
}

// scalarText quotes text that YAML would read as something else.
func scalarText(text string, f field) string {
	if !f.isList() && f.typ.Kind().String() != "string" {
		return text
	}
	quoted, err := yaml.Marshal(text)
	if err != nil || strings.Contains(strings.TrimSuffix(string(quoted), "\n"), "\n") {
		return fmt.Sprintf("%q", text)
	}
	return strings.TrimSuffix(string(quoted), "\n")
}

// A Flag is one of the flags of `tutti serve`.
type Flag struct {
	Name        string // without dashes
	Placeholder string // what follows, "" for a switch
	Help        string
	List        bool   // whether it can be repeated
	Setting     string // its name in a file, "" if it is none
	Live        bool   // whether a running server can put it to use
}

// Flags returns all flags.
func Flags() []Flag {
	var all []Flag
	for _, f := range append([]field{configField, printField}, fields()...) {
		one := Flag{Name: strings.TrimPrefix(f.flag(), "--"), Placeholder: f.placeholder, Help: f.help}
		if f.index != nil {
			one.List, one.Setting, one.Live = f.isList(), f.name, f.live
		}
		all = append(all, one)
	}
	return all
}

// Usage returns the help text's list of flags.
func Usage() string {
	defaults := Default()
	var b strings.Builder
	group := ""
	for _, f := range append([]field{configField, printField}, fields()...) {
		if g, _, grouped := strings.Cut(f.name, "."); grouped && g != group {
			b.WriteString("\n")
			group = g
		}
		head := f.flag()
		if f.placeholder != "" {
			head += " " + f.placeholder
		}
		fmt.Fprintf(&b, "    %s\n", head)
		help := f.help
		if d := f.defaultText(&defaults); d != "" {
			help += " Default: " + d + "."
		}
		for _, line := range wrap(help, 72) {
			fmt.Fprintf(&b, "        %s\n", line)
		}
	}
	return b.String()
}

// defaultText is what a setting is when nothing sets it, "" for nothing.
func (f field) defaultText(defaults *Settings) string {
	if f.index == nil || f.isSwitch() {
		return ""
	}
	return strings.Join(f.texts(defaults), ", ")
}

// wrap breaks text into lines of at most width bytes, words permitting.
func wrap(text string, width int) []string {
	var lines []string
	line := ""
	for word := range strings.FieldsSeq(text) {
		if line != "" && len(line)+1+len(word) > width {
			lines = append(lines, line)
			line = ""
		}
		if line != "" {
			line += " "
		}
		line += word
	}
	return append(lines, line)
}

// docsHead is the text of docs/configuration.md before its table.
const docsHead = `<!-- Written by "make docs" from internal/config/settings.go. -->

# Configuration

` + "`tutti serve`" + ` takes its settings from three places. What is further down overrides what is above:

1. a YAML file: ` + "`--config tutti.yaml` or `TUTTI_CONFIG=tutti.yaml`" + `
2. environment variables
3. flags

A name with a dot is a group in the file:

` + "```yaml" + `
listen: 0.0.0.0:3000
origin:
  - https://app.example.com
log:
  level: debug
` + "```" + `

What has a pattern of rooms and words behind it may be written as a mapping, too:

` + "```yaml" + `
data: /var/lib/tutti
durable:
  - chat:* count=1000 age=30d
  - pattern: sensor readings:*
    bytes: 10MB
    durability: async
allow:
  - pattern: chat:*
    join: anyone
    publish: members
    history: members
    event: [message]
` + "```" + `

A list replaces the list of the place before, it is not added to it. In the file it is a YAML list; a flag is
repeated; a variable takes commas. Sizes are written ` + "`64KiB`, `1MB` or `1000`" + `, durations ` + "`25s` or `1m30s`" + `, and a limit can be
` + "`none`" + `. A folder named in the file is relative to the file.

All mistakes are reported at once, each with its place. ` + "`tutti serve --print-config`" + ` prints the settings that result, and
where each came from. Variables that Kubernetes sets for a service named "tutti" (` + "`TUTTI_PORT…`, `TUTTI_SERVICE_…`" + `) are ignored.

A running server reads its settings again on SIGHUP and when asked by ` + "`tutti reload`" + `: from the same file, environment and flags. If
anything is wrong it logs all of it, and goes on with the settings that it has. Else it puts to use what has changed among those
marked ` + "`live`" + ` here, and the contents of certificates and schemas, and drops no connection for it; what else has changed it names,
because that takes a new start.

| In the file | Flag | Variable | Default | Live | |
| --- | --- | --- | --- | --- | --- |
`

// Markdown returns the text of docs/configuration.md.
func Markdown() string {
	defaults := Default()
	var b strings.Builder
	b.WriteString(docsHead)
	for _, f := range fields() {
		flag := f.flag()
		if f.placeholder != "" {
			flag += " " + f.placeholder
		}
		value := f.defaultText(&defaults)
		if f.isSwitch() {
			value = "false"
		}
		if value != "" {
			value = "`" + value + "`"
		}
		help := strings.ReplaceAll(strings.ReplaceAll(f.help, "|", `\|`), "'*'", "`*`")
		live := ""
		if f.live {
			live = "live"
		}
		fmt.Fprintf(&b, "| `%s` | `%s` | `%s` | %s | %s | %s |\n", f.name, flag, f.env(), value, live, help)
	}
	return b.String()
}
