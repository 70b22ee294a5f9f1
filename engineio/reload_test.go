package engineio_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/tutti-rt/tutti/engineio"
)

// deaf takes every session and hears nothing.
type deaf struct{}

func (deaf) Receive(engineio.Message)      {}
func (deaf) Closed(engineio.Reason, error) {}

type anybody struct{}

func (anybody) Accept(*engineio.Session) engineio.Receiver { return deaf{} }

// TestReload: who may come changes, and who is there stays.
func TestReload(t *testing.T) {
	srv, err := engineio.New(engineio.Config{MaxSessions: 1}, anybody{})
	if err != nil {
		t.Fatal(err)
	}
	defer srv.Shutdown(t.Context())
	ask := func(query, origin string) (int, string) {
		r := httptest.NewRequest("GET", "/engine.io/?EIO=4&transport=polling"+query, http.NoBody)
		if origin != "" {
			r.Header.Set("Origin", origin)
		}
		w := httptest.NewRecorder()
		srv.ServeHTTP(w, r)
		return w.Code, w.Header().Get("Access-Control-Allow-Origin")
	}
	const page = "https://app.example"
	if code, _ := ask("", page); code == http.StatusOK {
		t.Error("a page of another origin came in")
	}
	if err := srv.Reload(engineio.Live{Origins: []string{page, "nonsense"}}); err == nil || !strings.Contains(err.Error(), "nonsense") {
		t.Errorf("a wrong origin: %v", err)
	}
	if err := srv.Reload(engineio.Live{Origins: []string{page}, MaxSessions: 2}); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if code, allowed := ask("", page); code != http.StatusOK || allowed != page {
			t.Errorf("got %d for %q", code, allowed)
		}
	}
	if code, _ := ask("", ""); code != http.StatusServiceUnavailable {
		t.Errorf("the third session: got %d", code)
	}
	if err := srv.Reload(engineio.Live{MaxSessions: 1}); err != nil || srv.Sessions() != 2 {
		t.Errorf("%v; %d sessions, want both to stay", err, srv.Sessions())
	}
	if code, _ := ask("", page); code == http.StatusOK {
		t.Error("the page may still come")
	}
}
