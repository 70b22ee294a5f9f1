package serial_test

import (
	"net"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tutti-rt/tutti/internal/serial"
)

// TestBacklogsGiveWay has mailboxes with much to do, and one with little, and
// counts what the others do until that is done.
func TestBacklogsGiveWay(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	crew := serial.Crew{Limit: -1, Resting: 16}
	defer crew.Close()
	var did atomic.Int64
	var over atomic.Bool
	much := make([]serial.Mailbox, 32)
	light := serial.Mailbox{Crew: &crew}
	for i := range much {
		much[i].Crew = &crew
		for range 2000 {
			put(t, &much[i], 0, func() {
				for began := time.Now(); !over.Load() && time.Since(began) < 50*time.Microsecond; {
				}
				did.Add(1)
			})
		}
	}
	for did.Load() < int64(len(much)) { // until they are at it
		runtime.Gosched()
	}
	client, server := tcp(t)
	var reading sync.WaitGroup
	reading.Go(func() { // ends with client
		buf := make([]byte, 1)
		for {
			if _, err := server.Read(buf); err != nil {
				return
			}
			put(t, &light, 0, func() { _, _ = server.Write([]byte{1}) })
		}
	})
	const rounds = 10
	before := did.Load()
	for range rounds {
		buf := make([]byte, 1)
		if _, err := client.Write(buf); err != nil {
			t.Fatal(err)
		}
		if _, err := client.Read(buf); err != nil {
			t.Fatal(err)
		}
	}
	n := did.Load() - before
	over.Store(true)
	for i := range much {
		much[i].Wait()
	}
	client.Close()
	reading.Wait()
	light.Wait()
	t.Logf("%d for %d rounds", n, rounds)
	if n > 1000*rounds { // 160; the machine may be busy with something else, and then there are no turns for a while

		t.Errorf("others did %d of 64,000 things while one did %d, one after another", n, rounds)
	}
}

// tcp returns the ends of a connection.
func tcp(t *testing.T) (client, server net.Conn) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if client, err = net.Dial("tcp", l.Addr().String()); err != nil {
		t.Fatal(err)
	}
	if server, err = l.Accept(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { client.Close(); server.Close() })
	return client, server
}

func TestBehind(t *testing.T) {
	var m serial.Mailbox
	if m.Behind() {
		t.Error("behind without work")
	}
	var first, second bool
	let := make(chan struct{})
	put(t, &m, 0, func() { <-let; first = m.Behind() })
	put(t, &m, 0, func() { second = m.Behind() })
	close(let)
	m.Wait()
	if !first || second {
		t.Errorf("behind with one more: %v, with none: %v", first, second)
	}
}
