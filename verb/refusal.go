package verb

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/tutti-rt/tutti/hub"
	"github.com/tutti-rt/tutti/quota"
)

// A Code says in one word what was wrong, for programs.
type Code string

// The codes. A caller that repeats a request has a chance only after those
// that say so.
const (
	BadRequest      Code = "bad_request"       // something is missing or of the wrong kind
	BadRoom         Code = "bad_room"          // a room cannot have that name
	BadEvent        Code = "bad_event"         // an event must not have that name here
	BadOffset       Code = "bad_offset"        // not of this tape: read from the beginning
	BadState        Code = "bad_state"         // not an object, or too large
	BadData         Code = "bad_data"          // not as the event's schema wants it
	TooLarge        Code = "too_large"         // data, event or id
	TooManyRooms    Code = "too_many_rooms"    // the caller is in as many as it may
	TooManyRequests Code = "too_many_requests" // again after a while
	Forbidden       Code = "forbidden"         // the rules do not allow it
	NotMember       Code = "not_member"        // only members may
	NoHistory       Code = "no_history"        // the room keeps none
	Unavailable     Code = "unavailable"       // the server cannot now; a message may yet have been published: again, with the same id
	Unknown         Code = "unknown"           // may have been published: again, with the same id
	Internal        Code = "internal"          // the server's fault
)

// A Refusal is an error in words for the caller. It holds nothing that the
// caller did not send or may not know.
type Refusal struct {
	Code    Code
	Message string
	// At is where in the data something is wrong, as a JSON pointer, after
	// [BadData]; "" is all of it.
	At string
	// Limit names the limit of the desk that was hit, "" if none: "data",
	// "event" or "id".
	Limit string
	// Retry is when to come again, after [TooManyRequests].
	Retry time.Duration
	// Err is what is behind it, for the log; mostly nil.
	Err error
}

// Error returns the message.
func (r *Refusal) Error() string {
	if r.Err != nil {
		return r.Message + ": " + r.Err.Error()
	}
	return r.Message
}

// Unwrap returns Err.
func (r *Refusal) Unwrap() error { return r.Err }

func refuse(code Code, format string, args ...any) *Refusal {
	return &Refusal{Code: code, Message: fmt.Sprintf(format, args...)}
}

func tooLarge(what string, limit int) *Refusal {
	return &Refusal{Code: TooLarge, Message: fmt.Sprintf("%q is longer than %d bytes", what, limit), Limit: what}
}

// RefusalOf returns what a caller may know of an error of a desk's methods,
// nil if there is none. One that is [Internal] is the server's to log.
func RefusalOf(err error) *Refusal {
	if err == nil {
		return nil
	}
	if r, ok := errors.AsType[*Refusal](err); ok {
		return r
	}
	if e, ok := errors.AsType[*quota.Exceeded](err); ok { // whose limits it has told its own trace
		return &Refusal{Code: TooManyRequests, Message: e.Text, Retry: e.Wait}
	}
	r := &Refusal{Code: Internal, Message: "internal error", Err: err}
	for _, known := range refusals {
		if errors.Is(err, known.err) {
			r.Code, r.Message = known.code, known.message
			if r.Code == TooManyRequests {
				r.Retry = busyWait
			}
			return r
		}
	}
	return r
}

// busyWait is when to come again if nobody knows better.
const busyWait = 5 * time.Second

// refusals are the words for what the hub says. Which of its limits was hit it
// tells its own trace.
var refusals = []struct {
	err     error
	code    Code
	message string
}{
	{hub.ErrRoomName, BadRoom, "a room cannot have that name"},
	{hub.ErrTooManyRooms, TooManyRooms, "too many rooms"},
	{hub.ErrNoHistory, NoHistory, "the room keeps no history"},
	{hub.ErrOffset, BadOffset, "the offset is not of this history"},
	{hub.ErrTrimmed, BadOffset, "what follows the offset is not kept any more"},
	{hub.ErrNotMember, NotMember, "only members of the room may"},
	{hub.ErrLeft, NotMember, "you have left"},
	{hub.ErrUnknown, Unknown, "it is not known whether the message was published: try again with the same id"},
	{hub.ErrFailed, Unavailable, "the server cannot store messages"},
	{hub.ErrUnavailable, Unavailable, "the server cannot reach its engine: try again"},
	{hub.ErrFenced, NotMember, "you came back over another connection"},
	{hub.ErrBusy, TooManyRequests, "too many messages with an id: again after a while"},
	{hub.ErrClosed, Unavailable, "the server is going away"},
	{context.Canceled, Unavailable, "the server is going away"},
	{context.DeadlineExceeded, Unavailable, "it took too long"},
}
