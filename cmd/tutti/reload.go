package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"time"

	"github.com/tutti-rt/tutti/admin"
	"github.com/tutti-rt/tutti/engineio"
	"github.com/tutti-rt/tutti/internal/config"
)

// A reloader reads the settings of a running server again, from where it has
// them: the same file, environment and flags.
type reloader struct {
	args, environ []string
	app           *app
	log           *slog.Logger

	mu      sync.Mutex      // one at a time
	running config.Settings // those that are in use
}

// reload puts changed settings to use. If anything is wrong with them it
// returns all mistakes, one a line, and nothing has changed. No connection is
// dropped but those that the new settings do not let be.
func (r *reloader) reload(context.Context) (admin.Reloaded, error) {
	if r == nil {
		return admin.Reloaded{}, errors.New("the server is only starting: try again in a moment")
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	// Whatever the settings are like: who has moved the file relies on it.
	if err := r.app.audit.reopen(); err != nil {
		r.log.Error("audit log", "err", err)
	}
	loaded, err := config.Load(r.args, r.environ, facts())
	if err != nil {
		r.refuse(err)
		return admin.Reloaded{}, err
	}
	var done admin.Reloaded
	next := config.TakeLive(r.running, loaded.Settings)
	sameTLS := r.running.TLS.Kind() == loaded.TLS.Kind()
	if !sameTLS {
		next.TLS = r.running.TLS
	}
	if err := loaded.Check(next, facts()); err != nil {
		r.refuse(err)
		return admin.Reloaded{}, err
	}
	for _, c := range config.Changes(r.running, loaded.Settings) {
		if c.Live && (sameTLS || !strings.HasPrefix(c.Name, "tls.")) {
			done.Applied = append(done.Applied, c.String())
			r.log.Info("setting changed", "setting", c.Name, "from", c.From, "to", c.To)
		} else {
			done.Restart = append(done.Restart, c.String())
			r.log.Warn("setting changed, which takes a new start", "setting", c.Name, "from", c.From, "to", c.To)
		}
	}
	if err := r.app.apply(next); err != nil {
		r.refuse(err)
		return admin.Reloaded{}, err
	}
	r.running = next
	r.log.Info("settings read again", "applied", len(done.Applied), "restart", len(done.Restart))
	return done, nil
}

// reloadBySignal reads the settings again, which operators hear of by the audit
// log.
func (a *app) reloadBySignal(ctx context.Context) {
	done, err := a.reloader.Load().reload(ctx) // what was wrong has been logged
	entry := admin.Entry{
		Who: "signal", From: "SIGHUP", Action: "reload",
		Detail: map[string]any{"applied": done.Applied, "restart": done.Restart},
	}
	if err != nil {
		entry.Detail, entry.Result, entry.Error = nil, "mistakes", err.Error()
	}
	a.admin.Record(entry)
}

// patience is how long the end may take, and over how much of it sessions are
// closed if others can take them.
func (r *reloader) patience() (whole, pace time.Duration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	t := r.running.Timeout
	return t.Drain, min(t.Pace, t.Drain/2)
}

// refuse logs every mistake.
func (r *reloader) refuse(err error) {
	lines := strings.Split(err.Error(), "\n")
	for _, line := range lines {
		r.log.Error("mistake in the settings", "err", line)
	}
	r.log.Error("settings refused: those from before stay", "mistakes", len(lines))
}

// apply puts the live ones of the settings to use. They have been checked, so
// what fails here is what has changed on the disk since; whatever can fail
// comes first.
func (a *app) apply(s config.Settings) error {
	if a.encryption != nil {
		if err := a.encryption.reload(s); err != nil {
			return err
		}
	}
	if err := a.schemas.Reload(schemaConfig(s)); err != nil {
		return fmt.Errorf("schema: %w", err)
	}
	if err := a.desk.Reload(a.deskConfig(s)); err != nil {
		return fmt.Errorf("verbs: %w", err)
	}
	a.keys.Store(&s.Door.Key)
	before := a.who.inUse()
	if err := a.who.reload(s); err != nil {
		return fmt.Errorf("auth: %w", err)
	}
	a.serveVerbs(s)
	a.reviewSockets(before, s)
	a.quota.Reload(quotaConfig(s))
	a.hosts.Store(hostsOf(s))
	a.level.Set(slog.Level(s.Log.Level))
	engine := engineConfig(s)
	err := errors.Join(
		a.server.Reload(engineio.Live{Origins: engine.Origins, Credentials: engine.Credentials, MaxSessions: engine.MaxSessions}),
		a.admin.Reload(adminKeys(s)),
		a.reloadDoors(s),
	)
	a.who.endKeys(before, s)
	return err
}
