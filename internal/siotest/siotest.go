// Package siotest lets tests and examples talk to a Socket.IO server over an
// in-memory network, one packet of text at a time:
//
//	net := siotest.Serve(srv)
//	defer net.Close()
//	c, err := net.Dial()
//	c.Send(`0`)                  // CONNECT to "/"
//	c.Receive()                  // 0{"sid":"…"}
//	c.Send(`20["add",1,2]`)      // EVENT with acknowledgement 0
//	c.Receive()                  // 30[3]
//
// It works inside testing/synctest bubbles.
//
// May import: internal/pipe.
package siotest

import (
	"context"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"strings"
	"sync"

	"github.com/gobwas/ws"
	"github.com/gobwas/ws/wsutil"

	"github.com/tutti-rt/tutti/internal/pipe"
)

// A Network is a server on an in-memory network.
type Network struct {
	listener *pipe.Listener
	server   *http.Server
	serving  sync.WaitGroup
}

// Serve serves h until Close.
func Serve(h http.Handler) *Network {
	n := &Network{
		listener: pipe.Listen(),
		server:   &http.Server{Handler: h, ErrorLog: log.New(io.Discard, "", 0)},
	}
	// Started here, ended and waited for by Close.
	n.serving.Go(func() { n.server.Serve(n.listener) })
	return n
}

// Close stops serving. Sessions are the handler's to end.
func (n *Network) Close() {
	n.server.Close()
	n.listener.Close()
	n.serving.Wait()
}

// HTTP returns a client whose requests go to the server, whatever their host.
func (n *Network) HTTP() *http.Client {
	return &http.Client{Transport: &http.Transport{
		DialContext:       func(context.Context, string, string) (net.Conn, error) { return n.listener.Dial() },
		DisableKeepAlives: true,
	}}
}

// Dial opens a session by WebSocket. The query is added to the request's.
func (n *Network) Dial(query ...string) (*Client, error) {
	url := "ws://example.test/socket.io/?EIO=4&transport=websocket"
	for _, q := range query {
		url += "&" + q
	}
	d := ws.Dialer{NetDial: func(context.Context, string, string) (net.Conn, error) { return n.listener.Dial() }}
	conn, br, _, err := d.Dial(context.Background(), url)
	if err != nil {
		return nil, fmt.Errorf("dial: %w", err)
	}
	c := &Client{conn: conn}
	if c.reader = io.Reader(conn); br != nil {
		c.reader = io.MultiReader(br, conn)
	}
	if c.Open, err = c.read(); err != nil {
		conn.Close()
		return nil, fmt.Errorf("read open packet: %w", err)
	}
	return c, nil
}

// A Client is one session. Send may be called while another goroutine is in
// Receive; otherwise it is not safe for concurrent use.
type Client struct {
	// Open is the Engine.IO packet that opened the session.
	Open string

	conn    net.Conn
	reader  io.Reader
	writing sync.Mutex
}

// Send sends a Socket.IO packet of text.
func (c *Client) Send(packet string) error { return c.Raw("4" + packet) }

// SendBinary sends an attachment.
func (c *Client) SendBinary(data []byte) error {
	c.writing.Lock()
	defer c.writing.Unlock()
	return wsutil.WriteClientBinary(c.conn, data)
}

// Raw sends an Engine.IO packet.
func (c *Client) Raw(text string) error {
	c.writing.Lock()
	defer c.writing.Unlock()
	return wsutil.WriteClientText(c.conn, []byte(text))
}

// Receive returns the next Socket.IO packet, or attachment as "b:" and its hex
// digits. Pings are answered on the way. io.EOF means that the server ended the
// session.
func (c *Client) Receive() (string, error) {
	for {
		text, err := c.read()
		if err != nil {
			return "", err
		}
		switch {
		case strings.HasPrefix(text, "b:"):
			return text, nil
		case text == "2":
			if err := c.Raw("3"); err != nil {
				return "", err
			}
		case text == "1":
			return "", io.EOF
		case strings.HasPrefix(text, "4"):
			return text[1:], nil
		}
	}
}

// read returns the next WebSocket message.
func (c *Client) read() (string, error) {
	rw := struct {
		io.Reader
		io.Writer
	}{c.reader, c.conn}
	data, op, err := wsutil.ReadServerData(rw)
	switch {
	case err != nil:
		return "", io.EOF // how it ended is not what these tests are about
	case op == ws.OpBinary:
		return fmt.Sprintf("b:%x", data), nil
	}
	return string(data), nil
}

// Connect joins a namespace and returns the id of the socket, or the server's
// refusal as an error. auth is a JSON object or "".
func (c *Client) Connect(namespace, auth string) (string, error) {
	prefix := ""
	if namespace != "/" {
		prefix = namespace + ","
	}
	if err := c.Send("0" + prefix + auth); err != nil {
		return "", err
	}
	reply, err := c.Receive()
	if err != nil {
		return "", err
	}
	id, ok := strings.CutPrefix(reply, "0"+prefix+`{"sid":"`)
	if !ok {
		return "", fmt.Errorf("refused: %s", reply)
	}
	return strings.TrimSuffix(id, `"}`), nil
}

// Close ends the connection without a word.
func (c *Client) Close() { c.conn.Close() }
