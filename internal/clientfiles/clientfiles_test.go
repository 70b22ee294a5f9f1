package clientfiles

import (
	"errors"
	"io/fs"
	"maps"
	"os"
	"strings"
	"testing"
	"testing/fstest"
)

func TestFiles(t *testing.T) {
	files, version, err := Files()
	if errors.Is(err, ErrAbsent) {
		t.Skip("built without the client files; `make test` installs them")
	}
	if err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(version, "4.") {
		t.Errorf("version %q, want 4.…", version)
	}
	for _, name := range names {
		text, err := fs.ReadFile(files, name)
		if err != nil {
			t.Error(err)
			continue
		}
		if len(text) < 10_000 {
			t.Errorf("%s has %d bytes, which can't be all of it", name, len(text))
		}
	}
	if _, err := fs.Stat(files, "LICENSE"); err != nil {
		t.Errorf("who hands the files on must hand on their licence: %v", err)
	}
}

func TestCheck(t *testing.T) {
	manifest := []byte(`{"dependencies": {"socket.io": "4.8.4"}}`)
	full := fstest.MapFS{"README": {Data: []byte("run make client")}}
	for _, name := range names {
		full[name] = &fstest.MapFile{Data: []byte("/*!\n * Socket.IO v4.8.4\n * (c)\n */\n")}
	}
	with := func(name, text string) fstest.MapFS {
		files := maps.Clone(full)
		files[name] = &fstest.MapFile{Data: []byte(text)}
		return files
	}
	without := func(name string) fstest.MapFS {
		files := maps.Clone(full)
		delete(files, name)
		return files
	}
	tests := []struct {
		name  string
		files fs.FS
		want  string // in the error; "" for none
	}{
		{"complete", full, ""},
		{"only the README", fstest.MapFS{"README": {}}, "are not in this program"},
		{"one missing", without("socket.io.msgpack.min.js"), "socket.io.msgpack.min.js"},
		{"another version", with("socket.io.js", "/*!\n * Socket.IO v4.7.0\n"), "version 4.7.0 is embedded, 4.8.4 is pinned"},
		{"something else", with("socket.io.js", "alert(1)"), "banner"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			version, err := check(tt.files, manifest)
			if tt.want == "" {
				if err != nil || version != "4.8.4" {
					t.Errorf("got %q, %v, want 4.8.4", version, err)
				}
				return
			}
			if err == nil || !strings.Contains(err.Error(), tt.want) || !strings.Contains(err.Error(), "make client") {
				t.Errorf("got %v, want an error with %q that names `make client`", err, tt.want)
			}
		})
	}
}

// The lock must work with any registry, so it names none.
func TestLockNamesNoRegistry(t *testing.T) {
	lock, err := os.ReadFile("package-lock.json")
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(string(lock), `"resolved"`) {
		t.Error("package-lock.json says where its packages were downloaded: install with this folder's .npmrc")
	}
	if !strings.Contains(string(lock), `"integrity": "sha512-`) {
		t.Error("package-lock.json has no checksums")
	}
}
