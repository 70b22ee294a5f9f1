package chat_test

import (
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"github.com/tutti-rt/tutti/demo/chat"
)

func FuzzClean(f *testing.F) {
	for _, s := range []string{"", "Ada", " a\u202e b\n\nc\r\n", "👩‍🎤", "\u3164", "\xff", "e\u0301", strings.Repeat("é", 40)} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		name := chat.CleanName(s)
		if again := chat.CleanName(name); again != name {
			t.Errorf("name %q: cleaned twice it is %q", name, again)
		}
		if strings.ContainsFunc(name, func(r rune) bool { return unicode.IsControl(r) || unicode.In(r, unicode.Bidi_Control) }) {
			t.Errorf("name %q has what nobody sees", name)
		}
		text := chat.CleanText(s)
		if again := chat.CleanText(text); again != text {
			t.Errorf("text %q: cleaned twice it is %q", text, again)
		}
		if short := chat.Cut(text, 10); utf8.RuneCountInString(short) > 11 || !strings.HasPrefix(text, strings.TrimSuffix(short, "…")) {
			t.Errorf("text %q is cut to %q", text, short)
		}
	})
}
