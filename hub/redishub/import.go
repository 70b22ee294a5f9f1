package redishub

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/tutti-rt/tutti/hub"
)

// ErrTaken means that what is to be imported into a cluster would meet what is
// there: nodes, or messages, or another import.
var ErrTaken = errors.New("redishub: the cluster is in use")

// An Importer fills a cluster that no node is in with what another log has. Until
// it has completed, no node takes part in the cluster: [Open] refuses it. An
// importer that did not get that far is followed by one of the same id, which
// begins anew.
type Importer struct {
	client  *redis.Client
	names   clusterNames
	cluster string
	id      string
	life    string // of the server, all the time
	spaces  []*ImportSpace
}

// importedKeep is how long what is imported is kept at least: until a node writes
// something, which says for how long.
const importedKeep = 7 * 24 * time.Hour

// OpenImport marks a cluster as one that is being filled.
func OpenImport(ctx context.Context, cfg Config, id string) (*Importer, error) {
	cfg, err := cfg.withDefaults()
	if err != nil {
		return nil, err
	}
	d, err := newDialer(cfg)
	if err != nil {
		return nil, err
	}
	e := &Engine{cfg: cfg, dialer: d, client: d.client(), node: "import", importing: id}
	e.names = newClusterNames(cfg.Cluster, e.client.Options().DB)
	im := &Importer{client: e.client, names: e.names, cluster: cfg.Cluster, id: id}
	if err = e.look(ctx); err == nil {
		im.life, err = im.lifeNow(ctx)
	}
	if err == nil {
		err = im.run(ctx, "claim", im.names.meta, id)
	}
	if err != nil {
		return nil, errors.Join(err, im.Close())
	}
	return im, nil
}

// Close gives up the connections. What was not completed stays marked.
func (im *Importer) Close() error { return im.client.Close() }

func (im *Importer) lifeNow(ctx context.Context) (string, error) {
	info, err := im.client.Info(ctx).Result()
	if err != nil {
		return "", fmt.Errorf("look at the server: %w", err)
	}
	return lifeOf(parseInfo(info)), nil
}

// run runs a script of the folder import, which answers "ok" or why not.
func (im *Importer) run(ctx context.Context, name, meta string, args ...any) error {
	begin, err := scriptFiles.ReadFile("scripts/begin.lua")
	if err != nil {
		return fmt.Errorf("read scripts: %w", err)
	}
	body, err := scriptFiles.ReadFile("scripts/import/" + name + ".lua")
	if err != nil {
		return fmt.Errorf("read scripts: %w", err)
	}
	text := fmt.Sprintf("local LIFE = '%s'\nlocal BASE = %d\n%s%s", im.life, firstMilli, begin, body)
	said, err := im.client.Eval(ctx, text, []string{meta}, args...).Text()
	if err != nil {
		return fmt.Errorf("import, %s: %w", name, err)
	}
	if said != "ok" {
		return fmt.Errorf("%w: %s", ErrTaken, said)
	}
	return nil
}

// Now is the server's time.
func (im *Importer) Now(ctx context.Context) (time.Time, error) {
	now, err := im.client.Time(ctx).Result()
	if err != nil {
		return now, fmt.Errorf("ask for the server's time: %w", err)
	}
	return now, nil
}

// Space begins a namespace: it is claimed, and what an importer of before has
// left there is removed. It fails with [ErrTaken] if there is a log.
func (im *Importer) Space(ctx context.Context, namespace string, window time.Duration) (hub.ImportSpace, error) {
	s := &ImportSpace{im: im, names: im.names.space(im.cluster, namespace), window: window, chart: newChart()}
	if err := im.run(ctx, "begin", s.names.meta, im.id); err != nil {
		if errors.Is(err, ErrTaken) {
			err = errors.Join(err, im.abandon(ctx))
		}
		return nil, fmt.Errorf("namespace %s: %w", namespace, err)
	}
	if err := s.clear(ctx); err != nil {
		return nil, fmt.Errorf("clear %s: %w", namespace, err)
	}
	im.spaces = append(im.spaces, s)
	return s, nil
}

// abandon leaves the cluster as it was, for those that it belongs to.
func (im *Importer) abandon(ctx context.Context) error {
	for _, s := range im.spaces {
		if err := errors.Join(s.clear(ctx), im.client.Del(ctx, s.names.meta).Err()); err != nil {
			return err
		}
	}
	return im.client.Del(ctx, im.names.importing()).Err()
}

// clear removes all but the mark.
func (s *ImportSpace) clear(ctx context.Context) error {
	im, prefix := s.im, strings.TrimSuffix(s.names.meta, "m")
	glob := strings.NewReplacer(`\`, `\\`, "*", `\*`, "?", `\?`, "[", `\[`, "]", `\]`).Replace(prefix) + "*"
	all := im.client.Scan(ctx, 0, glob, 1000).Iterator()
	for all.Next(ctx) {
		if key := all.Val(); key != s.names.meta {
			if err := im.client.Unlink(ctx, key).Err(); err != nil {
				return err
			}
		}
	}
	return all.Err()
}

// Complete opens the cluster to nodes. It fails if the server was started again
// since the import began: some of it may be missing.
func (im *Importer) Complete(ctx context.Context) error {
	life, err := im.lifeNow(ctx)
	if err != nil {
		return err
	}
	if life != im.life {
		return errors.New("redishub: the server was started again meanwhile, and may have lost some of what was imported")
	}
	_, err = im.client.TxPipelined(ctx, func(p redis.Pipeliner) error {
		for _, s := range im.spaces {
			p.HDel(ctx, s.names.meta, "import")
		}
		p.Del(ctx, im.names.importing())
		return nil
	})
	if err != nil {
		return fmt.Errorf("complete the import: %w", err)
	}
	return nil
}

// An ImportSpace is a namespace that is being filled. Its messages get new
// positions, which tell the time here: first Place is called with what there is,
// in the order of its positions, then those messages are written, those of each
// history and of the tape in that order; and so again with what has come since.
type ImportSpace struct {
	im     *Importer
	names  names
	window time.Duration
	chart  *chart
}

// Place gives a message a new position: after those of the messages before it.
func (s *ImportSpace) Place(old hub.Position, at time.Time, _ bool) { s.chart.add(old, placeOf(at)) }

// Write writes messages.
func (s *ImportSpace) Write(ctx context.Context, messages []hub.MovedMessage) error {
	_, err := s.im.client.Pipelined(ctx, func(p redis.Pipeliner) error {
		for _, m := range messages {
			s.write(ctx, p, m)
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("write messages: %w", err)
	}
	return nil
}

func (s *ImportSpace) write(ctx context.Context, p redis.Pipeliner, m hub.MovedMessage) {
	at := s.chart.at(m.Position)
	id := fmt.Sprintf("%d-0", at)
	entry := appendEntry(make([]byte, 0, entrySize(m.Rooms, m.Body)), m.Rooms, m.Body)
	values := []any{"b", entry}
	for _, h := range m.Histories {
		values = append(values, "h", h.Room)
	}
	if m.Tape {
		p.XAdd(ctx, &redis.XAddArgs{Stream: s.key("t"), ID: id, Values: values})
		p.PExpire(ctx, s.key("t"), importedKeep)
		for _, index := range indices(m.SharedMessage) {
			p.ZAdd(ctx, s.key(index), redis.Z{Score: float64(at), Member: fmt.Sprint(uint64(at))})
			p.PExpire(ctx, s.key(index), importedKeep)
		}
		if name := dedupName(m.Publisher, m.ID); name != "" {
			p.SetNX(ctx, s.key("d:"+name), uint64(at), s.window)
		}
	}
	for _, h := range m.To {
		key := s.key("h:" + h.Room)
		age := h.Limit.Age.Milliseconds()
		if h.Limit.Age > 0 {
			age = max(1, age)
		}
		p.XAdd(ctx, &redis.XAddArgs{Stream: key, ID: id, Values: append([]any{"a", age, "n", len(m.Body)}, values...)})
		if h.Limit.Count > 0 {
			p.XTrimMaxLen(ctx, key, int64(h.Limit.Count))
		}
		if age > 0 {
			p.PExpire(ctx, key, h.Limit.Age)
		} else {
			p.Persist(ctx, key)
		}
	}
}

func (s *ImportSpace) key(rest string) string { return strings.TrimSuffix(s.names.meta, "m") + rest }

// Forget removes messages that were written, from the tape.
func (s *ImportSpace) Forget(ctx context.Context, old []hub.Position) error {
	for _, p := range old {
		if err := s.im.client.XDel(ctx, s.key("t"), fmt.Sprintf("%d-0", s.chart.at(p))).Err(); err != nil {
			return fmt.Errorf("remove a message: %w", err)
		}
	}
	return nil
}

// ForgetHistory removes a room's history, to be written again or not.
func (s *ImportSpace) ForgetHistory(ctx context.Context, room string) error {
	if err := s.im.client.Del(ctx, s.key("h:"+room), s.key("b:"+room)).Err(); err != nil {
		return fmt.Errorf("remove the history of %q: %w", room, err)
	}
	return nil
}

// sessionsAtOnce is how many sessions are written at a time.
const sessionsAtOnce = 500

// Finish makes what was written a log, with the sessions. Offsets of the old log
// go on to be understood for as long as its members may come back.
func (s *ImportSpace) Finish(ctx context.Context, e hub.MoveEnding) error {
	now, err := s.im.Now(ctx)
	if err != nil {
		return err
	}
	m := s.chart.finish(e, placeOf(now))
	for list := e.Sessions; len(list) > 0; list = list[min(sessionsAtOnce, len(list)):] {
		if err := s.putSessions(ctx, list[:min(sessionsAtOnce, len(list))], m); err != nil {
			return err
		}
	}
	text, err := json.Marshal(m)
	if err != nil {
		return fmt.Errorf("write down where positions are: %w", err)
	}
	if err := s.im.client.Set(ctx, s.key("o"), text, 2*s.window).Err(); err != nil {
		return fmt.Errorf("write down where positions are: %w", err)
	}
	return s.im.run(ctx, "finish", s.names.meta, s.im.id, e.Epoch, uint64(m.Start), uint64(m.End))
}

func (s *ImportSpace) putSessions(ctx context.Context, list []hub.StoredSession, m *moved) error {
	_, err := s.im.client.Pipelined(ctx, func(p redis.Pipeliner) error {
		for _, old := range list {
			r, err := hub.MoveSession(old, m.To, m.session, m.End, s.window)
			if err != nil {
				return err
			}
			key := s.key("s:" + m.To + ":" + r.ID)
			p.HSet(ctx, key, "g", r.Generation, "n", "moved", "b", r.Body)
			p.PExpire(ctx, key, r.Keep)
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("write sessions: %w", err)
	}
	return nil
}
