package chat

import (
	"fmt"
	"regexp"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/tutti-rt/tutti"
)

// What a peer may make of the chat. The page knows the first three, too.
const (
	maxName = 32    // runes of a person's name
	maxText = 4_000 // runes of a message
	maxRoom = 32    // bytes of a room's name

	maxRooms  = 200    // rooms at a time; an empty one makes way for a new one
	maxPeople = 10_000 // people the chat knows, those who just left included
	maxJoined = 50     // rooms that one socket is in
	maxRecent = 100    // messages that a room remembers
	maxNonces = 256    // messages of a person that are recognised when they come again
	maxNonce  = 64     // bytes of a nonce
	maxKey    = 128    // bytes of a person's key
	maxRelay  = 1 << 20

	// leaveGrace is how long somebody whose connection broke is still shown as
	// present. A reload of the page or a tunnel is no reason for a notice.
	leaveGrace = 5 * time.Second
	// rememberFor is how long the chat remembers somebody who left: their
	// nonces, above all, for a message sent again after a long tunnel.
	rememberFor = 10 * time.Minute
	// tellAfter is how long changes of the list of rooms are collected before
	// everyone is told.
	tellAfter = 200 * time.Millisecond
)

var roomPattern = regexp.MustCompile(`^[a-z0-9]+(-[a-z0-9]+)*$`)

func checkRoom(name string) error {
	if len(name) > maxRoom || !roomPattern.MatchString(name) {
		return &tutti.Refusal{Message: fmt.Sprintf("A room's name has up to %d letters a to z, digits and single hyphens.", maxRoom)}
	}
	return nil
}

// cleanName returns a name as it is shown: single spaces, and nothing that is
// invisible or turns the direction of the text around, with which one could
// pass for somebody else.
func cleanName(name string) string {
	visible := strings.Map(func(r rune) rune {
		switch {
		case unicode.IsSpace(r):
			return ' '
		case r == '\u200d': // joins emoji
			return r
		case unicode.In(r, unicode.Cc, unicode.Cf, unicode.Co, unicode.Zl, unicode.Zp), isFiller(r):
			return -1
		}
		return r
	}, name)
	clean := strings.Join(strings.Fields(visible), " ")
	if !strings.ContainsFunc(clean, func(r rune) bool { return unicode.In(r, unicode.L, unicode.N, unicode.S, unicode.P) }) {
		return ""
	}
	return clean
}

// isFiller says whether r is a letter by its class and shows nothing.
func isFiller(r rune) bool {
	return r == '\u115f' || r == '\u1160' || r == '\u3164' || r == '\uffa0'
}

func checkName(name string) (string, error) {
	clean := cleanName(name)
	if clean == "" {
		return "", &tutti.Refusal{Message: "Please write a name."}
	}
	if utf8.RuneCountInString(clean) > maxName {
		return "", &tutti.Refusal{Message: fmt.Sprintf("A name has at most %d characters.", maxName)}
	}
	return clean, nil
}

// foldName returns what two names have in common that look the same.
func foldName(name string) string { return strings.ToLower(name) }

// cleanText returns a message without control characters and without space
// around it.
func cleanText(text string) string {
	text = strings.ReplaceAll(text, "\r\n", "\n")
	return strings.TrimSpace(strings.Map(func(r rune) rune {
		if r != '\n' && r != '\t' && unicode.IsControl(r) {
			return -1
		}
		return r
	}, text))
}

func checkText(text string) (string, error) {
	clean := cleanText(text)
	if clean == "" {
		return "", &tutti.Refusal{Message: "There is nothing to send."}
	}
	if n := utf8.RuneCountInString(clean); n > maxText {
		return "", &tutti.Refusal{Message: fmt.Sprintf("A message has at most %d characters; this one has %d.", maxText, n)}
	}
	return clean, nil
}

// cut shortens what came through a door, where nobody can be told off.
func cut(text string, runes int) string {
	if len(text) <= runes {
		return text
	}
	for i := range text {
		if runes == 0 {
			return text[:i] + "…"
		}
		runes--
	}
	return text
}

// A bucket lets through burst at once and rate a second in the long run.
type bucket struct {
	rate, burst float64
	spent       float64 // tokens that are missing
	at          time.Time
}

// take takes a token, or returns how long to wait for one.
func (b *bucket) take(now time.Time) time.Duration {
	b.spent = max(0, b.spent-now.Sub(b.at).Seconds()*b.rate)
	b.at = now
	if b.spent+1 > b.burst {
		return time.Duration((b.spent + 1 - b.burst) / b.rate * float64(time.Second))
	}
	b.spent++
	return 0
}

// slower refuses somebody who is too fast. The page waits that long and tries
// again by itself.
func slower(wait time.Duration) error {
	ms := wait.Milliseconds() + 1
	return &tutti.Refusal{Message: "A little slower, please.", Data: map[string]int64{"wait": ms}}
}
