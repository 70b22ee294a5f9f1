package tutti

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"time"

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

	socket    *Socket // nil: on another node
	handshake handshakeInfo
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

// infoText is how nodes describe sockets to each other.
type infoText struct {
	ID        string        `json:"id"`
	Rooms     []string      `json:"rooms"`
	Node      string        `json:"node,omitzero"`
	Owner     string        `json:"owner,omitzero"`
	Handshake handshakeInfo `json:"handshake"`
}

type handshakeInfo struct {
	Query  url.Values  `json:"query"`
	Header http.Header `json:"header"`
	URL    string      `json:"url"`
	Remote string      `json:"remote"`
	Secure bool        `json:"secure,omitzero"`
	Time   time.Time   `json:"time"`
}

var (
	_ hub.Described   = (*Socket)(nil)
	_ hub.Dismissible = (*Socket)(nil)
)

// Describe implements [hub.Described].
func (s *Socket) Describe() []byte {
	i, h := s.info(), s.Handshake()
	h.Header.Del("Authorization")
	h.Header.Del("Cookie")
	text, err := json.Marshal(infoText{
		ID: i.ID, Rooms: i.Rooms, Node: i.Node, Owner: i.Owner,
		Handshake: handshakeInfo{Query: h.Query, Header: h.Header, URL: h.URL, Remote: h.Remote, Secure: h.Secure, Time: h.Time},
	})
	if err != nil {
		return nil // cannot happen: strings and a time
	}
	return text
}

func readInfo(text []byte) (SocketInfo, error) {
	var t infoText
	if err := json.Unmarshal(text, &t); err != nil {
		return SocketInfo{}, fmt.Errorf("tutti: description of a socket: %w", err)
	}
	return SocketInfo{ID: t.ID, Rooms: t.Rooms, Node: t.Node, Owner: t.Owner, handshake: t.Handshake}, nil
}

// Dismiss implements [hub.Dismissible].
func (s *Socket) Dismiss(whole bool) {
	if whole {
		s.DisconnectSession()
		return
	}
	s.Disconnect()
}
