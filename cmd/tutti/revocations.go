package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/tutti-rt/tutti/auth"
)

// revocationsName is the file in the data folder with what was revoked, so that
// a restart does not let anybody in again.
const revocationsName = "revocations"

// revocations keeps them: a line of JSON each.
type revocations struct {
	log *slog.Logger

	mu   sync.Mutex
	file *os.File // nil while they are read, and without a data folder
	torn bool     // the last line may be there in part
}

// open reads what was revoked before, and keeps what is from now on. What is over
// is left out of the file that is written anew.
func (r *revocations) open(dir string, register *auth.Register) error {
	path := filepath.Join(dir, revocationsName)
	old, err := os.Open(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
	case err != nil:
		return err
	default:
		lines := bufio.NewScanner(old)
		for lines.Scan() {
			var v auth.Revocation
			if json.Unmarshal(lines.Bytes(), &v) != nil || v.Token == "" && v.User == "" {
				continue // cut off by a crash: it was not acknowledged
			}
			if _, err := register.Revoke(v); err != nil {
				// The file is about to be written anew, without what is left out.
				return errors.Join(fmt.Errorf("%s: %w: raise auth.revoked", path, err), old.Close())
			}
		}
		if err := errors.Join(lines.Err(), old.Close()); err != nil {
			return fmt.Errorf("%s: %w", path, err)
		}
	}
	file, err := os.OpenFile(path+".new", os.O_CREATE|os.O_TRUNC|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	err = file.Chmod(0o600) // what a start that failed has left may have another
	for _, v := range register.Revocations() {
		if err == nil {
			err = writeRevocation(file, v)
		}
	}
	if err = errors.Join(err, file.Sync()); err == nil {
		err = os.Rename(path+".new", path)
	}
	if err == nil {
		err = syncFolder(dir) // else a crash could bring the old file back, without what is to come
	}
	if err != nil {
		return errors.Join(err, file.Close())
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.file = file
	return nil
}

// syncFolder has the disk know what is in a folder.
func syncFolder(dir string) error {
	f, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}

func writeRevocation(file *os.File, v auth.Revocation) error {
	line, err := json.Marshal(v)
	if err == nil {
		_, err = file.Write(append(line, '\n'))
	}
	return err
}

// keep writes one down. Who revokes is told if it could not, and may try again.
func (r *revocations) keep(v auth.Revocation) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.file == nil || !time.Now().Before(v.Until) {
		return nil
	}
	var err error
	if r.torn {
		_, err = r.file.Write([]byte("\n")) // so that the next line is one of its own
	}
	err = errors.Join(err, writeRevocation(r.file, v), r.file.Sync())
	if r.torn = err != nil; err != nil {
		r.log.Error("keep a revocation: it holds until the program ends", "err", err)
	}
	return err
}

func (r *revocations) close() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.file == nil {
		return nil
	}
	err := r.file.Close()
	r.file = nil
	return err
}
