package auth

import "time"

// An ending is when a connection's identity expires, by the clock on the wall: it
// goes on while the machine sleeps, which no timer does.
type ending struct {
	expiry time.Time     // zero: never
	notice time.Duration // before it
	told   bool          // that it comes
	timer  *time.Timer   // nil: none is set
}

// A clock finds out when the time of the day has gone another way than timers.
type clock struct {
	wall   func() time.Time
	since  time.Time // when the timers were right
	then   time.Time // by wall
	timed  map[*Entry]struct{}
	ticker *time.Timer // nil: there are no timers
}

const (
	// glance is how often clocks are compared.
	glance = time.Second
	// astray is by how much they may differ.
	astray = 250 * time.Millisecond
)

// expireLocked sets the end of an entry, which has none.
func (e *Entry) expireLocked(expiry time.Time) {
	old := e.end
	e.end = ending{}
	if expiry.IsZero() {
		return
	}
	c := &e.register.clock
	now := c.wall()
	e.end.expiry = expiry.Round(0)
	left := e.end.expiry.Sub(now)
	// At most half of what is left: whoever is given short tokens must not be told
	// of their end as soon as it shows one.
	e.end.notice = min(e.register.notice, left/2)
	// Nor does the same end need to be told of twice.
	e.end.told = e.end.notice <= 0 || old.told && !e.end.expiry.After(old.expiry)
	// Timers of the runtime's, stopped by lastLocked; nobody waits for them.
	e.end.timer = time.AfterFunc(e.nextLocked(now), e.due)
	if c.timed == nil {
		c.timed = make(map[*Entry]struct{})
	}
	c.timed[e] = struct{}{}
	if c.ticker == nil {
		c.since, c.then = time.Now(), now
		c.ticker = time.AfterFunc(glance, e.register.glance)
	}
}

// lastLocked stops the timer of an entry.
func (e *Entry) lastLocked() {
	if e.end.timer == nil {
		return
	}
	e.end.timer.Stop()
	e.end.timer = nil
	c := &e.register.clock
	if delete(c.timed, e); len(c.timed) == 0 && c.ticker != nil {
		c.ticker.Stop()
		c.ticker = nil
	}
}

// nextLocked is how long it is until something is due.
func (e *Entry) nextLocked(now time.Time) time.Duration {
	at := e.end.expiry
	if !e.end.told {
		at = at.Add(-e.end.notice)
	}
	return max(at.Sub(now), 0)
}

// remindAgain is how much must be left for another call of Expiring.
const remindAgain = 2 * time.Second

// Remind has [Connection.Expiring] called once more, when half of the time is over
// that is left, unless that is very little: for who could not renew the identity.
func (e *Entry) Remind() {
	if e == nil {
		return
	}
	e.register.mu.Lock()
	defer e.register.mu.Unlock()
	now := e.register.clock.wall()
	left := e.end.expiry.Sub(now)
	if e.end.timer == nil || left < remindAgain {
		return
	}
	e.end.notice, e.end.told = left/2, false
	e.end.timer.Reset(e.nextLocked(now))
}

// due is called when the identity is about to expire, and when it has.
func (e *Entry) due() {
	r := e.register
	r.mu.Lock()
	if e.gone || e.end.timer == nil {
		r.mu.Unlock()
		return
	}
	now := r.clock.wall()
	wait := e.nextLocked(now)
	over := !now.Before(e.end.expiry)
	tells := wait == 0 && !over
	left := e.end.notice
	switch {
	case over:
		e.lastLocked()
	case tells:
		e.end.told = true
		wait = e.nextLocked(now)
		if left-wait > glance { // so late that it matters
			left = wait
		}
		e.end.timer.Reset(wait)
	default: // renewed meanwhile, or the clock was set back
		e.end.timer.Reset(wait)
	}
	r.mu.Unlock()
	if tells {
		e.conn.Expiring(left)
	}
	if over {
		e.conn.Expel(&Refusal{Code: Expired, Message: "the token has expired"})
	}
}

// glance sets the timers anew if the machine has slept, or its clock was set.
func (r *Register) glance() {
	r.mu.Lock()
	defer r.mu.Unlock()
	c := &r.clock
	if c.ticker == nil {
		return
	}
	now := c.wall()
	if strayed := now.Sub(c.then) - time.Since(c.since); max(strayed, -strayed) > astray {
		c.since, c.then = time.Now(), now
		for e := range c.timed {
			e.end.timer.Reset(e.nextLocked(now))
		}
	}
	c.ticker.Reset(glance)
}

// wall is the time of the day, and nothing else.
func wall() time.Time { return time.Now().Round(0) }
