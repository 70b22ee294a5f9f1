package door

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"mime"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/tutti-rt/tutti/auth"
	"github.com/tutti-rt/tutti/hub"
	"github.com/tutti-rt/tutti/internal/limit"
	"github.com/tutti-rt/tutti/packet"
	"github.com/tutti-rt/tutti/quota"
	"github.com/tutti-rt/tutti/verb"
)

// PublishConfig sets up [Publish]. For every field zero means the default.
type PublishConfig struct {
	// Publish says who may publish to which rooms. Zero: nobody, the door is
	// closed.
	Publish Access
	// Desk, if set, opens to anyone besides what its rules let anyone publish
	// to.
	Desk *verb.Desk
	// Origins are the origins whose pages may publish besides the server's own,
	// as "https://app.example.com", or "*" for every page of the web.
	Origins []string
	// Credentials lets the pages of Origins send cookies, by which Auth may know
	// who they are.
	Credentials bool
	// Auth, if set, says who a client is, and refuses whom it does not let in. It
	// shows a token as "Authorization: Bearer …", or as "token" in the query, or
	// a cookie. What it may do is open to it besides.
	Auth *auth.Authority
	// MaxBody is the longest body of a request, in bytes. Default 1,000,000;
	// negative: no limit.
	MaxBody int64
	// MaxRooms is how many rooms one message may be for. Default 100;
	// negative: no limit.
	MaxRooms int
	// Rate is how many messages per second one address may publish without a
	// key, in the long run, and Burst how many at once. Requests with a wrong
	// key count too. Default 10 and 50; a negative Rate: no limit. Behind a
	// proxy all have its address.
	Rate  float64
	Burst int
	// KeyRate and KeyBurst are the same for the bearers of each key, together.
	// Default 1,000 and 2,000; a negative KeyRate: no limit.
	KeyRate  float64
	KeyBurst int
	// ReadTimeout is how long the body may take to arrive. Default 10 s;
	// negative: for ever.
	ReadTimeout time.Duration
	// Check, if set, is asked about the data of each message that may be
	// published. It refuses with a [*verb.Refusal].
	Check func(namespace, event string, rooms []string, args packet.Args) error
	// Quota, if set, holds clients to limits that they share with those of
	// other doors.
	Quota *quota.Quota
	// Log is where the door logs; nil means [slog.Default].
	Log *slog.Logger
	// Trace, if set, is told what happens.
	Trace *Trace
}

// addresses is how many addresses without a key are held to the rate apart from
// each other; beyond it, strangers are refused. 100,000 cost about 10 MB.
const addresses = 100_000

// publisher is the door of [Publish].
type publisher struct {
	*Door
	cfg PublishConfig
}

// Publish returns a door that publishes the message in a request's body:
//
//	POST /api/publish
//	Content-Type: application/json
//
//	{"room":"a","event":"news","data":{"any":"JSON"}}
//
// "rooms" in the place of "room" names several, neither of them means everyone
// in the namespace, and without "data" the message has no argument. The answer
// {"offset":"…","members":n} comes after every member has been handed the
// message, and in a space with memory when it is as durable as its rooms demand.
// There a request with the header Idempotency-Key can be sent again: if the
// message was published before, the answer has its offset and "repeated":true,
// and nobody is handed it again. Keys are apart for each key of Access; without
// one, for the same message to the same rooms.
//
// The error lists every mistake in the configuration.
func Publish(space *hub.Space, cfg PublishConfig) (*Door, error) {
	cfg.MaxBody = cmp.Or(cfg.MaxBody, 1_000_000)
	cfg.MaxRooms = cmp.Or(cfg.MaxRooms, defaultMaxRooms)
	cfg.ReadTimeout = cmp.Or(cfg.ReadTimeout, 10*time.Second)
	p := &publisher{Door: newDoor("publish", space, cfg.Log, cfg.Trace), cfg: cfg}
	err := p.Reload(Live{
		Publish: cfg.Publish, Origins: cfg.Origins, Credentials: cfg.Credentials,
		Rate: cfg.Rate, Burst: cfg.Burst, KeyRate: cfg.KeyRate, KeyBurst: cfg.KeyBurst,
	})
	if err != nil {
		return nil, fmt.Errorf("publish door: %w", err)
	}
	p.desk, p.quota, p.auth, p.check = cfg.Desk, cfg.Quota, cfg.Auth, cfg.Check
	p.serve = p.publish
	return p.Door, nil
}

func (p *publisher) publish(w http.ResponseWriter, r *http.Request) error {
	if r.Method != http.MethodPost {
		return methodNotAllowed(http.MethodPost)
	}
	if p.now().publish.closed() && !p.serves(verb.Publish) {
		return errClosed
	}
	g, err := p.admit(r)
	if err != nil {
		return err
	}
	arriving := &arriving{budget: p.Door.quota.Budget(), conn: http.NewResponseController(w)}
	defer arriving.leave()
	body, err := p.read(w, r, arriving)
	if err != nil {
		return err
	}
	msg, err := decodePublication(body)
	if err != nil {
		return err
	}
	rooms, err := msg.address(p.cfg.MaxRooms)
	if err != nil {
		return err
	}
	if err := p.allowEvent(r.Context(), nil, g, msg.Event.value, rooms); err != nil {
		return err
	}
	m, err := message(msg.Event.value, msg.Data)
	if err != nil {
		return err
	}
	if err := p.spend(p.Door.quota.Visitor(r.RemoteAddr), quota.Publish, g.owner(), rooms); err != nil {
		return err
	}
	id, err := idempotencyKey(r)
	if err != nil {
		return err
	}
	if err := identify(m, id, g, rooms); err != nil {
		return err
	}
	ctx := r.Context()
	if g.key == "" { // who has one is the application's
		ctx = context.WithValue(ctx, hub.SenderKey{}, limit.Network(r.RemoteAddr).String())
	}
	receipt, err := p.hand(ctx, m, rooms)
	if err != nil {
		return err
	}
	writeJSON(w, http.StatusOK, struct {
		Offset   hub.Offset `json:"offset"`
		Members  int        `json:"members"`
		Repeated bool       `json:"repeated,omitzero"`
	}{receipt.Offset, receipt.Members, receipt.Repeated})
	return nil
}

// idempotencyKey returns the id that the publisher gave the message, bare or as
// the quoted string that the header's draft wants.
func idempotencyKey(r *http.Request) (string, error) {
	values := r.Header.Values("Idempotency-Key")
	if len(values) == 0 {
		return "", nil
	}
	id := values[0]
	if quoted, ok := strings.CutPrefix(id, `"`); ok {
		if id, ok = strings.CutSuffix(quoted, `"`); !ok {
			id = ""
		}
	}
	if len(values) > 1 || id == "" {
		return "", badRequest("bad_message", "the Idempotency-Key cannot be read")
	}
	return id, nil
}

// admit says what the sender may do, unless it does it too often.
func (p *publisher) admit(r *http.Request) (grant, error) {
	return p.admitted(r, p.now().publish)
}

// read returns the body, within the limits.
func (p *publisher) read(w http.ResponseWriter, r *http.Request, a *arriving) ([]byte, error) {
	mediaType, params, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	charset := params["charset"]
	if err != nil || mediaType != "application/json" || charset != "" && !strings.EqualFold(charset, "utf-8") {
		// Anything else a page of another origin could send without asking.
		return nil, &refusal{status: http.StatusUnsupportedMediaType, code: "unsupported_media_type",
			message: "the Content-Type is not application/json"}
	}
	if encoding := r.Header.Get("Content-Encoding"); encoding != "" && !strings.EqualFold(encoding, "identity") {
		return nil, &refusal{status: http.StatusUnsupportedMediaType, code: "unsupported_encoding",
			message: "the body is encoded"}
	}
	body := io.Reader(r.Body)
	if p.cfg.MaxBody >= 0 {
		if r.ContentLength > p.cfg.MaxBody {
			return nil, p.tooLarge()
		}
		body = http.MaxBytesReader(w, r.Body, p.cfg.MaxBody)
	}
	var by time.Time
	if p.cfg.ReadTimeout > 0 {
		by = time.Now().Add(p.cfg.ReadTimeout)
	}
	a.body = body
	text, err := a.readAll(by)
	// The http.Server's may have passed, and every request gets an answer. Where
	// deadlines are not supported, whoever wraps the writer bounds the writing.
	_ = a.conn.SetWriteDeadline(time.Now().Add(defaultWriteTimeout))
	if err != nil && a.whole {
		w.Header().Set("Connection", "close") // net/http would go on with it
	}
	if tooLarge := (*http.MaxBytesError)(nil); errors.As(err, &tooLarge) {
		return nil, p.tooLarge()
	}
	if errors.Is(err, errCutOff) {
		return nil, errCrowded
	}
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return nil, &refusal{status: http.StatusRequestTimeout, code: "timeout", message: "the body took too long", limit: "body", err: err}
	}
	if err != nil {
		return nil, &refusal{status: http.StatusBadRequest, code: "bad_body", message: "the body cannot be read", err: err}
	}
	return text, nil
}

func (p *publisher) tooLarge() *refusal {
	return &refusal{status: http.StatusRequestEntityTooLarge, code: "too_large",
		message: fmt.Sprintf("the body is longer than %d bytes", p.cfg.MaxBody), limit: "body"}
}

// A publication is what a publisher writes.
type publication struct {
	Room  given[string]   `json:"room"`
	Rooms given[[]string] `json:"rooms"`
	Event given[string]   `json:"event"`
	Data  jsontext.Value  `json:"data"`
}

// decodePublication reads the body of a request, strictly.
func decodePublication(body []byte) (publication, error) {
	var msg publication
	if err := decode(body, &msg); err != nil {
		return publication{}, badRequest("bad_json", "%v", err)
	}
	return msg, nil
}

// address returns the rooms a publication is for; none: everyone.
func (p *publication) address(limit int) ([]string, error) {
	switch rooms := p.Rooms.value; {
	case p.Room.is && p.Rooms.is:
		return nil, badRequest("bad_message", `"room" and "rooms" exclude each other`)
	case p.Room.is:
		return []string{p.Room.value}, nil
	case p.Rooms.is && len(rooms) == 0:
		// A list that came out empty by mistake must not reach everyone.
		return nil, badRequest("bad_message", `"rooms" is empty`)
	case limit >= 0 && len(rooms) > limit:
		return nil, tooManyRooms(limit)
	default:
		return rooms, nil
	}
}

// maxEvent is the longest name of an event that comes in through a door, in
// bytes: as long as a room's may be.
const maxEvent = 256

// message makes the hub's message of an event that a client names.
func message(event string, data jsontext.Value) (*hub.Message, error) {
	switch {
	case event == "":
		return nil, badRequest("bad_message", `"event" is missing`)
	case len(event) > maxEvent:
		e := badRequest("bad_message", `"event" is longer than %d bytes`, maxEvent)
		e.limit = "event name"
		return nil, e
	case verb.Reserved(event):
		return nil, badRequest("bad_message", "the event name %q is reserved", event)
	}
	args, err := oneArgument(data)
	if err != nil {
		return nil, err
	}
	return &hub.Message{Event: event, Args: args}, nil
}

// oneArgument makes arguments of one JSON value, or of none.
func oneArgument(data jsontext.Value) (packet.Args, error) {
	if data == nil {
		return packet.Args{}, nil
	}
	list := make([]byte, 0, len(data)+2)
	list = append(append(append(list, '['), data...), ']')
	args, err := packet.ParseArgs(list)
	if wrong := (*packet.Error)(nil); errors.As(err, &wrong) {
		return packet.Args{}, badRequest("bad_message", `"data": %s`, wrong.Reason)
	}
	return args, err
}
