// Package wheel is one timing wheel for many timers that are set again and again, such as the heartbeats of all
// sessions of a server. Setting and stopping a timer is O(1) and allocates nothing.
//
// Timers are coarse: they fire up to one tick early, and as late as the scheduler makes it. Early suits heartbeats: a
// peer that promises to be quiet for at most 500 ms is found dead after 500 ms, not after 510.
package wheel

import (
	"math/bits"
	"sync"
	"time"
)

// slots is the number of slots. With a tick of 10 ms the wheel turns once in 41 s, so that the usual heartbeat of 25 s
// is looked at once, when it is due.
const slots = 4096

// Wheel runs timers. It owns no goroutine: a time.AfterFunc, set for the next slot that is not empty, runs what is due.
// It is safe for concurrent use.
type Wheel struct {
	tick  time.Duration
	start time.Time

	mu       sync.Mutex
	slot     [slots]*Timer
	occupied [slots / 64]uint64
	count    int
	now      int64 // the last tick that was run
	alarm    *time.Timer
	alarmAt  int64 // the tick for which alarm is set; 0 if it is not
}

// New returns an empty wheel. A tick must be positive.
func New(tick time.Duration) *Wheel {
	return &Wheel{tick: tick, start: time.Now()}
}

// Timer is a timer of a wheel, meant to be embedded in what it belongs to. It must not be copied.
type Timer struct {
	wheel      *Wheel
	f          func()
	at         int64 // in ticks
	next, prev *Timer
	state      state
}

type state uint8

const (
	idle    state = iota
	pending       // linked into a slot
	fired         // taken out of its slot because it was due; f runs or will run
)

// Init binds t to w and to the function that runs when it fires. It must be called once, before all others.
//
// f runs on a goroutine of the wheel, without a lock, after others that were due: it must not wait. Because a
// timer may be set again while its f is about to run, f should begin with taking the lock of the owner, under which the
// owner calls Reset and Stop too, and return if [Timer.Fired] is false.
func (w *Wheel) Init(t *Timer, f func()) {
	t.wheel, t.f = w, f
}

// After returns a timer of its own that runs f once after d.
func (w *Wheel) After(d time.Duration, f func()) *Timer {
	t := new(Timer)
	w.Init(t, f)
	t.Reset(d)
	return t
}

// Reset makes t fire after d, rounded down to a tick, instead of when it was to fire before.
func (t *Timer) Reset(d time.Duration) {
	w := t.wheel
	w.mu.Lock()
	defer w.mu.Unlock()
	if t.state == pending {
		w.unlink(t)
	}
	since := time.Since(w.start)
	if w.count == 0 {
		w.now = int64(since / w.tick) // nothing was due meanwhile
	}
	t.at = max(int64((since+d)/w.tick), w.now+1)
	w.link(t)
	if w.alarmAt == 0 || t.at < w.alarmAt {
		w.arm(t.at)
	}
}

// Stop keeps t from firing. It reports whether t was to fire.
func (t *Timer) Stop() bool {
	if t.wheel == nil {
		return false
	}
	w := t.wheel
	w.mu.Lock()
	defer w.mu.Unlock()
	was := t.state
	if was == pending {
		w.unlink(t)
	}
	t.state = idle
	return was != idle
}

// Fired reports, once, whether t has fired and was neither set again nor stopped since.
func (t *Timer) Fired() bool {
	w := t.wheel
	w.mu.Lock()
	defer w.mu.Unlock()
	if t.state != fired {
		return false
	}
	t.state = idle
	return true
}

// Len returns how many timers are set.
func (w *Wheel) Len() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.count
}

// run takes out what is due and runs it.
func (w *Wheel) run() {
	w.mu.Lock()
	w.alarmAt = 0
	due := w.take(int64(time.Since(w.start) / w.tick))
	w.armNext()
	w.mu.Unlock()
	for _, f := range due {
		f()
	}
}

// take removes the timers that are due at tick now and returns what they run, in the order of their slots.
func (w *Wheel) take(now int64) []func() {
	var due []func()
	last := min(now, w.now+slots) // one turn passes every slot
	for i := w.now + 1; i <= last; i++ {
		if w.occupied[i%slots/64] == 0 {
			i |= 63 // skip the word
			continue
		}
		for t := w.slot[i%slots]; t != nil; {
			next := t.next
			if t.at <= now {
				w.unlink(t)
				t.state = fired
				due = append(due, t.f)
			}
			t = next
		}
	}
	w.now = max(w.now, now)
	return due
}

// armNext sets the alarm for the next slot that is not empty. What lies there may be due only turns later; then the
// alarm is set again.
func (w *Wheel) armNext() {
	if w.count == 0 {
		return
	}
	first := (w.now + 1) % slots
	const words = slots / 64
	for i := range int64(words + 1) { // the first word is looked at twice: its upper part first, its lower part last
		word := w.occupied[(first/64+i)%words]
		if i == 0 {
			word &= ^uint64(0) << (first % 64)
		}
		if word != 0 {
			at := (first/64+i)*64 + int64(bits.TrailingZeros64(word)) // counted from the turn's beginning
			w.arm(w.now + 1 + at - first)
			return
		}
	}
}

// arm sets the alarm for tick at.
func (w *Wheel) arm(at int64) {
	w.alarmAt = at
	d := time.Until(w.start.Add(time.Duration(at) * w.tick))
	if w.alarm == nil {
		w.alarm = time.AfterFunc(d, w.run)
		return
	}
	w.alarm.Reset(d)
}

func (w *Wheel) link(t *Timer) {
	i := t.at % slots
	t.prev, t.next = nil, w.slot[i]
	if t.next != nil {
		t.next.prev = t
	}
	w.slot[i] = t
	w.occupied[i/64] |= 1 << (i % 64)
	t.state = pending
	w.count++
}

func (w *Wheel) unlink(t *Timer) {
	i := t.at % slots
	if t.prev != nil {
		t.prev.next = t.next
	} else {
		w.slot[i] = t.next
	}
	if t.next != nil {
		t.next.prev = t.prev
	}
	if w.slot[i] == nil {
		w.occupied[i/64] &^= 1 << (i % 64)
	}
	t.prev, t.next = nil, nil
	w.count--
}
