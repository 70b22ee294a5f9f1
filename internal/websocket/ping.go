package websocket

import "github.com/gobwas/ws"

// PreparePing makes a ping, to be sent like any frame. The pong that answers it
// is not told to anyone: the ping is for the proxies on the way, which take a
// quiet connection for a dead one.
func PreparePing() *Frame {
	return &Frame{data: appendFrame(nil, ws.OpPing, nil), head: headerLen(0), plain: true}
}
