package natshub_test

import (
	"bytes"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/tutti-rt/tutti/hub"
	"github.com/tutti-rt/tutti/hub/natshub"
)

// TestToken: every name has a token of its own, that subjects and streams may have.
func TestToken(t *testing.T) {
	names := []string{"", "a", "A", "na", "x", "xa", "h", "-", "_", "a_b", "a.b", "*", ">", " ", "\x00", "\xff", "é", "/", "/a b.>", "$JS",
		strings.Repeat("a", 40), strings.Repeat("a", 41), strings.Repeat("a", 4000), strings.Repeat("é", 20), "n" + strings.Repeat("a", 40)}
	seen := make(map[string]string)
	for _, name := range names {
		token := natshub.Token(name)
		if o, again := seen[token]; again {
			t.Errorf("%q and %q are both %s", name, o, token)
		}
		seen[token] = name
		if token == "" || len(token) > 70 || strings.ContainsAny(token, ".*>_ \t\r\n\x00/\\") || strings.Trim(token, "-0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz") != "" {
			t.Errorf("%q is %q, which no subject may have", name, token)
		}
	}
}

func FuzzBytes(f *testing.F) {
	f.Add([]byte("\x01\x00\x00\x00\x00\x00\x00\x00\x01\x01\x01r\x00body"))
	f.Add([]byte("\x00\x00\x00\x00\x00\x00\x00\x07\x01\x00\x00\x00\x00\x00\x00\x00\x01\x00\x01\x01r\x05\x00\x00body"))
	f.Add([]byte("c\x01n\x05\x01\x01rbody"))
	f.Add([]byte("b\x01n\x05about"))
	f.Add([]byte("t\x01n"))
	f.Add([]byte("\x01\x05\x00\x00\x00\x00\x00\x00\x00\x01\x01n\x03n.1body"))
	f.Add([]byte(`{"epoch":"ABC","base":7,"born":true}`))
	f.Add([]byte("\x01\x00\x00\x00\x00\x00\x00\x00\x01\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"))
	f.Fuzz(func(t *testing.T, b []byte) {
		before := bytes.Clone(b)
		for _, part := range natshub.ReadBytes(b) {
			if len(part) > len(b) {
				t.Errorf("%d bytes of %d", len(part), len(b))
			}
		}
		if !bytes.Equal(b, before) {
			t.Error("what is read was changed")
		}
	})
}

func FuzzEntry(f *testing.F) {
	f.Add("r", "", []byte("body"), 5, int64(7), int64(time.Hour))
	f.Add("\xff", "é\x00", []byte{}, 0, int64(0), int64(0))
	f.Fuzz(func(t *testing.T, room, other string, body []byte, count int, size, age int64) {
		limit := hub.HistoryLimit{Count: max(0, count), Bytes: max(0, size), Age: time.Duration(max(0, age))}
		m := &hub.SharedMessage{Rooms: []string{room, other}, Body: body, Histories: []hub.RoomHistory{{Room: other, Limit: limit}, {Room: room}}}
		b := natshub.AppendEntry(m)
		rooms, histories, got, err := natshub.CutEntry(b)
		if err != nil || !slices.Equal(rooms, m.Rooms) || !slices.Equal(histories, m.Histories) || !bytes.Equal(got, body) {
			t.Errorf("%q, %v, %q, %v; want %+v", rooms, histories, got, err, m)
		}
		for i := range min(len(b)-len(body), 60) { // cut off before the body
			if _, _, _, err := natshub.CutEntry(b[:i]); err == nil && len(rooms) == 0 {
				t.Errorf("%d of %d bytes are an entry", i, len(b))
			}
		}
	})
}

func FuzzAnswer(f *testing.F) {
	f.Add("", "", []byte(`{"stream":"S","seq":7,"duplicate":true}`), "2.9.10")
	f.Add("", "", []byte(`{"error":{"code":404,"err_code":10059,"description":"stream not found"}}`), "v2.15.2-dev")
	f.Add("Status", "404", []byte{}, "2")
	f.Add("Nats-Sequence", "12", []byte("x"), "n.zz")
	f.Add("", "", []byte(`{"message":{"subject":"s","seq":1,"hdrs":"TkFUUy8xLjANClR1dHRpOiBuLjENCg0K","data":"eA==","time":"x"}}`), "")
	f.Fuzz(func(_ *testing.T, name, value string, b []byte, s string) {
		natshub.ReadAnswer(nats.Header{name: {value}}, b, s)
		natshub.ReadAnswer(nil, b, s)
	})
}

var _ hub.Engine = (*natshub.Engine)(nil)
