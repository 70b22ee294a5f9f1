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
// at a time.
type arriving struct {
	body   io.Reader
	budget *limit.Budget
	conn   *http.ResponseController

	mu      sync.Mutex // the budget's is taken after it
	n       int
	entered bool
	cut     bool
	left    bool
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

// leave says that nothing of the body is in memory any more.
func (a *arriving) leave() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.left = true
	a.forgetLocked()
}

func (a *arriving) forgetLocked() {
	if a.entered {
		a.entered = false
		a.budget.Leave(a)
	}
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
	if a.left {
		return // the connection's next request is another's business
	}
	a.cut = true
	a.forgetLocked()                       // it is on its way out, and nobody else has to go for it
	_ = a.conn.SetReadDeadline(time.Now()) // if it can't be set, the next piece ends it
}
