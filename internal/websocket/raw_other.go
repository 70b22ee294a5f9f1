//go:build !unix

package websocket

// readRaw does without readiness where sockets are not file descriptors.
func (c *Conn) readRaw(r *reader) error { return c.readPlain(r) }

// writeRaw does likewise.
func (c *Conn) writeRaw(data []byte) error { return c.writePlain(data) }
