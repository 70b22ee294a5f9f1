//go:build unix

package websocket_test

import (
	"fmt"
	"io"
	"net"
	"os"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/tutti-rt/tutti/internal/websocket"
)

// tcpPeers makes n connections over loopback TCP.
func tcpPeers(tb testing.TB, n int, o websocket.Options) []*peer {
	tb.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	defer l.Close()
	peers := make([]*peer, n)
	for i := range peers {
		client, err := net.Dial("tcp", l.Addr().String())
		if err != nil {
			tb.Fatal(err)
		}
		server, err := l.Accept()
		if err != nil {
			tb.Fatal(err)
		}
		o.Loop = &loop
		peers[i] = accept(tb, client, server, o)
		peers[i].run(peers[i].record)
	}
	tb.Cleanup(func() {
		for _, p := range peers {
			p.nc.Close()
			<-p.conn.Done()
		}
	})
	return peers
}

// BenchmarkBroadcast sends one prepared frame of 100 bytes to every connection
// and waits until each client has it. cpu/op is that of the whole process, the
// clients included.
func BenchmarkBroadcast(b *testing.B) {
	for _, n := range []int{100, 1000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			peers := tcpPeers(b, n, websocket.Options{})
			var got sync.WaitGroup
			for _, p := range peers {
				go func() {
					buf := make([]byte, 100)
					for {
						if _, err := io.ReadFull(p.nc, buf); err != nil {
							return
						}
						got.Done()
					}
				}()
			}
			frame := websocket.Prepare([]byte(strings.Repeat("x", 98)), false)
			before := cpu()
			b.ReportAllocs()
			for b.Loop() {
				got.Add(n)
				for _, p := range peers {
					if err := p.conn.Send(frame); err != nil {
						b.Fatal(err)
					}
				}
				got.Wait()
			}
			b.ReportMetric(float64(cpu()-before)/float64(b.N)/float64(n), "cpu-ns/delivery")
		})
	}
}

// BenchmarkBurst sends a hundred frames at once to one connection.
func BenchmarkBurst(b *testing.B) {
	p := tcpPeers(b, 1, websocket.Options{})[0]
	frame := websocket.Prepare([]byte(strings.Repeat("x", 98)), false)
	buf := make([]byte, 10_000)
	b.ReportAllocs()
	for b.Loop() {
		for range 100 {
			if err := p.conn.Send(frame); err != nil {
				b.Fatal(err)
			}
		}
		if _, err := io.ReadFull(p.nc, buf); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkReceive has one client write messages, each in a write of its own.
func BenchmarkReceive(b *testing.B) {
	for _, size := range []int{100, 64 << 10} {
		b.Run(fmt.Sprint(size), func(b *testing.B) {
			l, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				b.Fatal(err)
			}
			defer l.Close()
			client, err := net.Dial("tcp", l.Addr().String())
			if err != nil {
				b.Fatal(err)
			}
			server, err := l.Accept()
			if err != nil {
				b.Fatal(err)
			}
			one := accept(b, client, server, websocket.Options{Loop: &loop})
			arrived := make(chan struct{}, 1)
			one.run(func([]byte, bool) error { arrived <- struct{}{}; return nil })
			message := frame(fin|bin, strings.Repeat("x", size))
			b.SetBytes(int64(size))
			b.ReportAllocs()
			for b.Loop() {
				client.Write(message)
				<-arrived
			}
			one.stop()
		})
	}
}

// BenchmarkIdle reports what a connection at rest costs in memory, its
// net.TCPConn included and the client's half, a bare descriptor, not.
func BenchmarkIdle(b *testing.B) {
	const n = 2000
	for b.Loop() {
		before := memory()
		clients := make([]int, 0, n)
		conns := make([]net.Conn, 0, n)
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			b.Fatal(err)
		}
		for range n {
			client, err := net.Dial("tcp", l.Addr().String())
			if err != nil {
				b.Fatal(err)
			}
			file, err := client.(*net.TCPConn).File()
			if err != nil {
				b.Fatal(err)
			}
			fd, err := syscall.Dup(int(file.Fd()))
			if err != nil {
				b.Fatal(err)
			}
			file.Close()
			client.Close()
			clients = append(clients, fd)
			server, err := l.Accept()
			if err != nil {
				b.Fatal(err)
			}
			conns = append(conns, server)
		}
		l.Close()
		peers := make([]*websocket.Conn, n)
		var running sync.WaitGroup
		for i, nc := range conns {
			c, err := websocket.Accept(response{nc: nc, rw: emptyRW()}, request(nil), websocket.Options{Loop: &loop})
			if err != nil {
				b.Fatal(err)
			}
			peers[i] = c
			running.Add(1)
			c.Start(&receiver{
				receive: func([]byte, bool) error { return nil },
				ended:   make(chan error, 1), gone: running.Done,
			})
		}
		for _, fd := range clients { // one message each, so that all has been used once
			if _, err := syscall.Write(fd, frame(fin|text, "hello")); err != nil {
				b.Fatal(err)
			}
		}
		after := memory()
		b.ReportMetric(float64(after.HeapAlloc-before.HeapAlloc)/n, "heap-B/conn")
		b.ReportMetric(float64(after.StackInuse-before.StackInuse)/n, "stack-B/conn")
		for i, fd := range clients {
			syscall.Close(fd)
			<-peers[i].Done()
		}
		running.Wait()
	}
}

func memory() runtime.MemStats {
	for range 1000 {
		runtime.Gosched()
	}
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m
}

// cpu returns the processor time of this process.
func cpu() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		fmt.Fprintln(os.Stderr, err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
