package admin

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"sync"
	"time"
)

// An Entry is a line of the audit log: who did what, when, from where, and what
// came of it. Secrets and payloads are in none.
type Entry struct {
	Number uint64    `json:"number"` // grows by one
	Time   time.Time `json:"time"`
	Who    string    `json:"who"` // the key's name; "local" without keys, "control" on this machine
	Role   Role      `json:"role,omitempty"`
	From   string    `json:"from"`
	Action string    `json:"action"`
	// Target is what it was done to: a room, a socket, a user.
	Target string         `json:"target,omitempty"`
	Detail map[string]any `json:"detail,omitempty"`
	Result string         `json:"result"` // "ok", or the code of the error
	Error  string         `json:"error,omitempty"`
}

// auditKept is how many entries the page can see; the log has them all.
const auditKept = 1000

// audit keeps the last entries in memory and writes all out.
type audit struct {
	out io.Writer
	log *slog.Logger

	mu     sync.Mutex
	number uint64
	last   []Entry // oldest first
	broken bool    // out could not be written, and the log says so
}

// Record adds an entry to the audit log: of what operators do by other ways
// than the handler. Number and Time are filled in, and Result if it is empty.
func (a *Admin) Record(e Entry) { a.audit.add(e) }

// record adds an entry with the result that err stands for.
func (a *Admin) record(e Entry, err error) {
	e.Result, e.Error = "ok", ""
	if f, ok := errors.AsType[*failure](err); ok && f != nil {
		e.Result, e.Error = f.code, f.message
	} else if err != nil && !ok {
		e.Result, e.Error = "failed", err.Error()
	}
	a.audit.add(e)
}

// note adds an entry for a request.
func (a *Admin) note(r *http.Request, action, target string, detail map[string]any, err error) {
	who := operatorOf(r)
	a.record(Entry{Who: who.name, Role: who.role, From: who.from, Action: action, Target: target, Detail: detail}, err)
}

func (u *audit) add(e Entry) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.number++
	e.Number, e.Time = u.number, time.Now().UTC()
	if e.Result == "" {
		e.Result = "ok"
	}
	if len(u.last) >= auditKept {
		u.last = append(u.last[:0], u.last[len(u.last)-auditKept+1:]...)
	}
	u.last = append(u.last, e)
	u.write(e)
}

// write is called in the order of the entries. Who can't write the audit log
// must know, but a full disk must not keep operators from acting.
func (u *audit) write(e Entry) {
	if u.out == nil {
		u.log.LogAttrs(context.Background(), slog.LevelInfo, "audit",
			slog.String("who", e.Who), slog.String("from", e.From), slog.String("action", e.Action),
			slog.String("target", e.Target), slog.String("result", e.Result), slog.Any("detail", e.Detail))
		return
	}
	line, err := json.Marshal(e)
	if err == nil {
		_, err = u.out.Write(append(line, '\n'))
	}
	switch {
	case err != nil && !u.broken:
		u.log.Error("write audit log", keyErr, err, "who", e.Who, "action", e.Action, "target", e.Target, "result", e.Result)
	case err == nil && u.broken:
		u.log.Info("the audit log is written again")
	}
	u.broken = err != nil
}

// page returns entries that are older than one, newest first; 0: the newest.
func (u *audit) page(before uint64, limit int) (entries []Entry, next uint64) {
	u.mu.Lock()
	defer u.mu.Unlock()
	entries = []Entry{}
	for i := len(u.last) - 1; i >= 0; i-- {
		e := u.last[i]
		if before != 0 && e.Number >= before {
			continue
		}
		if len(entries) == limit {
			return entries, entries[limit-1].Number
		}
		entries = append(entries, e)
	}
	return entries, 0
}

// auditPage answers GET /api/audit.
func (a *Admin) auditPage(r *http.Request) (any, error) {
	q := r.URL.Query()
	before, err := number(q.Get("after"), 0)
	if err != nil {
		return nil, err
	}
	limit, err := pageLimit(q)
	if err != nil {
		return nil, err
	}
	entries, next := a.audit.page(uint64(before), limit)
	return struct {
		Entries []Entry `json:"entries"`
		Next    uint64  `json:"next,omitempty"`
	}{entries, next}, nil
}
