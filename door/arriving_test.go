package door_test

import (
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/tutti-rt/tutti/door"
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
		if got := <-largeGot; got.status != 503 || !strings.Contains(got.text, "too_many_requests") {
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
