package nodewire

import (
	"bytes"
	"encoding/json"
	"net/textproto"
	"strings"
	"time"

	"github.com/tutti-rt/tutti/hub"
	"github.com/tutti-rt/tutti/packet"
)

// socket is how Node describes one, in this order.
type socket struct {
	ID        string          `json:"id"`
	Handshake handshake       `json:"handshake"`
	Rooms     []string        `json:"rooms"`
	Data      json.RawMessage `json:"data"`
}

type handshake struct {
	Headers map[string]string `json:"headers"`
	Time    string            `json:"time"`
	Address string            `json:"address"`
	Cross   bool              `json:"xdomain"`
	Secure  bool              `json:"secure"`
	Issued  int64             `json:"issued"`
	URL     string            `json:"url"`
	Query   map[string]any    `json:"query"`
	Auth    struct{}          `json:"auth"` // credentials stay where they are
}

// dateString is how JavaScript writes a date in words, where it is in UTC.
const dateString = "Mon Jan 02 2006 15:04:05 GMT+0000 (Coordinated Universal Time)"

func socketsOf(list []hub.Description) []socket {
	out := make([]socket, len(list))
	for i, d := range list {
		out[i] = socketOf(d)
	}
	return out
}

func socketOf(d hub.Description) socket {
	h := d.Handshake
	s := socket{ID: d.ID, Rooms: orEmpty(d.Rooms), Data: d.Data, Handshake: handshake{
		Headers: make(map[string]string, len(h.Header)), Time: h.Time.UTC().Format(dateString),
		Address: host(h.Remote), Cross: len(h.Header["Origin"]) > 0, Secure: h.Secure,
		Issued: h.Time.UnixMilli(), URL: h.URL, Query: make(map[string]any, len(h.Query)),
	}}
	if len(s.Data) == 0 {
		s.Data = json.RawMessage("{}")
	}
	for k, v := range h.Header {
		s.Handshake.Headers[strings.ToLower(k)] = strings.Join(v, ", ")
	}
	for k, v := range h.Query {
		if len(v) == 1 {
			s.Handshake.Query[k] = v[0]
		} else {
			s.Handshake.Query[k] = v
		}
	}
	return s
}

// host is an address without its port.
func host(address string) string {
	i := strings.LastIndexByte(address, ':')
	if i < 0 || strings.Count(address, ":") > 1 && address[0] != '[' {
		return address
	}
	return strings.Trim(address[:i], "[]")
}

// readSockets reads descriptions from an array; of what is none only as much as is
// there. Of null it returns nil.
func readSockets(a packet.Arg) ([]hub.Description, error) {
	if string(a.JSON()) == "null" {
		return nil, nil
	}
	var list packet.Args
	if err := a.Scan(&list); err != nil {
		return nil, err
	}
	if list.Len() > maxList {
		return nil, errLong
	}
	out := make([]hub.Description, 0, list.Len())
	for _, a := range list.All() {
		if id, ok := a.String(); ok { // who asks for ids gets these
			out = append(out, hub.Description{ID: id})
			continue
		}
		var s struct {
			ID        name       `json:"id"`
			Rooms     names      `json:"rooms"`
			Data      packet.Arg `json:"data"`
			Handshake packet.Arg `json:"handshake"`
		}
		if string(a.JSON()[:1]) != "{" || a.Scan(&s) != nil || s.ID == "" {
			continue
		}
		d := hub.Description{ID: string(s.ID), Rooms: s.Rooms, Handshake: readHandshake(s.Handshake)}
		d.Data, _ = s.Data.MarshalJSON() // cannot fail
		out = append(out, d)
	}
	return out, nil
}

// maxFields is how many headers, or parts of a query, are read of one socket: as
// many headers as Node takes.
const maxFields = 2000

// fields are the headers of a socket, or its query.
type fields map[string][]string

// UnmarshalJSON takes an object, and of anything else nothing.
func (f *fields) UnmarshalJSON(text []byte) error {
	*f = make(fields)
	d := json.NewDecoder(bytes.NewReader(text))
	if t, err := d.Token(); err != nil || t != json.Delim('{') {
		return err
	}
	for d.More() && len(*f) < maxFields {
		key, err := d.Token()
		if err != nil {
			return err
		}
		var a packet.Arg
		if err := d.Decode(&a); err != nil {
			return err
		}
		k, _ := key.(string)
		(*f)[k] = texts(a)
	}
	return nil
}

// readHandshake reads it but for what are credentials.
func readHandshake(a packet.Arg) hub.Handshake {
	var h struct {
		Headers fields     `json:"headers"`
		Address packet.Arg `json:"address"`
		Secure  packet.Arg `json:"secure"`
		Issued  packet.Arg `json:"issued"`
		URL     packet.Arg `json:"url"`
		Query   fields     `json:"query"`
	}
	if a.Scan(&h) != nil {
		return hub.Handshake{}
	}
	out := hub.Handshake{Header: make(map[string][]string, len(h.Headers)), Query: h.Query}
	out.Remote, _ = h.Address.String()
	out.URL, _ = h.URL.String()
	out.Secure = string(h.Secure.JSON()) == "true"
	var ms float64
	if h.Issued.Scan(&ms) == nil && ms > 0 && ms < 1e15 {
		out.Time = time.UnixMilli(int64(ms))
	}
	for k, v := range h.Headers {
		if k = textproto.CanonicalMIMEHeaderKey(k); k != "Cookie" && k != "Authorization" {
			out.Header[k] = v
		}
	}
	return out
}

// texts are a string, or the strings of a list.
func texts(a packet.Arg) []string {
	if s, ok := a.String(); ok {
		return []string{s}
	}
	var list []string
	if a.Scan(&list) != nil {
		return nil
	}
	return list
}
