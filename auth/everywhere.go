package auth

import (
	"context"
	"errors"
)

// An Order is something that the registers of all nodes are to do.
type Order struct {
	// Revoke is what is not accepted any more. Without it the connections of User
	// are ended, who may come back.
	Revoke *Revocation `json:"revoke,omitempty"`
	User   string      `json:"user,omitempty"`
	Reason string      `json:"reason,omitempty"`
}

// SetOthers says how the registers of other nodes are told an order, which are
// to [Register.Obey] it: tell returns how many connections they have ended, and
// an error if not all of them have obeyed. It is to be called before the
// register is used; package tutti does so.
func (r *Register) SetOthers(tell func(ctx context.Context, o Order) (connections int, err error)) {
	r.others = tell
}

// Obey carries out an order on this node, and returns how many connections that
// has ended.
func (r *Register) Obey(o Order) (int, error) {
	if o.Revoke != nil {
		return r.Revoke(*o.Revoke)
	}
	return r.Disconnect(o.User, o.Reason), nil
}

// DisconnectEverywhere is [Register.Disconnect] on all nodes of a cluster. With
// an error it has been done wherever that was possible.
func (r *Register) DisconnectEverywhere(ctx context.Context, user, reason string) (int, error) {
	return r.everywhere(ctx, Order{User: user, Reason: reason})
}

// RevokeEverywhere is [Register.Revoke] on all nodes of a cluster. With an error
// it has been done wherever that was possible, and may be tried again.
func (r *Register) RevokeEverywhere(ctx context.Context, v Revocation) (int, error) {
	return r.everywhere(ctx, Order{Revoke: &v})
}

func (r *Register) everywhere(ctx context.Context, o Order) (int, error) {
	n, err := r.Obey(o)
	if r.others == nil {
		return n, err
	}
	more, elsewhere := r.others(ctx, o)
	return n + more, errors.Join(err, elsewhere)
}
