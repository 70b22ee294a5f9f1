package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"time"
)

// controlName is the socket in the data folder through which commands reach the
// server that has it open. Only who may enter the folder can use it, which is
// who could read the data anyway.
const controlName = "control"

// A backupRequest asks the server to back its data up into a folder.
type backupRequest struct {
	Target string `json:"target"` // the whole path
}

type controlAnswer struct {
	Error string `json:"error,omitempty"`
}

// controlHandler answers commands.
func controlHandler(store dataStore, log *slog.Logger) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("POST /backup", func(w http.ResponseWriter, r *http.Request) {
		var q backupRequest
		err := json.NewDecoder(io.LimitReader(r.Body, 64<<10)).Decode(&q)
		if err == nil && !filepath.IsAbs(q.Target) {
			err = errors.New("the target is no whole path")
		}
		began := time.Now()
		if err == nil {
			err = store.Backup(r.Context(), q.Target)
		}
		var answer controlAnswer
		if err != nil {
			answer.Error = err.Error()
			log.Error("backup", "target", q.Target, "err", err)
			w.WriteHeader(http.StatusInternalServerError)
		} else {
			log.Info("backup", "target", q.Target, "took", time.Since(began).Round(time.Millisecond))
		}
		if err := json.NewEncoder(w).Encode(answer); err != nil {
			return // the caller is gone
		}
	})
	return mux
}

// listenControl listens in the data folder, which is this process's alone: a
// socket that is there was left by one that died.
func listenControl(dir string) (net.Listener, error) {
	path := filepath.Join(dir, controlName)
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	l, err := net.Listen("unix", path)
	if err != nil {
		return nil, err
	}
	if err := os.Chmod(path, 0o600); err != nil {
		return nil, errors.Join(err, l.Close())
	}
	return l, nil
}

// askControl has the server of a data folder back it up.
func askControl(ctx context.Context, dir, target string) error {
	client := http.Client{Transport: &http.Transport{
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "unix", filepath.Join(dir, controlName))
		},
	}}
	defer client.CloseIdleConnections()
	body, err := json.Marshal(backupRequest{target})
	if err != nil {
		return err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://tutti/backup", bytes.NewReader(body))
	if err != nil {
		return err
	}
	res, err := client.Do(req)
	if err != nil {
		return fmt.Errorf("the data folder %s is in use, and its user does not answer: %w", dir, err)
	}
	defer res.Body.Close()
	var answer controlAnswer
	if err := json.NewDecoder(res.Body).Decode(&answer); err != nil {
		return fmt.Errorf("read the server's answer: %w", err)
	}
	if answer.Error != "" {
		return errors.New(answer.Error)
	}
	return nil
}
