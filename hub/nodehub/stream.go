package nodehub

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"
)

// A stream is read for all spaces that are in it, from where it ends when the
// first of them is shared.
type stream struct {
	cluster *Cluster
	name    string
	begun   chan struct{} // closed when it is known where that is

	mu     sync.Mutex
	spaces []*shared
}

// follow has a space get its entries of a stream, and waits until none is missed
// from now on, or the context ends.
func (c *Cluster) follow(ctx context.Context, name string, s *shared) {
	c.mu.Lock()
	st := c.streams[name]
	if st == nil {
		st = &stream{cluster: c, name: name, begun: make(chan struct{})}
		c.streams[name] = st
		if !c.closed {
			// Started by the first space in a stream, ended and waited for by
			// Cluster.Close.
			c.running.Go(st.read)
		}
	}
	c.mu.Unlock()
	st.mu.Lock()
	st.spaces = append(slices.Clip(st.spaces), s)
	st.mu.Unlock()
	select {
	case <-st.begun:
	case <-ctx.Done():
	}
}

// leave ends what follow began. The stream is read on: spaces come and go.
func (c *Cluster) leave(name string, s *shared) {
	c.mu.Lock()
	st := c.streams[name]
	c.mu.Unlock()
	if st == nil {
		return
	}
	st.mu.Lock()
	defer st.mu.Unlock()
	st.spaces = slices.DeleteFunc(slices.Clone(st.spaces), func(o *shared) bool { return o == s })
}

// What is read at a time, and how long Redis waits for more: the adapter's
// options readCount and blockTimeInMs.
const (
	readCount = 100
	readBlock = 5 * time.Second
)

func (st *stream) read() {
	c := st.cluster
	at, known := "", false
	for wait := retryPause; c.ctx.Err() == nil; {
		var err error
		if !known {
			if at, err = st.end(); err == nil {
				known = true
				close(st.begun)
			}
		} else {
			at, err = st.next(at)
		}
		if err == nil {
			wait = retryPause
			continue
		}
		if !c.pause(wait) { // ears say that Redis is away
			return
		}
		wait = min(2*wait, retryPauseMax)
	}
}

// end returns the last entry's id.
func (st *stream) end() (string, error) {
	last, err := st.cluster.reader.XRevRangeN(st.cluster.ctx, st.name, "+", "-", 1).Result()
	if err != nil || len(last) == 0 {
		return "0-0", err
	}
	return last[0].ID, nil
}

// next hands on what follows an entry.
func (st *stream) next(at string) (string, error) {
	c := st.cluster
	list, err := c.reader.XRead(c.ctx, &redis.XReadArgs{Streams: []string{st.name, at}, Count: readCount, Block: readBlock}).Result()
	if errors.Is(err, redis.Nil) {
		return at, nil
	}
	if err != nil || len(list) == 0 {
		return at, err
	}
	st.mu.Lock()
	spaces := st.spaces
	st.mu.Unlock()
	for _, entry := range list[0].Messages {
		pairs := make(map[string]string, len(entry.Values))
		for k, v := range entry.Values {
			pairs[k], _ = v.(string)
		}
		for _, s := range spaces {
			if s.space.Namespace() == pairs["nsp"] {
				s.entry(pairs)
			}
		}
		at = entry.ID
	}
	return at, nil
}
