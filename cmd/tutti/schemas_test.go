package main

import (
	"errors"
	"path/filepath"
	"strings"
	"testing"

	"github.com/gobwas/ws"
	"github.com/gobwas/ws/wsutil"
)

// TestSchemas: what comes in by any way is held to the schemas, whose files are
// beside the settings, and its sender is told where it is wrong.
func TestSchemas(t *testing.T) {
	dir := folderOf(t, map[string]string{
		"tutti.yaml": `
open: ["news", "free"]
relay: [note]
schema:
  - headline file=schemas/headline.json room=news
  - event: note
    schema: {type: string, maxLength: 3}
  - event: message
    schema: {type: string, pattern: "^[a-z]+$"}
`,
		"schemas/headline.json": `{"type":"object","required":["text"],"properties":{"text":{"$ref":"defs.json#/$defs/line"}}}`,
		"schemas/defs.json":     `{"$defs":{"line":{"type":"string","maxLength":10}}}`,
	})
	p := start(t, "--config", filepath.Join(dir, "tutti.yaml"), "--metrics", "127.0.0.1:0")

	const wrong = `{"error":{"code":"bad_data","message":"the data is wrong at /text: got number, want string","at":"/text"}}`
	for _, tt := range []struct {
		body   string
		status int
		answer string
	}{
		{`{"room":"news","event":"headline","data":{"text":"all"}}`, 200, `"members"`},
		{`{"room":"news","event":"headline","data":{"text":7}}`, 422, wrong},
		{`{"rooms":["free","news"],"event":"headline","data":{"text":7}}`, 422, wrong},
		{`{"room":"free","event":"headline","data":{"text":7}}`, 200, `"members"`},
		{`{"room":"news","event":"headline"}`, 422, "the event has 0 arguments: want one"},
	} {
		if status, answer := post(t, p.url+"/api/publish", tt.body); status != tt.status || !strings.Contains(answer, tt.answer) {
			t.Errorf("%s: got %d %s", tt.body, status, answer)
		}
	}
	o := runCommand(t, nil, "", "publish", "--url", p.url, "--room", "news", "--event", "headline", `{"text":7}`)
	o.want(t, "publish", exitFailed, "", "tutti publish: the data is wrong at /text: got number, want string (bad_data)\n")

	session := p.open()
	p.send(session, "40")
	p.get(session)
	for event, want := range map[string]string{
		`421["note","too long"]`: `431[{"error":"the data is wrong: maxLength: got 8, want 3","code":"bad_data","at":""}]`,
		`422["publish",{"room":"news","event":"headline","data":{"text":7}}]`: `432[{"error":"the data is wrong at /text: got number, want string","code":"bad_data","at":"/text"}]`,
	} {
		p.send(session, event)
		if _, _, body := p.get(session); body != want {
			t.Errorf("%s: got %s", event, body)
		}
	}

	socket, _, _, err := ws.Dial(t.Context(), "ws"+strings.TrimPrefix(p.url, "http")+"/ws?room=news&framing=json")
	if err != nil {
		t.Fatal(err)
	}
	defer socket.Close()
	if err := wsutil.WriteClientText(socket, []byte(`{"event":"headline","data":{"text":7},"ack":1}`)); err != nil {
		t.Fatal(err)
	}
	if text, err := wsutil.ReadServerText(socket); err != nil || string(text) != `{"ack":1,"error":"the data is wrong at /text: got number, want string","code":"bad_data","at":"/text"}` {
		t.Errorf("JSON framing: %s, %v", text, err)
	}
	plain, _, _, err := ws.Dial(t.Context(), "ws"+strings.TrimPrefix(p.url, "http")+"/ws?room=news")
	if err != nil {
		t.Fatal(err)
	}
	defer plain.Close()
	if err := wsutil.WriteClientText(plain, []byte("NOT SO")); err != nil {
		t.Fatal(err)
	}
	var closed wsutil.ClosedError
	if _, err := wsutil.ReadServerText(plain); !errors.As(err, &closed) || closed.Code != ws.StatusPolicyViolation {
		t.Errorf("text: %v, want 1008", err)
	}
}

// TestDoorEvents: a rule that names the events of a room names them for who
// publishes by HTTP or a plain WebSocket, too.
func TestDoorEvents(t *testing.T) {
	p := start(t, "--allow", "news join=anyone publish=anyone event=headline", "--door-publish", "free", "--door-key", "backend 0123456789abcdef *")
	for _, tt := range []struct {
		room, event, key string
		status           int
	}{
		{"news", "headline", "", 200}, {"news", "other", "", 400}, {"news", "presence", "", 400}, {"free", "other", "", 200},
		{"news", "other", "0123456789abcdef", 200}, // the key opens the room by itself
	} {
		o := runCommand(t, []string{"TUTTI_KEY=" + tt.key}, "", "publish", "--url", p.url, "--room", tt.room, "--event", tt.event, "x")
		if (o.code == exitOK) != (tt.status == 200) || tt.status == 400 && !strings.Contains(o.stderr, "(bad_event)") {
			t.Errorf("%+v: got %+v", tt, o)
		}
	}
	socket, _, _, err := ws.Dial(t.Context(), "ws"+strings.TrimPrefix(p.url, "http")+"/ws?room=news&framing=json")
	if err != nil {
		t.Fatal(err)
	}
	defer socket.Close()
	for event, want := range map[string]string{"other": `"code":"bad_event"`, "headline": `"event":"headline"`} {
		if err := wsutil.WriteClientText(socket, []byte(`{"event":"`+event+`","data":1,"ack":1}`)); err != nil {
			t.Fatal(err)
		}
		if text, err := wsutil.ReadServerText(socket); err != nil || !strings.Contains(string(text), want) {
			t.Errorf("%s: got %s, %v", event, text, err)
		}
		if event == "headline" {
			wsutil.ReadServerText(socket) // the reply
		}
	}
}

// TestSchemaMistakes: each with its line, whatever else is wrong.
func TestSchemaMistakes(t *testing.T) {
	dir := folderOf(t, map[string]string{
		"tutti.yaml": "lisen: x\nschema:\n  - a file=gone.json\n  - event: b\n    schema: {type: strin}\n  - c namespace=/x schema={}\n  - d\n  - connect schema={}\n",
	})
	o := runCommand(t, nil, "", "config", "check", filepath.Join(dir, "tutti.yaml"))
	for _, want := range []string{
		"tutti.yaml:1: no setting is called lisen", `tutti.yaml:3: schema: a: ` + dir + "/gone.json can't be read: no such file or directory",
		"tutti.yaml:4: schema: b: the schema is wrong at /type: ", "tutti.yaml:6: schema: namespace=/x: want /",
		`tutti.yaml:7: schema is "d": event "d": want file=, or schema=, and not both`, `tutti.yaml:8: schema: the event "connect" belongs to the protocol`,
	} {
		if !strings.Contains(o.stderr, want) {
			t.Errorf("stderr lacks %q:\n%s", want, o.stderr)
		}
	}
	if o.code != exitFailed {
		t.Errorf("exit code %d", o.code)
	}
}
