package engineio_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"

	"github.com/tutti-rt/tutti/engineio"
)

// echoes accepts sessions that send everything back.
type echoes struct{}

func (echoes) Accept(s *engineio.Session) engineio.Receiver {
	s.Confirm()
	return echo{s}
}

type echo struct{ s *engineio.Session }

func (e echo) Receive(m engineio.Message) {
	// Prepare copies the message, which is valid only during this call.
	_ = e.s.Send(engineio.Prepare(m)) // an error means that the session ends: Closed will say why
}

func (e echo) Closed(reason engineio.Reason, err error) {}

func Example() {
	srv, err := engineio.New(engineio.Config{NewID: func(*http.Request) string { return "unguessable" }}, echoes{})
	if err != nil {
		fmt.Println(err)
		return
	}
	web := httptest.NewServer(srv) // or http.Handle("/engine.io/", srv)
	defer web.Close()
	defer srv.Shutdown(context.Background())

	show := func(resp *http.Response, err error) {
		if err != nil {
			fmt.Println(err)
			return
		}
		defer resp.Body.Close()
		body, _ := io.ReadAll(resp.Body)
		fmt.Println(resp.StatusCode, string(body))
	}
	show(http.Get(web.URL + "?EIO=4&transport=polling"))
	session := web.URL + "?EIO=4&transport=polling&sid=unguessable"
	show(http.Post(session, "text/plain", strings.NewReader("4hello")))
	show(http.Get(session))
	// Output:
	// 200 0{"sid":"unguessable","upgrades":["websocket"],"pingInterval":25000,"pingTimeout":20000,"maxPayload":1000000}
	// 200 ok
	// 200 4hello
}

func ExampleConfig_allow() {
	cfg := engineio.Config{Allow: func(r *http.Request) error {
		if r.URL.Query().Get("token") != "secret" {
			return &engineio.Refusal{Message: "who are you?"} // the only words that reach the client
		}
		return nil
	}}
	srv, err := engineio.New(cfg, echoes{})
	if err != nil {
		fmt.Println(err)
		return
	}
	w := httptest.NewRecorder()
	srv.ServeHTTP(w, httptest.NewRequest("GET", "/engine.io/?EIO=4&transport=polling", nil))
	fmt.Println(w.Code, w.Body)
	// Output: 403 {"code":4,"message":"who are you?"}
}

func ExampleNew_mistakes() {
	_, err := engineio.New(engineio.Config{Transports: []string{"pigeon"}, Origins: []string{"*"}, Credentials: true}, echoes{})
	fmt.Println(err)
	// Output:
	// engineio: unknown transport "pigeon"
	// origin "*" with credentials would let every site act as its visitors
}

func ExamplePrepare() {
	news := engineio.Prepare(engineio.Message{Data: []byte("all together now")})
	everybody := []*engineio.Session{} // encoded once, whatever their transports
	for _, s := range everybody {
		if err := s.Send(news); err != nil {
			continue
		}
	}
	fmt.Println(news.Len())
	// Output: 16
}
