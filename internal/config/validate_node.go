package config

import (
	"net/url"
	"slices"
	"time"
)

func defaultNode() Node {
	return Node{Adapter: "classic", Prefix: "socket.io", Streams: 1, Length: 10_000, Timeout: 5 * time.Second, Waiting: 16 << 20, Calls: 1000}
}

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
	if n.Length < 1 {
		l.not("node.stream-length", "is %d: want 1 or more", n.Length)
	}
	if n.Timeout <= 0 {
		l.not("node.timeout", "is %v: want more than 0", n.Timeout)
	}
	if n.Waiting < 1 {
		l.not("node.waiting", "is %s: want a size", mustText(n.Waiting))
	}
	if n.Calls < 1 {
		l.not("node.calls", "is %d: want 1 or more", n.Calls)
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
