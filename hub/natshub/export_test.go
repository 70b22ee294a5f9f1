package natshub

import (
	"time"

	"github.com/nats-io/nats.go"

	"github.com/tutti-rt/tutti/hub"
)

// Streams are those of a namespace's messages, and of the cluster.
func Streams(cluster, namespace, epoch string) (tape, of string) {
	c := newClusterNames(cluster)
	return c.space(namespace).tapeStream(epoch), c.stream
}

// HistoryStream is that of a namespace's histories.
func HistoryStream(cluster, namespace string) string {
	return newClusterNames(cluster).space(namespace).historyStream()
}

// Subjects are those on which a node hears something.
func Subjects(cluster, node, namespace, epoch, room string) []string {
	c := newClusterNames(cluster)
	live := c.space(namespace).live + epoch + "."
	return []string{c.all(), c.node(token(node)), live + manyPlace, live + roomPlace(room), live + markPlace(node)}
}

// Charter is the subject of what holds for a cluster.
func Charter(cluster string) string { return newClusterNames(cluster).charter() }

// Token is that of a name.
func Token(name string) string { return token(name) }

// ReadBytes reads what is stored or heard, by each that may have to.
func ReadBytes(b []byte) (parts []string) {
	listens := func(room []byte) bool { return len(room) == 1 }
	if x, err := cutEntry(b); err == nil {
		parts = append(parts, string(x.body))
	}
	if body, _, _, ok := cutInterest(b, listens); ok {
		parts = append(parts, string(body))
	}
	if _, x, err := cutKept(b); err == nil {
		parts = append(parts, string(x.body))
	}
	if c, err := cutRecord(b); err == nil {
		parts = append(parts, string(c.body), c.node, c.nonce)
	}
	if _, node, rest, ok := cutSaid(b); ok {
		parts = append(parts, node)
		if _, body, _, ok := cutCast(rest, listens); ok {
			parts = append(parts, string(body))
		}
		if _, about, ok := cutNumber(rest); ok {
			parts = append(parts, string(about))
		}
	}
	if m, err := cutMeta(b); err == nil {
		parts = append(parts, m.Epoch)
	}
	return parts
}

// ReadAnswer reads an answer of the server, as each that it may be.
func ReadAnswer(header nats.Header, b []byte, urlReplicas string) {
	m := &nats.Msg{Header: header, Data: b}
	readAck(m)
	readGetJSON(m)
	readAnswer(m, new(streamInfo))
	for _, n := range []int{1, 3} {
		e := &Engine{site: &site{replicas: n}}
		e.readGet(m)
	}
	version(urlReplicas)
	markNumber("n", urlReplicas)
}

// AppendEntry writes an entry.
func AppendEntry(m *hub.SharedMessage) []byte { return appendEntry(nil, time.Unix(0, 1), m) }

// CutEntry reads it.
func CutEntry(b []byte) (rooms []string, histories []hub.RoomHistory, body []byte, err error) {
	x, err := cutEntry(b)
	return x.rooms, x.histories, x.body, err
}

// Received is what has come on an engine's connection.
func Received(e *Engine) (messages, bytes uint64) {
	e.mu.Lock()
	defer e.mu.Unlock()
	s := e.up.nc.Stats()
	return s.InMsgs, s.InBytes
}

// Learned are the servers that an engine connects to when it has been told of
// another.
func Learned(e *Engine, others ...string) []string {
	e.learn(others)
	return e.urls()
}

// Oversleep has an engine find that it was paused for longer than its lease, and
// nobody was heard meanwhile. It returns how many nodes it knows then.
func Oversleep(e *Engine, p hub.Peer) int {
	e.mu.Lock()
	for _, n := range e.nodes {
		n.heard = n.heard.Add(-2 * e.cfg.Lease)
	}
	e.awake = e.awake.Add(-2 * e.cfg.Lease)
	e.wakeLocked()
	e.mu.Unlock()
	e.bury(p)
	return len(e.Nodes())
}

// SettleOrder says what becomes of writes of which some were written ('w'), some
// were refused for a while ('r'), and of some nobody knows ('?').
func SettleOrder(what string) []error {
	var list []*write
	for _, c := range what {
		w := &write{err: errSilent, sent: time.Now(), lost: true}
		switch c {
		case 'w':
			w.finish(ack{Seq: 1}, nil)
		case 'r':
			w.err, w.sent, w.lost = errNobody, time.Time{}, false
		}
		list = append(list, w)
	}
	settleOrder(list)
	errs := make([]error, len(list))
	for i, w := range list {
		if errs[i] = w.err; !w.done {
			errs[i] = nil // it is tried again
		}
	}
	return errs
}

// Deafen has a line not hear what is said in a room, or hear it again.
func Deafen(x hub.Line, room string, deaf bool) {
	l := x.(*line)
	l.mu.Lock()
	sub, link := l.rooms[roomPlace(room)].sub, l.link
	l.mu.Unlock()
	link.mu.Lock()
	defer link.mu.Unlock()
	t := target{line: l, kind: forRoom, place: roomPlace(room)}
	if deaf {
		t = target{batch: &batch{link: link}}
	}
	link.targets[sub] = t
}

// Client is an engine's connection.
func Client(e *Engine) *nats.Conn {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.up.nc
}

// Disconnect ends it, if there is one.
func Disconnect(e *Engine) bool {
	e.mu.Lock()
	l := e.up
	e.mu.Unlock()
	if l != nil {
		l.fail(errSilent)
	}
	return l != nil
}
