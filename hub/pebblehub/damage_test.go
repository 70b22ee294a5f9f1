package pebblehub_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"

	"github.com/tutti-rt/tutti/hub"
	"github.com/tutti-rt/tutti/hub/pebblehub"
)

// openAt opens a store and its log "/chat" in a real directory.
func openAt(t *testing.T, dir string) (*pebblehub.Store, hub.Log) {
	t.Helper()
	s, err := pebblehub.Open(dir, pebblehub.Config{SweepEvery: -1, Log: quiet})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	l, err := s.Open("/chat")
	if err != nil {
		t.Fatal(err)
	}
	return s, l
}

// fill commits n messages of about 300 bytes that don't compress.
func fill(t *testing.T, l hub.Log, n int) {
	t.Helper()
	rng := rand.New(rand.NewPCG(1, 1))
	p := l.State().Last
	for range n {
		p++
		body := fmt.Appendf(nil, "%d:", p)
		for range 36 {
			body = fmt.Appendf(body, "%08x", rng.Uint32())
		}
		err := l.Commit(&hub.Batch{Sync: true, Messages: []hub.NewMessage{{
			Position: p, Time: time.Now(), Body: body, Histories: []hub.RoomHistory{{Room: fmt.Sprint("r", p%7)}},
		}}})
		if err != nil {
			t.Fatal(err)
		}
	}
}

// whole says what is wrong with a store of n messages of fill, "" if nothing.
func whole(l hub.Log, n int) error {
	list, err := l.Tape(0, 1<<20)
	if err != nil {
		return err
	}
	for i, m := range list {
		if m.Position != hub.Position(i+1) || !strings.HasPrefix(string(m.Body), fmt.Sprintf("%d:", i+1)) {
			return fmt.Errorf("a hole: message %d is %d, %.10q", i, m.Position, m.Body)
		}
	}
	if len(list) != n {
		return fmt.Errorf("a hole: %d messages of %d", len(list), n)
	}
	for r := range 7 {
		page, err := l.History(fmt.Sprint("r", r), hub.HistoryQuery{Limit: n})
		if err != nil {
			return err
		}
		for i, m := range page {
			if want := hub.Position((r+6)%7 + 1 + 7*i); m.Position != want {
				return fmt.Errorf("a hole: message %d of room %d is %d, want %d", i, r, m.Position, want)
			}
		}
	}
	return nil
}

// TestDamage changes the files of a closed store. Whoever opens it is served
// all or told which file is damaged.
func TestDamage(t *testing.T) {
	const n = 400
	original := t.TempDir()
	s, l := openAt(t, original)
	fill(t, l, n)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	var files []string
	err := filepath.WalkDir(original, func(path string, d os.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			rel, _ := filepath.Rel(original, path)
			files = append(files, rel)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	rng := rand.New(rand.NewPCG(uint64(time.Now().UnixNano()), 5))
	damage := map[string]func(string, []byte) error{
		"bit flip": func(path string, text []byte) error {
			if len(text) > 0 {
				text[rng.IntN(len(text))] ^= 1 << rng.IntN(8)
			}
			return os.WriteFile(path, text, 0o600)
		},
		"truncated": func(path string, text []byte) error {
			return os.WriteFile(path, text[:rng.IntN(len(text)+1)], 0o600)
		},
		"emptied": func(path string, _ []byte) error { return os.WriteFile(path, nil, 0o600) },
		"missing": func(path string, _ []byte) error { return os.Remove(path) },
		"zeros in the middle": func(path string, text []byte) error {
			clear(text[len(text)/3 : len(text)*2/3])
			return os.WriteFile(path, text, 0o600)
		},
	}
	rounds := 3
	if testing.Short() {
		rounds = 1
	}
	for name, f := range damage {
		for _, file := range files {
			for range rounds {
				dir := t.TempDir()
				if err := os.CopyFS(dir, os.DirFS(original)); err != nil {
					t.Fatal(err)
				}
				path := filepath.Join(dir, file)
				text, err := os.ReadFile(path)
				if err == nil {
					err = f(path, text)
				}
				if err != nil {
					t.Fatal(err)
				}
				inspect(t, dir, fmt.Sprintf("%s %s", file, name), n)
			}
		}
	}
}

func inspect(t *testing.T, dir, what string, n int) {
	t.Helper()
	s, err := pebblehub.Open(dir, pebblehub.Config{SweepEvery: -1, Log: quiet})
	if err != nil {
		var format *pebblehub.FormatError
		if !errors.Is(err, hub.ErrDamaged) && !errors.As(err, &format) {
			t.Errorf("%s: opened with %v, want ErrDamaged or a FormatError", what, err)
		}
		return
	}
	defer s.Close()
	l, err := s.Open("/chat")
	if err == nil {
		err = whole(l, n)
	}
	if err != nil && !errors.Is(err, hub.ErrDamaged) {
		t.Errorf("%s: %v, want nothing or ErrDamaged", what, err)
	}
	if err != nil && s.Verify(context.Background()) == nil {
		t.Errorf("%s: Verify finds nothing, reading found %v", what, err)
	}
}

// TestDamagedLog flips bits in the log of a store that was not closed: what
// was synced before the last record is not silently dropped.
func TestDamagedLog(t *testing.T) {
	const n = 300
	for seed := range uint64(20) {
		rng := rand.New(rand.NewPCG(seed, 5))
		mem := vfs.NewCrashableMem()
		h := pebblehub.Host{FS: mem, Boot: "one"}
		s, err := pebblehub.OpenOn(h, dataDir, pebblehub.Config{SweepEvery: -1})
		if err != nil {
			t.Fatal(err)
		}
		l, err := s.Open("/chat")
		if err != nil {
			t.Fatal(err)
		}
		fill(t, l, n)
		left := mem.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: 100, RNG: rng})
		s.Close()
		names, _ := left.List(dataDir + "/log")
		for _, name := range names {
			path := dataDir + "/log/" + name
			if info, _ := left.Stat(path); !strings.HasSuffix(name, ".log") || info.Size() < 10000 {
				continue
			}
			text, err := left.UnsafeGetFileDataBuffer(path)
			if err != nil {
				t.Fatal(err)
			}
			text[1000+rng.IntN(len(text)/2)] ^= 1 << rng.IntN(8)
		}
		if s, err = pebblehub.OpenOn(pebblehub.Host{FS: left, Boot: "one"}, dataDir, pebblehub.Config{SweepEvery: -1, Log: quiet}); err == nil {
			if l, err = s.Open("/chat"); err == nil {
				err = whole(l, n)
			}
			s.Close()
		}
		if err != nil && !errors.Is(err, hub.ErrDamaged) {
			t.Errorf("seed %d: %v, want ErrDamaged", seed, err)
		}
		if err == nil {
			t.Errorf("seed %d: the damage was not seen and did no harm?", seed)
		}
	}
}

// TestDamagedOlderLog: the machine loses its power while there are several logs
// and nothing was synced that is not always. Only the last may be torn; where
// an earlier one can't be read, what follows is not served as if nothing were
// missing.
func TestDamagedOlderLog(t *testing.T) {
	for seed := range uint64(10) {
		rng := rand.New(rand.NewPCG(seed, 6))
		mem := vfs.NewCrashableMem()
		known := newLedger()
		var (
			mu   lock
			left *vfs.MemFS
			then *ledger
		)
		// The first table is written: its log is closed, and the next there.
		hook := errorfs.InjectorFunc(func(op errorfs.Op) error {
			mu.Lock()
			defer mu.Unlock()
			known.mu.Lock()
			defer known.mu.Unlock()
			if left == nil && len(known.tried) > 0 && op.Kind == errorfs.OpCreate && strings.HasSuffix(op.Path, ".sst") {
				then, left = known.snapshot(), mem.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: 100, RNG: rng})
			}
			return nil
		})
		h := pebblehub.Host{FS: errorfs.Wrap(machine{MemFS: mem}, hook), Boot: "one", MemTable: memTables[1]}
		s, err := pebblehub.OpenOn(h, dataDir, pebblehub.Config{SweepEvery: -1})
		if err != nil {
			t.Fatal(err)
		}
		if err := load(s, known, rng, 50, func() bool { return false }); err != nil {
			t.Fatal(err)
		}
		s.Close()
		dark := pebblehub.Host{FS: left, Boot: "two", MemTable: memTables[1]}
		whole := dark
		whole.FS = left.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: 100, RNG: rng})
		if err := check(whole, then, false); err != nil {
			t.Errorf("seed %d, without damage: %v", seed, err)
		}
		spoilOldest(t, left, rng)
		if err := check(dark, then, false); !errors.Is(err, hub.ErrDamaged) {
			t.Errorf("seed %d: %v, want ErrDamaged", seed, err)
		}
	}
}

// spoilOldest flips a bit of the first log, which is not the last.
func spoilOldest(t *testing.T, files *vfs.MemFS, rng *rand.Rand) {
	t.Helper()
	names, err := files.List(dataDir + "/log")
	if err != nil {
		t.Fatal(err)
	}
	names = slices.DeleteFunc(names, func(n string) bool { return !strings.HasSuffix(n, ".log") })
	slices.Sort(names)
	if len(names) < 2 {
		t.Fatalf("only the logs %q", names)
	}
	text, err := files.UnsafeGetFileDataBuffer(dataDir + "/log/" + names[0])
	if err != nil {
		t.Fatal(err)
	}
	text[1000+rng.IntN(len(text)/2)] ^= 1 << rng.IntN(8)
}

func TestDirectory(t *testing.T) {
	t.Run("in use", func(t *testing.T) {
		dir := t.TempDir()
		openAt(t, dir)
		if _, err := pebblehub.Open(dir, pebblehub.Config{}); !errors.Is(err, pebblehub.ErrInUse) || !strings.Contains(err.Error(), dir) {
			t.Errorf("opened twice: %v, want ErrInUse with the directory's name", err)
		}
	})
	t.Run("another format", func(t *testing.T) {
		dir := t.TempDir()
		s, _ := openAt(t, dir)
		s.Close()
		for _, text := range []string{"tutti 2\n", "tutti 0", "", "tutti", "tutti 1x"} {
			if err := os.WriteFile(filepath.Join(dir, "FORMAT"), []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
			var format *pebblehub.FormatError
			_, err := pebblehub.Open(dir, pebblehub.Config{})
			if !errors.As(err, &format) || !strings.Contains(err.Error(), fmt.Sprintf("%q", strings.TrimSpace(text))) || !strings.Contains(err.Error(), `"tutti 1"`) {
				t.Errorf("format %q: %v, want a FormatError with both", text, err)
			}
		}
	})
	t.Run("somebody else's", func(t *testing.T) {
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, "thesis.txt"), []byte("x"), 0o600); err != nil {
			t.Fatal(err)
		}
		var format *pebblehub.FormatError
		if _, err := pebblehub.Open(dir, pebblehub.Config{}); !errors.As(err, &format) {
			t.Errorf("opened among other files: %v", err)
		}
	})
	t.Run("a file", func(t *testing.T) {
		file := filepath.Join(t.TempDir(), "f")
		if err := os.WriteFile(file, nil, 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := pebblehub.Open(file, pebblehub.Config{}); err == nil {
			t.Error("opened a file")
		}
	})
}
