package main

import (
	"encoding/xml"
	"errors"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/tutti-rt/tutti/internal/load"
)

// TestMeasure: a small crowd is measured in whatever form this is built.
func TestMeasure(t *testing.T) {
	p, err := measure(t.Context(), 130, 50*time.Millisecond)
	if err != nil {
		t.Fatal(err)
	}
	if p.Join == 0 || p.Leave == 0 || p.Sweep == 0 || p.Goroutines == 0 {
		t.Errorf("something was not measured: %+v", p)
	}
	r := record{Points: []point{p, p}}
	if table := r.table(); !strings.Contains(table, "| members | 130 | 130 |") {
		t.Errorf("the table has no members:\n%s", table)
	}
	d := xml.NewDecoder(strings.NewReader(load.Sheet(r.plots()...)))
	for {
		if _, err := d.Token(); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
	}
}

// TestPeerInPieces: a peer counts what comes in one write, and notices what is
// no frame.
func TestPeerInPieces(t *testing.T) {
	c := newCrowd(1)
	p := &c.peers[0]
	c.expect(1)
	p.Took([]byte("HTTP/1.1 101 Switching Protocols\r\n\r\n\x81\x020{\x81\x0240\x81\x012\x81\x0642[\"a\""))
	if c.connected.Load() != 1 || c.heartbeats.Load() != 1 || len(c.all) != 1 || c.strange.Load() != 0 {
		t.Errorf("%d connected, %d heartbeats, %d messages, %d strange", c.connected.Load(), c.heartbeats.Load(), len(c.all), c.strange.Load())
	}
	buf := make([]byte, 100)
	if n, err := p.TryRead(buf); err != nil || string(buf[:n]) != sayConnect+sayPong {
		t.Errorf("it says %q, %v", buf[:n], err)
	}
	p.Took([]byte("\x81\x7eno"))
	if c.strange.Load() != 1 {
		t.Error("half a frame is taken for one")
	}
}
