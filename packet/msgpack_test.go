package packet_test

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"strings"
	"testing"

	"github.com/tinylib/msgp/msgp"
	"github.com/tutti-rt/tutti/packet"
)

// event makes the frame of an event "x" with one argument, given in hexadecimal.
func event(t testing.TB, argument string) packet.Frame {
	t.Helper()
	return unhex(t, "83a47479706502a36e7370a12fa46461746192a178"+argument)
}

func TestMessagePackValues(t *testing.T) {
	tests := []struct{ hex, json string }{
		{"c0", `null`},
		{"c2", `false`},
		{"c3", `true`},
		{"00", `0`},
		{"7f", `127`},
		{"e0", `-32`},
		{"ff", `-1`},
		{"ccff", `255`},
		{"cdffff", `65535`},
		{"ceffffffff", `4294967295`},
		{"cfffffffffffffffff", `18446744073709551615`},
		{"d080", `-128`},
		{"d18000", `-32768`},
		{"d280000000", `-2147483648`},
		{"d38000000000000000", `-9223372036854775808`},
		{"ca3f800000", `1`},
		{"ca3dcccccd", `0.10000000149011612`},
		{"ca7f800000", `null`},
		{"cb3ff8000000000000", `1.5`},
		{"cb7ff8000000000000", `null`},
		{"cbfff0000000000000", `null`},
		{"cb8000000000000000", `0`},
		{"cb444b1ae4d6e2ef50", `1e+21`},
		{"a0", `""`},
		{"a161", `"a"`},
		{"d90161", `"a"`},
		{"da000161", `"a"`},
		{"db0000000161", `"a"`},
		{"a3220a01", `"\"\n\u0001"`},
		{"a4f09f9880", `"😀"`},
		{"90", `[]`},
		{"92c0c3", `[null,true]`},
		{"dc000101", `[1]`},
		{"dd0000000101", `[1]`},
		{"80", `{}`},
		{"81a16101", `{"a":1}`},
		{"de0001a16101", `{"a":1}`},
		{"df00000001a16101", `{"a":1}`},
		{"82a16101a16280", `{"a":1,"b":{}}`},
		{"8101a162", `{"1":"b"}`},
		{"81ffa162", `{"-1":"b"}`},
		{"81a0c0", `{"":null}`},
		{"d40000", `null`},
		{"92d40000d40000", `[null,null]`},
		{"d7000000018bcfe5687b", `"2023-11-14T22:13:20.123Z"`},
		{"d700ffffffffffffffff", `"1969-12-31T23:59:59.999Z"`},
		{"d7000000e677d21fdc00", `"+010000-01-01T00:00:00.000Z"`},
		{"d700ffffc77590fba000", `"0000-01-01T00:00:00.000Z"`},
		{"d700ffffc77590fb9fff", `"-000001-12-31T23:59:59.999Z"`},
		{"d700001eb208c2dc0000", `"+275760-09-13T00:00:00.000Z"`},
		{"d700001eb208c2dc0001", `null`},
		{"d7007fffffffffffffff", `null`},
		{"d7008000000000000000", `null`},
		{"d6ff6553f100", `"2023-11-14T22:13:20.000Z"`},
		{"d7ff1d53ae006553f100", `"2023-11-14T22:13:20.123Z"`},
		{"c70cff0754d4c0000000006553f100", `"2023-11-14T22:13:20.123Z"`},
		{"c70cff000000007fffffffffffffff", `null`},
		{"c70cff000000008000000000000000", `null`},
	}
	for _, test := range tests {
		p, err := feed(packet.Limits{}, event(t, test.hex))
		if err != nil {
			t.Errorf("%s: %v", test.hex, err)
		} else if got := packet.Elements(p.Args); got != test.json || !json.Valid([]byte("["+got+"]")) {
			t.Errorf("%s: got %s, want %s", test.hex, got, test.json)
		}
	}
}

func TestMessagePackBinary(t *testing.T) {
	tests := []struct{ hex, want string }{
		{"c400", `51-["x",` + ph0 + `] #`},
		{"c4020102", `51-["x",` + ph0 + `] #0102`},
		{"c500020102", `51-["x",` + ph0 + `] #0102`},
		{"c6000000020102", `51-["x",` + ph0 + `] #0102`},
		{"c7010007", `51-["x",` + ph0 + `] #07`},
		{"c8000100aa", `51-["x",` + ph0 + `] #aa`},
		{"c90000000100aa", `51-["x",` + ph0 + `] #aa`},
		{"c70000", `51-["x",` + ph0 + `] #`},
		{"92c4010181a161c40102", `52-["x",[` + ph0 + `,{"a":` + ph1 + `}]] #01 #02`},
		{"82ac5f706c616365686f6c646572c3a36e756d00", `2["x",{"_placeholder":true,"num":0}]`}, // data, for no bytes are there
	}
	for _, test := range tests {
		p, err := feed(packet.Limits{}, event(t, test.hex))
		if err != nil {
			t.Errorf("%s: %v", test.hex, err)
		} else if got := wire(t, p); got != test.want {
			t.Errorf("%s:\n got %s\nwant %s", test.hex, got, test.want)
		}
	}
}

func TestMessagePackEnvelope(t *testing.T) {
	tests := []struct{ name, hex, want string }{
		{
			"keys in another order",
			"84a46461746191a178a3" + "6e7370a22f61" + "a2696407a47479706502",
			`2/a,7["x"]`,
		},
		{"other keys", "84a17891c0a47479706502a36e7370a12fa46461746191a178", `2["x"]`},
		{"id undefined", "84a47479706502a36e7370a12fa46461746191a178a26964d40000", `2["x"]`},
		{"id nil", "84a47479706502a36e7370a12fa46461746191a178a26964c0", `2["x"]`},
		{"data undefined", "83a47479706500a36e7370a12fa464617461d40000", `0`},
		{"data nil", "83a47479706501a36e7370a12fa464617461c0", `1`},
		{"data absent", "82a47479706500a36e7370a22f61", `0/a,`},
		{"query", "82a47479706500a36e7370a42f613f62", `0/a?b,`},
		{"number as event", "83a47479706502a36e7370a12fa4646174619107", `2["7"]`},
		{"ack", "84a47479706503a36e7370a12fa46461746190a2696400", `30[]`},
		{"error of text", "83a47479706504a36e7370a12fa464617461a26e6f", `4"no"`},
	}
	for _, test := range tests {
		p, err := feed(packet.Limits{}, unhex(t, test.hex))
		if err != nil {
			t.Errorf("%s: %v", test.name, err)
		} else if got := wire(t, p); got != test.want {
			t.Errorf("%s: got %s, want %s", test.name, got, test.want)
		}
	}
}

func TestMessagePackRefuses(t *testing.T) {
	const bad = "invalid MessagePack"
	type cases map[string]string
	for reasonWant, group := range map[string]cases{
		bad: {
			"empty":                "",
			"not a map":            "90",
			"cut after the header": "82",
			"cut in a key":         "82a47479",
			"cut in a value":       "82a474797065",
			"trailing byte":        "82a47479706500a36e7370a12fc0",
			"key not a string":     "8200a174",
			"a map of 4 billion":   "dfffffffff",
			"reserved byte":        "83a47479706502a36e7370a12fa46461746192a178c1",
			"four billion":         "83a47479706502a36e7370a12fa46461746192a178ddffffffff",
			"long bin":             "83a47479706502a36e7370a12fa46461746192a178c6ffffffff00",
			"long string":          "83a47479706502a36e7370a12fa46461746192a178dbffffffff00",
			"long ext":             "83a47479706502a36e7370a12fa46461746192a178c9ffffffff0000",
			"cut ext":              "83a47479706502a36e7370a12fa46461746192a178c7",
			"unknown ext":          "83a47479706502a36e7370a12fa46461746192a178d40500",
			"ext 0 of 2":           "83a47479706502a36e7370a12fa46461746192a178d5000000",
			"time of 5":            "83a47479706502a36e7370a12fa46461746192a178c705ff0000000000",
			"map key is nil":       "83a47479706502a36e7370a12fa46461746192a17881c000",
			"map key is bin":       "83a47479706502a36e7370a12fa46461746192a17881c4016100",
			"event is ext":         "83a47479706502a36e7370a12fa46461746191d40500",
		},
		"unknown packet type": {
			"type 5":    "82a47479706505a36e7370a12f",
			"type -1":   "82a474797065ffa36e7370a12f",
			"type text": "82a474797065a130a36e7370a12f",
			"type 1.0":  "82a474797065ca3f800000a36e7370a12f",
		},
		"illegal ack id": {
			"id -1":   "83a47479706503a36e7370a12fa26964ff",
			"id 2^53": "83a47479706503a36e7370a12fa26964cf0020000000000000",
			"id text": "83a47479706503a36e7370a12fa26964a130",
		},
		"invalid payload": {
			"no type":                 "81a36e7370a12f",
			"no namespace":            "81a47479706500",
			"namespace number":        "82a47479706500a36e737001",
			"namespace empty":         "82a47479706500a36e7370a0",
			"namespace with comma":    "82a47479706500a36e7370a42f612c62",
			"query with comma":        "82a47479706500a36e7370a62f613f622c63",
			"namespace without slash": "82a47479706500a36e7370a161",
			"connect array":           "83a47479706500a36e7370a12fa46461746190",
			"connect with binary":     "83a47479706500a36e7370a12fa46461746181a161c40101",
			"connect binary":          "83a47479706500a36e7370a12fa464617461c40101",
			"disconnect data":         "83a47479706501a36e7370a12fa46461746180",
			"event absent":            "82a47479706502a36e7370a12f",
			"event map":               "83a47479706502a36e7370a12fa46461746180",
			"event empty":             "83a47479706502a36e7370a12fa46461746190",
			"event name nil":          "83a47479706502a36e7370a12fa46461746191c0",
			"event name binary":       "83a47479706502a36e7370a12fa46461746191c40161",
			"ack map":                 "83a47479706503a36e7370a12fa46461746180",
			"error number":            "83a47479706504a36e7370a12fa46461746101",
		},
		"reserved event name": {
			"connect": "83a47479706502a36e7370a12fa46461746191a7636f6e6e656374",
		},
		"invalid UTF-8": {
			"string":    "83a47479706502a36e7370a12fa46461746192a178a1ff",
			"key":       "83a47479706502a36e7370a12fa46461746192a17881a1ffc0",
			"event":     "83a47479706502a36e7370a12fa46461746191a1ff",
			"namespace": "82a47479706500a36e7370a22fff",
		},
		"illegal attachments": {
			"forged": "83a47479706502a36e7370a12fa46461746193a178c4010182ac5f706c616365686f6c646572c3a36e756d00",
		},
		"too many attachments": {
			"1,001": "83a47479706502a36e7370a12fa464617461dc03eaa178" + strings.Repeat("c400", 1001),
		},
		"nested too deep": {
			"arrays":             "83a47479706502a36e7370a12fa46461746192a178" + strings.Repeat("91", 100_000),
			"arrays, closed":     "83a47479706502a36e7370a12fa46461746192a178" + strings.Repeat("91", 512) + "c0",
			"maps":               "83a47479706502a36e7370a12fa46461746192a178" + strings.Repeat("81a161", 100_000),
			"in what is skipped": "83a17891" + strings.Repeat("91", 100_000),
		},
		"namespace too long":  {"namespace": "82a47479706500a36e7370da04012f" + strings.Repeat("6e", 1024)},
		"event name too long": {"event": "83a47479706502a36e7370a12fa46461746191da1001" + strings.Repeat("6e", 4097)},
	} {
		for name, in := range group {
			_, err := feed(packet.Limits{}, unhex(t, in))
			if got := reason(t, err); got != reasonWant {
				t.Errorf("%s: reason %q, want %q", name, got, reasonWant)
			}
		}
	}
}

// The same nesting is allowed in both formats.
func TestMessagePackDepthIsThatOfJSON(t *testing.T) {
	for _, n := range []int{1, 2, 3, 4, 5} {
		_, errJSON := feed(packet.Limits{MaxDepth: 3}, text(`2["x",`+strings.Repeat("[", n)+strings.Repeat("]", n)+`]`))
		_, errPack := feed(packet.Limits{MaxDepth: 3}, event(t, strings.Repeat("91", n-1)+"90"))
		if reason(t, errJSON) != reason(t, errPack) {
			t.Errorf("%d levels: JSON %v, MessagePack %v", n, errJSON, errPack)
		}
		_, errJSON = feed(packet.Limits{MaxDepth: 3}, text(`0`+strings.Repeat(`{"a":`, n)+"1"+strings.Repeat("}", n)))
		_, errPack = feed(packet.Limits{MaxDepth: 3}, unhex(t, "83a47479706500a36e7370a12fa464617461"+strings.Repeat("81a161", n)+"01"))
		if reason(t, errJSON) != reason(t, errPack) {
			t.Errorf("CONNECT, %d levels: JSON %v, MessagePack %v", n, errJSON, errPack)
		}
	}
}

// What MessagePack becomes is bounded by what it was.
func TestMessagePackGrowth(t *testing.T) {
	for name, one := range map[string]string{"nil": "c0", "controls": "a101", "undefined": "d40000", "false": "c2", "maps": "80", "doubles": "cb0010000000000001", "floats": "ca00000001"} {
		const n = 60_000
		head := "83a47479706502a36e7370a12fa464617461" + "92a178" + "dc" + hex.EncodeToString([]byte{n >> 8, n & 0xff})
		f := unhex(t, head+strings.Repeat(one, n))
		p, err := feed(packet.Limits{}, f)
		if err != nil {
			t.Errorf("%s: %v", name, err)
		} else if p.Args.Size() > 7*len(f.Data) {
			t.Errorf("%s: %d bytes became %d", name, len(f.Data), p.Args.Size())
		}
		if _, err := feed(packet.Limits{MaxBytes: p.Args.Size() - 1}, f); reason(t, err) != "packet too large" {
			t.Errorf("%s: limit on bytes: %v", name, err)
		}
		if _, err := feed(packet.Limits{MaxBytes: len(f.Data) - 1}, f); reason(t, err) != "packet too large" {
			t.Errorf("%s: limit on the frame: %v", name, err)
		}
	}
}

func TestMessagePackNumbers(t *testing.T) {
	tests := []struct{ json, hex string }{
		{"0", "00"},
		{"-0", "00"},
		{"1.0", "01"},
		{"1e2", "64"},
		{"-1.5e1", "f1"},
		{"0.5", "cb3fe0000000000000"},
		{"9007199254740991", "cf001fffffffffffff"},
		{"-9007199254740991", "d3ffe0000000000001"},
		{"9007199254740993", "cb4340000000000000"},
		{"9223372036854775808", "cb43e0000000000000"},
		{"1e400", "cb7ff0000000000000"},
		{"-1e400", "cbfff0000000000000"},
		{"1e-400", "00"},
	}
	for _, test := range tests {
		frames, err := packet.MessagePack.Encode(&packet.Packet{Type: packet.Event, Event: "x", Args: marshal(t, json.RawMessage(test.json))})
		if want := event(t, test.hex); err != nil || !bytes.Equal(frames[0].Data, want.Data) {
			t.Errorf("%s: got %x, %v; want %x", test.json, frames[0].Data, err, want.Data)
		}
	}
}

// A library that is not ours reads what we write.
func TestMessagePackIsReadByMsgp(t *testing.T) {
	args := marshal(t, map[string]any{"a": []any{1, []byte{1}, "é\n", nil, true}, "b": map[string]any{}, "c": []any{}}, 1.5, []any{[]any{}, map[string]any{"x": []any{[]byte{}}}})
	frames, err := packet.MessagePack.Encode(&packet.Packet{Type: packet.Event, Event: "x", Args: args})
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	rest, err := msgp.UnmarshalAsJSON(&out, frames[0].Data)
	if want := `{"type":2,"nsp":"/","data":["x",{"a":[1,"AQ==","é\n",null,true],"b":{},"c":[]},1.5,[[],{"x":[""]}]]}`; err != nil || len(rest) > 0 || out.String() != want {
		t.Errorf("got  %s, %v\nwant %s", out.String(), err, want)
	}
}
