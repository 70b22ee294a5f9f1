package verb

import (
	"context"
	"errors"

	"github.com/tutti-rt/tutti/hub"
	"github.com/tutti-rt/tutti/packet"
	"github.com/tutti-rt/tutti/quota"
)

// A PresenceRequest asks who is present in a room: the first page, or where one
// ended.
type PresenceRequest struct {
	Room  string `json:"room"`
	After string `json:"after"`
	Limit int    `json:"limit"`
	// Watch is whether the caller wants to be told of differences from now on,
	// as the event [hub.PresenceEvent]. A caller with a seat that asks for the
	// first page does unless it says false, which also ends it.
	Watch *bool `json:"watch"`
}

// A PresenceAnswer says who is present.
type PresenceAnswer struct {
	hub.Attendance
	// You is the id by which the members know the caller, "" if they do not.
	You string `json:"you,omitzero"`
}

// Presence returns who is present in a room.
func (d *Desk) Presence(ctx context.Context, c Caller, q PresenceRequest) (PresenceAnswer, error) {
	if _, err := d.allow(ctx, c, Presence, q.Room); err != nil {
		return PresenceAnswer{}, err
	}
	if q.Limit < 0 {
		return PresenceAnswer{}, refuse(BadRequest, `"limit" is negative`)
	}
	if err := c.spend(quota.Read, q.Room); err != nil {
		return PresenceAnswer{}, err
	}
	most := d.cfg().MaxPage
	limit := min(q.Limit, most)
	if limit == 0 {
		limit = min(hub.DefaultPage, most)
	}
	var (
		answer PresenceAnswer
		err    error
	)
	if c.Seat != nil {
		answer.You = c.Seat.Person()
	}
	if c.Seat != nil && q.After == "" && (q.Watch == nil || *q.Watch) {
		answer.Attendance, err = c.Seat.Watch(q.Room, limit)
	} else {
		if c.Seat != nil && q.Watch != nil && !*q.Watch {
			c.Seat.Unwatch(q.Room)
		}
		answer.Attendance, err = c.Space.Presence(q.Room, hub.PresenceQuery{After: q.After, Limit: limit})
	}
	if err != nil {
		return PresenceAnswer{}, RefusalOf(err)
	}
	return answer, nil
}

// A StateRequest says something about the caller to the others in a room.
type StateRequest struct {
	Room string `json:"room"`
	// State is a JSON object, or null for nothing.
	State packet.Arg `json:"state"`
}

// State sets what the presence of the room says of the caller.
func (d *Desk) State(ctx context.Context, c Caller, q StateRequest) (struct{}, error) {
	if _, err := d.allow(ctx, c, State, q.Room); err != nil {
		return struct{}{}, err
	}
	if c.Seat == nil {
		return struct{}{}, refuse(NotMember, "only members of the room may")
	}
	// It costs the others in the room what a member does that comes or leaves.
	if err := c.spend(quota.Join, q.Room); err != nil {
		return struct{}{}, err
	}
	err := c.Seat.SetState(q.Room, q.State)
	if errors.Is(err, hub.ErrState) {
		return struct{}{}, &Refusal{Code: BadState, Message: "want a JSON object of not too many bytes, without binary data, or null", Err: err}
	}
	if err != nil {
		return struct{}{}, RefusalOf(err)
	}
	return struct{}{}, nil
}
