package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/tutti-rt/tutti/internal/config"
	"github.com/tutti-rt/tutti/internal/load"
)

// completeName is the word with which a shell asks for completions:
//
//	tutti __complete the words after tutti, the last one being completed
//
// Each line of the answer is a word, perhaps with a tab and an explanation.
// Without a line the shell completes the names of files.
const completeName = "__complete"

func completionManual() *manual {
	return &manual{
		name: "completion", does: "print what makes a shell complete commands and flags",
		synopsis: []string{"bash|zsh|fish"},
		about: `Prints a script for a shell. It asks the program itself, so it goes with every version. Put it where the
shell finds it:

  bash   tutti completion bash > /etc/bash_completion.d/tutti
  zsh    tutti completion zsh > "${fpath[1]}/_tutti"
  fish   tutti completion fish > ~/.config/fish/completions/tutti.fish`,
		examples: []example{{"source <(tutti completion bash)", "For this shell only:"}},
	}
}

// scripts are the shells' ends of the completion.
var scripts = map[string]string{
	"bash": `# bash completion for tutti
_tutti() {
    local line words=("${COMP_WORDS[@]:1:COMP_CWORD}")
    COMPREPLY=()
    while IFS= read -r line; do
        COMPREPLY+=("${line%%$'\t'*}")
    done < <("${COMP_WORDS[0]}" __complete "${words[@]}" 2>/dev/null)
}
complete -o default -o nosort -F _tutti tutti
`,
	"zsh": `#compdef tutti
_tutti() {
    local line
    local -a found
    while IFS= read -r line; do
        line=${line//:/\\:}
        found+=("${line/$'\t'/:}")
    done < <("${words[1]}" __complete "${(@)words[2,CURRENT]}" 2>/dev/null)
    if (( ${#found} )); then
        _describe tutti found
    else
        _files
    fi
}
if [ "$funcstack[1]" = "_tutti" ]; then
    _tutti "$@"
else
    compdef _tutti tutti
fi
`,
	"fish": `# fish completion for tutti
function __tutti_complete
    set -l words (commandline -opc)
    set -l found (command $words[1] __complete $words[2..-1] (commandline -ct) 2>/dev/null)
    if test (count $found) -gt 0
        printf '%s\n' $found
    else
        __fish_complete_path (commandline -ct)
    end
end
complete -c tutti -f -a '(__tutti_complete)'
`,
}

// completion prints a shell's script.
func completion(_ context.Context, c call) int {
	m := completionManual()
	a, code := m.begin(c)
	if a == nil {
		return code
	}
	script, known := scripts[firstOf(a.rest)]
	if !known || len(a.rest) > 1 {
		return m.misused(c, errors.New("for which shell? bash, zsh or fish"))
	}
	if _, err := io.WriteString(c.output, script); err != nil {
		return fail(c, m.name, err)
	}
	return exitOK
}

// complete answers a shell.
func complete(c call) int {
	words := c.args[1:]
	if len(words) == 0 {
		words = []string{""}
	}
	for _, found := range candidates(words) {
		fmt.Fprintln(c.output, found)
	}
	return exitOK
}

// candidates are the words that the last of words can become.
func candidates(words []string) []string {
	last := words[len(words)-1]
	if len(words) == 1 {
		return starting(last, commandWords())
	}
	cmd := commandNamed(words[0])
	if cmd == nil {
		return nil
	}
	m := cmd.manual()
	before := words[1 : len(words)-1]
	options := optionsOf(m, before)
	if len(before) > 0 {
		if o := optionIn(options, before[len(before)-1]); o != nil && o.value != "" {
			return starting(last, valueWords(o))
		}
	}
	if strings.HasPrefix(last, "-") {
		var all []string
		for _, o := range options {
			if used := slices.Contains(before, "--"+o.name); !used || o.repeat {
				all = append(all, "--"+o.name+"\t"+firstSentence(o.does))
			}
		}
		return starting(last, all)
	}
	return starting(last, argumentWords(m.name, before))
}

// optionsOf are the flags of a command, after what stands before.
func optionsOf(m *manual, before []string) []option {
	options := slices.Clone(m.options)
	if m.name == "serve" || m.name == "config" && len(before) > 0 {
		for _, f := range config.Flags() {
			options = append(options, option{name: f.Name, value: f.Placeholder, does: f.Help, repeat: f.List, words: serveWords(f.Name)})
		}
	}
	return append(options, helpOption)
}

// serveWords are the values that a setting can have, if they are few.
func serveWords(name string) []string {
	switch name {
	case "demo":
		return demoNames()
	case "transport":
		return []string{"polling", "websocket"}
	case "log-format":
		return []string{"text", "json"}
	case "log-level":
		return []string{"debug", "info", "warn", "error"}
	}
	return nil
}

func optionIn(options []option, word string) *option {
	i := slices.IndexFunc(options, func(o option) bool { return "--"+o.name == word })
	if i < 0 {
		return nil
	}
	return &options[i]
}

// valueWords are an option's values; one that names no file and has no list gets
// its placeholder shown, so that no files are offered.
func valueWords(o *option) []string {
	if len(o.words) > 0 || strings.Contains("FILE FOLDER", o.value) {
		return o.words
	}
	return nil
}

func commandWords() []string {
	var all []string
	for _, cmd := range commands() {
		m := cmd.manual()
		all = append(all, m.name+"\t"+m.does)
	}
	return all
}

// argumentWords are what a command's argument can be.
func argumentWords(name string, before []string) []string {
	switch {
	case name == "help":
		return commandWords()
	case name == "completion" && len(before) == 0:
		return []string{"bash", "zsh", "fish"}
	case name == "config" && len(before) == 0:
		return []string{"check\tlook for mistakes", "print\twrite the settings that result"}
	case name == "bench" && len(before) == 0:
		return append(load.Scenarios(), "server")
	}
	return nil
}

// starting keeps the words that begin with prefix.
func starting(prefix string, words []string) []string {
	return slices.DeleteFunc(slices.Clone(words), func(word string) bool { return !strings.HasPrefix(word, prefix) })
}

func firstSentence(s string) string {
	sentence, _, _ := strings.Cut(s, ". ")
	sentence, _, _ = strings.Cut(sentence, ": ")
	return strings.TrimSuffix(sentence, ".")
}
