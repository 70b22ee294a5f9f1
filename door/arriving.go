package door

import (
	"errors"
	"io"
	"net/http"
	"sync"
	"time"

	"github.com/tutti-rt/tutti/internal/limit"
)

// arriving is the body of a request as the budget sees it: it counts from its
// first byte until leave, since as many of them as there are connections are read
// at a time. It may be cut off until it is read.
type arriving struct {
	body   io.Reader
	budget *limit.Budget
	conn   *http.ResponseController

	mu      sync.Mutex // the budget's is taken after it
	n       int
	entered bool
	cut     bool
	whole   bool // its end has been read
	read    bool // nothing more is
}

// errCutOff ends the reading of a body that is one too many.
var errCutOff = errors.New("door: body cut off")

var _ limit.Debtor = (*arriving)(nil)

// Read implements [io.Reader].
func (a *arriving) Read(p []byte) (int, error) {
	n, err := a.body.Read(p)
	if n > 0 {
		a.count(n)
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.whole = a.whole || errors.Is(err, io.EOF)
	if a.cut {
		return 0, errCutOff
	}
	return n, err
}

func (a *arriving) count(n int) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.cut {
		return
	}
	if a.n += n; !a.entered && a.n >= a.budget.Heavy() {
		a.entered = true
		a.budget.Enter(a)
	}
	a.budget.Add(n)
}

// readAll returns the body, which has to be there by then; the zero time: whenever.
//
// What comes after it is the connection's own: there net/http waits for the client
// to go, and takes a deadline for that, which ends the contexts of this request and
// of all that follow it on the connection. After a cut that came so late the
// connection must not be used again.
func (a *arriving) readAll(by time.Time) ([]byte, error) {
	_ = a.conn.SetReadDeadline(by) // if it can't be set, whoever wraps the writer bounds the reading
	text, err := io.ReadAll(a)
	a.mu.Lock()
	defer a.mu.Unlock()
	a.endLocked()
	if a.cut {
		return nil, errCutOff
	}
	if err != nil {
		return nil, err // the deadline bounds what net/http still reads of it
	}
	_ = a.conn.SetReadDeadline(time.Time{}) // as net/http does for itself at the end of a body
	return text, nil
}

// leave says that nothing of the body is in memory any more.
func (a *arriving) leave() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.forgetLocked()
}

func (a *arriving) endLocked() {
	a.read = true
	if a.entered {
		a.entered = false
		a.budget.Leave(a)
	}
}

func (a *arriving) forgetLocked() {
	a.endLocked()
	a.budget.Add(-a.n)
	a.n = 0
}

// Owes implements [limit.Debtor].
func (a *arriving) Owes() int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.n
}

// CutOff implements [limit.Debtor].
func (a *arriving) CutOff() {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.read {
		return // it is no longer the body that the connection's deadline is for
	}
	a.cut = true
	a.forgetLocked()                       // it is on its way out, and nobody else has to go for it
	_ = a.conn.SetReadDeadline(time.Now()) // if it can't be set, the next piece ends it
}
