package config

import (
	"net/url"
	"slices"
)

// checkNode checks how to take part in a cluster of servers on Node.js.
func (l *loader) checkNode() {
	n := l.Node
	if !slices.Contains(NodeAdapters, n.Adapter) {
		l.not("node.adapter", "is %q: want %s", n.Adapter, alternatives(NodeAdapters))
	}
	if n.Prefix == "" {
		l.not("node.prefix", "is empty: want what the adapters' keys begin with, such as socket.io")
	}
	if n.Streams < 1 || n.Streams > 1024 {
		l.not("node.streams", "is %d: want 1 to 1024", n.Streams)
	}
	if n.Cluster == "" {
		return
	}
	if u, err := url.Parse(n.Cluster); err != nil || !slices.Contains([]string{"redis", "rediss", "unix"}, u.Scheme) {
		l.not("node.cluster", "is not redis://HOST:PORT, rediss:// or unix://") // it may have a password in it
	}
	if l.Data == "" && l.Engine == "" {
		return
	}
	for _, name := range append([]string{"/"}, l.Namespaces...) {
		if len(l.Memory) > 0 && !slices.Contains(l.Memory, name) {
			return
		}
	}
	l.not("node.cluster", "has nothing to share: every namespace has a memory; name those that need one with memory")
}
