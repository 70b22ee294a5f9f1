package websocket_test

import (
	"bufio"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"sync"

	"github.com/tutti-rt/tutti/internal/websocket"
)

// echo answers every message with itself.
type echo struct {
	*websocket.Conn
	*sync.WaitGroup
}

func (e echo) Receive(data []byte, binary bool) error {
	return e.Send(websocket.Prepare(data, binary))
}
func (e echo) Ended(err error) { fmt.Println(err) }
func (e echo) Gone()           { e.WaitGroup.Done() }

// An echo server. The handler returns at once, and the connection has no
// goroutine.
func ExampleAccept() {
	var conns sync.WaitGroup
	var loop websocket.Loop
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		conn, err := websocket.Accept(w, r, websocket.Options{Loop: &loop})
		if refused, ok := errors.AsType[*websocket.HandshakeError](err); ok {
			refused.Answer(w)
			return
		}
		if err != nil {
			return // the client has gone
		}
		conns.Add(1)
		conn.Start(echo{conn, &conns})
	}))

	nc, err := net.Dial("tcp", server.Listener.Addr().String())
	if err != nil {
		fmt.Println(err)
		return
	}
	nc.Write([]byte(upgradeLines + "\r\n"))
	br := bufio.NewReader(nc)
	res, err := http.ReadResponse(br, nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(res.Status)
	nc.Write(frame(fin|text, "all together"))
	answer, err := readFrame(br)
	fmt.Println(answer.payload, err)
	nc.Write(frame(fin|clos, closePayload(1000, "done")))
	readFrame(br)
	nc.Close()
	conns.Wait()
	server.Close()
	loop.Close()
	loop.Wait()
	// Output:
	// 101 Switching Protocols
	// all together <nil>
	// websocket: closed with code 1000 "done"
}
