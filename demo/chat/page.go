package chat

import (
	"bytes"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"fmt"
	"html"
	"io/fs"
	"net/http"
	"path"
	"time"
)

//go:embed web
var web embed.FS

// policy lets the page load its own files and connect to its own server, and
// nothing else. No script or style within the markup runs, and a script that
// tried to turn text into markup would be stopped by the browser: what peers
// write cannot become more than text.
const policy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; " +
	"base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'"

var contentTypes = map[string]string{
	".css":  "text/css; charset=utf-8",
	".html": "text/html; charset=utf-8",
	".js":   "text/javascript; charset=utf-8",
	".svg":  "image/svg+xml",
}

const namespaceMeta = `<meta name="tutti-namespace" content="/">`

// A page serves the files of the chat, by their names and "" for the first.
type page map[string]*file

type file struct {
	body        []byte
	contentType string
	etag        string
}

// newPage reads the files, and tells the first of them which namespace the
// chat is in.
func newPage(namespace string) (page, error) {
	entries, err := fs.ReadDir(web, "web")
	if err != nil {
		return nil, fmt.Errorf("read the chat's page: %w", err)
	}
	p := make(page, len(entries))
	for _, entry := range entries {
		body, err := fs.ReadFile(web, "web/"+entry.Name())
		if err != nil {
			return nil, fmt.Errorf("read the chat's page: %w", err)
		}
		name := entry.Name()
		if name == "index.html" {
			meta := `<meta name="tutti-namespace" content="` + html.EscapeString(namespace) + `">`
			body = bytes.Replace(body, []byte(namespaceMeta), []byte(meta), 1)
			name = ""
		}
		sum := sha256.Sum256(body)
		p[name] = &file{body: body, contentType: contentTypes[path.Ext(entry.Name())], etag: `"` + hex.EncodeToString(sum[:8]) + `"`}
	}
	return p, nil
}

// ServeHTTP serves a file. Browsers ask each time whether it changed: the
// files belong together, and an old one beside a new one would not work.
func (p page) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Set("Content-Security-Policy", policy)
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Cross-Origin-Opener-Policy", "same-origin")
	h.Set("Permissions-Policy", "camera=(), geolocation=(), microphone=()")
	f := p[r.URL.Path]
	if f == nil {
		http.NotFound(w, r)
		return
	}
	h.Set("Content-Type", f.contentType)
	h.Set("Cache-Control", "no-cache")
	h.Set("ETag", f.etag)
	http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(f.body))
}
