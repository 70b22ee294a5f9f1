package tutti_test

import (
	"compress/gzip"
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/tutti-rt/tutti"
	"github.com/tutti-rt/tutti/engineio"
)

// clientFiles returns a server with one of the eight files.
func clientFiles(t *testing.T, version string) *tutti.Server {
	t.Helper()
	srv, err := tutti.New(tutti.Config{
		Engine:      engineio.Config{Origins: []string{"https://app.example.com"}},
		ClientFiles: fstest.MapFS{"socket.io.js": {Data: []byte("the client")}, "secret.js": {Data: []byte("no")}},

		ClientVersion: version,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { srv.Shutdown(context.Background()) })
	return srv
}

func ask(srv http.Handler, method, path string, header ...string) *http.Response {
	r := httptest.NewRequest(method, path, nil)
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	w := httptest.NewRecorder()
	srv.ServeHTTP(w, r)
	return w.Result()
}

func TestClientFiles(t *testing.T) {
	srv := clientFiles(t, "4.8.4")
	tests := []struct {
		rule, method, path string
		header             []string
		status             int
		body               string
	}{
		{"the file", "GET", "/socket.io/socket.io.js", nil, 200, "the client"},
		{"its head", "HEAD", "/socket.io/socket.io.js", nil, 200, ""},
		{"a browser that has it", "GET", "/socket.io/socket.io.js", []string{"If-None-Match", `"4.8.4"`}, 304, ""},
		{"a browser that has another", "GET", "/socket.io/socket.io.js", []string{"If-None-Match", `"4.8.3"`}, 200, "the client"},
		{"one that is not installed", "GET", "/socket.io/socket.io.min.js", nil, 404, "client file not installed\n"},
		{"one that is none of the eight", "GET", "/socket.io/secret.js", nil, 400, `{"code":0,"message":"Transport unknown"}`},
		{"not to be read", "POST", "/socket.io/socket.io.js", nil, 400, `{"code":0,"message":"Transport unknown"}`},
	}
	for _, tt := range tests {
		answer := ask(srv, tt.method, tt.path, tt.header...)
		body, err := io.ReadAll(answer.Body)
		if answer.StatusCode != tt.status || string(body) != tt.body || err != nil {
			t.Errorf("%s: %d %q, want %d %q", tt.rule, answer.StatusCode, body, tt.status, tt.body)
		}
	}
}

func TestClientFilesCompressed(t *testing.T) {
	answer := ask(clientFiles(t, ""), "GET", "/socket.io/socket.io.js", "Accept-Encoding", "gzip, br")
	zr, err := gzip.NewReader(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	body, err := io.ReadAll(zr)
	if string(body) != "the client" || err != nil || answer.Header.Get("Content-Encoding") != "gzip" ||
		!strings.Contains(strings.Join(answer.Header.Values("Vary"), ","), "Accept-Encoding") {
		t.Errorf("%q, %v, %v", body, err, answer.Header)
	}
	if tag := answer.Header.Get("ETag"); len(tag) != len(`"0123456789abcdef"`) {
		t.Errorf("ETag %s, want a digest where no version is known", tag)
	}
}

// A page of a listed origin may import the module from here; any other may not.
func TestClientFilesAcrossOrigins(t *testing.T) {
	srv := clientFiles(t, "4.8.4")
	for origin, want := range map[string]string{"https://app.example.com": "https://app.example.com", "https://evil.example": ""} {
		h := ask(srv, "GET", "/socket.io/socket.io.js", "Origin", origin).Header
		if got := h.Get("Access-Control-Allow-Origin"); got != want || !strings.Contains(strings.Join(h.Values("Vary"), ","), "Origin") {
			t.Errorf("%s: allowed %q, Vary %q", origin, got, h.Values("Vary"))
		}
	}
}
