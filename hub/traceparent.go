package hub

import "context"

type traceparentKey struct{}

// WithTraceparent returns a context for Publish that says to which trace the
// message belongs, as a W3C traceparent. It is for who carries one from a request
// or a message; the hub only hands it on, to [Trace].Publishing.
func WithTraceparent(ctx context.Context, traceparent string) context.Context {
	if traceparent == "" {
		return ctx
	}
	return context.WithValue(ctx, traceparentKey{}, traceparent)
}

// Traceparent returns what WithTraceparent was given, "" if nothing.
func Traceparent(ctx context.Context) string {
	text, _ := ctx.Value(traceparentKey{}).(string)
	return text
}

// SenderKey is the key of contexts for Publish that say, as a string, which peer's
// message it is, so that who follows messages can be fair to all peers. Without
// it the message is the application's own.
type SenderKey struct{}
