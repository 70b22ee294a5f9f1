// Package load drives a Socket.IO server with thousands of clients and measures
// what that costs it. It is what "tutti bench" runs.
//
// The clients are not Socket.IO clients: they are sockets in one epoll loop on
// one thread, which speak just enough of WebSocket, HTTP/1.1, Engine.IO 4 and
// Socket.IO 5 to be served. Whatever server answers them must handle three
// events, described in docs/performance.md.
//
// Load is open loop: messages are due at times that don't depend on what the
// server does, and latency counts from when a message was due. So a server that
// stalls can't hide it by slowing its clients down.
//
// Everything in a run happens on one goroutine. The package works on Linux
// only; elsewhere [Run] returns [ErrUnsupported].
//
// May import: other packages of internal.
package load
