// Package tracing follows single messages through a server, as OpenTelemetry
// spans: from publishing through the log to handing out.
//
//	tr, err := tracing.Open(ctx, tracing.Config{Endpoint: "http://127.0.0.1:4318"})
//	cfg.Hub.Trace = tr.Hub(cfg.Hub.Trace)
//	http.ListenAndServe(address, tr.HTTP(handler))
//	…
//	tr.Close(ctx)
//
// A message that is followed has the span "publish", with the children "log", in
// a namespace with memory, and "deliver". Names of events and namespaces are
// attributes; rooms, payloads and who published are not in them.
//
// # What is followed
//
// If the context of Publish holds a span, or a traceparent from an HTTP header
// or from the message's own metadata, the publisher decides by its flag.
// Otherwise a share of the messages is followed. In all it is at most
// [Config.Rate] per second: peers can send flags too.
//
// # Cost
//
// A message that is not followed costs a look at its context and a random number.
// Spans are sent in batches, in the background; when the receiver is slow or away
// they are dropped, and nothing waits for it.
//
// May import: hub, internal/limit.
package tracing
