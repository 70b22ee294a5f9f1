package gate_test

import (
	"bytes"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"
)

// TestLongAnswers: what a handler writes that knows nothing of the gate leaves
// as it is written, and is whole.
func TestLongAnswers(t *testing.T) {
	long := strings.Repeat("0123456789abcdef", 1<<16) // 1 MiB
	address := serve(t, nil, func(w http.ResponseWriter, r *http.Request) {
		if !through(w) {
			t.Error("not through the gate")
		}
		http.ServeContent(w, r, "long.txt", time.Time{}, strings.NewReader(long))
	})
	c, r := dial(t, address)
	for range 3 { // the connection goes on
		io.WriteString(c, get)
		resp, body := answer(t, r)
		if body != long || resp.StatusCode != 200 || len(resp.TransferEncoding) != 1 || resp.Header.Get("Content-Length") != "" {
			t.Errorf("%d bytes, %v", len(body), resp)
		}
	}
}

// TestLongAnswerToASlowReader: a handler is held up by who does not read, so that
// the answer is never in memory as a whole, and hears of it when he has gone.
func TestLongAnswerToASlowReader(t *testing.T) {
	const piece, most = 1 << 20, 1 << 10
	ended := make(chan int, 1)
	failed := make(chan error, 1)
	address := serve(t, nil, func(w http.ResponseWriter, r *http.Request) {
		text, n := bytes.Repeat([]byte("x"), piece), 0
		var err error
		for ; err == nil && n < most; n++ {
			_, err = w.Write(text)
		}
		ended <- n
		failed <- err
	})
	nc, r := dial(t, address)
	io.WriteString(nc, get)
	if _, err := r.ReadByte(); err != nil {
		t.Fatal(err)
	}
	nc.(*net.TCPConn).SetLinger(0)
	nc.Close()
	if n, err := <-ended, <-failed; err == nil || n == most {
		t.Errorf("the handler wrote %d MiB to nobody: %v", n, err)
	}
}

// TestLongHead: the server's limit holds for what would be small enough for the
// gate.
func TestLongHead(t *testing.T) {
	address := serve(t, func(s *http.Server) { s.MaxHeaderBytes = 1 << 10 }, tell)
	c, r := dial(t, address)
	io.WriteString(c, "GET /?EIO=4 HTTP/1.1\r\nHost: x\r\nX-A: "+strings.Repeat("y", 10<<10)+"\r\n\r\n")
	if resp, _ := answer(t, r); resp.StatusCode != http.StatusRequestHeaderFieldsTooLarge {
		t.Errorf("got %d", resp.StatusCode)
	}
}
