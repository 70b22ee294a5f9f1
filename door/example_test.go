package door_test

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"regexp"
	"strings"

	"github.com/gobwas/ws"
	"github.com/gobwas/ws/wsutil"

	"github.com/tutti-rt/tutti/door"
	"github.com/tutti-rt/tutti/hub"
	"github.com/tutti-rt/tutti/packet"
)

func ExampleEvents() {
	space := hub.New(hub.Config{}).Space("/")
	events, err := door.Events(space, door.EventsConfig{
		Listen: door.Access{Rooms: []string{"news", "chat:*"}},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	mux := http.NewServeMux()
	mux.Handle("GET /events", events)
	srv := httptest.NewServer(mux)
	defer srv.Close()
	defer events.Shutdown(context.Background())

	resp, err := http.Get(srv.URL + "/events?room=news")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer resp.Body.Close()

	args, err := packet.Marshal(map[string]string{"text": "It rains."})
	if err != nil {
		fmt.Println(err)
		return
	}
	if _, err := space.Publish(context.Background(), &hub.Message{Event: "weather", Args: args}, hub.Address{Rooms: []string{"news"}}); err != nil {
		fmt.Println(err)
		return
	}
	lines := bufio.NewScanner(resp.Body)
	for lines.Scan() && !strings.HasPrefix(lines.Text(), "data:") {
		if strings.HasPrefix(lines.Text(), "event:") {
			fmt.Println(lines.Text())
		}
	}
	fmt.Println(lines.Text())
	// Output:
	// event: weather
	// data: {"text":"It rains."}
}

func ExamplePublish() {
	space := hub.New(hub.Config{}).Space("/")
	publish, err := door.Publish(space, door.PublishConfig{
		Publish: door.Access{
			Rooms: []string{"chat:*"}, // anyone may
			Keys:  []door.Key{{Name: "backend", Secret: "correct horse battery staple", Rooms: []string{"news"}}},
		},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer publish.Shutdown(context.Background())

	post := func(body, key string) {
		r := httptest.NewRequest("POST", "/api/publish", strings.NewReader(body))
		r.Header.Set("Content-Type", "application/json")
		if key != "" {
			r.Header.Set("Authorization", "Bearer "+key)
		}
		w := httptest.NewRecorder()
		publish.ServeHTTP(w, r)
		fmt.Print(w.Code, " ", offsets.ReplaceAllString(w.Body.String(), `"offset":"…"`))
	}
	post(`{"room":"chat:general","event":"message","data":"hello"}`, "")
	post(`{"room":"news","event":"weather","data":{"text":"It rains."}}`, "")
	post(`{"room":"news","event":"weather","data":{"text":"It rains."}}`, "correct horse battery staple")
	// Output:
	// 200 {"offset":"…","members":0}
	// 401 {"error":{"code":"unauthorized","message":"a key is wanted: Authorization: Bearer <key>"}}
	// 200 {"offset":"…","members":0}
}

// offsets differ from run to run.
var offsets = regexp.MustCompile(`"offset":"[^"]*"`)

func ExampleWebSocket() {
	space := hub.New(hub.Config{}).Space("/")
	chat := door.Access{Rooms: []string{"chat:*"}}
	sockets, err := door.WebSocket(space, door.WebSocketConfig{Listen: chat, Publish: chat})
	if err != nil {
		fmt.Println(err)
		return
	}
	srv := httptest.NewServer(sockets)
	defer srv.Close()
	defer sockets.Shutdown(context.Background())

	url := strings.Replace(srv.URL, "http", "ws", 1) + "?room=chat:a"
	text, _, _, err := ws.Dial(context.Background(), url)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer text.Close()
	framed, _, _, err := ws.Dial(context.Background(), url+"&framing=json")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer framed.Close()

	say := func(to io.ReadWriter, message string) {
		if err := wsutil.WriteClientText(to, []byte(message)); err != nil {
			fmt.Println(err)
		}
	}
	show := func(name string, from io.ReadWriter) {
		message, _, err := wsutil.ReadServerData(from)
		if err != nil {
			fmt.Println(err)
		}
		message = append(bytes.TrimSpace(offsets.ReplaceAll(message, []byte(`"offset":"…"`))), '\n')
		fmt.Print(name, ": ")
		os.Stdout.Write(message)
	}
	say(text, "hello")
	show("text", text)
	show("json", framed)
	say(framed, `{"event":"move","data":{"x":3},"ack":1}`)
	show("json", framed)
	show("json", framed)
	show("text", text)
	// Output:
	// text: hello
	// json: {"event":"message","data":"hello","room":"chat:a","offset":"…"}
	// json: {"event":"move","data":{"x":3},"room":"chat:a","offset":"…"}
	// json: {"ack":1,"offset":"…"}
	// text: {"x":3}
}
