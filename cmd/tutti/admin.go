package main

import (
	"context"
	"log/slog"
	"net/http"

	"github.com/tutti-rt/tutti"
	"github.com/tutti-rt/tutti/admin"
	"github.com/tutti-rt/tutti/door"
	"github.com/tutti-rt/tutti/internal/config"
	"github.com/tutti-rt/tutti/metrics"
)

// openAdmin makes the operators' view of the server that cfg is going to be.
func (a *app) openAdmin(s config.Settings, cfg *tutti.Config, log *slog.Logger, m *metrics.Metrics) error {
	a.stop = make(chan struct{})
	c := admin.Config{
		Version:    programVersion(),
		Address:    s.Advertise,
		Keys:       adminKeys(s),
		Payloads:   s.Admin.Payloads,
		Metrics:    m,
		Log:        log,
		Unready:    a.unready,
		Drain:      a.askToStop,
		EndStreams: a.endStreams,
		Reload:     func(ctx context.Context) (admin.Reloaded, error) { return a.reloader.Load().reload(ctx) },
	}
	if s.Admin.UI != "off" {
		c.UI = &admin.UI{
			Development: s.Admin.UI == "development", User: s.Admin.UIUser, PasswordHash: string(s.Admin.UIPassword), Readonly: s.Admin.UIReadonly,
		}
	}
	var err error
	if s.Admin.Audit != "" {
		if a.audit, err = openAuditFile(string(s.Admin.Audit)); err != nil {
			return err
		}
		c.Audit = escaped{a.audit}
	}
	if a.admin, err = admin.New(c); err != nil {
		return err
	}
	a.admin.Observe(cfg)
	ctx, cancel := context.WithCancel(context.Background())
	// Started here, ended and waited for by the closer.
	a.watching.Go(func() { a.admin.Run(ctx) })
	a.closers = append(a.closers, func(context.Context) error {
		cancel()
		a.admin.Close()
		a.watching.Wait()
		return nil
	})
	a.closeAudit = a.audit.close
	return nil
}

// adminKeys are the keys in the admin's terms.
func adminKeys(s config.Settings) []admin.Key {
	var keys []admin.Key
	for _, k := range s.Admin.Keys {
		keys = append(keys, admin.Key{Name: k.Name, Role: admin.Role(k.Role), Hash: k.Hash})
	}
	return keys
}

// recordLogout writes into the audit log what backends do by the public address.
func (a *app) recordLogout(d door.Dismissal) {
	e := admin.Entry{Who: d.By, From: d.From, Action: "disconnect", Target: "user " + d.User, Detail: map[string]any{"connections": d.Connections, "reason": d.Reason}}
	if d.Token != "" {
		e.Target = "token " + d.Token
	}
	if d.Revoke {
		e.Action = "revoke"
	}
	if d.Err != nil {
		e.Result, e.Error = "failed", d.Err.Error()
	}
	a.admin.Record(e)
}

// askToStop has the process drain and end as a signal does.
func (a *app) askToStop() { a.stopping.Do(func() { close(a.stop) }) }

// unready says why the server wants no clients.
func (a *app) unready() []admin.Reason {
	var reasons []admin.Reason
	if a.draining.Load() {
		reasons = append(reasons, admin.Reason{Code: admin.ReasonDraining, Detail: "the process is about to end"})
	}
	if a.store != nil && a.store.Err() != nil {
		reasons = append(reasons, admin.Reason{Code: "store_failed", Detail: a.store.Err().Error()})
	}
	if a.engine != nil && !a.link.up.Load() {
		reasons = append(reasons, admin.Reason{Code: "engine_away", Detail: "clients that come are refused until the engine can be reached; those who are here stay"})
	}
	return reasons
}

// controlled is what commands reach through the data folder: backups, and all
// that operators may do.
func (a *app) controlled() http.Handler {
	mux := http.NewServeMux()
	mux.Handle("POST /backup", a.control)
	mux.Handle("/", a.admin.Control())
	return mux
}
