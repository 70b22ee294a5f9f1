package packet_test

import (
	"strings"
	"testing"

	"github.com/tutti-rt/tutti/packet"
)

func TestEncode(t *testing.T) {
	tests := []struct {
		in      packet.Packet
		json    string
		msgpack string
	}{
		{packet.Packet{}, `0`, `82a47479706500a36e7370a12f`},
		{packet.Packet{Namespace: "/"}, `0`, `82a47479706500a36e7370a12f`},
		{packet.Packet{Namespace: "/a"}, `0/a,`, `82a47479706500a36e7370a22f61`},
		{
			packet.Packet{Namespace: "/a", Query: "t=1"},
			`0/a?t=1,`,
			`82a47479706500a36e7370a62f613f743d31`,
		},
		{packet.Packet{Query: "t=1"}, `0/?t=1,`, `82a47479706500a36e7370a52f3f743d31`},
		{
			packet.Packet{Data: []byte(`{ "sid" : "x" }`)},
			`0{ "sid" : "x" }`,
			`83a47479706500a36e7370a12fa46461746181a3736964a178`,
		},
		{
			packet.Packet{Type: packet.Disconnect, Namespace: "/a", Query: "ignored"},
			`1/a,`,
			`82a47479706501a36e7370a22f61`,
		},
		{
			packet.Packet{Type: packet.Disconnect, Data: []byte(`ignored`), Args: marshal(t, []byte{1})},
			`1`,
			`82a47479706501a36e7370a12f`,
		},
		{
			packet.Packet{Type: packet.ConnectError, Data: []byte(`"no"`)},
			`4"no"`,
			`83a47479706504a36e7370a12fa464617461a26e6f`,
		},
		{packet.Packet{Type: packet.Event}, `2[""]`, `83a47479706502a36e7370a12fa46461746191a0`},
		{
			packet.Packet{Type: packet.Event, Event: "a\"\n", Args: marshal(t, 1, "b")},
			`2["a\"\n",1,"b"]`,
			`83a47479706502a36e7370a12fa46461746193a361220a01a162`,
		},
		{
			packet.Packet{Type: packet.Event, Namespace: "/a", HasID: true, ID: packet.MaxID, Event: "x"},
			`2/a,9007199254740991["x"]`,
			`84a47479706502a36e7370a22f61a46461746191a178a26964cf001fffffffffffff`,
		},
		{
			packet.Packet{Type: packet.Ack, HasID: true},
			`30[]`,
			`84a47479706503a36e7370a12fa46461746190a2696400`,
		},
		{packet.Packet{Type: packet.Ack, ID: 5}, `3[]`, `83a47479706503a36e7370a12fa46461746190`},
		{
			packet.Packet{Type: packet.Event, Event: "x", HasID: true, ID: 3, Args: marshal(t, []byte{1}, []any{[]byte{}})},
			`52-3["x",` + ph0 + `,[` + ph1 + `]] #01 #`,
			`84a47479706502a36e7370a12fa46461746193a178c4010191c400a2696403`,
		},
		{
			packet.Packet{Type: packet.Ack, Args: marshal(t, []byte{1})},
			`61-[` + ph0 + `] #01`,
			`83a47479706503a36e7370a12fa46461746191c40101`,
		},
	}
	for _, test := range tests {
		if got := wire(t, &test.in); got != test.json {
			t.Errorf("%+v:\n got %s\nwant %s", test.in, got, test.json)
		}
		frames, err := packet.MessagePack.Encode(&test.in)
		if err != nil {
			t.Errorf("%+v: %v", test.in, err)
		} else if got := show(frames); got != "#"+test.msgpack {
			t.Errorf("%+v:\n got %s\nwant %s", test.in, got, test.msgpack)
		}
	}
}

func TestEncodeRefuses(t *testing.T) {
	for name, p := range map[string]packet.Packet{
		"type 5":               {Type: 5},
		"namespace, no slash":  {Namespace: "a"},
		"namespace, comma":     {Namespace: "/a,b"},
		"namespace, question":  {Namespace: "/a?b"},
		"query, comma":         {Namespace: "/a", Query: "a,b"},
		"id 2^53":              {Type: packet.Ack, HasID: true, ID: packet.MaxID + 1},
		"reserved":             {Type: packet.Event, Event: "disconnect"},
		"data not JSON":        {Data: []byte(`{"a"`)},
		"data of two values":   {Type: packet.ConnectError, Data: []byte(`1 2`)},
		"error data not UTF-8": {Type: packet.ConnectError, Data: []byte("\"\xff\"")},
	} {
		for _, format := range []packet.Format{packet.JSON, packet.MessagePack} {
			if frames, err := format.Encode(&p); err == nil || !strings.HasPrefix(err.Error(), "packet: ") {
				t.Errorf("%s in %v: got %s, %v; want an error", name, format, show(frames), err)
			}
		}
	}
}
