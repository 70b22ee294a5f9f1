package tutti_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/tutti-rt/tutti"
	"github.com/tutti-rt/tutti/engineio"
	"github.com/tutti-rt/tutti/quota"
)

// limited runs f in a world in which a connection has so many events at once, and
// returns which limits were hit and what was logged.
func limited(t *testing.T, events int, f func(w *world)) (hits, log string) {
	synctest.Test(t, func(t *testing.T) {
		var limits []string
		var text bytes.Buffer
		runWorld(t, tutti.Config{
			Log: slog.New(slog.NewTextHandler(&text, nil)),
			Engine: engineio.Config{
				AllowEIO3: true,
				Quota: quota.New(quota.Config{
					Connection: quota.Rates{Events: quota.Rate{PerSecond: 0.001, Burst: events}},
					Trace:      &quota.Trace{LimitHit: func(l string) { limits = append(limits, l) }},
				}),
			},
		}, f)
		hits, log = fmt.Sprint(limits), text.String()
	})
	return hits, log
}

// TestPacketsThatDoNothingCount: answers to no call of ours and goodbyes to
// namespaces that nobody is in are no way around the rates.
func TestPacketsThatDoNothingCount(t *testing.T) {
	for what, packet := range map[string]string{
		"answers to nothing": `3999[1]`,
		"goodbyes to nobody": `1/nowhere,`,
	} {
		t.Run(what, func(t *testing.T) {
			hits, log := limited(t, 50, func(w *world) {
				w.srv.Namespace("/")
				c := w.connect("/")
				for range 60 {
					if c.Send(packet) != nil {
						break
					}
				}
				synctest.Wait()
			})
			if hits != "[connection events]" || !strings.Contains(log, "too many events") {
				t.Errorf("limits hit: %s; log: %s", hits, log)
			}
		})
	}
}

// TestRequestsForTheMainNamespaceCount: old clients may ask for it though they
// are in it, and not without end.
func TestRequestsForTheMainNamespaceCount(t *testing.T) {
	hits, _ := limited(t, 50, func(w *world) {
		w.srv.Namespace("/")
		url := "http://example.test/socket.io/?EIO=3&transport=polling"
		ask := func(method, url, body string) string {
			r, err := http.NewRequest(method, url, strings.NewReader(body))
			if err != nil {
				t.Fatal(err)
			}
			answer, err := w.net.HTTP().Do(r)
			if err != nil {
				t.Fatal(err)
			}
			defer answer.Body.Close()
			text, err := io.ReadAll(answer.Body)
			if err != nil {
				t.Fatal(err)
			}
			return string(text)
		}
		_, id, _ := strings.Cut(ask("GET", url, ""), `"sid":"`)
		id, _, _ = strings.Cut(id, `"`)
		ask("POST", url+"&sid="+id, strings.Repeat("2:40", 60))
	})
	if hits != "[connection events]" {
		t.Errorf("limits hit: %s", hits)
	}
}

// TestAnswersThatAreOwedAreFree: who is asked much may answer much.
func TestAnswersThatAreOwedAreFree(t *testing.T) {
	hits, _ := limited(t, 3, func(w *world) {
		ns := w.srv.Namespace("/")
		c := w.connect("/")
		s, ok := ns.Socket(c.id)
		if !ok {
			t.Fatal("no socket")
		}
		for i := range 20 {
			answered := make(chan error, 1)
			go func() {
				_, err := s.Call(context.Background(), "ask", i)
				answered <- err
			}()
			p, err := c.Receive()
			if err != nil {
				t.Fatalf("call %d: %v", i, err)
			}
			id, _, _ := strings.Cut(strings.TrimPrefix(p, "2"), "[")
			c.send("3" + id + "[true]")
			if err := <-answered; err != nil {
				t.Fatalf("call %d: %v", i, err)
			}
		}
	})
	if hits != "[]" {
		t.Errorf("limits hit: %s", hits)
	}
}
