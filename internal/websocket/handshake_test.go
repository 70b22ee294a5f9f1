package websocket_test

import (
	"bufio"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/tutti-rt/tutti/internal/pipe"
	"github.com/tutti-rt/tutti/internal/websocket"
)

func pipePair() (client, server net.Conn) { return pipe.New(0) }

func TestCheck(t *testing.T) {
	set := func(k string, v ...string) func(*http.Request) {
		return func(r *http.Request) { r.Header[k] = v }
	}
	tests := []struct {
		name   string
		change func(*http.Request)
		status int // 0 = fine
	}{
		{"as in the RFC", nil, 0},
		{"tokens in lists and other cases", func(r *http.Request) {
			r.Header["Connection"] = []string{"keep-alive", "foo , UPGRADE"}
			r.Header["Upgrade"] = []string{"WebSocket"}
		}, 0},
		{"Connection: close, upgrade", set("Connection", "close, upgrade"), 0},
		{"POST", func(r *http.Request) { r.Method = "POST" }, 405},
		{"HTTP/1.0", func(r *http.Request) { r.Proto, r.ProtoMajor, r.ProtoMinor = "HTTP/1.0", 1, 0 }, 400},
		{"HTTP/2", func(r *http.Request) { r.Proto, r.ProtoMajor, r.ProtoMinor = "HTTP/2.0", 2, 0 }, 400},
		{"body", func(r *http.Request) { r.ContentLength = 5 }, 400},
		{"chunked body", func(r *http.Request) { r.TransferEncoding = []string{"chunked"} }, 400},
		{"no Upgrade", set("Upgrade"), 400},
		{"Upgrade: websockets", set("Upgrade", "websockets"), 400},
		{"no Connection", set("Connection"), 400},
		{"Connection: not-upgrade", set("Connection", "not-upgrade"), 400},
		{"no key", set("Sec-Websocket-Key"), 400},
		{"empty key", set("Sec-Websocket-Key", ""), 400},
		{"short key", set("Sec-Websocket-Key", "AAAA"), 400},
		{"key of 15 bytes", set("Sec-Websocket-Key", "AAAAAAAAAAAAAAAAAAAA"), 400},
		{"key of 17 bytes", set("Sec-Websocket-Key", "AAAAAAAAAAAAAAAAAAAAAAA="), 400},
		{"key of 18 bytes", set("Sec-Websocket-Key", "AAAAAAAAAAAAAAAAAAAAAAAA"), 400},
		{"key not base64", set("Sec-Websocket-Key", "!!!!!!!!!!!!!!!!!!!!!!=="), 400},
		{"key with a line end", set("Sec-Websocket-Key", "AAAAAAAAAAAAAAAAAAAAA\n=="), 400},
		{"two keys", set("Sec-Websocket-Key", testKey, testKey), 400},
		{"no version", set("Sec-Websocket-Version"), 400},
		{"version 8", set("Sec-Websocket-Version", "8"), 426},
		{"versions 8, 13", set("Sec-Websocket-Version", "8, 13"), 426},
		{"version twice", set("Sec-Websocket-Version", "13", "13"), 426},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := request(tt.change)
			err := websocket.Check(r)
			if tt.status == 0 {
				if err != nil {
					t.Errorf("Check = %v", err)
				}
				return
			}
			var refused *websocket.HandshakeError
			if !errors.As(err, &refused) || refused.Status != tt.status {
				t.Fatalf("Check = %v, want status %d", err, tt.status)
			}
			w := httptest.NewRecorder()
			if _, err := websocket.Accept(w, r, websocket.Options{}); !errors.As(err, &refused) {
				t.Errorf("Accept = %v, want a HandshakeError", err)
			}
			refused.Answer(w)
			if v := w.Header().Get("Sec-WebSocket-Version"); w.Code != tt.status || (v == "13") != (tt.status == 426) {
				t.Errorf("answer %d with version %q", w.Code, v)
			}
		})
	}
}

func TestAcceptWithoutHijack(t *testing.T) {
	_, err := websocket.Accept(httptest.NewRecorder(), request(nil), websocket.Options{})
	var refused *websocket.HandshakeError
	if !errors.As(err, &refused) || refused.Status != 500 {
		t.Errorf("Accept = %v, want a HandshakeError with status 500", err)
	}
}

// serve runs an http.Server in memory that upgrades everything and echoes.
func serve(t *testing.T, o websocket.Options) *pipe.Listener {
	l := pipe.Listen()
	var wg sync.WaitGroup
	server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		wg.Add(1) // before the answer: whoever waits has read that
		c, err := websocket.Accept(w, r, o)
		if err != nil {
			wg.Done()
		}
		var refused *websocket.HandshakeError
		if errors.As(err, &refused) {
			refused.Answer(w)
			return
		}
		if err != nil {
			return
		}
		c.Start(&receiver{
			receive: func(data []byte, binary bool) error { return c.Send(websocket.Prepare(data, binary)) },
			ended:   make(chan error, 1), gone: wg.Done,
		})
	})}
	var serving sync.WaitGroup
	serving.Go(func() { server.Serve(l) })
	t.Cleanup(func() { server.Close(); serving.Wait(); wg.Wait() })
	return l
}

const upgradeLines = "GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: " + testKey + "\r\n"

func handshake(t *testing.T, l *pipe.Listener, extra string, frames ...byte) (net.Conn, *bufio.Reader, *http.Response) {
	t.Helper()
	nc, err := l.Dial()
	if err != nil {
		t.Fatal(err)
	}
	nc.Write([]byte(upgradeLines + extra + "\r\n" + string(frames)))
	br := bufio.NewReader(nc)
	res, err := http.ReadResponse(br, nil)
	if err != nil {
		t.Fatal(err)
	}
	return nc, br, res
}

func TestHandshakeAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := websocket.Options{
			Header:       http.Header{"X-Extra": {"1", "2"}, "Upgrade": {"nonsense"}, "X-Split": {"a\r\nX-Injected: b"}},
			Subprotocols: []string{"second", "first"},
		}
		l := serve(t, o)
		nc, br, res := handshake(t, l, "Sec-WebSocket-Protocol: other, first\r\nSec-WebSocket-Protocol: second\r\nSec-WebSocket-Extensions: permessage-deflate\r\n")
		want := map[string]string{
			"Upgrade": "websocket", "Connection": "Upgrade",
			"Sec-Websocket-Accept":     "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=", // RFC 6455 section 1.3
			"Sec-Websocket-Protocol":   "second",
			"Sec-Websocket-Extensions": "", // off unless asked for
			"X-Extra":                  "1", "X-Injected": "",
		}
		for k, v := range want {
			if got := res.Header.Get(k); got != v || len(res.Header[k]) > 1 && k != "X-Extra" {
				t.Errorf("%s: %q, want %q once", k, res.Header[k], v)
			}
		}
		if res.StatusCode != 101 {
			t.Errorf("status %d", res.StatusCode)
		}
		nc.Write(frame(fin|text, "echo"))
		if got, err := readFrame(br); got.payload != "echo" || err != nil {
			t.Errorf("echo: %v, %v", got, err)
		}
		nc.Close()
	})
}

// net/http reads ahead; a client may send frames together with the handshake.
func TestFramesWithTheHandshakeAreNotLost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := serve(t, websocket.Options{})
		nc, br, _ := handshake(t, l, "", join(frame(fin|text, "early"), frame(fin|text, "cut")[:4])...)
		nc.Write(frame(fin|text, "cut")[4:])
		for _, want := range []string{"early", "cut"} {
			if got, err := readFrame(br); got.payload != want || err != nil {
				t.Errorf("got %v, %v, want %q", got, err, want)
			}
		}
		nc.Close()
	})
}

func TestHostileHandshakes(t *testing.T) {
	many := strings.Repeat("permessage-deflate; server_max_window_bits=9, ", 1000) + "x"
	for name, extra := range map[string]string{
		"subprotocol of spaces":  "Sec-WebSocket-Protocol: a" + strings.Repeat(" ", 30_000) + "b\r\n",
		"subprotocol of commas":  "Sec-WebSocket-Protocol: " + strings.Repeat(",", 30_000) + "\r\n",
		"extension constructor":  "Sec-WebSocket-Extensions: constructor, __proto__; toString=1\r\n",
		"extension semicolons":   "Sec-WebSocket-Extensions: ;;;\r\n",
		"extension 1,000 offers": "Sec-WebSocket-Extensions: " + many + "\r\n",
		"extension bad value":    "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits=99\r\n",
		"extension twice":        "Sec-WebSocket-Extensions: permessage-deflate; server_no_context_takeover; server_no_context_takeover\r\n",
		"extension quoted":       "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits=\"\r\n",
		"2,000 headers":          strings.Repeat("X: y\r\n", 2000),
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l := serve(t, websocket.Options{Subprotocols: []string{"c"}, Deflate: &websocket.Deflate{}})
				nc, br, res := handshake(t, l, extra)
				if res.StatusCode != 101 || res.Header.Get("Sec-WebSocket-Extensions") != "" {
					t.Errorf("status %d, extensions %q; want 101 with the offer declined", res.StatusCode, res.Header.Get("Sec-WebSocket-Extensions"))
				}
				nc.Write(frame(fin|text, "alive"))
				if got, err := readFrame(br); got.payload != "alive" || err != nil {
					t.Errorf("echo: %v, %v", got, err)
				}
				nc.Close()
			})
		})
	}
}

// A handshake that net/http or we refuse is answered as HTTP, never upgraded.
func TestRefusedHandshakesAreAnswered(t *testing.T) {
	for name, tt := range map[string]struct{ request, status string }{
		"old version":    {strings.Replace(upgradeLines, "Version: 13", "Version: 7", 1), "426"},
		"1.0":            {strings.Replace(upgradeLines, "HTTP/1.1", "HTTP/1.0", 1), "400"},
		"no key":         {strings.Replace(upgradeLines, "Sec-WebSocket-Key", "X-Key", 1), "400"},
		"content length": {upgradeLines + "Content-Length: 4\r\n", "400"},
		"chunked":        {upgradeLines + "Transfer-Encoding: chunked\r\n", "400"},
		"both":           {upgradeLines + "Content-Length: 4\r\nTransfer-Encoding: chunked\r\n", "400"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l := serve(t, websocket.Options{})
				nc, err := l.Dial()
				if err != nil {
					t.Fatal(err)
				}
				go nc.Write([]byte(tt.request + "\r\n0\r\n\r\n"))
				line, err := bufio.NewReader(nc).ReadString('\n')
				if err != nil || !strings.Contains(line, " "+tt.status+" ") {
					t.Errorf("answer %q, %v, want %s", line, err, tt.status)
				}
				nc.Close()
			})
		})
	}
}

// A peer that is gone before the 101 must not leave anything behind.
func TestPeerGoneBeforeTheAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client, server := pipe.New(0)
		client.Cut(nil)
		rw := bufio.NewReadWriter(bufio.NewReader(server), bufio.NewWriter(io.Discard))
		c, err := websocket.Accept(response{nc: server, rw: rw}, request(nil), websocket.Options{})
		var refused *websocket.HandshakeError
		if err == nil || errors.As(err, &refused) || c != nil {
			t.Errorf("Accept = %v, %v, want an error of the network", c, err)
		}
	})
}
