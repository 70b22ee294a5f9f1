package door

import (
	"errors"
	"fmt"
	"net/http"

	"github.com/tutti-rt/tutti/hub"
)

// readWindow is how many bytes may wait for a client before the rest is read
// from the tape as it drains, in a space with memory: enough to keep a
// connection busy, and little for each of many that do not read.
const readWindow = 64 << 10

// window is the read window of a client for which limit bytes may wait.
func window(limit int) int {
	if limit < 0 {
		return readWindow
	}
	return min(readWindow, limit/2+1)
}

// An entry is how a client has come in.
type entry struct {
	seat *hub.Seat
	// at is the offset after which the client is sent everything; "" in a
	// space without memory.
	at hub.Offset
	// unrecovered says that it asked for what followed an earlier one in vain:
	// that may be in the histories before this offset.
	unrecovered hub.Offset
}

// seat gives a client a seat, and has it sent what it missed since an offset.
// If that cannot be, it begins with what comes now.
func (d *Door) seat(m hub.Reader, after hub.Offset, rooms []string) (entry, error) {
	// Read before the seat is taken, so that nothing is missing for who comes
	// back with it.
	in := entry{at: d.space.Head()}
	var err error
	if after == "" || in.at == "" {
		in.seat, err = d.space.Enter(m, nil, rooms...)
		return in, err
	}
	in.seat, err = d.space.EnterAt(m, after, nil, rooms...)
	if errors.Is(err, hub.ErrOffset) || errors.Is(err, hub.ErrTrimmed) {
		in.seat, err = d.space.Enter(m, nil, rooms...)
		in.unrecovered = d.space.Next() // after the seat was taken, likewise
		return in, err
	}
	in.at = after
	return in, err
}

// lastEventID returns the id of the last event that a client has. Browsers give
// the header when they come back by themselves; what the page said when it was
// opened is older then.
func lastEventID(r *http.Request) hub.Offset {
	if id := r.Header.Get("Last-Event-ID"); id != "" {
		return hub.Offset(id)
	}
	return hub.Offset(r.URL.Query().Get("after"))
}

// greet tells a browser from where it is sent everything, in case it must come
// back before the first event. Offsets are what the space has made or known:
// nothing in them needs to be escaped.
func (s *eventStream) greet(in entry) error {
	switch {
	case in.at == "":
		return nil
	case in.unrecovered == "":
		return s.write(fmt.Appendf(nil, "id: %s\n\n", in.at))
	}
	return s.write(fmt.Appendf(nil, "id: %s\nevent: unrecovered\ndata: {\"before\":\"%s\"}\n\n", in.at, in.unrecovered))
}
