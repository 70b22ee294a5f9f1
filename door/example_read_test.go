package door_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"regexp"

	"github.com/tutti-rt/tutti/door"
	"github.com/tutti-rt/tutti/hub"
	"github.com/tutti-rt/tutti/packet"
	"github.com/tutti-rt/tutti/verb"
)

// fetchJSON prints an answer without what differs from run to run.
func fetchJSON(h http.Handler, path string) {
	srv := httptest.NewServer(h)
	defer srv.Close()
	resp, err := http.Get(srv.URL + path)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	fmt.Print(resp.StatusCode, " ", regexp.MustCompile(`("epoch":"|"offset":"|"time":|"version":)[-a-z0-9]+`).ReplaceAllString(string(text), `${1}…`))
	if err != nil {
		fmt.Println(err)
	}
}

func ExampleHistory() {
	h := hub.New(hub.Config{Memory: func(string) *hub.Memory {
		return &hub.Memory{Rooms: []hub.RoomRule{{Pattern: "chat:*"}}}
	}})
	defer h.Close()
	desk, err := verb.New(verb.Config{Rules: []verb.Rule{{Pattern: "chat:*", History: verb.Anyone}}})
	if err != nil {
		fmt.Println(err)
		return
	}
	history, err := door.History(h.Space("/"), door.ReadConfig{Desk: desk})
	if err != nil {
		fmt.Println(err)
		return
	}
	args, err := packet.Marshal("hello")
	if err != nil {
		fmt.Println(err)
		return
	}
	h.Space("/").Publish(context.Background(), &hub.Message{Event: "msg", Args: args}, hub.Address{Rooms: []string{"chat:tea"}})
	fetchJSON(history, "/api/history?room=chat:tea")
	fetchJSON(history, "/api/history?room=secret")
	// Output:
	// 200 {"epoch":"…","messages":[{"offset":"…","event":"msg","data":"hello","time":…}],"more":false}
	// 403 {"error":{"code":"forbidden","message":"history is not open to you in this room"}}
}

func ExamplePresence() {
	space := hub.New(hub.Config{}).Space("/")
	desk, err := verb.New(verb.Config{Rules: []verb.Rule{{Pattern: "chat:*", Presence: verb.Anyone}}})
	if err != nil {
		fmt.Println(err)
		return
	}
	presence, err := door.Presence(space, door.ReadConfig{Desk: desk})
	if err != nil {
		fmt.Println(err)
		return
	}
	fetchJSON(presence, "/api/presence?room=chat:tea")
	// Output: 200 {"version":…,"count":0,"members":[]}
}
