package tutti

import (
	"encoding/json"

	"github.com/tutti-rt/tutti/hub"
)

// A SocketInfo describes a socket that may be on another node. To act on it,
// address the room of its id: ns.To(info.ID).
type SocketInfo struct {
	ID    string
	Rooms []string
	// Node is the node it is on, "" if there is only one.
	Node string
	// Owner is whose socket it is, see [Socket.Identify].
	Owner string
	// Data is what the application of a Node server keeps with the socket, its
	// socket.data, as JSON. It is nil for sockets of Tutti.
	Data json.RawMessage

	socket    *Socket // nil: on another node
	handshake hub.Handshake
}

func (s *Socket) info() SocketInfo {
	s.mu.Lock()
	owner := s.partyLocked().owner
	s.mu.Unlock()
	return SocketInfo{ID: s.ID(), Rooms: s.Rooms(), Node: s.link.server.hub.Node(), Owner: owner, socket: s}
}

// Handshake returns what is known of the socket's peer since it connected. Of a
// socket of another node it is known but for the credentials, which do not
// travel between nodes: Auth is empty, Header has no Authorization and no Cookie.
func (i SocketInfo) Handshake() Handshake {
	if i.socket != nil {
		return i.socket.Handshake()
	}
	return Handshake{
		Auth:   json.RawMessage("{}"),
		Query:  i.handshake.Query,
		Header: i.handshake.Header,
		URL:    i.handshake.URL,
		Remote: i.handshake.Remote,
		Secure: i.handshake.Secure,
		Time:   i.handshake.Time,
	}
}

var (
	_ hub.Described   = (*Socket)(nil)
	_ hub.Dismissible = (*Socket)(nil)
)

// Describe implements [hub.Described].
func (s *Socket) Describe() hub.Description {
	i, h := s.info(), s.Handshake()
	h.Header.Del("Authorization")
	h.Header.Del("Cookie")
	return hub.Description{
		ID: i.ID, Rooms: i.Rooms, Node: i.Node, Owner: i.Owner,
		Handshake: hub.Handshake{Query: h.Query, Header: h.Header, URL: h.URL, Remote: h.Remote, Secure: h.Secure, Time: h.Time},
	}
}

func infoOf(d hub.Description) SocketInfo {
	return SocketInfo{ID: d.ID, Rooms: d.Rooms, Node: d.Node, Owner: d.Owner, Data: d.Data, handshake: d.Handshake}
}

// Dismiss implements [hub.Dismissible].
func (s *Socket) Dismiss(whole bool) {
	if whole {
		s.DisconnectSession()
		return
	}
	s.Disconnect()
}
