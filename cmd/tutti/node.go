package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"

	"github.com/redis/go-redis/v9"

	"github.com/tutti-rt/tutti/hub"
	"github.com/tutti-rt/tutti/hub/nodehub"
	"github.com/tutti-rt/tutti/internal/config"
	"github.com/tutti-rt/tutti/metrics"
)

// openNodes reaches the cluster of Node's servers that the settings name, and has
// spaces shared with them.
func (a *app) openNodes(s config.Settings, cfg *hub.Config, m *metrics.Metrics, log *slog.Logger) error {
	if s.Node.Cluster == "" {
		return nil
	}
	redis.SetLogger(redisLog{log})
	ctx, cancel := context.WithTimeout(context.Background(), engineStart)
	defer cancel()
	nodes := nodesConfig(s.Node)
	nodes.Log = log
	nodes.Trace = &nodehub.Trace{
		Connected: m.NodesConnected,
		Lost:      func(error) { m.NodesLost() },
		Ignored:   m.NodesIgnored,
		Dropped:   m.NodesDropped,
	}
	c, err := nodehub.Open(ctx, nodes)
	if err != nil {
		return fmt.Errorf("node.cluster: %w", err)
	}
	a.nodes, cfg.Share = c, c.Share
	return nil
}

func nodesConfig(n config.Node) nodehub.Config {
	return nodehub.Config{
		URL: n.Cluster, Adapter: nodehub.Adapter(n.Adapter), Prefix: n.Prefix, StreamCount: int(n.Streams), MaxLen: int64(n.Length),
		Timeout: n.Timeout, MaxPending: int(n.Waiting), MaxCalls: int(n.Calls),
	}
}

// checkShared waits until the servers on Node.js are heard in the namespaces that
// are shared with them, so that they find a server that listens.
func (a *app) checkShared(s config.Settings) error {
	if a.nodes == nil {
		return nil
	}
	var errs []error
	for _, name := range append([]string{"/"}, s.Namespaces...) {
		errs = append(errs, a.server.Namespace(name).Space().Err())
	}
	return errors.Join(errs...)
}
