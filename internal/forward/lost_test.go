package forward

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
)

// TestRestarted: a node that was killed and started again at its address gets the
// requests for the sessions of its earlier life, whose lease has not ended. They
// do not go round in circles.
func TestRestarted(t *testing.T) {
	c := &cluster{nodes: make(map[string]Node)}
	_, first := c.node(t, "a")
	_, second := c.node(t, "b")
	// The last, by a name that it does not know as its own.
	for _, url := range []string{second.URL, strings.Replace(second.URL, "127.0.0.1", "localhost", 1)} {
		c.mu.Lock()
		c.nodes["old"] = Node{URL: url, Token: "of the earlier life"}
		c.mu.Unlock()
		for _, at := range []string{first.URL, second.URL} {
			if status, got := get(t, "GET", at+"/?sid=x.old", ""); status != 200 || !strings.HasPrefix(got, "b GET ") {
				t.Errorf("%s: got %d %s, want b's answer", url, status, got)
			}
		}
	}
}

// TestNotAskedTwice: when the connection to a node ends before it has answered, it
// may have answered all the same: the client is told, rather than given the answer
// to another poll.
func TestNotAskedTwice(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var asked atomic.Int32
	var serving sync.WaitGroup
	serving.Go(func() { // ends with the listener
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			serving.Go(func() { // ends with the connection
				defer conn.Close()
				r := bufio.NewReader(conn)
				for {
					req, err := http.ReadRequest(r)
					if err != nil {
						return
					}
					if req.ContentLength != 0 || len(req.TransferEncoding) > 0 {
						t.Error("a poll is passed on with a body")
					}
					if n := asked.Add(1); n == 2 {
						return // what it would have said is lost
					}
					fmt.Fprint(conn, "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n1")
				}
			})
		}
	})
	c := &cluster{nodes: map[string]Node{"b": {URL: "http://" + l.Addr().String(), Token: "t"}}}
	a, first := c.node(t, "a")
	for i, want := range []int{200, 502} {
		resp, err := http.Get(first.URL + "/?sid=x.b")
		if err != nil {
			t.Fatal(err)
		}
		io.Copy(io.Discard, resp.Body)
		resp.Body.Close()
		if resp.StatusCode != want {
			t.Errorf("poll %d: got %d, want %d", i, resp.StatusCode, want)
		}
	}
	if n := asked.Load(); n != 2 {
		t.Errorf("the node was asked %d times for 2 polls", n)
	}
	a.Close()
	l.Close()
	serving.Wait()
}

// TestGoing: a request that is being passed on when this node goes has not
// succeeded.
func TestGoing(t *testing.T) {
	arrived, let := make(chan struct{}), make(chan struct{})
	owner := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		close(arrived)
		<-let
	}))
	defer owner.Close()
	defer close(let)
	c := &cluster{nodes: map[string]Node{"b": {URL: owner.URL, Token: "t"}}}
	a, first := c.node(t, "a")
	var wg sync.WaitGroup
	wg.Go(func() {
		<-arrived
		a.Close()
	})
	if status, got := get(t, "POST", first.URL+"/?sid=x.b", "4hello"); status != http.StatusBadGateway {
		t.Errorf("got %d %q, want 502", status, got)
	}
	wg.Wait()
}
