package auth

import (
	"encoding/json"
	"fmt"
	"strings"
)

// A pattern is the text between the stars of a room pattern: one star less
// than parts. What a claim was filled in for is in the parts, so a star in it is
// a star's character and no more.
type pattern []string

// match reports whether a room is of the pattern. Between two stars the
// leftmost place is as good as any, so nothing is tried twice.
func (p pattern) match(room string) bool {
	if len(p) == 1 {
		return room == p[0]
	}
	room, ok := strings.CutPrefix(room, p[0])
	for _, part := range p[1 : len(p)-1] {
		if !ok {
			return false
		}
		_, room, ok = strings.Cut(room, part)
	}
	return ok && strings.HasSuffix(room, p[len(p)-1])
}

// all reports whether it is "*".
func (p pattern) all() bool { return len(p) == 2 && p[0] == "" && p[1] == "" }

// plainPattern reads a pattern without placeholders.
func plainPattern(text string) pattern { return strings.Split(text, "*") }

// A template is a pattern with places for claims.
type template struct {
	text  string
	parts []part
}

// A part of a template is text, with stars in it, or the name of a claim.
type part struct {
	text  string
	claim bool
}

func parseTemplate(text string) (template, error) {
	t := template{text: text}
	if text == "" {
		return t, fmt.Errorf("the pattern is empty")
	}
	for rest := text; rest != ""; {
		before, after, open := strings.Cut(rest, "{")
		if strings.Contains(before, "}") {
			return t, fmt.Errorf("the pattern %q has a } without a {", text)
		}
		if before != "" {
			t.parts = append(t.parts, part{text: before})
		}
		if !open {
			break
		}
		name, after, closed := strings.Cut(after, "}")
		if !closed || name == "" || strings.ContainsAny(name, "{*") {
			return t, fmt.Errorf("the pattern %q has a { without the name of a claim and a }", text)
		}
		t.parts = append(t.parts, part{text: name, claim: true})
		rest = after
	}
	return t, nil
}

// maxFilled is how many patterns one template may become by claims that are
// lists.
const maxFilled = 100

// fill returns the template's patterns for an identity: none if it lacks a
// claim. A claim that is a list stands for each of its elements.
func (t template) fill(id *Identity) []pattern {
	filled := []pattern{{""}}
	for _, p := range t.parts {
		if !p.claim {
			texts := plainPattern(p.text)
			for i := range filled {
				filled[i] = filled[i].with(texts)
			}
			continue
		}
		var next []pattern
		for _, value := range claimTexts(id, p.text) {
			for _, f := range filled {
				if len(next) < maxFilled {
					next = append(next, f.with([]string{escape(value)}))
				}
			}
		}
		filled = next
	}
	return filled
}

// with returns the pattern with more behind it.
func (p pattern) with(texts []string) pattern {
	more := make(pattern, 0, len(p)+len(texts)-1)
	more = append(more, p...)
	more[len(more)-1] += texts[0]
	return append(more, texts[1:]...)
}

// claimTexts returns a claim's text, or its texts if it is a list. What is
// neither text nor number is none.
func claimTexts(id *Identity, name string) []string {
	if name == "sub" {
		// Not the claim itself: two issuers may have users of the same name.
		if id.Subject == "" {
			return nil
		}
		return []string{id.Subject}
	}
	var texts []string
	value := claim(id.Claims, name)
	list, many := value.([]any)
	if !many {
		list = []any{value}
	}
	for _, v := range list {
		switch v := v.(type) {
		case string:
			if v != "" {
				texts = append(texts, v)
			}
		case json.Number:
			texts = append(texts, v.String())
		}
	}
	return texts
}

// claim finds a claim by its whole name, or by the path to it.
func claim(in map[string]any, name string) any {
	if v, ok := in[name]; ok {
		return v
	}
	for i := range len(name) {
		if name[i] != '.' {
			continue
		}
		if inner, ok := in[name[:i]].(map[string]any); ok {
			return claim(inner, name[i+1:])
		}
	}
	return nil
}

// escape writes a claim's value so that it cannot be more than one piece of a
// room's name: the characters that separate pieces, or mean something in a
// pattern, are written as in a URL.
func escape(value string) string {
	if !strings.ContainsFunc(value, mustEscape) {
		return value
	}
	var b strings.Builder
	for i := range len(value) {
		if c := value[i]; mustEscape(rune(c)) {
			fmt.Fprintf(&b, "%%%02X", c)
		} else {
			b.WriteByte(c)
		}
	}
	return b.String()
}

func mustEscape(r rune) bool {
	return r < ' ' || r == 0x7f || strings.ContainsRune("%*:/{}", r)
}
