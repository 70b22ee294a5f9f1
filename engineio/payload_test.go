package engineio_test

import (
	"bytes"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"testing"
	"unicode/utf16"
	"unicode/utf8"

	"github.com/tutti-rt/tutti/engineio"
)

// decode returns the packets of a payload as "4text" or "b4" and hexadecimal digits.
func decode(protocol int, binary bool, body string) ([]string, error) {
	var got []string
	err := engineio.Decode(protocol, binary, []byte(body), -1, func(kind byte, data []byte, binary bool) {
		if binary {
			got = append(got, fmt.Sprintf("b%c%x", kind, data))
		} else {
			got = append(got, string(kind)+string(data))
		}
	})
	return got, err
}

func TestDecode(t *testing.T) {
	for _, tt := range []struct {
		protocol int
		binary   bool
		body     string
		want     []string
		ok       bool
	}{
		{4, false, "4hello", []string{"4hello"}, true},
		{4, false, "2probe\x1e3\x1e6", []string{"2probe", "3", "6"}, true},
		{4, false, "4\x1e4", []string{"4", "4"}, true},
		{4, false, "bAQIDBA==", []string{"b401020304"}, true},
		{4, false, "b", []string{"b4"}, true},
		{4, false, "4a\x1ex\x1e4b", []string{"4a"}, false},
		{4, false, "", nil, false},
		{4, false, "\x1e", nil, false},
		{4, false, "b-_", nil, false},
		{3, false, "6:4hello1:2", []string{"4hello", "2"}, true},
		{3, false, "3:4é€2:4x", []string{"4é€", "4x"}, true},
		{3, false, "3:4𝄞", []string{"4𝄞"}, true},
		{3, false, "10:b4AQIDBA==", []string{"b401020304"}, true},
		{3, false, "2:b2", []string{"b2"}, true},
		{3, false, "0:", nil, true},
		{3, false, "2:4𝄞", nil, false},
		{3, false, "000000000002:4x", nil, false},
		{3, false, "1:44", []string{"4"}, false},
		{3, true, "\x00\x02\xff4x\x01\x03\xff\x04\xff\x00", []string{"4x", "b4ff00"}, true},
		{3, true, "\x00\x01\x00\xff4123456789", []string{"4123456789"}, true},
		{3, true, "", nil, true},
		{3, true, "\x02\x01\xff4", nil, false},
		{3, true, "\x00\xff", nil, false},
		{3, true, "\x00\x0a\xff4", nil, false},
		{3, true, "\x00\x02\xff4", nil, false},
		{3, true, "\x01\x00\xff", nil, false},
		{3, true, "\x01\x01\xff\x07", nil, false},
		{3, true, "\x00\x02\xff4\xff", nil, false},
		{3, true, "\x00" + strings.Repeat("\x01", 400), nil, false},
	} {
		got, err := decode(tt.protocol, tt.binary, tt.body)
		if !slices.Equal(got, tt.want) || (err == nil) != tt.ok {
			t.Errorf("revision %d, binary %v, %q: %q, %v; want %q, ok %v", tt.protocol, tt.binary, tt.body, got, err, tt.want, tt.ok)
		}
	}
}

func TestEncode(t *testing.T) {
	hello := text("hé𝄞")
	bin := engineio.Prepare(engineio.Message{Data: []byte{1, 2, 3, 4}, Binary: true})
	for _, tt := range []struct {
		protocol int
		binary   bool
		want     string
	}{
		{4, false, "4hé𝄞\x1ebAQIDBA=="},
		{3, false, "5:4hé𝄞10:b4AQIDBA=="},
		{3, true, "\x00\x08\xff4hé𝄞\x01\x05\xff\x04\x01\x02\x03\x04"},
	} {
		if got := string(engineio.Encode(tt.protocol, tt.binary, []*engineio.Frame{hello, bin})); got != tt.want {
			t.Errorf("revision %d, binary %v: %q, want %q", tt.protocol, tt.binary, got, tt.want)
		}
	}
}

// frames makes frames of fuzzed bytes, text where it is text.
func frames(data []byte, cuts string) []*engineio.Frame {
	var fs []*engineio.Frame
	for _, c := range []byte(cuts) {
		n := min(int(c), len(data))
		m := engineio.Message{Data: data[:n]}
		m.Binary = c&1 == 1 || !utf8.Valid(m.Data) || bytes.IndexByte(m.Data, 0x1e) >= 0
		fs = append(fs, engineio.Prepare(m))
		data = data[n:]
	}
	return fs
}

// What is encoded is decoded to the same, in every form.
func FuzzRoundTrip(f *testing.F) {
	f.Add([]byte("hello, €𝄞\x00\xff"), "\x02\x05\x00\x03")
	f.Fuzz(func(t *testing.T, data []byte, cuts string) {
		fs := frames(data, cuts)
		if len(fs) == 0 {
			return
		}
		var want []string
		for _, fr := range fs {
			// The binary form of revision 3 is the plainest.
			got, err := decode(3, true, string(engineio.Encode(3, true, []*engineio.Frame{fr})))
			if err != nil || len(got) != 1 {
				t.Fatalf("%q: %v", got, err)
			}
			want = append(want, got[0])
			for _, protocol := range []int{3, 4} {
				if n := len(fr.Text(protocol)); n != fr.TextLen(protocol) {
					t.Errorf("textLen %d of %d bytes", fr.TextLen(protocol), n)
				}
			}
		}
		for _, form := range []struct {
			protocol int
			binary   bool
		}{{4, false}, {3, false}, {3, true}} {
			body := string(engineio.Encode(form.protocol, form.binary, fs))
			got, err := decode(form.protocol, form.binary, body)
			if err != nil || !slices.Equal(got, want) {
				t.Errorf("%+v: %q became %q (%v), want %q", form, body, got, err, want)
			}
		}
	})
}

// The decoders neither panic nor make more of a body than is in it.
func fuzzDecode(f *testing.F, protocol int, binary bool, seeds ...string) {
	for _, s := range seeds {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, body string) {
		size, n := 0, 0
		err := engineio.Decode(protocol, binary, []byte(body), 100, func(kind byte, data []byte, _ bool) {
			if kind < '0' || kind > '6' {
				t.Errorf("packet type %q", kind)
			}
			size += len(data)
			n++
		})
		if size > len(body) || n > 100 {
			t.Errorf("%d packets with %d bytes of %d", n, size, len(body))
		}
		if err == nil && protocol == 4 && n != 1+strings.Count(body, "\x1e") {
			t.Errorf("%d packets in %q", n, body)
		}
		if err == nil && protocol == 3 && !binary && referenceV3(body) != n {
			t.Errorf("%d packets in %q, %d by the book", n, body, referenceV3(body))
		}
	})
}

// referenceV3 counts the packets of a text payload by walking it as JavaScript does, in UTF-16.
func referenceV3(body string) int {
	units := utf16.Encode([]rune(body))
	n := 0
	for len(units) > 0 {
		at := slices.Index(units, ':')
		size := 0
		if at < 0 {
			return -1
		}
		if _, err := fmt.Sscan(string(utf16.Decode(units[:at])), &size); err != nil || size > len(units)-at-1 {
			return -1
		}
		units = units[at+1+size:]
		if size > 0 {
			n++
		}
	}
	return n
}

func FuzzDecodePayload(f *testing.F) {
	fuzzDecode(f, 4, false, "4hello\x1ebAQIDBA==\x1e2probe", "\x1e\x1e", "b!", "4\xff", "7", strings.Repeat("4\x1e", 200))
}

func FuzzDecodePayloadV3(f *testing.F) {
	fuzzDecode(f, 3, false, "6:4hello10:b4AQIDBA==", "3:4𝄞", "0:", ":", "99999999999:4", "-1:4", "1e1:4")
}

func FuzzDecodeBinaryPayloadV3(f *testing.F) {
	fuzzDecode(f, 3, true, "\x00\x02\xff4x\x01\x03\xff\x04\xff\x00", "\x00\xff", "\x01\x01\xff\x07", "\x00"+strings.Repeat("\x09", 400))
}

func FuzzParseQuery(f *testing.F) {
	for _, s := range []string{"EIO=4&transport=polling&sid=x", "EIO=4&EIO=3", "%45IO=4", "j=1%20", "j", "sid=%zz", "&&=&", "b64=1&b64="} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, raw string) {
		q := engineio.ParseQuery(raw)
		if q.Protocol != 3 && q.Protocol != 4 || len(q.Callback) > 20 || strings.Trim(q.Callback, "0123456789") != "" {
			t.Errorf("%q became %+v", raw, q)
		}
		values, err := url.ParseQuery(raw)
		if err != nil || strings.Contains(raw, ";") {
			return
		}
		last := func(key string) string {
			if v := values[key]; len(v) > 0 {
				return v[len(v)-1]
			}
			return ""
		}
		if q.Transport != last("transport") || q.SID != last("sid") || (q.Protocol == 4) != (last("EIO") == "4") || q.JSONP != values.Has("j") {
			t.Errorf("%q became %+v, and %v by the book", raw, q, values)
		}
	})
}

func TestFrameForms(t *testing.T) {
	plain := text("hello")
	bin := engineio.Prepare(engineio.Message{Data: []byte{1, 2, 3}, Binary: true})
	if plain.Len() != 5 || bin.Len() != 3 {
		t.Errorf("lengths %d, %d", plain.Len(), bin.Len())
	}
	for _, tt := range []struct {
		f        *engineio.Frame
		protocol int
		onlyText bool
		size     int // of header and payload
	}{{plain, 4, false, 8}, {plain, 3, false, 8}, {plain, 4, true, 8}, {bin, 4, false, 5}, {bin, 3, false, 6}, {bin, 4, true, 7}, {bin, 3, true, 8}} {
		form := tt.f.WebSocket(tt.protocol, tt.onlyText)
		if form.Len() != tt.size {
			t.Errorf("revision %d, only text %v: frame of %d bytes, want %d", tt.protocol, tt.onlyText, form.Len(), tt.size)
		}
		if again := tt.f.WebSocket(tt.protocol, tt.onlyText); again != form {
			t.Errorf("revision %d, only text %v: encoded twice", tt.protocol, tt.onlyText)
		}
	}
	if plain.WebSocket(4, false) != plain.WebSocket(3, true) {
		t.Error("text is the same for everybody, and encoded once")
	}
}

// Prepare copies: the echo of a message that is valid only during Receive must not change afterwards.
func TestPrepareCopies(t *testing.T) {
	data := []byte("hello")
	f := engineio.Prepare(engineio.Message{Data: data})
	b := engineio.Prepare(engineio.Message{Data: data, Binary: true})
	copy(data, "xxxxx")
	if string(f.Text(4)) != "4hello" || string(b.Text(4)) != "baGVsbG8=" {
		t.Errorf("%q, %q", f.Text(4), b.Text(4))
	}
}
