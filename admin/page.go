package admin

import (
	"embed"
	"net/http"
	"path"
)

// files is the page: no build step, nothing from elsewhere.
//
//go:embed page
var files embed.FS

// kinds are the types of the page's files. A browser takes no other.
var kinds = map[string]string{
	".html": "text/html; charset=utf-8",
	".css":  "text/css; charset=utf-8",
	".js":   "text/javascript; charset=utf-8",
	".svg":  "image/svg+xml",
}

// servePage serves the page to anybody who gets here: it has nothing in it, and
// asks for a key by itself.
func servePage(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		refuse(w, &failure{http.StatusMethodNotAllowed, "method_not_allowed", "want GET"})
		return
	}
	name := r.URL.Path
	if name == "/" {
		name = "/index.html"
	}
	text, err := files.ReadFile("page" + path.Clean(name))
	if err != nil || path.Clean(name) != name {
		refuse(w, notFound("there is no such page here"))
		return
	}
	w.Header().Set("Content-Type", kinds[path.Ext(name)])
	w.Header().Set("Cache-Control", "no-cache")
	_, _ = w.Write(text) // an error means that the caller is gone
}
