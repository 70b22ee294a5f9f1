package pipe_test

import (
	"fmt"

	"github.com/tutti-rt/tutti/internal/pipe"
)

func ExampleListener() {
	l := pipe.Listen()
	defer l.Close()
	client, err := l.Dial()
	if err != nil {
		fmt.Println(err)
		return
	}
	server, err := l.Accept()
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Fprint(client, "hello")
	buf := make([]byte, 16)
	n, err := server.Read(buf)
	fmt.Println(string(buf[:n]), err)
	client.Cut(nil)
	_, err = server.Read(buf)
	fmt.Println(err)
	// Output:
	// hello <nil>
	// read pipe 192.0.2.1:80->192.0.2.2:1025: connection reset by peer
}
