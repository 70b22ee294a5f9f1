// Package limit says how often something may happen.
//
// A [Rate] is a token bucket: so many at once, so many per second after that.
// A [Bucket] counts one caller against it, a [Group] any number of callers
// told apart by a key, in bounded memory.
//
// Nothing here waits, starts a goroutine or needs closing. Who asks decides
// what a refusal means, and every refusal says how long it will last.
//
// May import: nothing of ours.
package limit
