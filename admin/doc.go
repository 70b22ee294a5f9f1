// Package admin is what operators see of a running server, and do to it: an
// HTTP handler with an API, a page for people, the profiles of the Go runtime,
// and the metrics; and the namespace that the official Socket.IO admin UI
// connects to.
//
//	a, err := admin.New(admin.Config{Metrics: m, Keys: keys})
//	a.Observe(&cfg)             // before the server is made
//	srv, err := tutti.New(cfg)
//	a.Attach(srv)
//	a.Run(ctx)                  // on a goroutine of the caller's
//	http.Serve(private, a.Handler())
//
// # Who may
//
// A [Key] has a role: who views sees, who operates also sends, moves,
// disconnects, drains, and reads profiles. Without keys whoever reaches the
// handler operates; it then answers only to a Host that names this machine's
// loopback, so that no web page can reach it under a name of its own. Keys are
// kept hashed. The page logs in with one and gets a cookie; what it changes
// needs a header besides, which other origins can't send.
//
// What is sent in rooms is not for operators' eyes unless [Config.Payloads]
// allows it.
//
// # Cost
//
// Nothing is kept per socket. Lists are made when somebody asks, from a snapshot
// that is a second old at most, and only a page of them is written out; the
// order of a space is held for copying its members and nothing else. Following
// a room or socket costs the publisher a look at who follows. What is not read
// in time is dropped, and counted.
//
// May import: what a user of the module may, and internal.
package admin
