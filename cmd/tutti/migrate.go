package main

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net/url"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/tutti-rt/tutti/hub/natshub"
	"github.com/tutti-rt/tutti/hub/pebblehub"
	"github.com/tutti-rt/tutti/hub/redishub"
	"github.com/tutti-rt/tutti/internal/config"
)

func migrateManual() *manual {
	return &manual{
		name: "migrate", does: "move the data of a server to an engine",
		synopsis: []string{"--from FOLDER --to URL [flags]", "--from FOLDER --undo"},
		about: `Moves what "tutti serve --data FOLDER" keeps to an engine, from which "tutti serve --engine URL" goes on: what
its clients have missed, their sessions, the histories of the rooms, and the ids of messages.

A server that is running with FOLDER goes on while most of it is copied. Then it is told to drain, and the rest is
copied when it has ended: that is how long nobody is served, and it is printed. Start the nodes then. Clients come back
to them as they do after a restart.

Until all is there, nodes refuse to use the engine; whatever ends the command, give it again: it begins anew. After
it, servers refuse FOLDER. With --undo they take it again, and what was published on the engine stays there.`,
		options: []option{
			{name: "from", value: "FOLDER", does: "The data folder."},
			{name: "to", value: "URL", env: "TUTTI_ENGINE", does: "The engine, as redis://HOST:PORT or nats://HOST:PORT. It must not have messages of a cluster of that name."},
			{name: "cluster", value: "NAME", env: "TUTTI_CLUSTER", does: "The name of the cluster. Default: tutti."},
			{name: "window", value: "TIME", env: "TUTTI_WINDOW", does: "For how long clients may come back, as the nodes will be told. Default: " + config.Default().Window.String() + "."},
			{name: "engine-loss", does: "Accept an engine that loses what is acknowledged, as the setting of that name does."},
			{name: "undo", does: "Take the mark from the folder that it was moved."},
		},
		examples: []example{{"tutti migrate --from /var/lib/tutti --to redis://10.0.0.5:6379 && tutti serve --engine redis://10.0.0.5:6379", "With one node, that begins when all is there:"}},
		see:      "tutti backup, docs/engines.md",
	}
}

// migrate moves a data folder to an engine.
func migrate(ctx context.Context, c call) int {
	a, code := migrateManual().begin(c)
	if a == nil {
		return code
	}
	m, err := newMigration(a)
	if err != nil {
		return a.manual.misused(c, err)
	}
	ctx, cancel := context.WithCancel(ctx)
	var watching sync.WaitGroup
	watching.Go(func() { // ends with the context, below
		select {
		case <-c.signals:
			cancel()
		case <-ctx.Done():
		}
	})
	err = m.run(ctx, c)
	cancel()
	watching.Wait()
	if err != nil {
		return fail(c, "migrate", err)
	}
	return exitOK
}

// A migration is one call of the command.
type migration struct {
	folder string
	to     redishub.Config // or what of it another engine has, too
	window time.Duration
	undo   bool
	log    *slog.Logger
	mark   mark
}

func newMigration(a *arguments) (*migration, error) {
	m := &migration{folder: a.value("from"), window: config.Default().Window, undo: a.given("undo")}
	m.to = redishub.Config{URL: a.value("to"), Cluster: cmp.Or(a.value("cluster"), config.Default().Cluster), AllowLoss: a.given("engine-loss")}
	var errs []error
	if m.folder == "" || len(a.rest) > 0 {
		errs = append(errs, errors.New("want a data folder: --from FOLDER"))
	}
	if u, err := url.Parse(m.to.URL); !m.undo && (err != nil || engineKinds[u.Scheme] == nil) {
		errs = append(errs, errors.New("want an engine: --to redis://HOST:PORT, or nats://HOST:PORT"))
	}
	if text := a.value("window"); text != "" {
		var err error
		if m.window, err = time.ParseDuration(text); err != nil || m.window <= 0 {
			errs = append(errs, fmt.Errorf("--window: %q is no time such as 2m", text))
		}
	}
	return m, errors.Join(errs...)
}

func (m *migration) run(ctx context.Context, c call) error {
	if _, err := os.Stat(filepath.Join(m.folder, "FORMAT")); err != nil {
		return fmt.Errorf("%s is no data folder", m.folder)
	}
	release, err := lockMark(m.folder)
	if err != nil {
		return err
	}
	defer release()
	if m.mark, err = readMark(m.folder); err != nil {
		return err
	}
	if m.undo {
		return m.takeBack(c)
	}
	if m.mark.Complete {
		return fmt.Errorf("%s was moved to %s, and that is complete", m.folder, m.mark.To)
	}
	u, err := url.Parse(m.to.URL)
	if err != nil {
		return errors.New("--to: not a URL") // it may have a password in it
	}
	m.mark.ID, m.mark.To = cmp.Or(m.mark.ID, rand.Text()), u.Redacted()
	if err := m.mark.write(m.folder); err != nil {
		return err
	}
	m.log = slog.New(slog.NewTextHandler(c.errors, &slog.HandlerOptions{Level: slog.LevelWarn}))
	into, err := m.open(ctx, u.Scheme)
	if err != nil {
		return err
	}
	return errors.Join(m.move(ctx, c, into), into.Close())
}

// open marks the engine as one that is being filled.
func (m *migration) open(ctx context.Context, scheme string) (importer, error) {
	reach, cancel := context.WithTimeout(ctx, engineStart)
	defer cancel()
	if scheme == "nats" || scheme == "tls" {
		return natshub.OpenImport(reach, natshub.Config{URL: m.to.URL, Cluster: m.to.Cluster, Log: m.log}, m.mark.ID)
	}
	m.to.Log = m.log
	redis.SetLogger(redisLog{m.log})
	return redishub.OpenImport(reach, m.to, m.mark.ID)
}

func (m *migration) takeBack(c call) error {
	if m.mark.ID == "" {
		return fmt.Errorf("%s was not moved", m.folder)
	}
	if err := os.Remove(filepath.Join(m.folder, markFile)); err != nil {
		return err
	}
	fmt.Fprintf(c.output, "%s can be served again; what was published on %s is not in it\n", m.folder, m.mark.To)
	return nil
}

// move copies in two steps.
func (m *migration) move(ctx context.Context, c call, into importer) error {
	mv := &mover{into: into, window: m.window, spaces: make(map[string]*movedSpace)}
	cfg := pebblehub.Config{Log: m.log, SweepEvery: -1}
	began := time.Now()
	store, err := pebblehub.Open(m.folder, cfg)
	if errors.Is(err, pebblehub.ErrInUse) {
		if err := m.copyLive(ctx, c, mv); err != nil {
			return fmt.Errorf("copy while the server goes on: %w", err)
		}
		began = time.Now()
		// From here on, so that whoever starts servers again does not start that one,
		// and never both it and the nodes.
		m.mark.Moved = true
		if err := m.mark.write(m.folder); err != nil {
			return err
		}
		store, err = m.takeOver(ctx, cfg)
	}
	if err != nil {
		return errors.Join(explainStore(m.folder, err), m.unmark())
	}
	closed := time.Now()
	if err := errors.Join(mv.copy(ctx, store, true), store.Close()); err != nil {
		return errors.Join(err, m.unmark())
	}
	m.mark.Moved = true
	if err := m.mark.write(m.folder); err != nil {
		return err
	}
	if err := into.Complete(ctx); err != nil {
		return err // it may be
	}
	m.mark.Complete = true
	if err := m.mark.write(m.folder); err != nil {
		return err
	}
	n := mv.count
	fmt.Fprintf(c.output, "copied the rest: %d messages, %d histories, %d sessions in %v; with the end of the server that took %v\n",
		n.messages, n.histories, n.sessions, time.Since(closed).Round(time.Millisecond), time.Since(began).Round(time.Millisecond))
	fmt.Fprintf(c.output, "moved %s to %s: start the nodes with --engine\n", m.folder, m.mark.To)
	return nil
}

// unmark lets the folder be served, when no node can have begun.
func (m *migration) unmark() error {
	m.mark.Moved = false
	return m.mark.write(m.folder)
}

// copyLive copies from a copy of the folder that the server makes beside it.
func (m *migration) copyLive(ctx context.Context, c call, mv *mover) error {
	whole, err := filepath.Abs(m.folder)
	if err != nil {
		return err
	}
	dir := filepath.Join(filepath.Dir(whole), "."+filepath.Base(whole)+"-migrate")
	if err := os.RemoveAll(dir); err != nil { // of a command that was stopped
		return err
	}
	began := time.Now()
	err = askControl(ctx, m.folder, dir)
	if err == nil {
		var store *pebblehub.Store
		if store, err = pebblehub.Open(dir, pebblehub.Config{Log: m.log, SweepEvery: -1}); err == nil {
			err = errors.Join(mv.copy(ctx, store, false), store.Close())
		}
	}
	if err = errors.Join(err, os.RemoveAll(dir)); err != nil {
		return err
	}
	fmt.Fprintf(c.output, "copied while the server goes on: %d messages, %d histories in %v\n",
		mv.count.messages, mv.count.histories, time.Since(began).Round(time.Millisecond))
	return nil
}

// takeOver has the server end, and opens the folder when it has.
func (m *migration) takeOver(ctx context.Context, cfg pebblehub.Config) (*pebblehub.Store, error) {
	at, err := (&arguments{manual: &manual{options: operatorOptions}, values: map[string][]string{"data": {m.folder}}}).operators()
	if err != nil {
		return nil, err
	}
	if err := at.post(ctx, "/api/drain", struct{}{}, nil); err != nil {
		return nil, fmt.Errorf("drain the server: %w", err)
	}
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for {
		store, err := pebblehub.Open(m.folder, cfg)
		if !errors.Is(err, pebblehub.ErrInUse) {
			return store, err
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// A mark in a data folder says that it is being moved, or was.
type mark struct {
	ID       string // of the import
	To       string // where to, without the password
	Moved    bool   // nodes may have begun there
	Complete bool
}

const markFile = "MOVED"

func readMark(folder string) (m mark, err error) {
	text, err := os.ReadFile(filepath.Join(folder, markFile))
	if errors.Is(err, fs.ErrNotExist) {
		return m, nil
	}
	if err == nil {
		err = json.Unmarshal(text, &m)
	}
	if err != nil {
		return m, fmt.Errorf("read whether the data folder was moved: %w", err)
	}
	return m, nil
}

// write replaces the mark, so that after a crash it is the old or the new one.
func (m mark) write(folder string) error {
	text, err := json.Marshal(m)
	if err != nil {
		return err
	}
	path := filepath.Join(folder, markFile)
	f, err := os.OpenFile(path+".tmp", os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(append(text, '\n'))
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	if err := os.Rename(path+".tmp", path); err != nil {
		return err
	}
	d, err := os.Open(folder)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// lockMark has one command at a time move a folder.
func lockMark(folder string) (release func(), err error) {
	f, err := os.OpenFile(filepath.Join(folder, markFile+".lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		return nil, errors.Join(fmt.Errorf("%s is being moved by another command", folder), f.Close())
	}
	return func() { f.Close() }, nil
}

// checkMoved refuses a folder that was moved.
func checkMoved(folder string) error {
	m, err := readMark(folder)
	if err != nil || !m.Moved {
		return err
	}
	return fmt.Errorf("the data folder %s was moved to %s: serve with --engine; or, to give up what was published there since, tutti migrate --from %s --undo", folder, m.To, folder)
}
