package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"slices"

	"github.com/tutti-rt/tutti/hub"
	"github.com/tutti-rt/tutti/hub/pebblehub"
	"github.com/tutti-rt/tutti/internal/config"
	"github.com/tutti-rt/tutti/metrics"
)

// A dataStore is what keeps the data folder.
type dataStore interface {
	hub.Store
	// Failed is closed when it has stopped to acknowledge; Err then says why.
	Failed() <-chan struct{}
	Err() error
	// Backup copies the folder while it is in use.
	Backup(ctx context.Context, dir string) error
}

// openStore opens the folder that holds what must outlive the program, and
// says what to do if it can't.
func (a *app) openStore(dir string, m *metrics.Metrics, log *slog.Logger) error {
	if err := checkMoved(dir); err != nil {
		return err
	}
	store, err := pebblehub.Open(dir, pebblehub.Config{Log: log})
	if err != nil {
		return explainStore(dir, err)
	}
	a.store = store
	a.control = controlHandler(store, log)
	a.watch(m, log)
	return nil
}

// closeStore comes last: until then something may have to be written.
func (a *app) closeStore() error {
	if a.store == nil {
		return nil
	}
	close(a.ended)
	a.running.Wait()
	if err := a.store.Close(); err != nil {
		return fmt.Errorf("close the data folder: %w", err)
	}
	return nil
}

// watch says it when the store stops to acknowledge, once.
func (a *app) watch(m *metrics.Metrics, log *slog.Logger) {
	a.ended = make(chan struct{})
	// Started here, ended and waited for by closeStore.
	a.running.Go(func() {
		select {
		case <-a.store.Failed():
			m.StoreFailed()
			log.Error("the store has stopped: nothing is acknowledged any more, until a new start", "err", a.store.Err())
		case <-a.ended:
		}
	})
}

// explainStore adds to an error of a data folder what a person can do.
func explainStore(dir string, err error) error {
	var format *pebblehub.FormatError
	switch {
	case err == nil:
		return nil
	case errors.Is(err, pebblehub.ErrInUse):
		return fmt.Errorf("the data folder %s is in use: is another server running with it? Choose another with --data", dir)
	case errors.As(err, &format):
		return fmt.Errorf("%w; choose another folder with --data, or use the program that wrote it", err)
	case errors.Is(err, hub.ErrDamaged):
		return fmt.Errorf("%w; nothing was changed: keep a copy, and bring back a backup with: tutti restore BACKUP FOLDER", err)
	case errors.Is(err, fs.ErrPermission):
		return fmt.Errorf("not allowed to use the data folder %s: %w", dir, err)
	}
	return fmt.Errorf("data folder %s: %w", dir, err)
}

// remembering returns the namespaces with memory.
func remembering(s config.Settings) []string {
	if len(s.Memory) > 0 || s.Data == "" && s.Engine == "" {
		return s.Memory
	}
	return append([]string{"/"}, s.Namespaces...)
}

// memoryConfig says in the hub's terms what is kept.
func memoryConfig(s config.Settings) func(namespace string) *hub.Memory {
	names := remembering(s)
	if len(names) == 0 {
		return nil
	}
	memory := hub.Memory{Window: s.Window, MaxBytes: int64(s.Limit.Tape), MaxGone: int(s.Limit.Gone), MaxIDs: int(s.Limit.IDs)}
	for _, r := range s.Durable {
		rule := hub.RoomRule{
			Pattern: r.Pattern,
			Limit:   hub.HistoryLimit{Count: max(int(r.Count), 0), Bytes: max(int64(r.Bytes), 0), Age: r.Age},
		}
		if r.Durability == "async" {
			rule.Durability = hub.Async
		}
		memory.Rooms = append(memory.Rooms, rule)
	}
	return func(namespace string) *hub.Memory {
		if !slices.Contains(names, namespace) {
			return nil
		}
		return &memory
	}
}

// presenceConfig leaves the grace to the hub where it is the default, which is
// none in a namespace without memory: who comes back there is somebody else.
func presenceConfig(s config.Settings) hub.PresenceConfig {
	p := hub.PresenceConfig{Grace: s.Presence.Grace, Tick: s.Presence.Tick, MaxState: int(s.Limit.State)}
	switch p.Grace {
	case config.Default().Presence.Grace:
		p.Grace = 0
	case 0:
		p.Grace = -1
	}
	return p
}

// checkMemory returns why a memory could not be opened. A server without the
// memory that it is to have must not start.
func (a *app) checkMemory(s config.Settings) error {
	var errs []error
	for _, name := range remembering(s) {
		errs = append(errs, explainStore(string(s.Data), a.server.Namespace(name).Space().Err()))
	}
	return errors.Join(errs...)
}
