package gate

import (
	"net"
	"syscall"
	"testing"
)

// TestHandedOnWhenGone: the peer of a connection is known after it has gone, when
// the descriptor is handed on: whoever counts connections asks for it.
func TestHandedOnWhenGone(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	peer, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	here, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	remote := here.RemoteAddr().String()
	peer.(*net.TCPConn).SetLinger(0) // it goes with a reset
	peer.Close()
	here.Read(make([]byte, 1)) // returns with that
	raw, err := here.(*net.TCPConn).SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	fd := -1
	raw.Control(func(own uintptr) { fd, err = syscall.Dup(int(own)) })
	here.Close()
	if err != nil {
		t.Fatal(err)
	}
	c := &conn{remote: remote}
	h, err := c.hand(fd, []byte("GET"))
	if err != nil {
		t.Fatal(err)
	}
	defer h.Close()
	if h.TCPConn.RemoteAddr() != nil {
		t.Fatal("the descriptor still tells: the test shows nothing")
	}
	if got := h.RemoteAddr(); got == nil || got.String() != remote {
		t.Errorf("the peer is %v, want %s", got, remote)
	}
}
