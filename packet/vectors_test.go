package packet_test

import (
	"bufio"
	"encoding/hex"
	"encoding/json"
	"os"
	"strings"
	"testing"

	"github.com/tutti-rt/tutti/packet"
)

// vector is a frame as testdata/generate.mjs writes it.
type vector struct {
	Text *string
	Hex  string
}

func frames(t *testing.T, vs []vector) (fs []packet.Frame) {
	t.Helper()
	for _, v := range vs {
		if v.Text != nil {
			fs = append(fs, text(*v.Text))
		} else {
			fs = append(fs, unhex(t, v.Hex))
		}
	}
	return fs
}

// vectors is testdata/vectors.json.
type vectors struct {
	Packets []struct {
		Name    string
		JSON    []vector
		MsgPack string
	}
	Verdicts []struct {
		Frames   []vector
		Accepted bool
		Packet   []vector
	}
}

func readVectors(t *testing.T) (v vectors) {
	t.Helper()
	data, err := os.ReadFile("testdata/vectors.json")
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(data, &v); err != nil {
		t.Fatal(err)
	}
	if len(v.Packets) == 0 || len(v.Verdicts) == 0 {
		t.Fatal("no vectors")
	}
	return v
}

// What the reference encoder wrote, decoded and encoded, is the same bytes.
func TestReferencePackets(t *testing.T) {
	for _, v := range readVectors(t).Packets {
		t.Run(v.Name, func(t *testing.T) {
			want := frames(t, v.JSON)
			p, err := feed(packet.Limits{}, want...)
			if err != nil {
				t.Fatal(err)
			}
			if got := wire(t, p); got != show(want) {
				t.Errorf("json:\n got %s\nwant %s", got, show(want))
			}
			if v.Name == "huge doubles" { // the reference encoder is wrong, see generate.mjs
				return
			}
			m, err := feed(packet.Limits{}, unhex(t, v.MsgPack))
			if err != nil {
				t.Fatal(err)
			}
			if got := wire(t, m); got != show(want) {
				t.Errorf("msgpack decodes to\n     %s\nwant %s", got, show(want))
			}
			got, err := packet.MessagePack.Encode(p)
			if err != nil {
				t.Fatal(err)
			}
			switch v.Name {
			case "date", "typed array": // JSON has told us that they are a string and bytes
				return
			}
			if h := hex.EncodeToString(got[0].Data); h != v.MsgPack {
				t.Errorf("msgpack:\n got %s\nwant %s", h, v.MsgPack)
			}
		})
	}
}

// deviations are the frames that the reference decoder takes and ours does not,
// each with the reason.
var deviations = map[string]string{
	``:               "an event without arguments or a name, by way of an empty string read as 0",
	` `:              "the same: Number(' ') is 0",
	`2/admin["x"]`:   "an event without payload, in a namespace that swallowed it",
	"2\uFEFF[\"x\"]": "U+FEFF is white space to JavaScript's Number, so it is an ack id there",
	`51-["x",{"_placeholder":true,"num":0.5}] #0102`:                             "undefined in the place of an attachment",
	`51-["x",{"_placeholder":true,"num":0e0}] #0102`:                             "no encoder writes an index so",
	`51-["x",{"_placeholder":true,"num":0},{"_placeholder":true,"num":0}] #0102`: "one attachment in two places multiplies it when it is inlined",
}

// rewritten are packets that both take and we write in another way.
var rewritten = map[string]string{
	`2[1]`:                 `2["1"]`, // a name is a text
	`2[1.5,2]`:             `2["1.5",2]`,
	`2["x",1e400]`:         `2["x",1e400]`, // numbers pass as they were written
	`2["x",{"a":1,"a":2}]`: `2["x",{"a":1,"a":2}]`,
}

// Where the reference decoder refuses, ours does, and what it takes is the same
// packet to ours.
func TestReferenceVerdicts(t *testing.T) {
	for _, v := range readVectors(t).Verdicts {
		in := frames(t, v.Frames)
		t.Run(show(in), func(t *testing.T) {
			p, err := feed(packet.Limits{}, in...)
			if why, ok := deviations[show(in)]; ok {
				if (err == nil) == v.Accepted {
					t.Errorf("no longer a deviation: %s", why)
				}
				return
			}
			if (err == nil) != v.Accepted {
				t.Fatalf("error %v, but the reference accepts: %v", err, v.Accepted)
			}
			want := show(frames(t, v.Packet))
			if w, ok := rewritten[show(in)]; ok {
				want = w
			}
			if p != nil && wire(t, p) != want {
				t.Errorf("got  %s\nwant %s", wire(t, p), want)
			}
		})
	}
}

// Captures of a real server and client, see the head of the file.
func TestMessagePackCaptures(t *testing.T) {
	f, err := os.Open("testdata/msgpack-reference.txt")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		line := lines.Text()
		if strings.HasPrefix(line, "#") {
			continue
		}
		fields := strings.Split(line, "\t")
		want := []packet.Frame{text(fields[1])}
		for _, attachment := range fields[2:] {
			want = append(want, unhex(t, attachment))
		}
		p, err := feed(packet.Limits{}, unhex(t, fields[0]))
		if err != nil {
			t.Errorf("%s: %v", fields[0], err)
		} else if got := wire(t, p); got != show(want) {
			t.Errorf("%s:\n got %s\nwant %s", fields[0], got, show(want))
		}
	}
}
