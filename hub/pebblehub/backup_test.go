package pebblehub_test

import (
	"errors"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/tutti-rt/tutti/hub"
	"github.com/tutti-rt/tutti/hub/pebblehub"
)

// TestBackup backs up while somebody writes: the backup is a prefix, holds all
// that was committed before, and does not give out positions again.
func TestBackup(t *testing.T) {
	base := t.TempDir()
	dir, copied, restored := filepath.Join(base, "data"), filepath.Join(base, "b", "copy"), filepath.Join(base, "restored")
	s, l := openAt(t, dir)
	fill(t, l, 100)
	if err := l.Commit(&hub.Batch{Sessions: []hub.StoredSession{{ID: "s", Body: []byte("x")}}}); err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	wg.Go(func() { fill(t, l, 200) })
	if err := s.Backup(t.Context(), copied); err != nil {
		t.Fatal(err)
	}
	wg.Wait()
	last := l.State()

	if err := s.Backup(t.Context(), copied); err == nil {
		t.Error("a backup over a backup")
	}
	if err := s.Backup(t.Context(), filepath.Join(dir, "x")); err == nil {
		t.Error("a backup into the data directory")
	}
	if err := pebblehub.Restore(t.Context(), copied, dir); err == nil {
		t.Error("restored over a store")
	}
	if err := pebblehub.Restore(t.Context(), copied, restored); err != nil {
		t.Fatal(err)
	}
	for _, d := range []string{restored, copied} {
		_, l := openAt(t, d)
		state := l.State()
		list, err := l.Tape(0, 1<<20)
		if err != nil || len(list) < 100 || whole(l, len(list)) != nil {
			t.Errorf("%s: %d messages, %v, %v", d, len(list), err, whole(l, len(list)))
		}
		if state.Epoch == last.Epoch || state.Last <= last.Last {
			t.Errorf("%s: %+v goes on as %+v", d, state, last)
		}
		for s := range l.Sessions() {
			t.Errorf("%s: session %q is back", d, s.ID)
		}
		if err := l.Commit(&hub.Batch{Messages: []hub.NewMessage{{Position: state.Last + 1, Time: time.Now()}}}); err != nil {
			t.Error(err)
		}
	}
	if err := whole(l, 300); err != nil {
		t.Error(err)
	}
}

func TestRestoreDamaged(t *testing.T) {
	base := t.TempDir()
	copied, restored := filepath.Join(base, "copy"), filepath.Join(base, "restored")
	s, l := openAt(t, filepath.Join(base, "data"))
	fill(t, l, 500)
	s.Close()
	s, _ = openAt(t, filepath.Join(base, "data"))
	if err := s.Backup(t.Context(), copied); err != nil {
		t.Fatal(err)
	}
	tables, _ := filepath.Glob(filepath.Join(copied, "log", "*.sst"))
	if len(tables) == 0 {
		t.Fatal("no tables")
	}
	for _, table := range tables {
		text, err := os.ReadFile(table)
		if err != nil {
			t.Fatal(err)
		}
		os.Remove(table) // it may be a link to the store's own
		text[len(text)/3] ^= 4
		if err := os.WriteFile(table, text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := pebblehub.Restore(t.Context(), copied, restored); !errors.Is(err, hub.ErrDamaged) {
		t.Errorf("restored a damaged backup: %v", err)
	}
	if left, _ := os.ReadDir(restored); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
	os.Remove(filepath.Join(copied, "FORMAT"))
	if err := pebblehub.Restore(t.Context(), copied, restored); err == nil {
		t.Error("restored an unfinished backup")
	}
}
