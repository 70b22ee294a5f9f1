// Package jwt verifies signed tokens for package auth: JSON Web Tokens with an
// HMAC, RSA, ECDSA or Ed25519 signature, of one issuer or several, whose keys are
// given or fetched as a JSON Web Key Set.
//
// # What is checked, and in which order
//
// A token is tried with the keys of each issuer, the one its "kid" names or else
// a few. A key has the algorithms that it was configured or published for, and a
// token whose header says another one, or "none", is none of its tokens: what a
// token says of itself chooses among keys and never how they are used. Keys of
// different issuers never meet, whatever their ids.
//
// Only when the signature holds is anything of the token read: that it is of
// the issuer whose key it was, "aud", "exp", which it must have, "nbf" and "iat".
// No address in a token is ever asked for anything.
//
// # Key sets
//
// A set is fetched when it is first needed, and again after a while or when a
// token names a key that it does not have, but not more often than MinRefresh
// says, however many tokens come; all who need it wait for the same answer. If it
// cannot be fetched the old one holds on, for MaxStale at most. Who cannot be
// verified meanwhile is refused with [auth.Unavailable].
//
// # Lifecycle
//
// [New] allocates only. A fetch runs on a goroutine; [Verifier.Close] ends it and
// waits.
//
// May import: auth.
package jwt
