package nodehub

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/tutti-rt/tutti/hub"
	"github.com/tutti-rt/tutti/internal/serial"
)

// A Cluster is this server's part in a cluster of Socket.IO servers. It is safe
// for concurrent use.
type Cluster struct {
	cfg    Config
	client *redis.Client
	reader *redis.Client // of streams: what it waits for ends with it
	ears   *ears
	out    *outbox
	crew   *serial.Crew    // of the spaces' inboxes
	ctx    context.Context // of what has none of its own; it ends with Close
	end    context.CancelFunc

	mu      sync.Mutex
	streams map[string]*stream
	spaces  map[string]*shared // by namespaces
	closed  bool

	running sync.WaitGroup // the ears' reader, the streams', the outbox's writer
}

// Open reaches Redis and takes part as soon as spaces are shared. It fails if
// Redis cannot be reached before the context ends.
func Open(ctx context.Context, cfg Config) (*Cluster, error) {
	cfg, err := cfg.withDefaults()
	if err != nil {
		return nil, err
	}
	client, err := cfg.client(0)
	if err != nil {
		return nil, err
	}
	if err := client.Ping(ctx).Err(); err != nil {
		return nil, errors.Join(fmt.Errorf("nodehub: reach Redis: %w", err), client.Close())
	}
	reader, err := cfg.client(cfg.StreamCount + 1) // each stream waits on a connection of its own
	if err != nil {
		return nil, errors.Join(err, client.Close())
	}
	c := &Cluster{
		cfg: cfg, client: client, reader: reader, crew: &serial.Crew{Limit: cfg.MaxPending},
		streams: make(map[string]*stream), spaces: make(map[string]*shared),
	}
	c.ctx, c.end = context.WithCancel(context.Background())
	c.ears = newEars(c)
	c.out = &outbox{cluster: c}
	// Started by Open, ended and waited for by Close.
	c.running.Go(c.ears.listen)
	return c, nil
}

// Share opens a space to the cluster, for [hub.Config.Share] of one hub. It returns
// when the others are heard, or the context ends: then they are as soon as they
// can be.
func (c *Cluster) Share(ctx context.Context, sp *hub.Space) (hub.Others, error) {
	s, err := c.share(ctx, sp)
	if err != nil {
		return nil, err
	}
	if _, listens := s.dialect.Room(""); listens {
		return listening{s}, nil
	}
	return s, nil
}

// Close ends all that goes on. What waits to be sent is, if Redis is there.
func (c *Cluster) Close() error {
	c.mu.Lock()
	c.closed = true
	c.mu.Unlock()
	c.out.close()
	c.end()
	c.ears.close()
	err := c.reader.Close()
	c.running.Wait()
	c.crew.Close()
	return errors.Join(err, c.client.Close())
}

// newID returns a name for a server, or a request. Those of the classic adapter
// have 6 characters, of which ours would be alike too often.
func newID() string {
	var b [8]byte
	rand.Read(b[:]) // never fails: crypto/rand ends the process instead
	return hex.EncodeToString(b[:])
}

// pause waits and says whether the cluster goes on.
func (c *Cluster) pause(d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-c.ctx.Done():
		return false
	}
}

func (c *Cluster) ignored() {
	if c.cfg.Trace.Ignored != nil {
		c.cfg.Trace.Ignored()
	}
}

func (c *Cluster) dropped() {
	if c.cfg.Trace.Dropped != nil {
		c.cfg.Trace.Dropped()
	}
}

const (
	retryPause    = 50 * time.Millisecond
	retryPauseMax = time.Second
)
