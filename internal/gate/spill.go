package gate

import "strconv"

// mostKept is how much of an answer is kept until its handler has returned. The
// answers of Engine.IO are put off, and as long as its queues may be; but whoever
// writes EIO into a query can have any other handler answer through a reply: a
// file, for example, for which there is no memory.
const mostKept = 64 << 10

// spill has what the handler has written so far leave in a chunk, and waits for
// that: the goroutine is the handler's.
func (w *reply) spill() error {
	left := make(chan error, 1)
	w.mu.Lock()
	w.done = func(err error) { left <- err }
	w.mu.Unlock()
	var b []byte
	if !w.spilling {
		w.spilling, w.parted = true, true
		w.wait()
		b = w.appendHead(b)
	}
	b = w.appendChunk(b)
	w.body = w.body[:0]
	w.conn.write(w, b)
	return <-left
}

// appendChunk appends what is kept of the body as a chunk.
func (w *reply) appendChunk(b []byte) []byte {
	b = strconv.AppendInt(b, int64(len(w.body)), 16)
	b = append(b, "\r\n"...)
	b = append(b, w.body...)
	return append(b, "\r\n"...)
}

// appendLast appends the rest of an answer that has left in part.
func (w *reply) appendLast(b []byte) []byte {
	if len(w.body) > 0 {
		b = w.appendChunk(b)
	}
	return append(b, "0\r\n\r\n"...)
}
