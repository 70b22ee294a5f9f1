package pipe_test

import (
	"bytes"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tutti-rt/tutti/internal/pipe"
)

func TestBytesArriveInOrderAndCloseIsEOF(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := pipe.New(64)
		sent := bytes.Repeat([]byte("0123456789"), 1000)
		go func() {
			if n, err := a.Write(sent); n != len(sent) || err != nil {
				t.Errorf("Write = %d, %v", n, err)
			}
			a.Close()
		}()
		got, err := io.ReadAll(b)
		if err != nil || !bytes.Equal(got, sent) {
			t.Errorf("read %d bytes, %v; want the %d written", len(got), err, len(sent))
		}
		if _, err := b.Write([]byte("x")); !errors.Is(err, syscall.EPIPE) {
			t.Errorf("write to a closed peer: %v, want EPIPE", err)
		}
		if _, err := a.Read(make([]byte, 1)); !errors.Is(err, net.ErrClosed) {
			t.Errorf("read after Close: %v, want net.ErrClosed", err)
		}
	})
}

func TestBufferIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := pipe.New(10)
		if err := a.SetWriteDeadline(time.Now().Add(3 * time.Second)); err != nil {
			t.Fatal(err)
		}
		start := time.Now()
		n, err := a.Write(make([]byte, 25))
		if n != 10 || !errors.Is(err, os.ErrDeadlineExceeded) || time.Since(start) != 3*time.Second {
			t.Errorf("Write = %d, %v after %v; want the buffer's 10 bytes and the deadline at 3s", n, err, time.Since(start))
		}
		if b.Buffered() != 10 {
			t.Errorf("Buffered = %d, want 10", b.Buffered())
		}
	})
}

func TestDeadlinesWakeAndMove(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := pipe.New(0)
		start := time.Now()
		var wg sync.WaitGroup
		wg.Go(func() {
			if _, err := a.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) {
				t.Errorf("Read: %v, want the deadline", err)
			}
		})
		synctest.Wait()
		a.SetReadDeadline(start.Add(time.Second))
		a.SetReadDeadline(start.Add(5 * time.Second)) // the first must not fire
		wg.Wait()
		if got := time.Since(start); got != 5*time.Second {
			t.Errorf("waited %v, want 5s", got)
		}
		a.SetDeadline(time.Time{})
		if _, err := b.Write([]byte("x")); err != nil {
			t.Error(err)
		}
		if n, err := a.Read(make([]byte, 9)); n != 1 || err != nil {
			t.Errorf("Read after the deadline was taken away = %d, %v", n, err)
		}
	})
}

func TestCutBreaksBothEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := pipe.New(0)
		a.Write([]byte("lost"))
		var wg sync.WaitGroup
		wg.Go(func() {
			if _, err := a.Read(make([]byte, 1)); !errors.Is(err, syscall.ECONNRESET) {
				t.Errorf("waiting Read: %v, want ECONNRESET", err)
			}
		})
		synctest.Wait()
		a.Cut(nil)
		wg.Wait()
		if n, err := b.Read(make([]byte, 9)); n != 0 || !errors.Is(err, syscall.ECONNRESET) {
			t.Errorf("Read at the other end = %d, %v, want ECONNRESET", n, err)
		}
		if _, err := b.Write([]byte("x")); !errors.Is(err, syscall.ECONNRESET) {
			t.Errorf("Write at the other end: %v, want ECONNRESET", err)
		}
	})
}

func TestStallHoldsEverythingBackUntilResume(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := pipe.New(8)
		a.Stall()
		if n, err := a.Write([]byte("12345678")); n != 8 || err != nil {
			t.Fatalf("Write into the buffer = %d, %v", n, err)
		}
		a.SetWriteDeadline(time.Now().Add(time.Second))
		if n, err := a.Write([]byte("9")); n != 0 || !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("Write beyond the buffer = %d, %v, want the deadline", n, err)
		}
		a.Close()
		b.SetReadDeadline(time.Now().Add(time.Hour))
		if n, err := b.Read(make([]byte, 9)); n != 0 || !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("Read of a stalled connection = %d, %v: not even the close may arrive", n, err)
		}
		b.SetReadDeadline(time.Time{})
		b.Resume()
		if got, err := io.ReadAll(b); string(got) != "12345678" || err != nil {
			t.Errorf("after Resume: %q, %v", got, err)
		}
	})
}

func TestVanishLosesWrites(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := pipe.New(8)
		a.Vanish()
		if n, err := a.Write(make([]byte, 1000)); n != 1000 || err != nil {
			t.Errorf("Write = %d, %v, want it to succeed", n, err)
		}
		b.SetReadDeadline(time.Now().Add(time.Hour))
		if n, err := b.Read(make([]byte, 9)); n != 0 || !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("Read = %d, %v, want nothing", n, err)
		}
	})
}

func TestCloseWriteLeavesReading(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := pipe.New(0)
		a.CloseWrite()
		if _, err := a.Write([]byte("x")); !errors.Is(err, syscall.EPIPE) {
			t.Errorf("Write after CloseWrite: %v", err)
		}
		b.Write([]byte("still"))
		b.Close()
		if got, err := io.ReadAll(a); string(got) != "still" || err != nil {
			t.Errorf("read %q, %v", got, err)
		}
	})
}

func TestListenerCloseRefusesAndCuts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := pipe.Listen()
		waiting, err := l.Dial()
		if err != nil {
			t.Fatal(err)
		}
		l.Close()
		l.Close()
		if _, err := waiting.Read(make([]byte, 1)); !errors.Is(err, syscall.ECONNRESET) {
			t.Errorf("connection nobody accepted: %v, want ECONNRESET", err)
		}
		if _, err := l.Dial(); !errors.Is(err, net.ErrClosed) {
			t.Errorf("Dial after Close: %v", err)
		}
		if _, err := l.Accept(); !errors.Is(err, net.ErrClosed) {
			t.Errorf("Accept after Close: %v", err)
		}
	})
}

// A whole HTTP server must live in the bubble, or the package is useless.
func TestHTTPServerInABubble(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := pipe.Listen()
		server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			time.Sleep(time.Hour)
			io.WriteString(w, r.RemoteAddr)
		})}
		var wg sync.WaitGroup
		wg.Go(func() { server.Serve(l) })
		transport := &http.Transport{DialContext: l.DialContext}
		client := &http.Client{Transport: transport}
		start := time.Now()
		res, err := client.Get("http://test.invalid/")
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(res.Body)
		res.Body.Close()
		if _, _, splitErr := net.SplitHostPort(string(body)); err != nil || splitErr != nil {
			t.Errorf("RemoteAddr %q: %v %v, want host:port", body, err, splitErr)
		}
		if time.Since(start) != time.Hour {
			t.Errorf("took %v of fake time, want an hour", time.Since(start))
		}
		transport.CloseIdleConnections()
		server.Close()
		wg.Wait()
	})
}
