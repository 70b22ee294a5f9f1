package natshub

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/tutti-rt/tutti/hub"
)

// witnessWait is how long a node that knows nothing of a log waits for one that
// knows whether it is whole, when the server was restarted.
const witnessWait = 2 * time.Second

// firstMilli is with what positions begin: those of an epoch are beyond the
// milliseconds of its beginning, times 4096, and so beyond those of the one before.
const firstMilli = 1_577_836_800_000 // 2020

// errElse means that somebody else was first: it is looked at again.
var errElse = errors.New("somebody else was first")

// enter finds out what the log is, and whether something is lost that somebody
// may have received: then the log begins a new epoch.
func (l *line) enter(ctx context.Context, link *link) (meta, *streamInfo, error) {
	began := time.Now()
	for {
		m, info, err := l.tryEnter(ctx, link, time.Since(began) > min(witnessWait, l.e.cfg.Lease))
		if err == nil || !errors.Is(err, errElse) {
			return m, info, err
		}
		if !pause(ctx, retryPause) {
			return m, nil, ctx.Err()
		}
	}
}

func (l *line) tryEnter(ctx context.Context, link *link, waited bool) (m meta, info *streamInfo, err error) {
	m, rev, err := l.readMeta(ctx, link)
	switch {
	case err != nil:
		return m, nil, err
	case m.Import != "":
		return m, nil, errImport
	case rev == 0:
		return m, nil, l.begin(ctx, link, meta{}, 0, 0)
	}
	if !m.Born {
		if err := l.bear(ctx, link, m); err != nil {
			return m, nil, err
		}
		m.Born, m.Server = true, l.lifeOf(link)
		return m, nil, cmp.Or(l.writeMeta(ctx, link, m, rev), errElse)
	}
	info, err = l.e.streamInfo(ctx, link, l.names.tapeStream(m.Epoch))
	if isCode(err, codeStreamMissing) {
		return m, nil, l.begin(ctx, link, m, rev, 0)
	}
	if err != nil {
		return m, nil, err
	}
	l.mu.Lock()
	knows, w, fresh := l.meta.Epoch == m.Epoch, l.witness, l.meta.Epoch == ""
	l.mu.Unlock()
	whole := true
	if knows {
		if whole, err = l.testify(ctx, link, m, info, w); err != nil {
			return m, nil, err
		}
	} else if fresh {
		whole = !l.doubts(link, m, info)
		if !whole && !waited {
			return m, nil, errElse // who has seen it may come
		}
	}
	if whole && (fresh || !l.heardOf(m, info)) { // it may have been made, or changed, with another configuration
		if err := l.bear(ctx, link, m); err != nil {
			return m, nil, err
		}
	}
	if !whole {
		return m, nil, l.begin(ctx, link, m, rev, info.State.Last)
	}
	if m.Server != l.lifeOf(link) && l.lifeOf(link) != "" {
		m.Server = l.lifeOf(link)
		return m, nil, cmp.Or(l.writeMeta(ctx, link, m, rev), errElse)
	}
	return m, info, nil
}

// heardOf says whether the server publishes again what it stores, as it has to.
func (l *line) heardOf(m meta, info *streamInfo) bool {
	want, is := l.tapeConfig(m.Epoch).RePublish, info.Config.RePublish
	return is != nil && is.Source == want.Source && is.Destination == want.Destination && !is.HeadersOnly
}

// lifeOf names the life of the only server, if it is.
func (l *line) lifeOf(link *link) string {
	if link.server.alone && l.e.direct() {
		return link.server.id
	}
	return ""
}

// doubts says whether something may be lost of which nobody knows: the server was
// restarted while no node was there, and may have lost its power.
func (l *line) doubts(link *link, m meta, info *streamInfo) bool {
	life := l.lifeOf(link)
	return life != "" && m.Server != life && (!l.e.site.synced || info.State.Messages == 0)
}

// testify says whether the last message that this node knows of is where it was.
// What is older is, too, if it is.
func (l *line) testify(ctx context.Context, link *link, m meta, info *streamInfo, w witness) (bool, error) {
	l.mu.Lock()
	known := l.known
	l.mu.Unlock()
	if known > m.Base+hub.Position(info.State.Last) {
		return false, nil // others may have received what is not there any more
	}
	if w.at <= m.Base {
		return true, nil
	}
	seq := uint64(w.at - m.Base)
	switch {
	case seq > info.State.Last:
		return false, nil
	case seq < info.State.First:
		return true, nil // too old to be there
	}
	list, err := l.e.gets(ctx, link, l.names.tapeStream(m.Epoch), []get{{Seq: seq}})
	if err != nil {
		return false, err
	}
	return list[0] == nil || list[0].nonce == w.nonce, nil // nil: it was erased
}

// begin begins a new epoch after one of which so much is left. It is looked at
// again in any case.
func (l *line) begin(ctx context.Context, link *link, old meta, rev, last uint64) error {
	l.mu.Lock()
	known := max(l.known, l.head)
	l.mu.Unlock()
	const margin = 1 << 20 // what others may know of
	base := hub.Position(max(0, time.Now().UnixMilli()-firstMilli)) << 12
	if old.Epoch != "" {
		base = max(base, max(known, old.Base+hub.Position(last))+margin)
	}
	fresh := meta{Epoch: rand.Text()[:12], Base: max(base, known)}
	if err := l.writeMeta(ctx, link, fresh, rev); err != nil {
		return err
	}
	if old.Epoch != "" {
		l.e.cfg.Log.Warn("messages are lost, or may be: the log begins a new epoch", "nsp", l.name)
		err := l.e.api(ctx, link, "STREAM.DELETE."+l.names.tapeStream(old.Epoch), nil, nil)
		if err != nil && !isCode(err, codeStreamMissing) {
			return err
		}
	}
	return errElse
}

// readMeta reads what is known of the namespace, and its revision, which is 0 if
// nothing is.
func (l *line) readMeta(ctx context.Context, link *link) (m meta, rev uint64, err error) {
	stream := l.e.names.stream
	answer, err := link.ask(ctx, l.e.leaderQuestion(stream, get{Last: l.names.meta}), l.e.cfg.Timeout)
	if err != nil {
		return m, 0, err
	}
	s, err := readGetJSON(answer)
	if isCode(err, codeStreamMissing) {
		err = l.create(ctx, link, l.clusterConfig())
	}
	if err != nil || s == nil {
		return m, 0, err
	}
	m, err = cutMeta(s.data)
	return m, s.seq, err
}

// writeMeta writes what is known of the namespace, if the revision is what it
// was.
func (l *line) writeMeta(ctx context.Context, link *link, m meta, rev uint64) error {
	q := nats.NewMsg(l.names.meta)
	q.Header[headerExpected] = []string{strconv.FormatUint(rev, 10)}
	var err error
	if q.Data, err = json.Marshal(m); err != nil {
		return fmt.Errorf("write what is known of %s: %w", l.name, err)
	}
	answer, err := link.ask(ctx, q, l.e.cfg.Timeout)
	if err == nil {
		_, err = readAck(answer)
	}
	if isCode(err, codeWrongSequence) {
		return errElse
	}
	return err
}

// bear makes the streams of an epoch, unless they are there.
func (l *line) bear(ctx context.Context, link *link, m meta) error {
	if err := l.create(ctx, link, l.tapeConfig(m.Epoch)); err != nil {
		return err
	}
	return l.create(ctx, link, l.sessionConfig())
}

func (l *line) tapeConfig(epoch string) nats.StreamConfig {
	subjects := l.names.tape + epoch + ".>"
	return nats.StreamConfig{
		Name: l.names.tapeStream(epoch), Subjects: []string{subjects}, MaxAge: l.keep(), Duplicates: l.memory.Window,
		RePublish: &nats.RePublish{Source: subjects, Destination: l.names.live + epoch + ".>"},
	}
}

// sessionConfig: records say themselves how long they are kept. None is for
// longer than that.
func (l *line) sessionConfig() nats.StreamConfig {
	return nats.StreamConfig{
		Name: l.names.sessionStream(), Subjects: []string{l.names.sessions + ">"}, MaxMsgsPerSubject: 1, MaxAge: l.maxKeep(),
	}
}

func (l *line) maxKeep() time.Duration { return max(8*l.memory.Window, time.Minute) }

// clusterConfig is that of what is known of the namespaces.
func (l *line) clusterConfig() nats.StreamConfig {
	return nats.StreamConfig{Name: l.e.names.stream, Subjects: []string{l.e.names.metas()}, MaxMsgsPerSubject: 1}
}

// historyConfig has the server forget what no rule of a room would keep.
func (l *line) historyConfig() nats.StreamConfig {
	// What a node left unfinished is written again for as long as the tape has it.
	c := nats.StreamConfig{Name: l.names.historyStream(), Subjects: []string{l.names.history + ">"}, Duplicates: l.keep() + l.memory.Window/4}
	count, age := 0, time.Duration(0)
	for _, r := range l.memory.Rooms {
		if count >= 0 && r.Limit.Count > 0 {
			count = max(count, r.Limit.Count)
		} else {
			count = -1
		}
		if age >= 0 && r.Limit.Age > 0 {
			age = max(age, r.Limit.Age)
		} else {
			age = -1
		}
	}
	c.MaxMsgsPerSubject = int64(max(count, 0))
	c.MaxAge = max(age, 0)
	if c.MaxAge > 0 {
		c.Duplicates = min(c.Duplicates, c.MaxAge)
	}
	return c
}

// create makes a stream, unless it is there. One that is as it would be made is
// left alone, another is changed.
func (l *line) create(ctx context.Context, link *link, c nats.StreamConfig) error {
	c.Storage, c.Replicas, c.AllowDirect = nats.FileStorage, l.e.site.replicas, l.e.direct()
	c.MaxConsumers, c.MaxMsgs, c.MaxBytes, c.MaxMsgSize = -1, -1, -1, -1
	if c.MaxMsgsPerSubject == 0 {
		c.MaxMsgsPerSubject = -1
	}
	err := l.e.api(ctx, link, "STREAM.CREATE."+c.Name, c, nil)
	if isCode(err, codeStreamExists) {
		err = l.e.api(ctx, link, "STREAM.UPDATE."+c.Name, c, nil)
	}
	var refused *apiError
	if errors.As(err, &refused) && !transient(err) && !isCode(err, codeNoPeers, codeNoCluster, codeResources) {
		return &RefusedError{c.Name, "the stream cannot be made: " + refused.Description}
	}
	return err
}

// entered takes over what the log is.
func (l *line) entered(m meta, info *streamInfo) {
	last := m.Base + hub.Position(info.State.Last)
	floor := m.Base + hub.Position(max(info.State.First, 1)-1)
	l.mu.Lock()
	old := l.meta.Epoch
	l.floor = max(l.floor, floor)
	if old != m.Epoch {
		l.meta, l.floor, l.witness = m, floor, witness{}
		l.head, l.passed, l.known = last, last, last
		if old != "" {
			l.head, l.passed, l.known = m.Base, m.Base, m.Base
		}
	}
	l.meta = m
	l.mu.Unlock()
	if old != "" && old != m.Epoch {
		l.feed.put(event{kind: evLost, err: hub.ErrEpoch, at: m.Base}, perEvent)
	}
}

// tick looks after the line from time to time: whether what it waits for comes, and
// whether the log is what it was.
func (l *line) tick(link *link) {
	l.mu.Lock()
	asked, there, epoch := l.asked, l.link == link, l.meta.Epoch
	waits := l.looked != nil && l.looked.link == link && !l.looked.answered()
	silent := l.spine.silent > 0 && time.Since(l.spine.heard) > l.spine.silent ||
		asked != nil && time.Since(asked.since) > l.e.cfg.Timeout ||
		waits && time.Since(l.lookedAt) > l.e.cfg.Timeout
	l.mu.Unlock()
	switch {
	case !there:
		return
	case silent:
		link.fail(errSilent)
		return
	case l.memory == nil || waits:
		return
	}
	l.settleAll()
	b := link.newBatch(2, func(b *batch) {
		info := new(streamInfo)
		err := readAnswer(b.answers[0], info)
		s, err2 := readGetJSON(b.answers[1])
		switch {
		case isCode(err, codeStreamMissing), isCode(err2, codeStreamMissing), err2 == nil && s == nil:
			link.fail(errUnknown)
			return
		case isNobody(err): // the servers in between have lost each other
			link.fail(err)
			return
		case err == nil && !l.heardOf(meta{Epoch: epoch}, info):
			link.fail(errChanged)
			return
		case err == nil:
			l.stands(epoch, info)
		}
		if err2 == nil {
			if m, err := cutMeta(s.data); err == nil && m.Epoch != epoch {
				link.fail(errUnknown)
			}
		}
	})
	l.mu.Lock()
	l.looked, l.lookedAt = b, time.Now()
	l.mu.Unlock()
	_ = b.ask(0, nats.NewMsg(l.e.site.api+"STREAM.INFO."+l.names.tapeStream(epoch))) // if it fails, the link ends
	_ = b.ask(1, l.e.leaderQuestion(l.e.names.stream, get{Last: l.names.meta}))
}

// stands takes note of where the stream stands.
func (l *line) stands(epoch string, info *streamInfo) (first, last hub.Position) {
	l.mu.Lock()
	defer l.mu.Unlock()
	first = l.meta.Base + hub.Position(max(info.State.First, 1))
	last = l.meta.Base + hub.Position(info.State.Last)
	if l.meta.Epoch == epoch && strings.HasSuffix(info.Config.Name, epoch) {
		l.floor = max(l.floor, first-1)
		l.known = max(l.known, last)
	}
	return first, last
}
