package load

import (
	"bytes"
	"errors"
	"math"
	"strings"
	"testing"
)

// unmasked is what a server would read of a client's frame.
func unmasked(t *testing.T, data []byte) (op byte, payload []byte) {
	t.Helper()
	head := 2
	n := int(data[1] & 127)
	switch n {
	case 126:
		n, head = int(data[2])<<8|int(data[3]), 4
	case 127:
		n, head = int(data[6])<<24|int(data[7])<<16|int(data[8])<<8|int(data[9]), 10
	}
	key := data[head : head+4]
	payload = bytes.Clone(data[head+4:])
	if len(payload) != n || data[1]&0x80 == 0 {
		t.Fatalf("a frame of %d bytes, masked %v, announces %d", len(payload), data[1]&0x80 != 0, n)
	}
	for i := range payload {
		payload[i] ^= key[i%4]
	}
	return data[0], payload
}

func TestFramesAreMasked(t *testing.T) {
	for _, n := range []int{0, 1, 7, 8, 9, 125, 126, 65535, 65536} {
		payload := bytes.Repeat([]byte("x"), n)
		data := appendFrame(nil, opText, payload, 0x12345678)
		op, got := unmasked(t, data)
		if op != 0x81 || !bytes.Equal(got, payload) {
			t.Errorf("a frame of %d bytes comes out as %d bytes, first byte %#x", n, len(got), op)
		}
	}
}

func TestFramesInPieces(t *testing.T) {
	var stream []byte
	var want []string
	for _, n := range []int{0, 5, 125, 126, 300, 70_000} {
		text := strings.Repeat("a", n)
		want = append(want, text)
		switch {
		case n < 126:
			stream = append(stream, 0x81, byte(n))
		case n < 1<<16:
			stream = append(stream, 0x81, 126, byte(n>>8), byte(n))
		default:
			stream = append(stream, 0x81, 127, 0, 0, 0, 0, 0, byte(n>>16), byte(n>>8), byte(n))
		}
		stream = append(stream, text...)
	}
	for _, piece := range []int{1, 2, 3, 7, 100, len(stream)} {
		var have []byte
		var got []string
		for at := 0; at < len(stream); at += piece {
			have = append(have, stream[at:min(at+piece, len(stream))]...)
			for {
				_, _, payload, size, err := frame(have)
				if err != nil {
					t.Fatal(err)
				}
				if size == 0 {
					break
				}
				got = append(got, string(payload))
				have = have[size:]
			}
		}
		if len(got) != len(want) {
			t.Fatalf("in pieces of %d: %d frames, want %d", piece, len(got), len(want))
		}
		for i := range want {
			if got[i] != want[i] {
				t.Errorf("in pieces of %d: frame %d has %d bytes, want %d", piece, i, len(got[i]), len(want[i]))
			}
		}
	}
}

func TestFramesNoServerSends(t *testing.T) {
	for name, data := range map[string][]byte{
		"masked":    {0x81, 0x80, 1, 2, 3, 4},
		"reserved":  {0xc1, 0},
		"very long": {0x82, 127, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff},
	} {
		if _, _, _, _, err := frame(data); !errors.Is(err, errFrame) {
			t.Errorf("%s: %v, want errFrame", name, err)
		}
	}
}

func TestAnswers(t *testing.T) {
	tests := []struct {
		text   string
		status int
		body   string
		size   int // less than the text: more follows
	}{
		{"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", 200, "hello", 43},
		{"HTTP/1.1 200 OK\r\ncontent-length:2\r\nX: y\r\n\r\nokHTTP", 200, "ok", 45},
		{"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\n\x81\x00", 101, "", 56},
		{"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2;x=y\r\nde\r\n0\r\n\r\n", 200, "abcde", 71},
		{"HTTP/1.1 400 Bad Request\r\nConnection: close\r\nContent-Length: 0\r\n\r\n", 400, "", 66},
	}
	for _, tt := range tests {
		for n := range tt.size {
			if _, size, err := parseAnswer([]byte(tt.text[:n])); size != 0 || err != nil {
				t.Errorf("%q: %d bytes, %v; it isn't whole yet", tt.text[:n], size, err)
			}
		}
		a, size, err := parseAnswer([]byte(tt.text))
		if err != nil || a.status != tt.status || string(a.body) != tt.body || size != tt.size {
			t.Errorf("%q: status %d, body %q, %d bytes, %v", tt.text, a.status, a.body, size, err)
		}
	}
	for _, text := range []string{
		"HTTP/1.0 200 OK\r\n\r\n", "SMTP\r\n\r\n", "HTTP/1.1 abc d\r\n\r\n",
		"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
	} {
		if _, _, err := parseAnswer([]byte(text)); !errors.Is(err, errHTTP) {
			t.Errorf("%q: %v, want errHTTP", text, err)
		}
	}
}

func FuzzAnswer(f *testing.F) {
	f.Add([]byte("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n"))
	f.Add([]byte("\x81\x05hello"))
	f.Fuzz(func(t *testing.T, data []byte) {
		if _, size, err := parseAnswer(data); size > len(data) || size > 0 && err != nil {
			t.Errorf("an answer of %d bytes within %d, %v", size, len(data), err)
		}
		if _, _, payload, size, err := frame(data); size > len(data) || len(payload) > size || size > 0 && err != nil {
			t.Errorf("a frame of %d bytes within %d, %v", size, len(data), err)
		}
		at := 0
		readStamp(data, &at)
	})
}

func TestStamps(t *testing.T) {
	for _, due := range []int64{0, 1, 1234567890123, math.MaxInt64} {
		for _, prefix := range []string{"", `2["message","`, `2["a name that is longer than the last","`} {
			at := 13
			data := appendStamp([]byte(prefix), due, 0xdeadbeef, 100)
			if len(data) != len(prefix)+100 {
				t.Errorf("the payload has %d bytes, want 100", len(data)-len(prefix))
			}
			got, seq, ok := readStamp(data, &at)
			if !ok || got != due || seq != 0xdeadbeef {
				t.Errorf("after %q: %d, %#x, %v, want %d, 0xdeadbeef", prefix, got, seq, ok, due)
			}
		}
	}
	for _, text := range []string{"", "@", "nothing", "@0123456789abcdef0123456", "@0123456789abcdef0123456g"} {
		at := 0
		if _, _, ok := readStamp([]byte(text), &at); ok {
			t.Errorf("%q has a stamp", text)
		}
	}
}
