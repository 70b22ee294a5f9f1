package main

import (
	"context"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"path"
	"strings"
)

// A folder serves the files of a directory. It doesn't list them, doesn't serve
// what begins with a dot, and can't be led out by links.
type folder struct {
	root  *os.Root
	serve http.Handler
}

func openFolder(name string) (*folder, error) {
	root, err := os.OpenRoot(name)
	if err != nil {
		return nil, fmt.Errorf("static files: %w", err)
	}
	return &folder{root, http.FileServerFS(visible{root.FS()})}, nil
}

func (f *folder) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("X-Content-Type-Options", "nosniff")
	f.serve.ServeHTTP(w, r)
}

func (f *folder) close(context.Context) error { return f.root.Close() }

// visible hides from a file system what isn't for visitors: .git, .env, and
// folders without an index.html, whose list would be shown.
type visible struct{ fs.FS }

// Open implements fs.FS.
func (v visible) Open(name string) (fs.File, error) {
	hidden := &fs.PathError{Op: "open", Path: name, Err: fs.ErrNotExist}
	for part := range strings.SplitSeq(name, "/") {
		if strings.HasPrefix(part, ".") && part != "." && part != ".well-known" {
			return nil, hidden
		}
	}
	file, err := v.FS.Open(name)
	if err != nil {
		return nil, err
	}
	info, err := file.Stat()
	if err == nil && info.IsDir() {
		_, err = fs.Stat(v.FS, path.Join(name, "index.html"))
	}
	if err != nil {
		file.Close()
		return nil, hidden
	}
	return file, nil
}
