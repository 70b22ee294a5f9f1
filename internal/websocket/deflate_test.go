package websocket_test

import (
	"bytes"
	"compress/flate"
	"errors"
	"io"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/tutti-rt/tutti/internal/websocket"
)

// deflated is what a client sends for payload: raw deflate with a sync flush
// whose last four bytes are left out, RFC 7692 section 7.2.1.
func deflated(payload string) string {
	var b bytes.Buffer
	w, err := flate.NewWriter(&b, 9)
	if err != nil {
		panic(err)
	}
	io.WriteString(w, payload)
	w.Flush()
	return strings.TrimSuffix(b.String(), "\x00\x00\xff\xff")
}

func inflated(payload string) string {
	r := flate.NewReader(strings.NewReader(payload + "\x00\x00\xff\xff\x01\x00\x00\xff\xff"))
	b, err := io.ReadAll(r)
	if err != nil {
		panic(err)
	}
	return string(b)
}

var deflate = websocket.Options{Deflate: &websocket.Deflate{Threshold: 100}, MaxMessage: 100_000, MaxQueue: -1}

func TestDeflateNegotiation(t *testing.T) {
	const answer = "permessage-deflate;server_no_context_takeover;client_no_context_takeover"
	for offer, want := range map[string]string{
		"permessage-deflate":                                                answer,
		"permessage-deflate; client_max_window_bits":                        answer,
		"permessage-deflate; server_no_context_takeover":                    answer,
		"permessage-deflate; client_max_window_bits=10":                     answer,
		"x-other, permessage-deflate":                                       answer,
		"permessage-deflate; server_max_window_bits=10":                     "", // flate's window is 15 bits
		"permessage-deflate; server_max_window_bits=10, permessage-deflate": answer,
		"permessage-deflate; nonsense, permessage-deflate":                  answer,
		"x-webkit-deflate-frame":                                            "",
		"":                                                                  "",
	} {
		synctest.Test(t, func(t *testing.T) {
			l := serve(t, deflate)
			nc, _, res := handshake(t, l, "Sec-WebSocket-Extensions: "+offer+"\r\n")
			got := strings.ReplaceAll(res.Header.Get("Sec-WebSocket-Extensions"), " ", "")
			if got != want {
				t.Errorf("offer %q answered %q, want %q", offer, got, want)
			}
			nc.Close()
		})
	}
}

func TestDeflatedMessages(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := start(t, deflate)
		if !p.conn.Deflated() {
			t.Fatal("not negotiated")
		}
		long := strings.Repeat("all together ", 1000)
		z := deflated(long)
		p.send(frame(fin|rsv1|text, z), frame(rsv1|bin, z[:10]), frame(cont, ""), frame(fin|ping, ""), frame(fin|cont, z[10:]),
			frame(fin|rsv1|text, "\x00"), frame(fin|rsv1|text, ""), frame(fin|text, "plain"))
		// A final block instead of a sync flush: RFC 7692 section 7.2.3.4
		p.send(frame(fin|rsv1|text, "\xf3\x48\xcd\xc9\xc9\x07\x00\x00"))
		p.want(fin|pong, "")
		synctest.Wait()
		want := []string{"t:" + long, "b:" + long, "t:", "t:", "t:plain", "t:Hello"}
		for i, got := range p.messages() {
			if i >= len(want) || got != want[i] {
				t.Errorf("message %d: %.60q", i, got)
			}
		}
		if n := len(p.messages()); n != len(want) {
			t.Errorf("%d messages, want %d", n, len(want))
		}
		p.stop()
	})
}

// bomb is 70 MB in 70 kB: every block of zeros inflates to the same megabyte.
func bomb() string {
	const block = 1 << 20
	return strings.Repeat(deflated(strings.Repeat("\x00", block))+"\x00\x00\xff\xff", 70)
}

// The inflater stops at the limit, not at the end of the bomb.
func TestBombIsNotUnpacked(t *testing.T) {
	message := frame(fin|rsv1|bin, bomb())
	if len(message) > int(deflate.MaxMessage) {
		t.Fatalf("the bomb of %d bytes would be stopped before it is lit", len(message))
	}
	n := allocated(func() {
		if got := feed(t, slices.Values([][]byte{message}), deflate); !strings.Contains(got, "1009") {
			t.Errorf("got %.80s, want the limit", got)
		}
	})
	if n > 2<<20 {
		t.Errorf("%d bytes allocated for a limit of %d", n, deflate.MaxMessage)
	}
}

func TestDeflateMisuse(t *testing.T) {
	for name, tt := range map[string]struct {
		bytes []byte
		code  int
	}{
		"RSV1 on a continuation":       {join(frame(text, "a"), frame(fin|rsv1|cont, "b")), 1002},
		"RSV1 on a ping":               {frame(fin|rsv1|ping, ""), 1002},
		"RSV2":                         {frame(fin|rsv23|text, ""), 1002},
		"not deflate":                  {frame(fin|rsv1|bin, "\xff\xff\xff\xff"), 1007},
		"deflate cut short":            {frame(fin|rsv1|bin, deflated(strings.Repeat("abc", 100))[:5]), 1007},
		"invalid UTF-8 inside":         {frame(fin|rsv1|text, deflated("\xff")), 1007},
		"bomb":                         {frame(fin|rsv1|bin, bomb()), 1009},
		"one byte over the limit":      {frame(fin|rsv1|bin, deflated(strings.Repeat("x", 100_001))), 1009},
		"over the limit when deflated": {declared(100_001), 1009},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := start(t, deflate)
				go p.nc.Write(tt.bytes)
				p.wantClose(tt.code)
				var wrong *websocket.ProtocolError
				if err := p.stop(); !errors.As(err, &wrong) || wrong.Code != tt.code {
					t.Errorf("Run = %v, want code %d", err, tt.code)
				}
			})
		})
	}
	synctest.Test(t, func(t *testing.T) { // exactly the limit
		p := start(t, deflate)
		p.send(frame(fin|rsv1|bin, deflated(strings.Repeat("x", 100_000))))
		synctest.Wait()
		if m := p.messages(); len(m) != 1 || len(m[0]) != 100_002 {
			t.Errorf("a message of exactly the limit was not taken")
		}
		p.stop()
	})
}

func TestSendDeflates(t *testing.T) {
	noise := make([]byte, 5000)
	random := rand.NewChaCha8([32]byte{})
	random.Read(noise)
	long := strings.Repeat("all together ", 10_000)
	for name, tt := range map[string]struct {
		frame   *websocket.Frame
		payload string
		rsv     byte
	}{
		"long":          {websocket.Prepare([]byte(long), false), long, rsv1},
		"at threshold":  {websocket.Prepare([]byte(long[:100]), false), long[:100], rsv1},
		"below":         {websocket.Prepare([]byte(long[:99]), false), long[:99], 0},
		"not wanted":    {websocket.PrepareUncompressed([]byte(long), false), long, 0},
		"does not help": {websocket.Prepare(noise, false), string(noise), 0},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				plain, small := start(t, websocket.Options{MaxQueue: -1}), start(t, deflate)
				for range 2 {
					for _, p := range []*peer{plain, small} {
						if err := p.conn.Send(tt.frame); err != nil {
							t.Error(err)
						}
					}
					plain.want(fin|text, tt.payload)
					got, err := readFrame(small.r)
					if err != nil || got.first != fin|text|tt.rsv {
						t.Errorf("got %v, %v, want RSV %#x", got, err, tt.rsv)
					}
					if tt.rsv != 0 {
						got.payload = inflated(got.payload)
					}
					if got.payload != tt.payload {
						t.Errorf("payload differs: %.60q", got.payload)
					}
				}
				synctest.Wait()
				if q := small.conn.Queued(); q != 0 {
					t.Errorf("Queued = %d", q)
				}
				plain.stop()
				small.stop()
			})
		})
	}
}

// The deflated form is made once however many connections race for it.
func TestDeflatedFormIsShared(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		payload := strings.Repeat("all together ", 1000)
		f := websocket.Prepare([]byte(payload), false)
		var wg sync.WaitGroup
		forms := make([]string, 20)
		for i := range forms {
			wg.Go(func() {
				p := start(t, deflate)
				p.conn.Send(f)
				got, err := readFrame(p.r)
				if err != nil {
					t.Error(err)
				}
				forms[i] = got.payload
				p.stop()
			})
		}
		wg.Wait()
		for _, form := range forms {
			if form != forms[0] || inflated(form) != payload {
				t.Error("the forms differ")
			}
		}
	})
}
