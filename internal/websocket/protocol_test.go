package websocket_test

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/tutti-rt/tutti/internal/websocket"
)

// declared is a header of a binary frame that promises n bytes and brings none.
func declared(n uint64) []byte {
	b := []byte{fin | bin, 0x80 | 127}
	for shift := 56; shift >= 0; shift -= 8 {
		b = append(b, byte(n>>shift))
	}
	return append(b, mask[:]...)
}

func repeat(b []byte, n int) []byte {
	var all []byte
	for range n {
		all = append(all, b...)
	}
	return all
}

// What a peer may do wrong, and the close code that it deserves.
func TestPeerBreaksTheProtocol(t *testing.T) {
	long := strings.Repeat("x", 126)
	tests := []struct {
		name  string
		bytes []byte
		code  int
	}{
		{"unmasked frame", []byte{fin | text, 2, 'h', 'i'}, 1002},
		{"unmasked empty frame", []byte{fin | text, 0}, 1002},
		{"RSV1 without an extension", frame(fin|rsv1|text, "hi"), 1002},
		{"RSV2 and RSV3", frame(fin|rsv23|text, "hi"), 1002},
		{"RSV on a ping", frame(fin|rsv1|ping, ""), 1002},
		{"reserved data opcode 3", frame(fin|3, ""), 1002},
		{"reserved data opcode 7", frame(fin|7, "x"), 1002},
		{"reserved control opcode 11", frame(fin|0xb, ""), 1002},
		{"reserved control opcode 15", frame(fin|0xf, "x"), 1002},
		{"ping of 126 bytes", frame(fin|ping, long), 1002},
		{"pong of 126 bytes", frame(fin|pong, long), 1002},
		{"close of 126 bytes", frame(fin|clos, closePayload(1000, long[:124])), 1002},
		{"fragmented ping", frame(ping, "x"), 1002},
		{"fragmented close", frame(clos, closePayload(1000, "")), 1002},
		{"continuation of nothing", frame(fin|cont, "x"), 1002},
		{"continuation after a message", join(frame(fin|text, "a"), frame(cont, "x")), 1002},
		{"message inside a message", join(frame(text, "a"), frame(fin|text, "x")), 1002},
		{"length of 2^62", declared(1 << 62), 1009},
		{"length of 2^63-1", declared(1<<63 - 1), 1009},
		{"length with the highest bit", declared(1 << 63), 1002},
		{"length of all ones", declared(1<<64 - 1), 1002},
		{"length one over the limit", declared(1001), 1009},
		{"fragments over the limit", join(frame(bin, strings.Repeat("x", 600)), frame(cont, strings.Repeat("x", 401))), 1009},
		{"300,000 empty continuations", join(frame(text, ""), repeat(frame(cont, ""), 300_000)), 1008},
		{"tiny fragments", join(frame(text, "x"), repeat(frame(cont, "x"), 16)), 1008},
		{"invalid UTF-8", frame(fin|text, "\xce\xba\xe1\xbd\xb9\xcf\x83\xce\xbc\xce\xb5\xed\xa0\x80edited"), 1007},
		{"UTF-8 cut short", frame(fin|text, "\xe2\x82"), 1007},
		{"overlong UTF-8", frame(fin|text, "\xc0\xaf"), 1007},
		{"UTF-8 broken across fragments", join(frame(text, "\xe2\x82"), frame(fin|cont, "a")), 1007},
		{"close with half a code", frame(fin|clos, "\x03"), 1002},
		{"close with invalid UTF-8", frame(fin|clos, closePayload(1000, "\xff")), 1007},
	}
	for _, code := range []int{0, 999, 1004, 1005, 1006, 1015, 1016, 2000, 2999, 5000, 65535} {
		tests = append(tests, struct {
			name  string
			bytes []byte
			code  int
		}{"bad close code", frame(fin|clos, closePayload(code, "")), 1002})
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			for _, chunk := range []int{1 << 20, 1, 7} {
				if chunk == 1 && len(tt.bytes) > 1<<16 {
					continue
				}
				breakProtocol(t, tt.bytes, chunk, tt.code)
			}
		})
	}
}

func breakProtocol(t *testing.T, bytes []byte, chunk, code int) {
	synctest.Test(t, func(t *testing.T) {
		p := start(t, websocket.Options{MaxMessage: 1000, MaxFragments: 16})
		go func() {
			p.nc.Write(frame(fin|text, "before"))
			for c := range slices.Chunk(bytes, chunk) {
				if _, err := p.nc.Write(c); err != nil {
					return // the server may have had enough
				}
			}
		}()
		p.wantClose(code)
		err := p.stop()
		var wrong *websocket.ProtocolError
		if !errors.As(err, &wrong) || wrong.Code != code {
			t.Errorf("Run = %v, want a ProtocolError with code %d", err, code)
		}
		if got := p.messages()[0]; got != "t:before" {
			t.Errorf("first message %q: what came before the mistake must be delivered", got)
		}
		if err := p.conn.Send(websocket.Prepare([]byte("x"), false)); !errors.Is(err, websocket.ErrClosed) {
			t.Errorf("Send afterwards: %v, want ErrClosed", err)
		}
	})
}

// What a peer may do, in all the shapes allowed.
func TestPeerIsUnderstood(t *testing.T) {
	big := strings.Repeat("0123456789", 7000)
	tests := []struct {
		name  string
		bytes []byte
		want  []string
	}{
		{"text", frame(fin|text, "hello"), []string{"t:hello"}},
		{"binary that is not UTF-8", frame(fin|bin, "\xff\xfe"), []string{"b:\xff\xfe"}},
		{"empty", join(frame(fin|text, ""), frame(fin|bin, "")), []string{"t:", "b:"}},
		{"several in one write", join(frame(fin|text, "a"), frame(fin|text, "b"), frame(fin|bin, "c")), []string{"t:a", "t:b", "b:c"}},
		{"125, 126, 65535, 65536 bytes", join(frame(fin|bin, big[:125]), frame(fin|bin, big[:126]), frame(fin|bin, big[:65535]), frame(fin|bin, big[:65536])),
			[]string{"b:" + big[:125], "b:" + big[:126], "b:" + big[:65535], "b:" + big[:65536]}},
		{"fragments", join(frame(text, "a"), frame(cont, "b"), frame(fin|cont, "c")), []string{"t:abc"}},
		{"empty fragments", join(frame(bin, ""), frame(cont, ""), frame(fin|cont, "")), []string{"b:"}},
		{"content only in the middle", join(frame(bin, ""), frame(cont, "x"), frame(fin|cont, "")), []string{"b:x"}},
		{"character across fragments", join(frame(text, "\xe2"), frame(fin|cont, "\x82\xac")), []string{"t:€"}},
		{"ping inside a message", join(frame(text, "a"), frame(fin|ping, "?"), frame(fin|cont, "b")), []string{"t:ab"}},
		{"unsolicited pong", join(frame(fin|pong, ""), frame(fin|pong, "x"), frame(fin|text, "a")), []string{"t:a"}},
		{"length not in the shortest form", join([]byte{fin | text, 0x80 | 126, 0, 1}, mask[:], []byte{'a' ^ mask[0]}), []string{"t:a"}},
	}
	for _, tt := range tests {
		for _, chunk := range []int{1 << 20, 1, 3, 1000} {
			t.Run(tt.name, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					p := start(t, websocket.Options{})
					for c := range slices.Chunk(tt.bytes, chunk) {
						p.send(c)
						if len(tt.bytes) < 1000 {
							synctest.Wait() // each piece is read alone
						}
					}
					synctest.Wait()
					if got := p.messages(); !slices.Equal(got, tt.want) {
						t.Errorf("messages %.80q, want %.80q", got, tt.want)
					}
					p.stop()
				})
			})
		}
	}
}

func TestPingsAreAnswered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := start(t, websocket.Options{})
		p.send(frame(fin|ping, ""), frame(fin|ping, "a"), frame(fin|ping, strings.Repeat("p", 125)))
		p.want(fin|pong, "")
		p.want(fin|pong, "a")
		p.want(fin|pong, strings.Repeat("p", 125))
		p.stop()
	})
}

// Pings of a peer that does not read are no backlog, and the newest is answered, as
// the protocol demands. More of them than anybody needs end the connection.
func TestPingFloodIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := start(t, websocket.Options{WriteTimeout: -1})
		for range 400 {
			p.send(frame(fin|ping, "0123456789"))
		}
		p.send(frame(fin|ping, "newest"))
		synctest.Wait()
		if q := p.conn.Queued(); q != 0 {
			t.Errorf("Queued = %d, want 0: pongs are not backlog", q)
		}
		count := 0
		for {
			got, err := readFrame(p.r)
			if err != nil || got.op() != pong {
				t.Fatalf("got %v, %v, want pongs", got, err)
			}
			count++
			if got.payload == "newest" {
				break
			}
		}
		if count > 401 {
			t.Errorf("%d pongs", count)
		}
		for range 200 {
			p.send(frame(fin|ping, "again"))
		}
		synctest.Wait()
		for {
			got, err := readFrame(p.r)
			if err != nil {
				t.Fatalf("not told why: %v", err)
			}
			if got.op() != pong {
				if want := "\x03\xf0too many pings"; got.payload != want {
					t.Errorf("got %q, want %q", got.payload, want)
				}
				break
			}
		}
		p.stop()
	})
}

func TestPeerCloses(t *testing.T) {
	tests := []struct {
		name    string
		payload string
		echo    int
		want    websocket.CloseError
	}{
		{"without a code", "", 0, websocket.CloseError{Code: 1005}},
		{"normally", closePayload(1000, "bye"), 1000, websocket.CloseError{Code: 1000, Reason: "bye"}},
		{"going away", closePayload(1001, ""), 1001, websocket.CloseError{Code: 1001}},
		{"with a code of its own", closePayload(4999, "€"), 4999, websocket.CloseError{Code: 4999, Reason: "€"}},
		{"with the longest reason", closePayload(3000, strings.Repeat("r", 123)), 3000, websocket.CloseError{Code: 3000, Reason: strings.Repeat("r", 123)}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := start(t, websocket.Options{})
				p.send(frame(fin|text, "a"), frame(fin|clos, tt.payload), frame(fin|text, "after the close"))
				p.wantClose(tt.echo)
				p.wantEOF() // the server closes first, RFC 6455 section 7.1.1
				err := p.stop()
				var got *websocket.CloseError
				if !errors.As(err, &got) || *got != tt.want {
					t.Errorf("Run = %v, want %v", err, &tt.want)
				}
				if m := p.messages(); !slices.Equal(m, []string{"t:a"}) {
					t.Errorf("messages %q: nothing counts after a close frame", m)
				}
			})
		})
	}
}

func TestReceiverEndsTheConnection(t *testing.T) {
	other := errors.New("secret detail")
	tests := []struct {
		err    error
		code   int
		reason string
	}{
		{&websocket.CloseError{Code: 1003, Reason: "no binary"}, 1003, "no binary"},
		{&websocket.CloseError{Code: 1000}, 1000, ""},
		{other, 1011, ""}, // the words of an error are ours alone
	}
	for _, tt := range tests {
		synctest.Test(t, func(t *testing.T) {
			client, server := pipePair()
			p := accept(t, client, server, websocket.Options{})
			calls := 0
			p.run(func([]byte, bool) error { calls++; return tt.err })
			p.send(frame(fin|bin, "a"), frame(fin|bin, "b"))
			if got := p.wantClose(tt.code); got.payload[2:] != tt.reason {
				t.Errorf("reason %q, want %q", got.payload[2:], tt.reason)
			}
			if err := p.stop(); !errors.Is(err, tt.err) || calls != 1 {
				t.Errorf("Run = %v after %d calls, want %v after 1", err, calls, tt.err)
			}
		})
	}
}
