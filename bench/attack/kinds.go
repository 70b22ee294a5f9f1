//go:build linux

package main

import (
	"bytes"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"
)

// kinds are the attacks: what one attacker does, over and over.
var kinds = map[string]func(target string){
	"handshakes": func(target string) { closing(socket(target, from)) },
	"polling handshakes": func(target string) {
		request("GET", target, "", "")
	},
	"connections without a byte": func(target string) {
		if c, err := net.Dial("tcp", target); err == nil {
			_ = c.SetReadDeadline(time.Now().Add(20 * time.Second))
			_, _ = c.Read(make([]byte, 1))
			c.Close()
		}
	},
	"events": func(target string) {
		flood(target, frame(text, []byte(`42["nobody",{"some":"data","that":["is","parsed"]}]`)))
	},
	"acks": func(target string) {
		flood(target, frame(text, []byte(`431["`+strings.Repeat("x", 8000)+`"]`)))
	},
	"unknown sessions": func(target string) {
		request("GET", target, "/socket.io/?EIO=4&transport=polling&sid=AAAAAAAAAAAAAAAAAAAA", "")
	},
	"calls": func(target string) {
		flood(target, frame(text, []byte(`425["join",{"room":"room:x"}]`)))
	},
	"events to everyone": func(target string) {
		flood(target, frame(text, []byte(`42["echo","`+strings.Repeat("x", 1000)+`"]`)))
	},
	"join and leave": func(target string) {
		flood(target, append(frame(text, []byte(`425["join",{"room":"room:a"}]`)), frame(text, []byte(`426["leave",{"room":"room:a"}]`))...))
	},
	"pongs":           func(target string) { flood(target, frame(text, []byte("3"))) },
	"websocket pings": func(target string) { flood(target, frame(ping, []byte("0123456789"))) },
	"tiny pieces": func(target string) {
		flood(target, append(frame(part, nil), bytes.Repeat(frame(more, []byte("x")), 1000)...))
	},
	"deep JSON": func(target string) {
		flood(target, frame(text, []byte(`42["echo",`+strings.Repeat("[", 400)+strings.Repeat("]", 400)+`]`)))
	},
	"large messages": func(target string) {
		flood(target, frame(text, []byte(`42["nobody","`+strings.Repeat("x", 900_000)+`"]`)))
	},
	"broken packets":    func(target string) { flood(target, frame(text, []byte(`42{`))) },
	"broken frames":     func(target string) { flood(target, []byte{0xff, 0xff}) },
	"many packets":      func(target string) { post(target, strings.Repeat("6\x1e", 499_999)+"6") },
	"separators":        func(target string) { post(target, strings.Repeat("\x1e", 999_999)) },
	"many namespaces":   namespaces,
	"publishing (HTTP)": func(target string) { request("POST", target, "/api/publish", `{"room":"room:a","event":"e"}`) },
	"readers that don't": func(target string) {
		w, err := socket(target, from)
		if err == nil {
			_ = w.send(text, []byte(`421["join",{"room":"room:slow"}]`))
			for range 300 {
				if w.send(text, []byte(`422["publish",{"room":"room:slow","event":"e","data":"`+strings.Repeat("x", 10_000)+`"}]`)) != nil {
					break
				}
			}
		}
		closing(w, err)
	},
}

func kindNames() []string { return slices.Sorted(maps.Keys(kinds)) }

// attackers is how many do it at once.
const attackers = 32

func attack(kind, target string) {
	f := kinds[kind]
	if f == nil {
		panic("no such attack: " + kind)
	}
	var all sync.WaitGroup
	for range attackers {
		all.Go(func() { // until the process is killed
			for {
				f(target)
			}
		})
	}
	all.Wait()
}

func closing(w *wire, err error) {
	if err == nil {
		w.Close()
	}
}

// flood writes the same for as long as the server takes it, and reads what comes.
func flood(target string, what []byte) {
	w, err := socket(target, from)
	if err != nil {
		return
	}
	defer w.Close()
	var reading sync.WaitGroup
	reading.Go(func() { _, _ = io.Copy(io.Discard, w) }) // ends with the connection, waited for here
	many := bytes.Repeat(what, max(1, 16<<10/len(what)))
	for err == nil {
		_, err = w.Write(many)
	}
	w.Close()
	reading.Wait()
}

// namespaces asks for one namespace after the other.
func namespaces(target string) {
	w, err := open(target, from)
	for i := 0; err == nil; i++ {
		err = w.send(text, fmt.Appendf(nil, "40/nowhere%d,", i))
	}
	if w != nil {
		w.Close()
	}
}

func request(method, target, path, body string) string {
	if path == "" {
		path = "/socket.io/?EIO=4&transport=polling"
	}
	r, err := http.NewRequest(method, "http://"+target+path, strings.NewReader(body))
	if err != nil {
		return ""
	}
	r.Header.Set("X-Forwarded-For", "203.0.113.66")
	r.Header.Set("Content-Type", "application/json")
	resp, err := client.Do(r)
	if err != nil {
		return ""
	}
	defer resp.Body.Close()
	text, _ := io.ReadAll(resp.Body) // what has come will do
	return string(text)
}

// post sends a body to a session of its own.
func post(target, body string) {
	_, id, ok := strings.Cut(request("GET", target, "", ""), `"sid":"`)
	if id, _, _ = strings.Cut(id, `"`); ok {
		request("POST", target, "/socket.io/?EIO=4&transport=polling&sid="+id, body)
	}
}
