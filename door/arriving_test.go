package door_test

import (
	"context"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tutti-rt/tutti/door"
	"github.com/tutti-rt/tutti/hub"
	"github.com/tutti-rt/tutti/packet"
	"github.com/tutti-rt/tutti/quota"
)

// TestBodiesCount: what has come of messages that are published counts against
// what may wait for all, and the largest goes first.
func TestBodiesCount(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		q := quota.New(quota.Config{MaxWaiting: 100_000})
		w.publisher(door.PublishConfig{Publish: door.Access{Rooms: []string{"*"}}, Quota: q, ReadTimeout: -1})
		type answer struct {
			status int
			text   string
		}
		send := func(size int) (*io.PipeWriter, chan answer) {
			body, in := io.Pipe()
			got := make(chan answer, 1)
			go func() { // ends with the answer, which the test waits for
				r, err := http.NewRequest("POST", "http://example.test/api/publish", body)
				if err != nil {
					t.Error(err)
				}
				r.Header.Set("Content-Type", "application/json")
				resp, err := w.client.Do(r)
				if err != nil {
					got <- answer{0, err.Error()}
					return
				}
				defer resp.Body.Close()
				text, _ := io.ReadAll(resp.Body) // what has come is compared
				got <- answer{resp.StatusCode, string(text)}
			}()
			_, _ = io.WriteString(in, `{"room":"a","event":"e","data":"`+strings.Repeat("x", size)) // fails if it was cut off
			synctest.Wait()
			return in, got
		}
		small, smallGot := send(1000)
		if n := q.Waiting(); n < 1000 || n > 1100 {
			t.Errorf("%d bytes count, want those of the small body", n)
		}
		half, halfGot := send(40_000)
		large, largeGot := send(70_000)
		// A client that is still sending may find out by that before it reads the answer.
		if got := <-largeGot; (got.status != 503 || !strings.Contains(got.text, "too_many_requests")) && !strings.Contains(got.text, "broken pipe") {
			t.Errorf("the largest: %d %s", got.status, got.text)
		}
		large.Close()
		for _, end := range []*io.PipeWriter{half, small} {
			_, _ = io.WriteString(end, `"}`) // the answer tells
			end.Close()
		}
		for _, got := range []answer{<-smallGot, <-halfGot} {
			if got.status != 200 {
				t.Errorf("who was not the largest: %d %s", got.status, got.text)
			}
		}
		synctest.Wait()
		if n := q.Waiting(); n != 0 {
			t.Errorf("%d bytes count when none waits", n)
		}
	})
}

// TestBodiesRead: a body that is there is cut off no more, neither for what waits
// nor for the time it took, and the connection is as good as new.
func TestBodiesRead(t *testing.T) {
	for _, c := range []struct {
		name  string
		delay time.Duration // of the commit
		crowd bool          // meanwhile another body comes that is too much
	}{
		{"another body is too much", time.Second, true},
		{"the commit takes longer than the body may", 4 * time.Second, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			memoryBubble(t, func(t *testing.T, w *world) { testBodyRead(t, w, c.delay, c.crowd) })
		})
	}
}

func testBodyRead(t *testing.T, w *world, delay time.Duration, crowd bool) {
	q := quota.New(quota.Config{MaxWaiting: 100_000})
	slow := func(_, event string, _ []string, _ packet.Args) error {
		if event == "slow" {
			<-time.After(delay)
		}
		return nil
	}
	w.publisher(door.PublishConfig{Publish: door.Access{Rooms: []string{"*"}}, Quota: q, Check: slow, ReadTimeout: 2 * time.Second})
	dials := 0
	one := &http.Client{Transport: &http.Transport{DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
		dials++ // one request at a time
		return w.listener.DialContext(ctx, network, address)
	}}}
	defer one.CloseIdleConnections()
	post := func(client *http.Client, event string, size int, rest io.Reader) (int, string) {
		body := strings.NewReader(`{"room":"chat:a","event":"` + event + `","data":"` + strings.Repeat("x", size))
		resp, err := client.Post("http://example.test/api/publish", "application/json", io.MultiReader(body, rest))
		if err != nil {
			return 0, err.Error()
		}
		defer resp.Body.Close()
		text, err := io.ReadAll(resp.Body)
		if err != nil {
			t.Error(err)
		}
		return resp.StatusCode, string(text)
	}
	var others sync.WaitGroup
	if crowd {
		others.Go(func() { // ends with the answer
			<-time.After(delay / 2)
			if n := q.Waiting(); n < 60_000 {
				t.Errorf("%d bytes count, want those of the body that is handed out", n)
			}
			rest, in := io.Pipe()
			defer in.Close()
			if status, text := post(w.client, "crowd", 50_000, rest); status != 503 || !strings.Contains(text, "too_many_requests") {
				t.Errorf("who comes on top: %d %s", status, text)
			}
		})
	}
	if status, text := post(one, "slow", 60_000, strings.NewReader(`"}`)); status != 200 {
		t.Errorf("whose body is there: %d %s", status, text)
	}
	others.Wait()
	if status, text := post(one, "next", 1, strings.NewReader(`"}`)); status != 200 || dials != 1 {
		t.Errorf("the next on the connection: %d %s, after %d dials", status, text, dials)
	}
	synctest.Wait()
	if n := q.Waiting(); n != 0 {
		t.Errorf("%d bytes count when none waits", n)
	}
}

// late is a body whose end comes after somebody had time to cut it off.
type late struct{ text io.Reader }

func (l late) Read(p []byte) (int, error) {
	n, err := l.text.Read(p)
	if err != nil {
		<-time.After(time.Second)
	}
	return n, err
}

// TestBodyCutAtItsEnd: net/http waits for the client to go by then, and the
// deadline that cuts off is in its way.
func TestBodyCutAtItsEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := hub.New(hub.Config{})
		defer h.Close()
		d, err := door.Publish(h.Space("/"), door.PublishConfig{
			Publish: open, Quota: quota.New(quota.Config{MaxWaiting: 50_000}), Log: quiet,
		})
		if err != nil {
			t.Fatal(err)
		}
		defer d.Shutdown(t.Context())
		text := `{"room":"chat:a","event":"e","data":"` + strings.Repeat("x", 60_000) + `"}`
		r := httptest.NewRequest("POST", "/api/publish", late{strings.NewReader(text)})
		r.Header.Set("Content-Type", "application/json")
		a := httptest.NewRecorder()
		if d.ServeHTTP(a, r); a.Code != 503 || a.Header().Get("Connection") != "close" {
			t.Errorf("%d %s, Connection %q", a.Code, a.Body, a.Header().Get("Connection"))
		}
	})
}
