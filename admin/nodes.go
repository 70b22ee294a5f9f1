package admin

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/tutti-rt/tutti"
	"github.com/tutti-rt/tutti/hub"
	"github.com/tutti-rt/tutti/internal/forward"
)

// askEvent is what admins of a cluster ask each other, as an event in "/".
const askEvent = "tutti:admin"

// nodePatience is how long other nodes may take to answer.
const nodePatience = 2 * time.Second

// What is asked of other nodes.
const (
	askStatus     = "status"
	askDisconnect = "disconnect"
	askDrain      = "drain" // of one, Node
)

// A nodeQuestion is what an operator of another node wants.
type nodeQuestion struct {
	Do         string             `json:"do"`
	Node       string             `json:"node,omitempty"`
	Who        string             `json:"who,omitempty"` // for the audit log
	Role       Role               `json:"role,omitempty"`
	From       string             `json:"from,omitempty"`
	Disconnect *disconnectRequest `json:"disconnect,omitempty"`
}

// A nodeAnswer is what became of it.
type nodeAnswer struct {
	Status  *nodeStatus `json:"status,omitempty"`
	Sockets int         `json:"sockets,omitempty"`
	Done    bool        `json:"done,omitempty"`
	Code    string      `json:"code,omitempty"` // of the error
	Error   string      `json:"error,omitempty"`
}

// A nodeStatus is a node of the cluster as operators see it.
type nodeStatus struct {
	ID       string    `json:"id"` // of this life, "" for a server that is alone
	Name     string    `json:"name"`
	Address  string    `json:"address,omitempty"` // where other nodes reach it
	Version  string    `json:"version"`
	Started  time.Time `json:"started"`
	Sessions int       `json:"sessions"`
	Sockets  int       `json:"sockets"`
	Draining bool      `json:"draining"`
	Ready    bool      `json:"ready"`
	Drain    bool      `json:"drain"` // it can be asked to
	Self     bool      `json:"self"`
	// Silent says that it has not answered, so that there is nothing more to say.
	Silent bool `json:"silent,omitempty"`
}

// nodes lists the nodes of the cluster, for GET /api/nodes.
func (a *Admin) nodes(r *http.Request) (any, error) {
	self := a.status()
	self.Self = true
	list := []nodeStatus{self}
	silent := a.ask(r.Context(), nodeQuestion{Do: askStatus}, func(node string, answer nodeAnswer) {
		if s := answer.Status; s != nil {
			s.ID, s.Self = node, false
			list = append(list, *s)
		}
	})
	for id, about := range silent {
		s := nodeStatus{ID: id, Name: id, Silent: true}
		if node, err := forward.Unmarshal(about); err == nil {
			s.Address = node.URL
		}
		list = append(list, s)
	}
	slices.SortFunc(list, func(x, y nodeStatus) int {
		return strings.Compare(x.Name+"\x00"+x.Address+"\x00"+x.ID, y.Name+"\x00"+y.Address+"\x00"+y.ID)
	})
	return struct {
		Nodes []nodeStatus `json:"nodes"`
		Total int          `json:"total"`
	}{list, len(list)}, nil
}

func (a *Admin) status() nodeStatus {
	reasons := a.cfg.Unready()
	return nodeStatus{
		ID: a.server.Hub().Node(), Name: a.cfg.Node, Address: a.cfg.Address, Version: a.cfg.Version, Started: a.started.UTC(),
		Sessions: a.server.Engine().Sessions(), Sockets: int(a.cfg.Metrics.Read().Sockets),
		Draining: draining(reasons), Ready: len(reasons) == 0, Drain: a.cfg.Drain != nil,
	}
}

func draining(reasons []Reason) bool {
	return slices.ContainsFunc(reasons, func(r Reason) bool { return r.Code == ReasonDraining })
}

// ask puts a question to the other nodes, and returns those that have not
// answered, with what they had said about themselves.
func (a *Admin) ask(ctx context.Context, q nodeQuestion, answered func(node string, answer nodeAnswer)) (silent map[string][]byte) {
	ctx, cancel := context.WithTimeout(ctx, nodePatience)
	defer cancel()
	silent = maps.Clone(a.server.Hub().Nodes())
	for said, err := range a.server.Namespace("/").AskNodes(ctx, askEvent, q) {
		var answer nodeAnswer
		if err == nil {
			err = said.Args.Scan(&answer)
		}
		if err != nil {
			a.log.Warn("ask other nodes", "do", q.Do, keyErr, err)
			continue
		}
		delete(silent, said.Node)
		answered(said.Node, answer)
	}
	return silent
}

// asked answers what another node wants. It is on behalf of an operator whom
// that node has let in.
func (a *Admin) asked(_ context.Context, from string, args tutti.Args) (any, error) {
	var q nodeQuestion
	if err := args.Scan(&q); err != nil {
		return nil, err
	}
	entry := Entry{Who: q.Who, Role: q.Role, From: q.From + " by node " + from, Action: q.Do}
	switch {
	case q.Do == askStatus:
		s := a.status()
		return nodeAnswer{Status: &s}, nil
	case q.Do == askDisconnect && q.Disconnect != nil:
		n, err := a.end(q.Disconnect)
		if n > 0 {
			entry.Target, entry.Detail = q.Disconnect.target(), q.Disconnect.detail(n)
			a.record(entry, err)
		}
		return failed(nodeAnswer{Sockets: n}, err), nil
	case q.Do == askDrain && q.Node == a.server.Hub().Node() && a.cfg.Drain != nil:
		entry.Target = a.cfg.Node
		a.record(entry, nil)
		a.cfg.Drain()
		return nodeAnswer{Done: true}, nil
	}
	return nodeAnswer{}, nil
}

// failed adds to an answer what was wrong.
func failed(answer nodeAnswer, err error) nodeAnswer {
	if f, ok := errors.AsType[*failure](err); ok {
		answer.Code, answer.Error = f.code, f.message
	} else if err != nil {
		answer.Code, answer.Error = "failed", err.Error()
	}
	return answer
}

// drainNode has another node end.
func (a *Admin) drainNode(r *http.Request, id string) error {
	if _, there := a.server.Hub().Nodes()[id]; !there {
		return notFound("there is no node " + id)
	}
	who, done := operatorOf(r), false
	a.ask(r.Context(), nodeQuestion{Do: askDrain, Node: id, Who: who.name, Role: who.role, From: who.from}, func(node string, answer nodeAnswer) {
		done = done || node == id && answer.Done
	})
	if !done {
		return &failure{http.StatusGatewayTimeout, "silent", "the node has not said that it drains"}
	}
	return nil
}

// endElsewhere disconnects on the other nodes who is meant, and returns how many
// that were, and the nodes that have not answered.
func (a *Admin) endElsewhere(r *http.Request, q *disconnectRequest) (n int, known bool, silent []string) {
	who := operatorOf(r)
	missing := a.ask(r.Context(), nodeQuestion{Do: askDisconnect, Who: who.name, Role: who.role, From: who.from, Disconnect: q}, func(_ string, answer nodeAnswer) {
		n += answer.Sockets
		known = known || answer.Code == ""
	})
	return n, known, slices.Sorted(maps.Keys(missing))
}

// explainRevoke makes of an error of a register one for the operator, if it is
// of this node, and names the other nodes on which a revocation may not hold.
func explainRevoke(err error) (silent []string, own error) {
	all := []error{err}
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		all = joined.Unwrap()
	}
	for _, err := range all {
		if partial, ok := errors.AsType[*hub.PartialError](err); ok && len(partial.Nodes) > 0 {
			silent = append(silent, partial.Nodes...)
		} else if err != nil {
			own = &failure{http.StatusServiceUnavailable, "not_kept", fmt.Sprintf("who is meant was disconnected, but may come back: %v", err)}
		}
	}
	return silent, own
}
