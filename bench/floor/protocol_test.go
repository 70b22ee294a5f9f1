package main

import (
	"bytes"
	"strings"
	"testing"
)

// A tape is a peer that notes what it is told.
type tape struct {
	sent  [][]byte
	rooms []string
}

func (t *tape) send(frame []byte) { t.sent = append(t.sent, bytes.Clone(frame)) }
func (t *tape) join(room string)  { t.rooms = append(t.rooms, room) }

func masked(text string) []byte {
	key := []byte{1, 2, 3, 4}
	b := []byte{0x81, 0x80 | byte(len(text))}
	b = append(b, key...)
	for i := range text {
		b = append(b, text[i]^key[i%4])
	}
	return b
}

// TestFloorInPieces: what the load generator says is understood however it is
// cut.
func TestFloorInPieces(t *testing.T) {
	var stream []byte
	for _, text := range []string{"40", `420["join","a"]`, `427["echo","x,y"]`, `42["publish","a","hello, world"]`, "3"} {
		stream = append(stream, masked(text)...)
	}
	for piece := 1; piece <= len(stream); piece++ {
		p := new(tape)
		var published string
		to := func(room string, frame []byte) { published = room + " " + string(frame[2:]) }
		var have []byte
		for at := 0; at < len(stream); at += piece {
			have = append(have, stream[at:min(at+piece, len(stream))]...)
			used, err := frames(have, p, to)
			if err != nil {
				t.Fatal(err)
			}
			have = have[used:]
		}
		if got := string(bytes.Join(p.sent, nil)); got != "\x81\x1140{\"sid\":\"floor\"}\x81\x05430[]\x81\n437[\"x,y\"]" {
			t.Errorf("in pieces of %d it answers %q", piece, got)
		}
		if len(p.rooms) != 1 || p.rooms[0] != `"a"` || published != `"a" 42["message","hello, world"]` {
			t.Errorf("in pieces of %d: joined %q, published %s", piece, p.rooms, published)
		}
	}
}

func TestFloorHandshake(t *testing.T) {
	request := "GET / HTTP/1.1\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
	for n := range len(request) {
		if _, used, err := handshake([]byte(request[:n])); used != 0 || err != nil {
			t.Fatalf("%d bytes are taken for a handshake: %d, %v", n, used, err)
		}
	}
	reply, used, err := handshake([]byte(request + "more"))
	// The example of RFC 6455 section 1.3.
	if err != nil || used != len(request) || !strings.Contains(string(reply), "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n\x81") {
		t.Errorf("%q, %d, %v", reply, used, err)
	}
}
