// Package auth finds out who somebody is and what they may do, without a
// protocol: the doors and the Socket.IO server hand it what a peer showed, and
// get an [Identity] or a [Refusal].
//
// An [Authority] asks its verifiers in turn. Here are two: static keys
// ([NewKeys]) and sessions of a web application, by cookie ([NewSessions]).
// Package auth/jwt has the third, signed tokens.
//
// # What an identity may do
//
// Permissions are given by [Grant], with patterns of rooms that are filled in
// with the identity's claims; by the credential itself; or by the application.
// Nothing takes a permission away: what no grant gives is not given.
//
// # The end of an identity
//
// A [Register] knows the connections of each user. It ends them when their
// identity expires, when somebody asks it to, and when a token is revoked,
// which it remembers until the token would have expired. Finding the
// connections of a user takes time for these alone.
//
// # Order, and what is slow
//
// To verify may take a request to another server: it takes a context, a
// timeout, and is refused when too many are under way. Whatever cannot be
// verified is refused, never let through.
//
// # Errors
//
// All of [Authority.Identify] are a [*Refusal], with a code for programs and
// words for people. Neither these nor anything that is logged holds a
// credential.
//
// May import: nothing of ours.
package auth
