package load

// An order is that of a room's messages when several clients publish them: it
// is known when the first member has got a message, and from then on it holds
// for all. Messages of one publisher stay in theirs.
type order struct {
	from   []*client          // who published a message, by its number less 1
	places []uint32           // by number less 1; 0: nobody has got it
	seen   uint32             // messages that somebody has got
	last   map[*client]uint32 // the last of them by publisher
}

// add notes who publishes the next message.
func (o *order) add(c *client) {
	o.from = append(o.from, c)
	o.places = append(o.places, 0)
}

// place returns which message it is, counted from 1, that has a number. kept is
// false if it has come, to whoever was first, before an earlier one of its
// publisher.
func (o *order) place(number uint32) (place uint32, kept bool) {
	if number == 0 || int(number) > len(o.from) {
		return 0, false
	}
	if place = o.places[number-1]; place > 0 {
		return place, true
	}
	o.seen++
	o.places[number-1] = o.seen
	if o.last == nil {
		o.last = make(map[*client]uint32)
	}
	from := o.from[number-1]
	kept = number > o.last[from]
	o.last[from] = max(o.last[from], number)
	return o.seen, kept
}

// recent tells which of the last 64 numbers have come: bit 0 is the one before
// the number that is expected.
type recent uint64

// note takes a number that has come while next was expected, and says whether it
// came too late, and whether it has come before.
func (r *recent) note(next *uint32, number uint32) (late, again bool) {
	if number >= *next {
		*r = *r<<(number-*next+1) | 1
		*next = number + 1
		return false, false
	}
	bit := recent(1) << (*next - 1 - number) // 0 of what is too long ago to tell
	again = *r&bit != 0
	*r |= bit
	return true, again
}
