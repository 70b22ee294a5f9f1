package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"log/slog"
	"strconv"
	"strings"
	"testing"
	"unicode"
)

// TestLogsAreVisible: what peers say cannot turn a line of the log into another, in a
// terminal or in what reads it, and stays what it was.
func TestLogsAreVisible(t *testing.T) {
	const mean = "ann\u202e\u2066\u200f\u061c\u200b\u2028\u0085\x7f\x1b[2K\n\U000e0041 \xffé 日本 🎉"
	for _, format := range []string{"text", "json"} {
		var out bytes.Buffer
		log := newLog(&out, format, slog.LevelInfo)
		log.With("user", mean).WithGroup(mean).Info(mean, "err", errors.New(mean), mean, slog.AnyValue([]string{mean}))
		line := strings.TrimSuffix(out.String(), "\n")
		if strings.ContainsFunc(line, func(r rune) bool { return r == '\n' || !strconv.IsPrint(r) || unicode.In(r, unicode.Bidi_Control) }) {
			t.Errorf("%s: %q", format, line)
		}
		if !strings.Contains(line, `\u202e`) || !strings.Contains(line, "é 日本 🎉") {
			t.Errorf("%s: what can be seen is as it was, and what can't can be read: %s", format, line)
		}
		if format == "json" {
			var got struct{ User, Msg, Err string }
			if err := json.Unmarshal(out.Bytes(), &got); err != nil {
				t.Fatalf("%v: %s", err, line)
			}
			if want := strings.ToValidUTF8(mean, "\ufffd"); got.User != want {
				t.Errorf("the line says %q, want %q", got.User, want)
			}
		}
	}
}

// TestAuditIsVisible: the audit log is one, too.
func TestAuditIsVisible(t *testing.T) {
	var out bytes.Buffer
	line := []byte("{\"target\":\"\u202etea\"}\n")
	if n, err := (escaped{&out}).Write(line); n != len(line) || err != nil || out.String() != `{"target":"\u202etea"}`+"\n" {
		t.Errorf("%d, %v, %s", n, err, &out)
	}
}
