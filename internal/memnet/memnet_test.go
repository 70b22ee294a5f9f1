package memnet

import (
	"errors"
	"io"
	"net"
	"os"
	"testing"
	"time"

	"github.com/tutti-rt/tutti/internal/leak"
)

func TestMain(m *testing.M) { os.Exit(leak.Run(m)) }

// tape is a peer that notes what it is told.
type tape struct {
	took  string
	ended int
}

func (t *tape) Took(p []byte) { t.took += string(p) }
func (t *tape) Ended()        { t.ended++ }

// counter is a watcher that counts.
type counter int

func (c *counter) Readable(*Conn) { *c++ }

func TestReadWaits(t *testing.T) {
	var p tape
	var c Conn
	c.Init(&p)
	read := make(chan string)
	go func() {
		defer close(read)
		buf := make([]byte, 2)
		for {
			n, err := c.Read(buf)
			if err != nil {
				if !errors.Is(err, io.EOF) {
					t.Errorf("at the end: %v", err)
				}
				return
			}
			read <- string(buf[:n])
		}
	}()
	c.Send([]byte("abc"))
	if got := <-read + <-read; got != "abc" {
		t.Errorf("read %q", got)
	}
	c.End()
	if got, more := <-read; more {
		t.Errorf("after the end: %q", got)
	}
	if _, err := c.Write([]byte("x")); err != nil || p.took != "x" {
		t.Errorf("the peer took %q, %v", p.took, err)
	}
}

func TestCloseEndsOnce(t *testing.T) {
	var p tape
	var c Conn
	c.Init(&p)
	c.Take(7)
	c.Close() // of the net.Conn whose descriptor was taken
	if p.ended != 0 || c.Descriptor() != 7 {
		t.Fatalf("ended %d times, descriptor %d", p.ended, c.Descriptor())
	}
	c.Release()
	c.Close()
	if _, err := c.Write(nil); p.ended != 1 || !errors.Is(err, net.ErrClosed) {
		t.Errorf("ended %d times, then %v", p.ended, err)
	}
	if _, err := c.TryRead(make([]byte, 1)); !errors.Is(err, net.ErrClosed) {
		t.Errorf("read after closing: %v", err)
	}
}

func TestWatch(t *testing.T) {
	var p tape
	var c Conn
	var news counter
	c.Init(&p)
	c.Send([]byte("a"))
	if c.Watch(&news); news != 1 {
		t.Errorf("told %d times of what was there", news)
	}
	if c.Send([]byte("b")); news != 2 {
		t.Errorf("told %d times", news)
	}
	buf := make([]byte, 9)
	if n, err := c.TryRead(buf); n != 2 || err != nil {
		t.Errorf("read %d, %v", n, err)
	}
	if n, err := c.TryRead(buf); n != 0 || err != nil {
		t.Errorf("read %d of nothing, %v", n, err)
	}
	if some, _ := c.Pending(); some {
		t.Error("there is something of nothing")
	}
}

func TestReadDeadline(t *testing.T) {
	var c Conn
	c.Init(&tape{})
	if err := c.SetDeadline(time.Unix(1, 0)); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("after the deadline: %v", err)
	}
}
