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

// An echo server. The handler returns at once; Run has a goroutine of its own.
func ExampleAccept() {
	var conns sync.WaitGroup
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		conn, err := websocket.Accept(w, r, websocket.Options{})
		if refused, ok := errors.AsType[*websocket.HandshakeError](err); ok {
			refused.Answer(w)
			return
		}
		if err != nil {
			return // the client has gone
		}
		conns.Go(func() {
			err := conn.Run(func(data []byte, binary bool) error {
				return conn.Send(websocket.Prepare(data, binary))
			})
			fmt.Println(err)
		})
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
	echo, err := readFrame(br)
	fmt.Println(echo.payload, err)
	nc.Write(frame(fin|clos, closePayload(1000, "done")))
	readFrame(br)
	nc.Close()
	conns.Wait()
	server.Close()
	// Output:
	// 101 Switching Protocols
	// all together <nil>
	// websocket: closed with code 1000 "done"
}
