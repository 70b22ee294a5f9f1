package main

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write docs/cli.md anew")

// cliHead is the text of docs/cli.md before the commands.
const cliHead = `<!-- Written by "make docs" from the commands' manuals in cmd/tutti. -->

# The command line

One program is the server and what its operators need. ` + "`tutti help COMMAND`" + ` prints what stands here; ` + "`tutti completion`" + ` makes a
shell complete commands, flags and values.

A command that talks to a running server finds it in one of three ways:

| | with | for |
|---|---|---|
| its doors | ` + "`--url`, `TUTTI_URL`; `--key`, `TUTTI_KEY`" + ` | what clients may do: ` + "`publish`, `subscribe`" + ` |
| its data folder | ` + "`--data`, `TUTTI_DATA`" + ` | operators on its machine: who may enter the folder needs no key |
| its operators' address | ` + "`--admin`, `TUTTI_ADMIN`; `--key`, `TUTTI_ADMIN_KEY`" + ` | operators elsewhere: see ` + "`admin.keys`" + ` in [configuration.md](configuration.md) |

Keys are better in the variables than in the flags, which others on the machine can see. Certificates of one's own are trusted by
` + "`SSL_CERT_FILE`" + `. What was asked for goes to the standard output, all else to the standard error, and the exit code is 0 if all
went well, 1 if something went wrong, and 2 if the command was called wrongly.

`

func cliDocs() string {
	var b strings.Builder
	b.WriteString(cliHead)
	b.WriteString("| command | |\n|---|---|\n")
	for _, cmd := range commands() {
		m := cmd.manual()
		fmt.Fprintf(&b, "| [`%s`](#tutti-%s) | %s |\n", m.name, m.name, m.does)
	}
	for _, cmd := range commands() {
		m := cmd.manual()
		if m.flags != "" {
			m.flags = "    All settings: see docs/configuration.md.\n"
		}
		fmt.Fprintf(&b, "\n## tutti %s\n\n```\n", m.name)
		m.print(&b)
		b.WriteString("```\n")
	}
	return b.String()
}

// TestDocs keeps docs/cli.md as the commands are.
func TestDocs(t *testing.T) {
	name, got := filepath.Join("..", "..", "docs", "cli.md"), cliDocs()
	if *update {
		write(t, name, got)
	}
	want, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Error("docs/cli.md is not up to date: make docs")
	}
}
