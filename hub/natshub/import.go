package natshub

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/tutti-rt/tutti/hub"
)

// ErrTaken means that what is to be imported into a cluster would meet what is
// there: nodes, or messages, or another import.
var ErrTaken = errors.New("natshub: the cluster is in use")

var errOther = fmt.Errorf("%w: another import was begun and is not complete", ErrTaken)

const (
	importTimeout = 30 * time.Second
	// rollCall is how long nodes have to say that they are there.
	rollCall = time.Second
)

// An Importer fills a cluster that no node is in with what another log has. Until
// it has completed, no node takes part in the cluster: [Open] refuses it. An
// importer that did not get that far is followed by one of the same id, which
// begins anew. All is written on one connection, so that the server has not been
// started again when it completes.
type Importer struct {
	e      *Engine
	link   *link
	stop   context.CancelFunc
	id     string
	rev    uint64 // of the charter
	spaces []*importSpace
}

// OpenImport marks a cluster as one that is being filled.
func OpenImport(ctx context.Context, cfg Config, id string) (*Importer, error) {
	cfg, err := cfg.withDefaults()
	if err != nil {
		return nil, err
	}
	s, err := readURL(cfg)
	if err != nil {
		return nil, err
	}
	e := &Engine{
		cfg: cfg, site: s, node: "i" + rand.Text()[:15], names: newClusterNames(cfg.Cluster), importing: id,
		ended: make(chan struct{}), changed: make(chan struct{}),
		lines: make(map[string]*line), nodes: make(map[string]*neighbour),
	}
	e.news = newFeed(&e.wg, cfg.MaxPending, func([]func()) {})
	if err := e.look(ctx); err != nil {
		return nil, err
	}
	im := &Importer{e: e, id: id}
	if im.link, err = e.dial(ctx); err != nil {
		return nil, err
	}
	var run context.Context
	run, im.stop = context.WithCancel(context.Background())
	context.AfterFunc(run, func() { im.link.fail(hub.ErrClosed) })
	e.wg.Go(func() { e.read(im.link, nobody{}) }) // ends with the link; Close waits
	if err := im.claim(ctx); err != nil {
		return nil, errors.Join(err, im.Close())
	}
	return im, nil
}

// nobody is told of nothing.
type nobody struct{}

func (nobody) Told(string, []byte) {}
func (nobody) Came(string, []byte) {}
func (nobody) Left(string)         {}
func (nobody) Reached(error)       {}

// Close gives up the connection. What was not completed stays marked.
func (im *Importer) Close() error {
	im.stop()
	im.link.end(hub.ErrClosed)
	im.e.news.close()
	im.e.wg.Wait()
	return nil
}

// claim keeps nodes away that come from now on, and looks whether some are there.
func (im *Importer) claim(ctx context.Context) error {
	if err := im.e.check(ctx, im.link, false); err != nil {
		return err
	}
	some := im.e.pretend("", 0)
	if err := some.create(ctx, im.link, some.clusterConfig()); err != nil {
		return err
	}
	c, rev, err := im.e.readCharter(ctx, im.link)
	if err != nil {
		return err
	}
	claimed := c.Import != ""
	c.Import = im.id
	if im.rev, err = im.writeCharter(ctx, c, rev); err != nil {
		return err
	}
	n, err := im.count(ctx)
	if err == nil && n > 0 {
		err = fmt.Errorf("%w: %d nodes are running", ErrTaken, n)
	}
	if err != nil && !claimed {
		c.Import = ""
		_, err2 := im.writeCharter(ctx, c, im.rev)
		err = errors.Join(err, err2)
	}
	return err
}

// count asks who is there. A node that does not know who asks says so.
func (im *Importer) count(ctx context.Context) (int, error) {
	for _, subject := range []string{im.e.names.all(), im.e.names.node(token(im.e.node))} {
		if _, err := im.link.listen(subject, target{}); err != nil {
			return 0, err
		}
	}
	if err := im.e.beat(im.link, ""); err != nil {
		return 0, err
	}
	if !pause(ctx, rollCall) {
		return 0, ctx.Err()
	}
	return len(im.e.Nodes()), im.link.say(im.e.names.all(), appendSaid(kindLeft, im.e.node, 0))
}

func (im *Importer) writeCharter(ctx context.Context, c charter, rev uint64) (uint64, error) {
	q := nats.NewMsg(im.e.names.charter())
	q.Header[headerExpected] = []string{strconv.FormatUint(rev, 10)}
	var err error
	if q.Data, err = json.Marshal(c); err != nil {
		return 0, fmt.Errorf("mark the cluster: %w", err)
	}
	answer, err := im.link.ask(ctx, q, importTimeout)
	var a ack
	if err == nil {
		a, err = readAck(answer)
	}
	if isCode(err, codeWrongSequence) {
		return 0, errOther
	}
	if err != nil {
		return 0, fmt.Errorf("mark the cluster: %w", err)
	}
	return a.Seq, nil
}

// Now is the time of this machine: the server tells none.
func (im *Importer) Now(context.Context) (time.Time, error) { return time.Now(), nil }

// Complete opens the cluster to nodes. It fails if the connection has ended since
// the import began: some of it may be missing.
func (im *Importer) Complete(ctx context.Context) error {
	if err := im.link.failure(); err != nil {
		return fmt.Errorf("natshub: the connection was lost, and the server may have been started again: %w", err)
	}
	for _, s := range im.spaces {
		m, rev, err := s.line.readMeta(ctx, im.link)
		if err != nil {
			return fmt.Errorf("complete the import: %w", err)
		}
		if m.Import != im.id || m.Epoch != s.meta.Epoch {
			return fmt.Errorf("%w: somebody else has written to %s", ErrTaken, s.line.name)
		}
		m.Import = ""
		if err := s.line.writeMeta(ctx, im.link, m, rev); err != nil {
			return fmt.Errorf("complete the import: %w", err)
		}
	}
	c, rev, err := im.e.readCharter(ctx, im.link)
	if err != nil {
		return err
	}
	c.Import = ""
	_, err = im.writeCharter(ctx, c, rev)
	return err
}

// abandon leaves the cluster as it was, for those that it belongs to.
func (im *Importer) abandon(ctx context.Context) error {
	for _, s := range im.spaces {
		if err := s.clear(ctx, s.meta.Epoch); err != nil {
			return err
		}
		for _, subject := range []string{s.line.names.meta, s.line.names.moved} {
			if err := im.purge(ctx, im.e.names.stream, subject); err != nil {
				return err
			}
		}
	}
	c, rev, err := im.e.readCharter(ctx, im.link)
	if err != nil {
		return err
	}
	c.Import = ""
	_, err = im.writeCharter(ctx, c, rev)
	return err
}

func (im *Importer) purge(ctx context.Context, stream, subject string) error {
	err := im.e.api(ctx, im.link, "STREAM.PURGE."+stream, map[string]any{"filter": subject}, nil)
	if isCode(err, codeStreamMissing) {
		return nil
	}
	return err
}

// pretend returns a line that is on no link, for its names and what it asks.
func (e *Engine) pretend(namespace string, window time.Duration) *line {
	return &line{e: e, name: namespace, names: e.names.space(namespace), memory: &hub.Memory{Window: window}}
}

// Space begins a namespace. It fails with [ErrTaken] if there is a log with
// messages.
func (im *Importer) Space(ctx context.Context, namespace string, window time.Duration) (hub.ImportSpace, error) {
	s := &importSpace{
		im: im, line: im.e.pretend(namespace, window), limits: make(map[string]hub.HistoryLimit),
		again: make(map[string]int), ids: make(map[string]bool),
	}
	if err := s.begin(ctx); err != nil {
		if errors.Is(err, ErrTaken) {
			err = errors.Join(err, im.abandon(ctx))
		}
		return nil, fmt.Errorf("namespace %s: %w", namespace, err)
	}
	im.spaces = append(im.spaces, s)
	return s, nil
}

// An importSpace is a namespace that is being filled.
type importSpace struct {
	im     *Importer
	line   *line
	meta   meta
	chart  chart
	tape   uint64                      // the sequence of the last that was written
	kept   uint64                      // the same, of histories
	limits map[string]hub.HistoryLimit // of rooms
	again  map[string]int              // how often a room's history was removed
	ids    map[string]bool             // of messages on the tape
}

// begin claims the namespace, and removes what is there of an import of before.
func (s *importSpace) begin(ctx context.Context) error {
	im, l := s.im, s.line
	old, rev, err := l.readMeta(ctx, im.link)
	if err != nil {
		return err
	}
	switch {
	case old.Import != "" && old.Import != im.id:
		return errOther
	case old.Import == "" && rev != 0:
		is, err := s.inhabited(ctx, old)
		if err != nil {
			return err
		}
		if is {
			return fmt.Errorf("%w: there are messages already", ErrTaken)
		}
	}
	base := hub.Position(max(0, time.Now().UnixMilli()-firstMilli)) << 12
	s.meta = meta{Epoch: rand.Text()[:12], Base: max(base, old.Base+older), Born: true, Server: l.lifeOf(im.link), Import: im.id}
	s.chart.base = s.meta.Base
	if err := l.writeMeta(ctx, im.link, s.meta, rev); err != nil {
		return err
	}
	if err := s.clear(ctx, old.Epoch); err != nil {
		return err
	}
	l.meta = s.meta
	if err := l.bear(ctx, im.link, s.meta); err != nil {
		return err
	}
	return l.create(ctx, im.link, l.historyConfig())
}

// inhabited says whether there are messages. Marks of nodes are none.
func (s *importSpace) inhabited(ctx context.Context, m meta) (bool, error) {
	for stream, subjects := range map[string][]string{
		s.line.names.tapeStream(m.Epoch): {s.line.names.tape + m.Epoch + ".r.>", s.line.names.tape + m.Epoch + "." + manyPlace},
		s.line.names.historyStream():     {s.line.names.history + ">"},
	} {
		for _, subject := range subjects {
			answer, err := s.im.link.ask(ctx, s.im.e.leaderQuestion(stream, get{Next: subject, Seq: 1}), importTimeout)
			if err != nil {
				return false, err
			}
			m, err := readGetJSON(answer)
			if isCode(err, codeStreamMissing) {
				continue
			}
			if err != nil || m != nil {
				return true, err
			}
		}
	}
	return false, nil
}

// clear removes the streams.
func (s *importSpace) clear(ctx context.Context, epoch string) error {
	list := []string{s.line.names.sessionStream(), s.line.names.historyStream()}
	if epoch != "" {
		list = append(list, s.line.names.tapeStream(epoch))
	}
	for _, stream := range list {
		err := s.im.e.api(ctx, s.im.link, "STREAM.DELETE."+stream, nil, nil)
		if err != nil && !isCode(err, codeStreamMissing) {
			return err
		}
	}
	return nil
}

// Place gives a message a new position: after those of the messages before it.
func (s *importSpace) Place(old hub.Position, _ time.Time, tape bool) { s.chart.add(old, tape) }

// Write writes messages.
func (s *importSpace) Write(ctx context.Context, messages []hub.MovedMessage) error {
	var tape, kept []*nats.Msg
	for _, m := range messages {
		for _, h := range m.To {
			s.limits[h.Room] = h.Limit
		}
		at := s.chart.at(m.Position)
		entry := s.entry(m)
		if m.Tape {
			tape = append(s.upTo(tape, uint64(at-s.meta.Base)-1), s.tapeMessage(m, at, entry))
		}
		for _, h := range m.To {
			kept = append(kept, s.keptMessage(h.Room, at, entry))
		}
	}
	if err := s.store(ctx, tape, &s.tape); err != nil {
		return fmt.Errorf("write messages: %w", err)
	}
	if err := s.store(ctx, kept, &s.kept); err != nil {
		return fmt.Errorf("write histories: %w", err)
	}
	return nil
}

// entry makes what is stored of a message: with the limits of its histories, by
// which these are read.
func (s *importSpace) entry(m hub.MovedMessage) []byte {
	x := &hub.SharedMessage{Rooms: m.Rooms, Body: m.Body}
	for _, h := range m.Histories {
		x.Histories = append(x.Histories, hub.RoomHistory{Room: h.Room, Limit: s.limits[h.Room]})
	}
	return appendEntry(make([]byte, 0, entrySize(x)), m.Time, x)
}

// upTo fills the stream up to a sequence, with what is taken for marks: places of
// what is not on the tape.
func (s *importSpace) upTo(list []*nats.Msg, seq uint64) []*nats.Msg {
	for n := s.tape + uint64(len(list)); n < seq; n++ {
		m := nats.NewMsg(s.line.names.tape + s.meta.Epoch + "." + markPlace("import"))
		m.Header[headerNonce] = []string{"import." + strconv.FormatUint(n, 36)}
		list = append(list, m)
	}
	return list
}

func (s *importSpace) tapeMessage(m hub.MovedMessage, at hub.Position, entry []byte) *nats.Msg {
	nonce := "import." + strconv.FormatUint(uint64(at), 36)
	id := nonce
	if m.ID != "" {
		// Of two with one id the first is the one that is known.
		if name := idName(m.Publisher, m.ID); !s.ids[name] {
			id, s.ids[name] = name, true
		}
	}
	where := manyPlace
	if len(m.Rooms) > 0 {
		where = place(allRooms(m.SharedMessage))
	}
	return &nats.Msg{
		Subject: s.line.names.tape + s.meta.Epoch + "." + where, Data: entry,
		Header: nats.Header{headerNonce: []string{nonce}, headerID: []string{id}},
	}
}

func (s *importSpace) keptMessage(room string, at hub.Position, entry []byte) *nats.Msg {
	m := s.line.keptWrite(room, at, appendKept(make([]byte, 0, 8+len(entry)), at, entry)).message("")
	if n := s.again[room]; n > 0 { // it may have been there
		m.Header[headerID][0] += "." + strconv.Itoa(n)
	}
	return m
}

// store writes into a stream, of which last is the last sequence.
func (s *importSpace) store(ctx context.Context, list []*nats.Msg, last *uint64) error {
	for some := range slices.Chunk(list, maxParts/2) {
		answers, err := s.im.link.askAll(ctx, some, importTimeout)
		if err != nil {
			return err
		}
		for _, m := range answers {
			a, err := readAck(m)
			if err != nil {
				return err
			}
			if *last++; a.Seq != *last || a.Duplicate {
				return fmt.Errorf("%w: somebody else writes into %s", ErrTaken, a.Stream)
			}
		}
	}
	return nil
}

// Forget removes messages that were written, from the tape.
func (s *importSpace) Forget(ctx context.Context, old []hub.Position) error {
	seqs := make([]uint64, len(old))
	for i, p := range old {
		seqs[i] = uint64(s.chart.at(p) - s.meta.Base)
	}
	if err := s.line.remove(ctx, s.im.link, s.line.names.tapeStream(s.meta.Epoch), seqs); err != nil {
		return fmt.Errorf("remove messages: %w", err)
	}
	return nil
}

// ForgetHistory removes a room's history, to be written again or not.
func (s *importSpace) ForgetHistory(ctx context.Context, room string) error {
	s.again[room]++
	if err := s.im.purge(ctx, s.line.names.historyStream(), s.line.names.history+token(room)); err != nil {
		return fmt.Errorf("remove the history of %q: %w", room, err)
	}
	return nil
}

// Finish makes what was written a log, with the sessions.
func (s *importSpace) Finish(ctx context.Context, e hub.MoveEnding) error {
	m := s.chart.finish(e, s.meta.Epoch)
	rest := s.upTo(nil, uint64(m.End-s.meta.Base))
	if err := s.store(ctx, rest, &s.tape); err != nil {
		return fmt.Errorf("write messages: %w", err)
	}
	m.Histories, m.Until = s.kept, time.Now().Add(2*s.line.memory.Window)
	if err := s.line.writeMoved(ctx, s.im.link, m); err != nil {
		return err
	}
	for some := range slices.Chunk(e.Sessions, maxParts) {
		if err := s.putSessions(ctx, some, m); err != nil {
			return fmt.Errorf("write sessions: %w", err)
		}
	}
	return nil
}

func (s *importSpace) putSessions(ctx context.Context, list []hub.StoredSession, m *moved) error {
	questions := make([]*nats.Msg, len(list))
	for i, old := range list {
		x, err := hub.MoveSession(old, m.To, m.session, m.End, s.line.memory.Window)
		if err != nil {
			return err
		}
		r := record{generation: x.Generation, until: time.Now().Add(x.Keep), node: "moved", nonce: "import", body: x.Body}
		questions[i] = nats.NewMsg(s.line.sessionSubject(m.To, x.ID))
		questions[i].Data = r.append(nil)
	}
	answers, err := s.im.link.askAll(ctx, questions, importTimeout)
	if err != nil {
		return err
	}
	for _, a := range answers {
		if _, err := readAck(a); err != nil {
			return err
		}
	}
	return nil
}
