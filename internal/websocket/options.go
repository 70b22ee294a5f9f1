package websocket

import (
	"math"
	"net/http"
	"time"

	"github.com/tutti-rt/tutti/internal/limit"
)

// Options are what [Accept] is to do. The zero value is ready to use. Options
// may be shared by any number of calls and must not be modified meanwhile.
type Options struct {
	// Header is added to the 101 answer, but for what the protocol itself says there.
	Header http.Header
	// Subprotocols are the ones spoken here; the first that the client offers is chosen.
	Subprotocols []string
	// MaxMessage is the longest message taken, in bytes, inflated if it was
	// deflated; a longer one ends the connection with code 1009. 0 means
	// 1,000,000, negative no limit.
	MaxMessage int64
	// MaxFragments is the most frames one message may come in; more end the
	// connection with code 1008. 0 means 1024, negative no limit.
	MaxFragments int
	// MaxQueue is how many bytes may wait to be written before Send returns
	// ErrQueueFull; every frame counts for 64 more. It bounds the backlog, not
	// the message: with nothing waiting a call to Send of any size is taken.
	// 0 means 1 MiB, negative no limit.
	MaxQueue int
	// WriteTimeout is how long not a single byte may be taken by the peer
	// before the connection ends with ErrTooSlow. 0 means 10 s, negative no limit.
	WriteTimeout time.Duration
	// CloseTimeout is how long to wait for the peer's close frame after ours.
	// 0 means 5 s; it cannot be switched off.
	CloseTimeout time.Duration
	// Deflate turns permessage-deflate on. It is off by default: it costs
	// memory and time on both sides, and it reveals by its length what secrets
	// and a peer's text have in common.
	Deflate *Deflate
	// Budget, if set, counts what waits for the peer, and what has arrived of a
	// message, once that is much. It may cut the connection off.
	Budget *limit.Budget
	// Loop carries the connections that need no goroutine. Nil: all have one.
	Loop *Loop
}

// limits is what a connection remembers of its options.
type limits struct {
	maxMessage   int64
	maxFragments int
	maxQueue     int
	writeTimeout time.Duration // 0 = none
	closeTimeout time.Duration
	budget       *limit.Budget
	deflateFrom  int // payload bytes; negative = permessage-deflate was not negotiated
}

func (o Options) limits(deflate bool) limits {
	l := limits{
		maxMessage:   orDefault(o.MaxMessage, 1_000_000, math.MaxInt64/2),
		maxFragments: orDefault(o.MaxFragments, 1024, math.MaxInt),
		maxQueue:     orDefault(o.MaxQueue, 1<<20, math.MaxInt),
		writeTimeout: orDefault(o.WriteTimeout, 10*time.Second, 0),
		closeTimeout: orDefault(o.CloseTimeout, 5*time.Second, 5*time.Second),
		budget:       o.Budget,
		deflateFrom:  -1,
	}
	if deflate {
		l.deflateFrom = o.Deflate.threshold()
	}
	return l
}

// orDefault is the rule of the house: zero means the default, negative none.
func orDefault[T int | int64 | time.Duration](v, standard, none T) T {
	switch {
	case v == 0:
		return standard
	case v < 0:
		return none
	}
	return v
}
