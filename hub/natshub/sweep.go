package natshub

import (
	"context"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"
)

// A sweep reads the messages of a subject, many at a time. The server keeps a
// consumer for it, which it forgets after a while if it is not told to.
type sweep struct {
	l       *line
	link    *link
	stream  string
	subject string
	name    string
	pending uint64 // there are as many yet
	seen    uint64
	last    uint64 // is there; 0: that is not known
}

// errBehind means that a server that has a copy of a stream has not got all yet.
var errBehind = &apiError{Description: "a replica is behind", ErrCode: codeUnavailable}

// pulled bounds what is read at a time.
const pulled = 256

// sweep begins to read from a sequence on. A replica that has not got what is
// known to be last will not do.
func (l *line) sweep(ctx context.Context, link *link, stream, subject string, span span) (*sweep, error) {
	type config struct {
		Policy    string        `json:"deliver_policy"`
		Start     uint64        `json:"opt_start_seq"`
		Ack       string        `json:"ack_policy"`
		Replay    string        `json:"replay_policy"`
		Filter    string        `json:"filter_subject"`
		Threshold time.Duration `json:"inactive_threshold"`
		Replicas  int           `json:"num_replicas"`
		Memory    bool          `json:"mem_storage"`
	}
	request := struct {
		Stream string `json:"stream_name"`
		Config config `json:"config"`
	}{stream, config{"by_start_sequence", max(span.from, 1), "none", "instant", subject, 2 * l.e.cfg.Timeout, 1, true}}
	var answer struct {
		Name    string `json:"name"`
		Pending uint64 `json:"num_pending"`
	}
	if err := l.e.api(ctx, link, "CONSUMER.CREATE."+stream, request, &answer); err != nil {
		return nil, err
	}
	s := &sweep{l: l, link: link, stream: stream, subject: subject, name: answer.Name, pending: answer.Pending}
	if !l.e.direct() && span.from <= span.last {
		s.last = span.last
	}
	if s.last > 0 && s.pending == 0 {
		s.close()
		return nil, errBehind
	}
	return s, nil
}

// A span is from where something is read, and what is known to be there.
type span struct{ from, last uint64 }

// close has the server forget it.
func (s *sweep) close() {
	_ = s.link.say(s.l.e.site.api+"CONSUMER.DELETE."+s.stream+"."+s.name, nil) // it forgets by itself
}

// pull reads some more, nothing if there is no more.
func (s *sweep) pull(ctx context.Context) ([]*stored, error) {
	n := min(s.pending, pulled)
	if n == 0 {
		return nil, nil
	}
	b := s.link.newBatch(int(n), nil)
	b.many = true
	defer b.forget()
	// What is delivered comes with the subject on which it was stored.
	m := nats.NewMsg(s.l.e.site.api + "CONSUMER.MSG.NEXT." + s.stream + "." + s.name)
	m.Data, m.Reply = fmt.Appendf(nil, `{"batch":%d,"no_wait":true}`, n), nats.NewInbox()
	sub, err := s.link.listen(m.Reply, target{batch: b})
	if err != nil {
		return nil, err
	}
	defer s.link.ignore(sub)
	if err := s.link.sent(s.link.nc.PublishMsg(m)); err != nil {
		return nil, err
	}
	if err := b.wait(ctx, s.l.e.cfg.Timeout); err != nil {
		return nil, fmt.Errorf("read %s: %w", s.stream, err)
	}
	var list []*stored
	for _, m := range b.answers {
		if m == nil || status(m) != "" {
			break
		}
		about, err := m.Metadata()
		if err != nil {
			return nil, fmt.Errorf("read %s: %w", s.stream, err)
		}
		s.seen = about.Sequence.Stream
		list = append(list, &stored{subject: m.Subject, seq: about.Sequence.Stream, nonce: header(m, headerNonce), data: m.Data})
	}
	if s.pending -= n; len(list) < int(n) {
		s.pending = 0 // some were removed meanwhile
	}
	if s.pending == 0 && s.seen < s.last {
		return nil, errBehind
	}
	return list, nil
}

// each reads all that was there when it began.
func (l *line) each(ctx context.Context, link *link, stream, subject string, do func(*stored) error) error {
	answer, err := link.ask(ctx, l.e.leaderQuestion(stream, get{Last: subject}), l.e.cfg.Timeout)
	if err != nil {
		return err
	}
	last, err := readGetJSON(answer)
	if err != nil {
		return err
	}
	all := span{from: 1}
	if last != nil {
		all.last = last.seq
	}
	s, err := l.sweep(ctx, link, stream, subject, all)
	if err != nil {
		return err
	}
	defer s.close()
	for {
		list, err := s.pull(ctx)
		if err != nil || len(list) == 0 {
			return err
		}
		for _, m := range list {
			if err := do(m); err != nil {
				return err
			}
		}
	}
}
