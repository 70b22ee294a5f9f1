package admin

import (
	"encoding/json"
	"net/http"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/tutti-rt/tutti"
	"github.com/tutti-rt/tutti/auth"
	"github.com/tutti-rt/tutti/hub"
	"github.com/tutti-rt/tutti/packet"
)

// A publishRequest sends an event to rooms, or to everyone in a namespace.
type publishRequest struct {
	Namespace string          `json:"namespace"`
	Rooms     []string        `json:"rooms"`
	Event     string          `json:"event"`
	Data      json.RawMessage `json:"data"` // the one argument
	Args      json.RawMessage `json:"args"` // or all of them, as an array
	ID        string          `json:"id"`   // so that it can be tried again
	Volatile  bool            `json:"volatile"`
}

// message makes the message.
func (q *publishRequest) message() (*hub.Message, error) {
	if q.Event == "" || packet.Reserved(q.Event) {
		return nil, badRequest("event: want a name that is not the protocol's")
	}
	text := []byte("[]")
	switch {
	case len(q.Data) > 0 && len(q.Args) > 0:
		return nil, badRequest("want data or args, not both")
	case len(q.Data) > 0:
		text = append(append([]byte("["), q.Data...), ']')
	case len(q.Args) > 0:
		text = q.Args
	}
	args, err := packet.ParseArgs(text)
	if err != nil {
		return nil, badRequest("args: " + err.Error())
	}
	return &hub.Message{Event: q.Event, Args: args, Volatile: q.Volatile, ID: q.ID, Publisher: "admin"}, nil
}

// publish answers POST /api/publish.
func (a *Admin) publish(r *http.Request) (any, error) {
	var q publishRequest
	if err := read(r, &q); err != nil {
		return nil, err
	}
	sp, err := a.space(q.Namespace)
	if err != nil {
		return nil, err
	}
	m, err := q.message()
	if err != nil {
		return nil, err
	}
	receipt, err := sp.Publish(r.Context(), m, hub.Address{Rooms: q.Rooms})
	if err != nil {
		err = explainHub(err)
	}
	a.note(r, "publish", sp.Namespace()+" "+strings.Join(q.Rooms, " "), map[string]any{"event": q.Event, "bytes": m.Args.Size()}, err)
	if err != nil {
		return nil, err
	}
	return struct {
		Offset   hub.Offset `json:"offset"`
		Members  int        `json:"members"`
		Repeated bool       `json:"repeated,omitempty"`
	}{receipt.Offset, receipt.Members, receipt.Repeated}, nil
}

// A moveRequest changes the rooms of sockets.
type moveRequest struct {
	Namespace string   `json:"namespace"`
	Sockets   []string `json:"sockets"`
	User      string   `json:"user"`
	Room      string   `json:"room"`
	Join      []string `json:"join"`
	Leave     []string `json:"leave"`
}

// moved says how many sockets something was done to.
type moved struct {
	Sockets int `json:"sockets"`
}

// move answers POST /api/move.
func (a *Admin) move(r *http.Request) (any, error) {
	var q moveRequest
	if err := read(r, &q); err != nil {
		return nil, err
	}
	if err := exactlyOne(len(q.Sockets) > 0, q.User != "", q.Room != ""); err != nil {
		return nil, err
	}
	if len(q.Join)+len(q.Leave) == 0 {
		return nil, badRequest("want rooms to join or to leave")
	}
	sp, err := a.space(q.Namespace)
	if err != nil {
		return nil, err
	}
	to := hub.Address{Rooms: slices.Clone(q.Sockets)}
	switch {
	case q.Room != "":
		to.Rooms = []string{q.Room}
	case q.User != "":
		for _, e := range a.entries(nil, sp, hub.Address{}) {
			if e.user == q.User {
				to.Rooms = append(to.Rooms, e.id)
			}
		}
	}
	n := 0
	if len(to.Rooms) > 0 { // else it would be everyone
		n = len(sp.Members(to))
		// Who joins first is still in the room that says who is meant.
		if err = sp.Join(to, q.Join...); err == nil {
			sp.Leave(to, q.Leave...)
		}
	}
	if err != nil {
		err = explainHub(err)
	}
	a.note(r, "move", sp.Namespace()+" "+strings.Join(append(to.Rooms[:min(len(to.Rooms), 10)], q.User), " "),
		map[string]any{"join": q.Join, "leave": q.Leave, "sockets": n}, err)
	return moved{n}, err
}

func exactlyOne(given ...bool) error {
	n := 0
	for _, g := range given {
		if g {
			n++
		}
	}
	if n != 1 {
		return badRequest("want exactly one way to say who is meant")
	}
	return nil
}

// A disconnectRequest says whose connections are to end. With a namespace they
// leave only that; the session goes on, and a stock client does not come back by
// itself.
type disconnectRequest struct {
	User      string `json:"user"`
	Socket    string `json:"socket"`
	Session   string `json:"session"` // what is shown of its id
	Room      string `json:"room"`
	Address   string `json:"address"` // or a network, as 203.0.113.0/24
	Namespace string `json:"namespace"`
	Reason    string `json:"reason"` // for the audit log, and for the peers where streams end, too
	// Revoke refuses from now on what was issued to the user up to now.
	Revoke bool `json:"revoke,omitempty"`
}

// disconnected says how many sockets and streams were, on all nodes, and on which not all may
// have been done.
type disconnected struct {
	Sockets int      `json:"sockets"`
	Silent  []string `json:"silent,omitempty"`
}

// disconnect answers POST /api/disconnect.
func (a *Admin) disconnect(r *http.Request) (any, error) {
	var q disconnectRequest
	if err := read(r, &q); err != nil {
		return nil, err
	}
	if err := exactlyOne(q.User != "", q.Socket != "", q.Session != "", q.Room != "", q.Address != ""); err != nil {
		return nil, err
	}
	if q.Session != "" && len(q.Session) < sessionShown {
		return nil, badRequest("session: want what is shown of its id")
	}
	if q.Revoke && (q.User == "" || q.Namespace != "") {
		return nil, badRequest("revoke: belongs to a user, in all namespaces")
	}
	var (
		unheard []string
		revoked error
	)
	if q.Revoke {
		now := time.Now()
		users := a.server.Users()
		_, err := users.RevokeEverywhere(r.Context(), auth.Revocation{User: q.User, Since: now, Until: now.Add(users.RevokeFor())})
		unheard, revoked = explainRevoke(err)
	}
	n, err := a.end(&q)
	more, known, silent := a.endElsewhere(r, &q)
	silent = slices.Compact(slices.Sorted(slices.Values(append(silent, unheard...))))
	if known {
		err = nil // there is such a namespace elsewhere
	}
	if err != nil {
		return nil, err
	}
	detail := q.detail(n + more)
	if len(silent) > 0 {
		detail["silent"] = silent
	}
	a.note(r, "disconnect", q.target(), detail, revoked)
	if revoked != nil {
		return nil, revoked
	}
	return disconnected{n + more, silent}, nil
}

// detail is what the audit log has of a request that disconnected n.
func (q *disconnectRequest) detail(n int) map[string]any {
	d := map[string]any{"sockets": n, "reason": q.Reason, "namespace": q.Namespace}
	if q.Revoke {
		d["revoke"] = true
	}
	return d
}

// end disconnects who is meant on this node, and returns how many that were.
func (a *Admin) end(q *disconnectRequest) (int, error) {
	network, err := networkOf(q.Address)
	if err != nil {
		return 0, err
	}
	list, err := a.meant(q, network)
	if err != nil {
		return 0, err
	}
	n := 0
	switch { // streams too, and they are told why
	case q.User != "" && q.Namespace == "":
		n = a.server.Users().Disconnect(q.User, q.Reason)
	case q.Address != "":
		n = a.cfg.EndStreams(network, q.Namespace, q.Reason)
	}
	for _, s := range list {
		switch {
		case !s.Connected():
			continue
		case q.Namespace != "":
			s.Disconnect()
		default:
			s.DisconnectSession()
		}
		n++
	}
	return n, nil
}

func (q *disconnectRequest) target() string {
	for kind, value := range map[string]string{"user ": q.User, "socket ": q.Socket, "session ": q.Session, "room ": q.Room, "address ": q.Address} {
		if value != "" {
			return kind + value
		}
	}
	return ""
}

// meant returns the sockets of a request as they are now, not a second ago.
// network is that of its address.
func (a *Admin) meant(q *disconnectRequest, network netip.Prefix) ([]*tutti.Socket, error) {
	to := hub.Address{}
	if room := q.Room + q.Socket; room != "" {
		to.Rooms = []string{room}
	}
	spaces := a.spaces()
	if q.Namespace != "" {
		sp, err := a.space(q.Namespace)
		if err != nil {
			return nil, err
		}
		spaces = []*hub.Space{sp}
	}
	var list []*tutti.Socket
	for _, sp := range spaces {
		for _, e := range a.entries(nil, sp, to) {
			session := e.socket.Session()
			if q.Socket != "" && e.id != q.Socket || q.User != "" && e.user != q.User ||
				q.Session != "" && !strings.HasPrefix(session.ID(), q.Session) ||
				q.Address != "" && !isIn(network, session.Request().RemoteAddr) {
				continue
			}
			list = append(list, e.socket)
		}
	}
	return list, nil
}

// networkOf reads an address, or a network; "" is none.
func networkOf(text string) (netip.Prefix, error) {
	if text == "" {
		return netip.Prefix{}, nil
	}
	if p, err := netip.ParsePrefix(text); err == nil {
		switch mapped := p.Addr().Is4In6(); { // clients' addresses are compared unmapped
		case !mapped:
			return p, nil
		case p.Bits() >= 96:
			return netip.PrefixFrom(p.Addr().Unmap(), p.Bits()-96), nil
		}
	}
	a, err := netip.ParseAddr(text)
	if err != nil {
		return netip.Prefix{}, badRequest("address: want one as 203.0.113.7 or 2001:db8::7, or a network as 203.0.113.0/24, not " + strconv.Quote(text))
	}
	a = a.Unmap().WithZone("")
	return netip.PrefixFrom(a, a.BitLen()), nil
}

// isIn says whether a session's address is of a network.
func isIn(network netip.Prefix, remote string) bool {
	a, err := netip.ParseAddr(hostOf(remote))
	return err == nil && network.Contains(a.Unmap().WithZone(""))
}

// drain answers POST /api/drain: the answer comes before the end.
func (a *Admin) drain(w http.ResponseWriter, r *http.Request) {
	var q struct {
		Node string `json:"node"` // its id; "": this one
	}
	if r.ContentLength != 0 {
		if err := read(r, &q); err != nil {
			refuse(w, a.explain(r, err))
			return
		}
	}
	if q.Node != "" && q.Node != a.server.Hub().Node() {
		err := a.drainNode(r, q.Node)
		a.note(r, "drain", "node "+q.Node, nil, err)
		if err != nil {
			refuse(w, a.explain(r, err))
			return
		}
		answer(w, http.StatusAccepted, struct{}{})
		return
	}
	if a.cfg.Drain == nil {
		refuse(w, errCannot)
		return
	}
	a.note(r, "drain", a.cfg.Node, nil, nil)
	answer(w, http.StatusAccepted, struct{}{})
	a.cfg.Drain()
}

var errCannot = &failure{http.StatusNotImplemented, "unsupported", "this server can't be asked to"}

// reload answers POST /api/reload.
func (a *Admin) reload(r *http.Request) (any, error) {
	if a.cfg.Reload == nil {
		return nil, errCannot
	}
	done, err := a.cfg.Reload(r.Context())
	if err != nil {
		err = &failure{http.StatusUnprocessableEntity, "mistakes", err.Error()}
	}
	done.Applied, done.Restart = append([]string{}, done.Applied...), append([]string{}, done.Restart...)
	a.note(r, "reload", a.cfg.Node, map[string]any{"applied": done.Applied, "restart": done.Restart}, err)
	return done, err
}
