package chat_test

import (
	"io/fs"
	"net/http"
	"net/http/httptest"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/tutti-rt/tutti"
	"github.com/tutti-rt/tutti/demo/chat"
)

// serve mounts a chat at a namespace and returns its page.
func serve(t *testing.T, namespace string) http.Handler {
	t.Helper()
	srv, err := tutti.New(tutti.Config{})
	if err != nil {
		t.Fatal(err)
	}
	mux := http.NewServeMux()
	c, err := chat.Mount(srv.Namespace(namespace), mux)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return mux
}

func get(h http.Handler, path string, header ...string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(http.MethodGet, path, nil)
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

func TestEveryFileIsServedUnderAStrictPolicy(t *testing.T) {
	h := serve(t, "/")
	types := map[string]string{".html": "text/html", ".js": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml"}
	err := fs.WalkDir(os.DirFS("web"), ".", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		w := get(h, "/chat/"+strings.TrimSuffix(path, "index.html"))
		if w.Code != http.StatusOK {
			t.Errorf("%s: status %d", path, w.Code)
		}
		if got, want := w.Header().Get("Content-Type"), types[path[strings.LastIndex(path, "."):]]; want == "" || !strings.HasPrefix(got, want) {
			t.Errorf("%s: content type %q, want %q", path, got, want)
		}
		policy := w.Header().Get("Content-Security-Policy")
		if !strings.Contains(policy, "default-src 'none'") || !strings.Contains(policy, "script-src 'self';") || strings.Contains(policy, "unsafe") {
			t.Errorf("%s: policy %q", path, policy)
		}
		if w.Header().Get("X-Content-Type-Options") != "nosniff" {
			t.Errorf("%s: the browser may guess its type", path)
		}
		if w := get(h, "/chat/"+strings.TrimSuffix(path, "index.html"), "If-None-Match", w.Header().Get("ETag")); w.Code != http.StatusNotModified {
			t.Errorf("%s: asked again, status %d, want 304", path, w.Code)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{"/chat/index.htm", "/chat/../chat.go", "/chat/web/main.js", "/chat/%2e%2e/chat.go"} {
		if w := get(h, path); w.Code == http.StatusOK {
			t.Errorf("%s is served", path)
		}
	}
}

func TestThePageKnowsItsNamespace(t *testing.T) {
	for _, namespace := range []string{"/", "/foyer", `/"><script>`} {
		body := get(serve(t, namespace), "/chat/").Body.String()
		if strings.Count(body, `name="tutti-namespace"`) != 1 || strings.Contains(body, "<script>") {
			t.Errorf("%s: the page is wrong about it", namespace)
		}
		if namespace == "/foyer" && !strings.Contains(body, `content="/foyer"`) {
			t.Errorf("%s: the page does not know it", namespace)
		}
	}
}

var (
	references = regexp.MustCompile(`(?:src|href)="([^"#]+)"|from "\./([^"]+)"`)
	inline     = regexp.MustCompile(`(?i)<style|\sstyle=|\son[a-z]+=|<script>|javascript:`)
	// What could turn text into markup or code. The browser's trusted types
	// stop the same; this finds it before a browser does.
	sinks = regexp.MustCompile(`innerHTML|outerHTML|insertAdjacentHTML|document\.write|DOMParser|createContextualFragment|srcdoc|\beval\(|new Function|setTimeout\("|import\(`)
)

func TestThePageNeedsNothingFromElsewhereAndNoInlineCode(t *testing.T) {
	h := serve(t, "/")
	files, err := os.ReadDir("web")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		data, err := os.ReadFile("web/" + f.Name())
		if err != nil {
			t.Fatal(err)
		}
		text := string(data)
		if m := sinks.FindString(text); m != "" {
			t.Errorf("%s uses %s", f.Name(), m)
		}
		if m := inline.FindString(text); m != "" && strings.HasSuffix(f.Name(), ".html") {
			t.Errorf("%s has %q", f.Name(), m)
		}
		if strings.HasSuffix(f.Name(), ".svg") {
			continue
		}
		for _, m := range references.FindAllStringSubmatch(text, -1) {
			name := m[1] + m[2]
			if name == "/socket.io/socket.io.js" {
				continue // the server's own, beside the chat
			}
			if w := get(h, "/chat/"+name); w.Code != http.StatusOK {
				t.Errorf("%s refers to %s, which is not there", f.Name(), name)
			}
		}
	}
}
