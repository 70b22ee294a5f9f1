package pebblehub

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"
)

// Backup writes what is committed at this moment into another directory, which
// must be empty or not there, while the store goes on. Files are linked where
// the directory is on the same file system, so it takes little time and no
// space at first. It is complete when it has a file FORMAT, which comes last.
//
// A backup is a data directory that, when it is opened, begins new epochs:
// members know positions from after it was made. [Restore] copies and checks
// it.
func (s *Store) Backup(ctx context.Context, dir string) error {
	dir, err := s.host.abs(dir)
	if err != nil {
		return err
	}
	if s.disk.inside(dir + "/") {
		return fmt.Errorf("backup: %s is inside the data directory", dir)
	}
	if !s.begin() {
		return errClosed
	}
	defer s.end()
	if err := errors.Join(ctx.Err(), s.Err()); err != nil {
		return fmt.Errorf("backup: %w", err)
	}
	if err := s.backup(dir); err != nil {
		return fmt.Errorf("backup: %w", err)
	}
	return nil
}

func (s *Store) backup(dir string) error {
	files := s.host.fs
	if err := makeEmpty(files, dir); err != nil {
		return err
	}
	// All that is committed goes along, synced or not.
	s.disk.wanted.Add(1)
	err := s.db.Checkpoint(files.PathJoin(dir, logFolder), pebble.WithFlushedWAL())
	s.disk.wanted.Add(-1)
	if err == nil {
		err = s.Err()
	}
	if err != nil {
		return err
	}
	restored := unsynced{boot: s.boot, restored: true}
	if err := restored.write(files, dir); err != nil {
		return err
	}
	if err := beginFormat(files, dir); err != nil {
		return err
	}
	return finishFormat(files, dir)
}

// Restore makes a data directory of a backup: it copies it into a directory
// that is empty or not there, and reads all of the copy. What is damaged is a
// [hub.ErrDamaged], and then nothing is left in the directory.
func Restore(ctx context.Context, backup, dir string) error {
	return restore(ctx, backup, dir, thisHost())
}

func restore(ctx context.Context, backup, dir string, h host) error {
	backup, err1 := h.abs(backup)
	dir, err2 := h.abs(dir)
	if err := errors.Join(err1, err2); err != nil {
		return err
	}
	complete, err := checkFormat(h.fs, backup)
	if err == nil && !complete {
		err = fmt.Errorf("%s is no complete backup: it has no file %s", backup, formatFile)
	}
	if err == nil {
		err = makeEmpty(h.fs, dir)
	}
	if err != nil {
		return fmt.Errorf("restore: %w", err)
	}
	if err := restoreInto(ctx, backup, dir, h); err != nil {
		return fmt.Errorf("restore: %w", errors.Join(err, clearDir(h.fs, dir)))
	}
	return nil
}

func restoreInto(ctx context.Context, backup, dir string, h host) error {
	from, to := h.fs.PathJoin(backup, logFolder), h.fs.PathJoin(dir, logFolder)
	if err := beginFormat(h.fs, dir); err != nil {
		return err
	}
	if err := makeDir(h.fs, to); err != nil {
		return err
	}
	names, err := h.fs.List(from)
	if err != nil {
		return damaged(from, err)
	}
	for _, name := range names {
		if name == lockFile {
			continue
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := copyFile(h.fs, h.fs.PathJoin(from, name), h.fs.PathJoin(to, name)); err != nil {
			return err
		}
	}
	if err := syncDir(h.fs, to); err != nil {
		return err
	}
	left := unsynced{boot: "restored", restored: true}
	if err := left.write(h.fs, dir); err != nil {
		return err
	}
	if err := finishFormat(h.fs, dir); err != nil {
		return err
	}
	s, err := open(dir, Config{SweepEvery: -1}, h)
	if err != nil {
		return err
	}
	return errors.Join(s.Verify(ctx), s.Close())
}

func copyFile(fs vfs.FS, from, to string) error {
	if err := vfs.Copy(fs, from, to); err != nil { // it syncs
		return fmt.Errorf("copy %s: %w", from, err)
	}
	return nil
}

// Verify reads everything that is stored. It returns a [hub.ErrDamaged] that
// names the first thing that can't be read.
func (s *Store) Verify(ctx context.Context) error {
	if !s.begin() {
		return errClosed
	}
	defer s.end()
	n := 0
	return s.scan([]byte{}, func(key, value []byte) error {
		if n++; n%1024 == 0 && ctx.Err() != nil {
			return ctx.Err()
		}
		if err := verify(key, value); err != nil {
			return damaged(fmt.Sprintf("key %q", key), err)
		}
		return nil
	})
}

// verify checks the form of one key and its value.
func verify(k, value []byte) error {
	if len(k) > 0 && k[0] == kindNamespace {
		if len(value) != 4 {
			return errCodec
		}
		return nil
	}
	kind, _, _, err := splitKey(k)
	if err != nil {
		return err
	}
	switch kind {
	case kindState:
		_, err = readState(value)
	case kindRoom:
		_, err = readRoom(value)
	case kindTape, kindHistory:
		if _, err = position(k); err == nil {
			_, err = readMessage(value)
		}
	case kindSession:
	default:
		err = fmt.Errorf("%w kind", errCodec)
	}
	return err
}

// makeEmpty makes a directory, and refuses one that has anything in it.
func makeEmpty(fs vfs.FS, dir string) error {
	if err := makeDir(fs, dir); err != nil {
		return err
	}
	names, err := fs.List(dir)
	if err != nil {
		return err
	}
	for _, name := range names {
		if name != "lost+found" {
			return fmt.Errorf("%s is not empty: it has %s", dir, name)
		}
	}
	return nil
}

// clearDir removes what a failed attempt has left.
func clearDir(fs vfs.FS, dir string) error {
	names, err := fs.List(dir)
	for _, name := range names {
		if name != "lost+found" {
			err = errors.Join(err, fs.RemoveAll(fs.PathJoin(dir, name)))
		}
	}
	return err
}

// abs returns the whole path, for what is inside of what is decided by names.
func (h host) abs(dir string) (string, error) {
	if strings.HasPrefix(dir, "/") {
		return filepath.Clean(dir), nil
	}
	return filepath.Abs(dir)
}
