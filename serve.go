package tutti

import (
	"net"
	"net/http"

	"github.com/tutti-rt/tutti/internal/gate"
)

// Serve is server.Serve(l), only cheaper: handshakes, and polls that wait, take
// no goroutine and no buffer of net/http's, and a third of the CPU. It works for
// plain TCP on Linux and for a server without the hooks ConnState, ConnContext
// and BaseContext; in all other cases it is server.Serve(l).
//
// Every request goes to server.Handler as before, through all of its
// middleware. Those of Engine.IO that are small and well-formed come with a
// ResponseWriter that cannot flush, if they are for one of paths, where a [Server]
// is mounted: with a slash at the end also for what lies under it, and by default
// "/socket.io/". Everything else is read by net/http. The limits of server on
// headers and time hold. Its Shutdown does not wait for polls: call
// [Server.Shutdown] too, which answers them.
func Serve(server *http.Server, l net.Listener, paths ...string) error {
	if len(paths) == 0 {
		paths = []string{"/socket.io/"}
	}
	return gate.Serve(server, l, paths...)
}
