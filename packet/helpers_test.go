package packet_test

import (
	"encoding/hex"
	"errors"
	"strings"
	"testing"

	"github.com/tutti-rt/tutti/packet"
)

// text and bin make the frames of a script.
func text(s string) packet.Frame { return packet.Frame{Data: []byte(s)} }
func bin(b ...byte) packet.Frame { return packet.Frame{Data: b, Binary: true} }

// unhex makes a binary frame of hexadecimal digits.
func unhex(t testing.TB, s string) packet.Frame {
	t.Helper()
	b, err := hex.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return packet.Frame{Data: b, Binary: true}
}

// show writes frames on one line: text as it is, binary in hexadecimal.
func show(frames []packet.Frame) string {
	var words []string
	for _, f := range frames {
		if f.Binary {
			words = append(words, "#"+hex.EncodeToString(f.Data))
		} else {
			words = append(words, string(f.Data))
		}
	}
	return strings.Join(words, " ")
}

// wire writes a packet in the JSON format: the way these tests compare packets.
func wire(t testing.TB, p *packet.Packet) string {
	t.Helper()
	frames, err := packet.JSON.Encode(p)
	if err != nil {
		t.Fatalf("encode %+v: %v", p, err)
	}
	return show(frames)
}

// feed gives frames to a new decoder, each in a buffer that is overwritten
// afterwards, and returns the last packet and the first error.
func feed(l packet.Limits, frames ...packet.Frame) (p *packet.Packet, err error) {
	d := packet.NewDecoder(l)
	for _, f := range frames {
		buffer := append([]byte{}, f.Data...)
		next, err := d.Add(packet.Frame{Data: buffer, Binary: f.Binary})
		for i := range buffer {
			buffer[i] = '!'
		}
		if err != nil {
			return nil, err
		}
		if next != nil {
			p = next
		}
	}
	return p, nil
}

// reason is that of a decoder's error, "" for none.
func reason(t testing.TB, err error) string {
	t.Helper()
	if err == nil {
		return ""
	}
	var e *packet.Error
	if !errors.As(err, &e) {
		t.Fatalf("error %v is a %T, want *packet.Error", err, err)
	}
	return e.Reason
}

func marshal(t testing.TB, values ...any) packet.Args {
	t.Helper()
	a, err := packet.Marshal(values...)
	if err != nil {
		t.Fatalf("Marshal(%v): %v", values, err)
	}
	return a
}
