package tutti

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"io/fs"
	"net/http"
	"path"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/tutti-rt/tutti/internal/origin"
)

// clientFiles serves the files of the JavaScript client. They are read,
// compressed and given their names at the first request for each.
type clientFiles struct {
	source  fs.FS
	version string // "": name files by their content
	origins *atomic.Pointer[origin.Policy]

	mu    sync.Mutex
	files map[string]*clientFile
}

type clientFile struct {
	plain, gzipped []byte
	etag           string
	contentType    string
}

// clientFileNames are the eight files that are served; any other name is
// Engine.IO's to refuse.
var clientFileNames = map[string]bool{
	"socket.io.js": true, "socket.io.js.map": true,
	"socket.io.min.js": true, "socket.io.min.js.map": true,
	"socket.io.esm.min.js": true, "socket.io.esm.min.js.map": true,
	"socket.io.msgpack.min.js": true, "socket.io.msgpack.min.js.map": true,
}

// serve answers a request for a client file and says whether it was one.
func (c *clientFiles) serve(w http.ResponseWriter, r *http.Request) bool {
	_, name := path.Split(r.URL.Path)
	if !clientFileNames[name] || (r.Method != http.MethodGet && r.Method != http.MethodHead) {
		return false
	}
	f, err := c.open(name)
	if err != nil {
		http.Error(w, "client file not installed", http.StatusNotFound)
		return true
	}
	h := w.Header()
	c.origins.Load().SetHeader(h, r) // a page of another origin may import the module
	h.Set("Content-Type", f.contentType)
	h.Set("Cache-Control", "public, max-age=0")
	h.Set("ETag", f.etag)
	h.Add("Vary", "Accept-Encoding")
	body := f.plain
	if strings.Contains(r.Header.Get("Accept-Encoding"), "gzip") {
		h.Set("Content-Encoding", "gzip")
		body = f.gzipped
	}
	http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(body))
	return true
}

func (c *clientFiles) open(name string) (*clientFile, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if f := c.files[name]; f != nil {
		return f, nil
	}
	plain, err := fs.ReadFile(c.source, name)
	if err != nil {
		return nil, err
	}
	var buf bytes.Buffer
	zw := gzip.NewWriter(&buf)
	zw.Write(plain) // a bytes.Buffer takes everything
	zw.Close()
	version := c.version
	if version == "" {
		sum := sha256.Sum256(plain)
		version = hex.EncodeToString(sum[:8])
	}
	f := &clientFile{
		plain:       plain,
		gzipped:     buf.Bytes(),
		etag:        `"` + version + `"`,
		contentType: "application/javascript; charset=utf-8",
	}
	if strings.HasSuffix(name, ".map") {
		f.contentType = "application/json; charset=utf-8"
	}
	if c.files == nil {
		c.files = make(map[string]*clientFile)
	}
	c.files[name] = f
	return f, nil
}
