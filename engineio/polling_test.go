package engineio_test

import (
	"bytes"
	"compress/gzip"
	"compress/zlib"
	"context"
	"fmt"
	"io"
	"net/url"
	"strings"
	"testing"
	"testing/iotest"
	"testing/synctest"
	"time"

	"github.com/tutti-rt/tutti/engineio"
)

func TestPollingEcho(t *testing.T) {
	for _, tt := range []struct{ name, query, sent, want string }{
		{"one text", "EIO=4", "4hello", "4hello"},
		{"an empty text", "EIO=4", "4", "4"},
		{"several texts", "EIO=4", "4test1\x1e4test2\x1e4test3", "4test1\x1e4test2\x1e4test3"},
		{"text and bytes", "EIO=4", "4hello\x1ebAQIDBA==", "4hello\x1ebAQIDBA=="},
		{"bytes without padding", "EIO=4", "bAQIDBA", "bAQIDBA=="},
		{"other scripts", "EIO=4", "4€ 𝄞 你好", "4€ 𝄞 你好"},
		{"packets that say nothing", "EIO=4", "6\x1e4a\x1e5\x1e0{}\x1e4b", "4a\x1e4b"},
		{"revision 3, one text", "EIO=3&b64=1", "6:4hello", "6:4hello"},
		{"revision 3, several texts", "EIO=3&b64=1", "6:4test16:4test26:4test3", "6:4test16:4test26:4test3"},
		{"revision 3, text and bytes as base64", "EIO=3&b64=1", "6:4hello10:b4AQIDBA==", "6:4hello10:b4AQIDBA=="},
		{"revision 3, text and bytes", "EIO=3", "6:4hello10:b4AQIDBA==", "\x00\x06\xff4hello\x01\x05\xff\x04\x01\x02\x03\x04"},
		{"revision 3, only text", "EIO=3", "6:4hello", "6:4hello"},
		{"revision 3 counts UTF-16", "EIO=3", "2:4é4:4a𝄞", "2:4é4:4a𝄞"},
		{"revision 3, nothing to say", "EIO=3", "0:2:4a", "2:4a"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			run(t, engineio.Config{AllowEIO3: true}, func(h *harness) {
				p := h.poll(tt.query)
				h.last().echo()
				p.send(tt.sent)
				p.want(tt.want)
			})
		})
	}
}

func TestBinaryPostOfRevision3(t *testing.T) {
	run(t, engineio.Config{AllowEIO3: true}, func(h *harness) {
		p := h.poll("EIO=3")
		body := "\x00\x04\xff4\xc3\xa9x" + "\x01\x03\xff\x04\x01\xff"
		if a := p.post(body, "Content-Type", "application/octet-stream"); a.body != "ok" {
			t.Fatal(a)
		}
		h.wantGot(h.last(), "éx", "01ff")
		p.post("\x00\x09\xff4", "Content-Type", "application/octet-stream")
		h.wantClosed(h.last(), "a length beyond the end", engineio.ReasonParseError)
	})
}

func TestInvalidPayloads(t *testing.T) {
	for _, tt := range []struct{ query, body string }{
		{"EIO=4", ""}, {"EIO=4", "abc"}, {"EIO=4", "4a\x1e"}, {"EIO=4", "\x1e4a"}, {"EIO=4", "4a\x1e\x1e4b"}, {"EIO=4", "7"}, {"EIO=4", "/"},
		{"EIO=4", "b!!!!"}, {"EIO=4", "bA"}, {"EIO=4", "4\xff"}, {"EIO=4", "4\xed\xa0\x80"}, {"EIO=4", strings.Repeat("\x1e", 1_000_000)},
		{"EIO=3", ""}, {"EIO=3", "abc"}, {"EIO=3", "6:4hell"}, {"EIO=3", ":4"}, {"EIO=3", "-1:4"}, {"EIO=3", "1e1:4"}, {"EIO=3", "99999999999:4"},
		{"EIO=3", "1:9"}, {"EIO=3", "1:b"}, {"EIO=3", "2:b9"}, {"EIO=3", "4:b4!!"}, {"EIO=3", "2:4𝄞"}, {"EIO=3", "1"},
	} {
		run(t, engineio.Config{AllowEIO3: true}, func(h *harness) {
			p := h.poll(tt.query)
			p.send(tt.body)
			h.wantClosed(h.last(), fmt.Sprintf("%.20q", tt.body), engineio.ReasonParseError)
			p.wantGone(tt.body[:min(20, len(tt.body))])
		})
	}
}

// Every first byte of a packet either means something or ends the session; none does harm.
func TestEveryPacketType(t *testing.T) {
	run(t, engineio.Config{AllowEIO3: true}, func(h *harness) {
		for c := range 0x80 {
			for _, rest := range []string{"", "x", "QQ=="} {
				p := h.poll("")
				p.post(string(rune(c)) + rest)
				p.post(string(rune(c)) + rest)
				p = h.poll("EIO=3")
				p.post(fmt.Sprintf("%d:%c%s", 1+len(rest), c, rest))
				w := h.socket("")
				w.send(string(rune(c)) + rest)
				w.conn.Close()
			}
		}
		synctest.Wait() // an acceptor may still be at work: clients see the open packet before
		p := h.poll("")
		p.send("4fresh")
		h.wantGot(h.last(), "fresh")
	})
}

// What precedes the packet that ends a session is received; what follows is not.
func TestMessagesAroundAnError(t *testing.T) {
	run(t, engineio.Config{}, func(h *harness) {
		p := h.poll("")
		p.send("4a\x1e4b\x1ex\x1e4c")
		h.wantGot(h.last(), "a", "b")
		p = h.poll("")
		p.send("4a\x1e1\x1e4b")
		h.wantGot(h.last(), "a")
		h.wantClosed(h.last(), "a close packet", engineio.ReasonTransportClose)

		p = h.poll("")
		e := h.last()
		e.onMessage = func(m engineio.Message) { e.Close(engineio.ReasonForcedServerClose) }
		p.send("4a\x1e4b")
		h.wantGot(e, "a")
		h.wantClosed(e, "closed while receiving", engineio.ReasonForcedServerClose)
		p.want("1")
	})
}

func TestTwoGETs(t *testing.T) {
	run(t, engineio.Config{}, func(h *harness) {
		p := h.poll("")
		first := p.later()
		h.want("the second GET", p.get(), 400, "")
		h.want("the first GET", <-first, 200, "1")
		h.wantClosed(h.last(), "two GETs", engineio.ReasonTransportError)
		p.wantGone("two GETs")
	})
}

func TestTwoPOSTs(t *testing.T) {
	run(t, engineio.Config{}, func(h *harness) {
		p := h.poll("")
		r, w := io.Pipe()
		first := make(chan answer, 1)
		go func() { first <- h.doContext(context.Background(), "POST", p.query, r) }()
		w.Write([]byte("4never"))
		synctest.Wait()
		h.want("the second POST", p.post("4b"), 400, "")
		h.wantClosed(h.last(), "two POSTs", engineio.ReasonTransportError)
		// The first is answered although its body never ends.
		if a := <-first; a.err == nil && a.status != 400 {
			t.Errorf("the first POST: %v", a)
		}
		w.Close()
		p.wantGone("two POSTs")
	})
}

func TestAbandonedGET(t *testing.T) {
	run(t, engineio.Config{}, func(h *harness) {
		p := h.poll("")
		ctx, cancel := context.WithCancel(context.Background())
		done := make(chan answer, 1)
		go func() { done <- h.doContext(ctx, "GET", p.query, nil) }()
		synctest.Wait()
		cancel()
		<-done
		synctest.Wait()
		h.wantClosed(h.last(), "abandoned", engineio.ReasonTransportError)
		p.wantGone("abandoned")
	})
}

// A body that comes slowly does not outlive its session, and one in tiny pieces is read in one go.
func TestSlowBodies(t *testing.T) {
	run(t, engineio.Config{}, func(h *harness) {
		p := h.poll("")
		r, w := io.Pipe()
		done := make(chan answer, 1)
		go func() { done <- h.doContext(context.Background(), "POST", p.query, r) }()
		go func() {
			for {
				if _, err := w.Write([]byte("4")); err != nil {
					return
				}
				time.Sleep(time.Second)
			}
		}()
		time.Sleep(interval + timeout)
		h.wantClosed(h.last(), "no pong meanwhile", engineio.ReasonPingTimeout)
		<-done
		w.Close()

		p = h.poll("")
		text := "4" + strings.Repeat("x", 10_000)
		a := h.doContext(context.Background(), "POST", p.query, iotest.OneByteReader(strings.NewReader(text)))
		h.want("chunks of one byte", a, 200, "ok")
		h.wantGot(h.last(), text[1:])
	})
}

func TestTooManyPackets(t *testing.T) {
	for query, payload := range map[string]func(n int) string{
		"EIO=4": func(n int) string { return strings.TrimSuffix(strings.Repeat("4\x1e", n), "\x1e") },
		"EIO=3": func(n int) string { return strings.Repeat("1:4", n) },
	} {
		var hit []string
		cfg := engineio.Config{AllowEIO3: true, Trace: &engineio.Trace{LimitHit: func(l string) { hit = append(hit, l) }}}
		run(t, cfg, func(h *harness) {
			p := h.poll(query)
			p.send(payload(10_000))
			h.wantOpen(h.last(), "as many as allowed")
			p.send(payload(10_001))
			h.wantClosed(h.last(), "too many", engineio.ReasonParseError)
			if n := len(h.last().got); n != 20_000 {
				t.Errorf("%d messages received, want those within the limit", n)
			}
			if len(hit) != 1 || hit[0] != "MaxPackets" {
				t.Errorf("limits hit: %q", hit)
			}
		})
	}
}

// An answer carries at most what the peer was told is the most, unless one packet is more.
func TestAnswersRespectMaxPayload(t *testing.T) {
	run(t, engineio.Config{MaxPayload: 100}, func(h *harness) {
		p := h.poll("")
		e := h.last()
		for i := range 20 {
			e.say(fmt.Sprint(strings.Repeat(string(rune('a'+i)), 20)))
		}
		e.say(strings.Repeat("z", 500))
		got, gets := "", 0
		for !strings.Contains(got, "z") {
			a := p.get()
			if len(a.body) > 100 && len(a.body) != 501 {
				t.Errorf("an answer of %d bytes", len(a.body))
			}
			got += strings.ReplaceAll(strings.ReplaceAll(a.body, "\x1e", ""), "4", "")
			gets++
		}
		want := ""
		for i := range 20 {
			want += strings.Repeat(string(rune('a'+i)), 20)
		}
		if got != want+strings.Repeat("z", 500) || gets < 6 {
			t.Errorf("%d GETs brought %q", gets, got)
		}
	})
}

func TestCompression(t *testing.T) {
	big := strings.Repeat("all together ", 200)
	for _, tt := range []struct {
		accept string
		frame  *engineio.Frame
		coding string
	}{
		{"gzip, deflate", text(big), "gzip"},
		{"deflate", text(big), "deflate"},
		{"deflate, gzip;q=0.5", text(big), "deflate"},
		{"br, *", text(big), "gzip"},
		{"gzip;q=0", text(big), ""},
		{"br", text(big), ""},
		{"", text(big), ""},
		{"gzip", text(big[:1000]), ""},
		{"gzip", engineio.PrepareUncompressed(engineio.Message{Data: []byte(big)}), ""},
	} {
		run(t, engineio.Config{}, func(h *harness) {
			p := h.poll("")
			_ = h.last().Send(tt.frame)
			var a answer
			if tt.accept == "" {
				a = p.get()
			} else {
				a = h.do("GET", p.query, "", "Accept-Encoding", tt.accept)
			}
			if got := a.header.Get("Content-Encoding"); got != tt.coding {
				t.Errorf("accepting %q: Content-Encoding %q, want %q", tt.accept, got, tt.coding)
			}
			if want := "4" + big[:tt.frame.Len()]; unpack(t, tt.coding, a.body) != want {
				t.Errorf("accepting %q: another text came out", tt.accept)
			}
		})
	}
	run(t, engineio.Config{HTTPCompression: -1}, func(h *harness) {
		p := h.poll("")
		h.last().say(big)
		if a := h.do("GET", p.query, "", "Accept-Encoding", "gzip"); a.header.Get("Content-Encoding") != "" {
			t.Error("compressed although switched off")
		}
	})
}

func text(s string) *engineio.Frame { return engineio.Prepare(engineio.Message{Data: []byte(s)}) }

func unpack(t *testing.T, coding, body string) string {
	t.Helper()
	var r io.Reader = strings.NewReader(body)
	var err error
	switch coding {
	case "gzip":
		r, err = gzip.NewReader(r)
	case "deflate":
		r, err = zlib.NewReader(r)
	}
	if err != nil {
		t.Fatal(err)
	}
	b, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func TestJSONP(t *testing.T) {
	run(t, engineio.Config{AllowEIO3: true}, func(h *harness) {
		p := h.poll("EIO=4&j=0")
		h.last().echo()
		form := func(payload string) string { return url.Values{"d": {payload}}.Encode() }
		const kind = "application/x-www-form-urlencoded"
		if a := p.post(form("4a\\nb\\\\nc\"</script>\u2028é"), "Content-Type", kind); a.body != "ok" {
			t.Fatal(a)
		}
		h.wantGot(h.last(), "a\nb\\nc\"</script>\u2028é")
		p.want(`___eio[0]("4a\nb\\nc\"\u003c/script\u003e\u2028é");`)
		p.send("nothing=here")
		p.send("")
		p.want(`___eio[0]("2");`)

		p = h.poll("EIO=3&j=1")
		h.last().echo()
		p.post(form("10:b4AQIDBA=="), "Content-Type", kind)
		p.want(`___eio[1]("10:b4AQIDBA==");`)
	})
}

// A peer that does not take its answers does not hold anything for ever.
func TestAnswerNotRead(t *testing.T) {
	run(t, engineio.Config{PingInterval: time.Hour, PingTimeout: time.Hour, WriteTimeout: time.Second, MaxPayload: 10_000_000, MaxQueue: 10_000_000}, func(h *harness) {
		p := h.poll("")
		conn, err := h.l.Dial()
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		h.last().say(strings.Repeat("x", 5_000_000))
		fmt.Fprintf(conn, "GET /?%s HTTP/1.1\r\nHost: tutti.test\r\n\r\n", p.query)
		time.Sleep(2 * time.Second)
		h.wantClosed(h.last(), "the peer reads nothing", engineio.ReasonTransportError)
	})
}

func TestGETsOfManyMessages(t *testing.T) {
	run(t, engineio.Config{}, func(h *harness) {
		p := h.poll("")
		e := h.last()
		var want bytes.Buffer
		for i := range 1000 {
			fmt.Fprintf(&want, "%d.", i)
		}
		go func() {
			for i := range 1000 {
				e.say(fmt.Sprintf("%d.", i))
				if i%100 == 0 {
					time.Sleep(time.Millisecond)
				}
			}
		}()
		got := ""
		for len(got) < want.Len() {
			for part := range strings.SplitSeq(p.get().body, "\x1e") {
				got += strings.TrimPrefix(part, "4")
			}
		}
		if got != want.String() {
			t.Error("messages were lost, doubled or overtaken")
		}
	})
}
