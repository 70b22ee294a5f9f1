package natshub

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/nats-io/nats.go"
)

// Headers of what is stored, and of answers.
const (
	headerNonce     = "Tutti" // names one write: <node>.<number>
	headerID        = "Nats-Msg-Id"
	headerExpected  = "Nats-Expected-Last-Subject-Sequence"
	headerSequence  = "Nats-Sequence"
	headerLast      = "Nats-Last-Sequence"
	headerSubject   = "Nats-Subject"
	headerStatus    = "Status"
	headerDelivered = "Nats-Last-Consumer"
)

// Errors of JetStream, by their numbers.
const (
	codeNoPeers        = 10005 // that a stream could be placed on: they may come
	codeUnavailable    = 10008
	codeNoCluster      = 10009
	codeResources      = 10023
	codeNoMessage      = 10037
	codeNotEnabled     = 10039 // for the account
	codeStreamMissing  = 10059
	codeStreamExists   = 10058
	codeWrongSequence  = 10071
	codeServerDisabled = 10076
	codeDuplicate      = 10158 // one with that id is being written
	codeTooMany        = 10167
)

// errNobody means that nobody listens to a subject: no stream, or no JetStream.
var errNobody = errors.New("no JetStream stream answers")

// An apiError is what JetStream says.
type apiError struct {
	Code        int    `json:"code"`
	ErrCode     int    `json:"err_code"`
	Description string `json:"description"`
}

func (e *apiError) Error() string { return fmt.Sprintf("JetStream: %s (%d)", e.Description, e.ErrCode) }

func isCode(err error, codes ...int) bool {
	var e *apiError
	if errors.As(err, &e) {
		for _, c := range codes {
			if e.ErrCode == c {
				return true
			}
		}
	}
	return false
}

// status returns the status in an answer's header, "" if it has none.
func status(m *nats.Msg) string {
	if m == nil || len(m.Header) == 0 {
		return ""
	}
	return header(m, headerStatus)
}

// header is Header.Get without a search for other spellings.
func header(m *nats.Msg, name string) string {
	if v := m.Header[name]; len(v) > 0 {
		return v[0]
	}
	return ""
}

// ask puts one question and waits for its answer.
func (l *link) ask(ctx context.Context, m *nats.Msg, most time.Duration) (*nats.Msg, error) {
	answers, err := l.askAll(ctx, []*nats.Msg{m}, most)
	if err != nil {
		return nil, err
	}
	return answers[0], nil
}

// askAll puts questions and waits for all of their answers.
func (l *link) askAll(ctx context.Context, questions []*nats.Msg, most time.Duration) ([]*nats.Msg, error) {
	b := l.newBatch(len(questions), nil)
	for i, m := range questions {
		if err := b.ask(i, m); err != nil {
			b.forget()
			return nil, err
		}
	}
	if err := b.wait(ctx, most); err != nil {
		return nil, err
	}
	return b.answers, nil
}

// api asks JetStream for something, with JSON in both directions.
func (e *Engine) api(ctx context.Context, l *link, what string, request, response any) error {
	m := nats.NewMsg(e.site.api + what)
	if request != nil {
		var err error
		if m.Data, err = json.Marshal(request); err != nil {
			return fmt.Errorf("ask JetStream: %w", err)
		}
	}
	answer, err := l.ask(ctx, m, e.cfg.Timeout)
	if err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	if err := readAnswer(answer, response); err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	return nil
}

// readAnswer reads an answer in JSON, or the error that it is.
func readAnswer(m *nats.Msg, response any) error {
	if status(m) == "503" {
		return errNobody
	}
	var said struct {
		Error *apiError `json:"error"`
	}
	if err := json.Unmarshal(m.Data, &said); err != nil {
		return fmt.Errorf("answer of JetStream: %w", err)
	}
	if said.Error != nil {
		return said.Error
	}
	if response != nil {
		if err := json.Unmarshal(m.Data, response); err != nil {
			return fmt.Errorf("answer of JetStream: %w", err)
		}
	}
	return nil
}

// A streamInfo is what we want to know of a stream.
type streamInfo struct {
	Config nats.StreamConfig `json:"config"`
	State  struct {
		Messages uint64 `json:"messages"`
		First    uint64 `json:"first_seq"`
		Last     uint64 `json:"last_seq"`
	} `json:"state"`
	Cluster *struct {
		Leader string `json:"leader"`
	} `json:"cluster"`
}

func (e *Engine) streamInfo(ctx context.Context, l *link, name string) (*streamInfo, error) {
	info := new(streamInfo)
	if err := e.api(ctx, l, "STREAM.INFO."+name, nil, info); err != nil {
		return nil, err
	}
	return info, nil
}

// A stored is a message of a stream.
type stored struct {
	subject string
	seq     uint64
	nonce   string
	data    []byte
}

// A get asks for a message: the first of a subject from a sequence on, or that
// of a sequence if there is no subject, or the last of a subject.
type get struct {
	Seq  uint64 `json:"seq,omitempty"`
	Next string `json:"next_by_subj,omitempty"`
	Last string `json:"last_by_subj,omitempty"`
}

// gets asks for messages of a stream, all at a time. One that is not there is
// nil.
func (e *Engine) gets(ctx context.Context, l *link, stream string, list []get) ([]*stored, error) {
	questions := make([]*nats.Msg, len(list))
	for i, g := range list {
		questions[i] = e.getQuestion(stream, g)
	}
	answers, err := l.askAll(ctx, questions, e.cfg.Timeout)
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", stream, err)
	}
	out := make([]*stored, len(list))
	for i, m := range answers {
		if out[i], err = e.readGet(m); err != nil {
			return nil, fmt.Errorf("read %s: %w", stream, err)
		}
	}
	return out, nil
}

// direct says whether any server that has a stream may be asked for a message:
// if several have it, one may be behind.
func (e *Engine) direct() bool { return e.site.replicas == 1 }

// getQuestion asks directly if that is all the same. If there is no such stream,
// there is no answer.
func (e *Engine) getQuestion(stream string, g get) *nats.Msg {
	if !e.direct() {
		return e.leaderQuestion(stream, g)
	}
	m := nats.NewMsg(e.site.api + "DIRECT.GET." + stream)
	m.Data = g.append(nil)
	return m
}

// leaderQuestion asks who leads the stream, or is told that there is none.
func (e *Engine) leaderQuestion(stream string, g get) *nats.Msg {
	m := nats.NewMsg(e.site.api + "STREAM.MSG.GET." + stream)
	m.Data = g.append(nil)
	return m
}

func (g get) append(dst []byte) []byte {
	dst = append(dst, '{')
	if g.Next != "" || g.Last == "" {
		dst = strconv.AppendUint(append(dst, `"seq":`...), g.Seq, 10)
	}
	if g.Next != "" {
		dst = append(append(append(dst, `,"next_by_subj":"`...), g.Next...), '"')
	}
	if g.Last != "" {
		dst = append(append(append(dst, `"last_by_subj":"`...), g.Last...), '"')
	}
	return append(dst, '}')
}

// readGet reads the answer to a get: nil if there is no such message.
func (e *Engine) readGet(m *nats.Msg) (*stored, error) {
	switch code := status(m); {
	case m == nil || code == "503":
		return nil, errNobody
	case code == "404":
		return nil, nil
	case code != "":
		return nil, &apiError{Description: "status " + code}
	case e.direct():
		seq, err := strconv.ParseUint(header(m, headerSequence), 10, 64)
		if err != nil {
			return nil, fmt.Errorf("%w: sequence", errFormat)
		}
		return &stored{subject: header(m, headerSubject), seq: seq, nonce: header(m, headerNonce), data: m.Data}, nil
	}
	return readGetJSON(m)
}

func readGetJSON(m *nats.Msg) (*stored, error) {
	var answer struct {
		Message struct {
			Subject string `json:"subject"`
			Seq     uint64 `json:"seq"`
			Headers []byte `json:"hdrs"`
			Data    []byte `json:"data"`
		} `json:"message"`
	}
	if err := readAnswer(m, &answer); isCode(err, codeNoMessage) {
		return nil, nil
	} else if err != nil {
		return nil, err
	}
	s := &stored{subject: answer.Message.Subject, seq: answer.Message.Seq, data: answer.Message.Data}
	if len(answer.Message.Headers) > 0 {
		h, err := nats.DecodeHeadersMsg(answer.Message.Headers)
		if err != nil {
			return nil, fmt.Errorf("header of %d: %w", s.seq, err)
		}
		if v := h[headerNonce]; len(v) > 0 {
			s.nonce = v[0]
		}
	}
	return s, nil
}

// An ack is JetStream's answer to a message that was to be stored.
type ack struct {
	Error     *apiError `json:"error"`
	Stream    string    `json:"stream"`
	Seq       uint64    `json:"seq"`
	Duplicate bool      `json:"duplicate"`
}

// readAck reads the answer to what was to be stored.
func readAck(m *nats.Msg) (ack, error) {
	var a ack
	if status(m) == "503" {
		return a, errNobody
	}
	if err := json.Unmarshal(m.Data, &a); err != nil {
		return a, fmt.Errorf("answer of JetStream: %w", err)
	}
	if a.Error != nil {
		return a, a.Error
	}
	if a.Seq == 0 {
		return a, fmt.Errorf("%w: an answer without a sequence", errFormat)
	}
	return a, nil
}

// transient says whether a refusal passes by itself: nothing was done, and it may
// be asked again.
func transient(err error) bool {
	return errors.Is(err, errNobody) || isCode(err, codeUnavailable, codeDuplicate, codeTooMany)
}
