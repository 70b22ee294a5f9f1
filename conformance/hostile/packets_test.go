package hostile

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
)

func TestSocketIO(t *testing.T) {
	s := start(t, nil, subject(t)...)
	survive(t, s, "Socket.IO: packets", packetItems())
	survive(t, s, "Socket.IO: packets", connectItems)
	survive(t, s, "Socket.IO: packets", answerItems)
	survive(t, s, "Socket.IO: binary packets", binaryItems())
}

// packetItems are texts after which the session ends, or goes on; with | between
// several of them, of which those that begin with a NUL are binary.
func packetItems() []item {
	var items []item
	const ends, on = true, false
	add := func(name, tried string, over bool, packets ...string) {
		evidence, told := []string{"tutti_packets_received_total"}, "nothing, or an acknowledgement"
		if over {
			evidence, told = []string{closedParse}, "the session ends"
		}
		items = append(items, item{name, tried, told, evidence, func(t *testing.T, s *server) {
			for _, p := range packets {
				w := must(t)(s.socket(""))
				for _, one := range strings.Split(p, "|") {
					if strings.HasPrefix(one, "\x00") {
						_ = w.send(opBinary, []byte(one))
						continue
					}
					w.text(t, one)
				}
				if over {
					w.closed(t)
					continue
				}
				w.text(t, `4299["join",{"room":"room:x"}]`)
				w.until(t, "4399[")
				w.Close()
			}
		}})
	}
	add("types that are none", "7, 8, 9, a, nothing, a space, a sign", ends, "47", "48", "49", "4a", "4", "4 ", "4-2[]")
	add("CONNECT twice", "a second CONNECT to the same namespace", ends, "40")
	add("ids that are none", "2^53, 400 digits, a fraction; a sign ends the id", ends, `429007199254740992["echo"]`, "42"+strings.Repeat("9", 400)+`["echo"]`, `421.5["echo"]`, `42-1["echo"]`)
	add("names of events that are none", "null, an object, a list, true, no name, 1 MB", ends, `42[null]`, `42[{}]`, `42[[]]`, `42[true]`, `42[]`, `42["`+strings.Repeat("x", 900_000)+`"]`)
	add("reserved names", "connect, connect_error, disconnect, disconnecting, newListener, removeListener", ends, `42["connect"]`, `42["connect_error"]`, `42["disconnect"]`, `42["disconnecting"]`, `42["newListener"]`, `42["removeListener"]`)
	add("names with a meaning elsewhere", "error, __proto__, toString, constructor, hasOwnProperty, an empty one, a number", on, `42["error",1]`, `42["__proto__",{"__proto__":1}]`, `42["toString"]`, `42["constructor"]`, `42["hasOwnProperty"]`, `42[""]`, `42[5]`)
	add("payloads that are no list", "a text, a number, an object, nothing, half a list", ends, `42"echo"`, `425`, `42{}`, `42`, `42["echo"`, `42["echo",]`, `42["echo"]x`)
	add("deep nesting", "10,000 brackets, 100,000 objects", ends, `42["echo",`+strings.Repeat("[", 10_000)+strings.Repeat("]", 10_000)+"]", `42["echo",`+strings.Repeat(`{"a":`, 100_000)+"1"+strings.Repeat("}", 100_000)+"]")
	add("strange JSON", "1e400, names twice, half a surrogate, NUL, -0, 400 digits", on, `42["echo",1e400]`, `42["echo",{"a":1,"a":2}]`, `42["echo","\ud800"]`, `42["echo","\u0000"]`, `42["echo",-0]`, `42["echo",`+strings.Repeat("9", 400)+`]`)
	add("no JSON", "NaN, a comment, single quotes, a raw NUL, leading zeroes", ends, `42["echo",NaN]`, `42["echo",/**/1]`, `42['echo']`, "42[\"echo\",\"\x00\"]", `42["echo",01]`)
	add("namespaces with strange names", "events for a namespace that is not there: no comma, a question mark, dots, 900 kB of path", ends, `42/nowhere["echo"]`, `42/nowhere?a=b,["echo"]`, `42/../other,["echo"]`, "42/"+strings.Repeat("x", 900_000)+`,["echo"]`)
	add("answers to nothing", "acks that nobody asked for, the same twice, with large ids, with attachments", on, `431[]|431[]`, `43999999[1]`, `439007199254740991[1]`, `461-7[{"_placeholder":true,"num":0}]|`+"\x00data")
	add("DISCONNECT of others", "leaving a namespace that one is not in", on, `41/other,`, `41/nowhere,`)
	return items
}

var strangeNames = []variant{
	{"64 kB", strings.Repeat("x", 64_000)}, {"1,025 bytes", strings.Repeat("x", 1025)}, {"question marks", "a?b=c?d"}, {"commas", "a,b,c"},
	{"nothing but commas", ",,,,"}, {"dots and slashes", "%2e%2e/../other"}, {"control characters", "\x01\n"},
}

var connectItems = []item{
	{"event before CONNECT", "an event without a namespace", "the session ends", []string{closedParse}, func(t *testing.T, s *server) {
		w := must(t)(s.engine(""))
		w.text(t, `42["echo",1]`)
		w.closed(t)
	}},
	times(100_000, item{"100000 namespaces", "CONNECT to {n} names that are not there", "connect_error, until it is too many", []string{socketRefused, `tutti_limit_hits_total{limit="namespaces",stage="server"}`}, nil}, func(t *testing.T, s *server, n int) {
		w := must(t)(s.engine(""))
		go func() { // ends with the connection
			for i := range n {
				if w.send(opText, fmt.Appendf(nil, "40/nowhere%d,", i)) != nil {
					return
				}
			}
		}()
		if code, words := w.closed(t); code != 1008 && code != 0 && code != 1000 {
			t.Errorf("closed with %d %s", code, words)
		}
	}),
	{"long name of a namespace", "CONNECT to " + names(strangeNames), "connect_error, or the session ends; nobody is let in", []string{socketRefused, closedParse}, func(t *testing.T, s *server) {
		for _, name := range strangeNames {
			w := must(t)(s.engine(""))
			w.text(t, "40/"+name.text+",{}")
			for {
				op, data, err := w.read()
				if err != nil || op == opClose || strings.HasPrefix(string(data), "44/") {
					break
				}
				if strings.HasPrefix(string(data), "40") {
					t.Errorf("%s is answered %.80s", name.name, data)
					break
				}
			}
			w.Close()
		}
	}},
	{"large auth", "credentials of 900 kB", "connect_error", []string{`tutti_limit_hits_total{limit="auth"`}, func(t *testing.T, s *server) {
		w := must(t)(s.engine(""))
		w.text(t, `40{"token":"`+strings.Repeat("x", 900_000)+`"}`)
		w.until(t, "44")
	}},
	{"auth that is none", "a list, a text, half an object, null as credentials; a number (which is the id of an acknowledgement), values of the wrong kind in it", "the session ends; the latter are none", []string{closedParse}, func(t *testing.T, s *server) {
		for _, auth := range []struct {
			text string
			in   bool
		}{{"[]", false}, {`"x"`, false}, {"5", true}, {"{", false}, {"null", false}, {`{"token":{}}`, true}, {`{"pid":5,"offset":[]}`, true}} {
			w := must(t)(s.engine(""))
			w.text(t, "40"+auth.text)
			op, data, err := w.read()
			for err == nil && op != opClose && string(data) == "2" {
				op, data, err = w.read()
			}
			if in := err == nil && strings.HasPrefix(string(data), "40{"); in != auth.in {
				t.Errorf("%s is answered %s, %v", auth.text, data, err)
			}
			w.Close()
		}
	}},
	times(20_000, item{"in and out", "CONNECT and DISCONNECT {n} times on one session", "the session ends: too many namespaces, or events; or for want of a heartbeat, where that is over before it has read so many", []string{limitEvents + ` or tutti_limit_hits_total{limit="namespaces",stage="server"} or ` + closedPing}, nil}, func(t *testing.T, s *server, n int) {
		w := must(t)(s.engine(""))
		// At once: who is slow is ended for want of a heartbeat, and no limit is hit.
		both := append(frame(fin|opText, []byte("40/other,")), frame(fin|opText, []byte("41/other,"))...)
		go w.Write(bytes.Repeat(both, n)) // ends with the connection
		w.closed(t)
	}),
}

var answerItems = []item{
	times(100_000, item{"flood of events", "{n} events without an acknowledgement", "the session ends with 1008 \"too many events\"", []string{limitEvents, "log: too many events"}, nil}, func(t *testing.T, s *server, n int) {
		tooManyEvents(t, s, `42["nobody",1]`, n)
	}),
	times(100_000, item{"flood of answers", "{n} acknowledgements of calls that nobody made", "ignored; then the session ends with 1008 \"too many events\"", []string{limitEvents, "log: too many events"}, nil}, func(t *testing.T, s *server, n int) {
		tooManyEvents(t, s, `431["x"]`, n)
	}),
	times(100_000, item{"flood of goodbyes", "{n} DISCONNECTs from a namespace that it is not in", "ignored; then the session ends with 1008 \"too many events\"", []string{limitEvents, "log: too many events"}, nil}, func(t *testing.T, s *server, n int) {
		tooManyEvents(t, s, `41/elsewhere,`, n)
	}),
	times(100_000, item{"flood of calls", "{n} events that ask for an answer", "refused with an error, a code and when to come again; then the session ends", []string{limitEvents}, nil}, func(t *testing.T, s *server, n int) {
		w := must(t)(s.socket(""))
		go func() { // ends with the connection
			for i := range n {
				if w.send(opText, fmt.Appendf(nil, `42%d["nobody",1]`, i)) != nil {
					return
				}
			}
		}()
		for {
			op, data, err := w.read()
			if err != nil || op == opClose {
				t.Error("it was never refused in words")
				return
			}
			if text := string(data); strings.HasPrefix(text, "43") && strings.Contains(text, "error") {
				if !strings.Contains(text, `"code":"too_many_requests"`) || !strings.Contains(text, `"retry":`) {
					t.Errorf("refused with %s", text)
				}
				break
			}
		}
		w.closed(t)
	}),
}

// floodText sends a text so often, frame by frame.
func floodText(w *wire, text string, times int) {
	for range times {
		if w.send(opText, []byte(text)) != nil {
			return
		}
	}
}

// binaryItems are sequences of frames: texts, and attachments where they begin
// with a NUL.
func binaryItems() []item {
	var items []item
	add := func(name, tried string, sequences ...[]string) {
		items = append(items, item{name, tried, "the session ends", []string{closedParse}, func(t *testing.T, s *server) {
			for _, frames := range sequences {
				w := must(t)(s.socket(""))
				for _, f := range frames {
					op := byte(opText)
					if strings.HasPrefix(f, "\x00") {
						op = opBinary
					}
					_ = w.send(op, []byte(f)) // the session may have ended
				}
				w.closed(t)
			}
		}})
	}
	one := func(texts ...string) (all [][]string) {
		for _, text := range texts {
			all = append(all, []string{text})
		}
		return all
	}
	placeholder := func(num string) []string {
		return []string{`451-["echo",{"_placeholder":true,"num":` + num + `}]`, "\x00data"}
	}
	add("counts that are none", "5-, 5x-, 51e9-, 400 digits, 5 without a dash", one(`45-["echo"]`, `45x-["echo"]`, `451e9-["echo"]`, "45"+strings.Repeat("9", 400)+`-["echo"]`, `455["echo"]`)...)
	add("more attachments than allowed", "511-, 5999999999- (unbounded elsewhere)", one(`4511-["echo"]`, `45999999999-["echo"]`)...)
	add("no attachments", "50-, and binaries after it (hoarded elsewhere)", []string{`450-["echo","x"]`, "\x00x", "\x00x"})
	add("placeholders out of range", "-1, 1.5, \"0\", \"push\", 1e9, 1, none, null", placeholder("-1"), placeholder("1.5"), placeholder(`"0"`), placeholder(`"push"`), placeholder("1e9"), placeholder("1"), placeholder("null"), []string{`451-["echo",{"_placeholder":true}]`, "\x00x"})
	add("binary without a packet", "an attachment that nobody announced", []string{"\x00x"})
	add("text between attachments", "an event before the second attachment", []string{`452-["echo",{"_placeholder":true,"num":0},{"_placeholder":true,"num":1}]`, "\x00x", `42["echo"]`})
	add("binary for a namespace not joined", "a binary event for another namespace", []string{`451-/other,["echo",{"_placeholder":true,"num":0}]`, "\x00x"})
	items = append(items, times(30, item{"attachments that do not come", "{n} sessions that announce attachments, send some and wait", "the session ends after `timeout.attachment`", []string{`tutti_limit_hits_total{limit="attachment timeout"`}, nil}, func(t *testing.T, s *server, n int) {
		crowd(n, func(int) {
			w, err := s.socket("")
			if err != nil {
				t.Error(err)
				return
			}
			_ = w.send(opText, []byte(`453-["echo",{"_placeholder":true,"num":0},{"_placeholder":true,"num":1},{"_placeholder":true,"num":2}]`))
			_ = w.send(opBinary, make([]byte, 500_000))
			w.closed(t)
			w.Close()
		})
	}), item{"placeholders twice and not at all", "two placeholders for one attachment; an attachment without one", "the session ends; the latter is nothing", []string{closedParse}, func(t *testing.T, s *server) {
		for text, goesOn := range map[string]bool{
			`451-["echo",{"_placeholder":true,"num":0},{"_placeholder":true,"num":0}]`: false, `451-["echo","x"]`: true,
		} {
			w := must(t)(s.socket(""))
			w.text(t, text)
			_ = w.send(opBinary, []byte("data"))
			if on := w.answers(7); on != goesOn {
				t.Errorf("after %s the session goes on: %v", text, on)
			}
			w.Close()
		}
	}})
	return items
}
