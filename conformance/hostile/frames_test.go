package hostile

import (
	"bytes"
	"compress/flate"
	"encoding/binary"
	"io"
	"slices"
	"strings"
	"testing"
)

// TestFrames sends each to a session and to a plain WebSocket, which read
// frames by the same code and end by their own.
func TestFrames(t *testing.T) {
	s := start(t, nil, subject(t)...)
	var items []item
	add := func(name, tried, told string, codes []int, raw []byte, header ...string) {
		evidence := []string{closedError, `tutti_streams_closed_total{door="websocket"`}
		items = append(items, item{name, tried, told, evidence, func(t *testing.T, s *server) {
			for _, path := range []string{"/socket.io/?EIO=4&transport=websocket", "/ws?room=news"} {
				w := must(t)(s.open(path, strings.Join(header, "")))
				go func() { _, _ = io.Copy(w, bytes.NewReader(raw)) }() // ends with the connection
				code, words := w.closed(t)
				w.Close()
				if !slices.Contains(codes, code) {
					t.Errorf("%s: closed with %d %q, want one of %v", path, code, words, codes)
				}
			}
		}})
	}
	bad := []int{1002, 0} // 0: reset before the close frame was read
	deflated := "Sec-WebSocket-Extensions: permessage-deflate\r\n"
	add("unmasked frame", "a frame of a client without a mask", "1002", bad, []byte{fin | opText, 2, '4', '0'})
	add("RSV2", "RSV2", "1002", bad, frame(fin|rsv2|opText, []byte("40")))
	add("RSV1 without deflate", "a deflated frame when that was not agreed on", "1002", bad, frame(fin|rsv1|opText, []byte("40")))
	add("RSV3", "RSV3", "1002", bad, frame(fin|rsv3|opText, []byte("40")))
	for _, op := range []byte{3, 4, 5, 6, 7, 11, 12, 13, 14, 15} {
		add("opcode "+string("0123456789abcdef"[op]), "a reserved opcode", "1002", bad, frame(fin|op, []byte("40")))
	}
	add("long control frame", "a ping of 126 bytes", "1002", bad, frame(fin|opPing, make([]byte, 126)))
	add("control frame in pieces", "a ping without FIN", "1002", bad, frame(opPing, []byte("x")))
	add("continuation of nothing", "a continuation without a beginning", "1002", bad, frame(fin|opMore, []byte("x")))
	add("text within a text", "a second text before the first has ended", "1002", bad, append(frame(opText, []byte("4")), frame(fin|opText, []byte("0"))...))
	for _, code := range []uint16{0, 999, 1004, 1005, 1006, 1015, 1016, 2999, 5000, 65535} {
		add("close code "+itoa(int(code)), "a close frame with a code that must not be sent", "1002", bad, frame(fin|opClose, binary.BigEndian.AppendUint16(nil, code)))
	}
	add("half a close code", "a close frame of one byte", "1002", bad, frame(fin|opClose, []byte{3}))
	add("close reason in Latin 1", "a close reason that is no UTF-8", "1007", []int{1007, 0}, frame(fin|opClose, []byte{3, 0xe8, 0xff}))
	add("text in Latin 1", "a text that is no UTF-8", "1007", []int{1007, 0}, frame(fin|opText, []byte{'4', 0xff, 0xfe}))
	add("length 2^62", "a header that announces 2^62 bytes", "1009, nothing is allocated", []int{1009, 0}, header64(1<<62))
	add("length with the highest bit", "a length of 2^63 and more (nats-server ended)", "1002", bad, header64(1<<63|5))
	add("length all ones", "a length of 2^64-1", "1002", bad, header64(1<<64-1))
	add("over the limit by its header", "a frame of 1 GB is announced", "1009", []int{1009, 0}, header64(1<<30))
	add("over the limit in pieces", "1.2 MB in frames of 60 kB", "1009", []int{1009, 0}, pieces(1_200_000/60_000, make([]byte, 60_000)))
	const empty, tiny = 300_000, 50_000
	add("300000 empty continuations", "a message in "+count(empty)+" empty frames", "1008", []int{1008, 0}, pieces(empty, nil))
	add("tiny pieces", "a message in "+count(tiny)+" frames of one byte (15 times the memory elsewhere)", "1008", []int{1008, 0}, pieces(tiny, []byte("x")))
	add("over the limit by inflation", "20 MB of zeroes, deflated to 20 kB", "1009; 1002 where nothing is inflated", []int{1009, 1002, 0}, frame(fin|rsv1|opText, deflate(20_000_000)), deflated)
	add("no deflate stream", "bytes that can't be inflated", "1002 or 1007", []int{1002, 1007, 1003, 1008, 1011, 0}, frame(fin|rsv1|opText, []byte{0xff, 0xff, 0xff, 0xff}), deflated)
	add("RSV1 on a continuation", "RSV1 on the second frame of a message", "1002", bad, append(frame(rsv1|opText, []byte("4")), frame(fin|rsv1|opMore, []byte("0"))...), deflated)
	add("RSV1 on a ping", "RSV1 on a control frame", "1002", bad, frame(fin|rsv1|opPing, nil), deflated)
	survive(t, s, "WebSocket frames", items)
	survive(t, s, "WebSocket frames", []item{pingFlood, halfFrames, textForBinary})
}

func itoa(n int) string {
	if n < 10 {
		return string(rune('0' + n))
	}
	return itoa(n/10) + itoa(n%10)
}

// header64 is the header of a frame of that length, and a little of it.
func header64(n uint64) []byte {
	return append(binary.BigEndian.AppendUint64([]byte{fin | opText, 0x80 | 127}, n), 0, 0, 0, 0, '4', '0')
}

// pieces is a message in so many frames, the last of which does not come.
func pieces(n int, payload []byte) []byte {
	b := frame(opText, payload)
	one := frame(opMore, payload)
	return append(b, bytes.Repeat(one, n-1)...)
}

func deflate(n int) []byte {
	var b bytes.Buffer
	z, _ := flate.NewWriter(&b, 9)
	_, _ = z.Write(make([]byte, n)) // a Buffer takes all
	_ = z.Flush()
	return bytes.TrimSuffix(b.Bytes(), []byte{0, 0, 0xff, 0xff})
}

var pingFlood = times(100_000, item{"ping flood", "{n} pings that nobody reads the answers of", "the latest few are answered, then 1008", []string{closedError + " or " + closedForced}, nil}, func(t *testing.T, s *server, n int) {
	w := must(t)(s.engine(""))
	w.text(t, "40")
	go func() { _, _ = w.Write(bytes.Repeat(frame(fin|opPing, []byte("0123456789")), n)) }() // ends with the connection
	if !eventually(func() bool { now, err := s.metrics(); return err == nil && now["tutti_sessions"] == 0 }) {
		t.Error("the session goes on")
	}
	if code, _ := w.closed(t); code != 1008 && code != 0 {
		t.Errorf("closed with %d", code)
	}
})

var halfFrames = times(200, item{"frames that do not end", "{n} connections with 999,990 of 1,000,000 bytes of a message each, and silence", "the session ends for want of a heartbeat, or because too much has half arrived for all", []string{closedPing + " or " + closedGone + " or " + closedError}, nil}, func(t *testing.T, s *server, n int) {
	half := frame(fin|opText, make([]byte, 1_000_000))[:999_990]
	crowd(n, func(int) {
		if w, err := s.engine(""); err == nil {
			_, _ = w.Write(half)
			ended(t, w)
			w.Close()
		}
	})
})

var textForBinary = item{"text where binary is due", "a text frame between a packet and its attachment", "the session ends", []string{closedParse}, func(t *testing.T, s *server) {
	w := must(t)(s.socket(""))
	w.text(t, `451-["echo",{"_placeholder":true,"num":0}]`)
	w.text(t, `42["echo",1]`)
	w.closed(t)
}}
