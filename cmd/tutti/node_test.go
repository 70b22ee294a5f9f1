package main

import (
	"reflect"
	"testing"
	"time"

	"github.com/tutti-rt/tutti/hub/nodehub"
	"github.com/tutti-rt/tutti/internal/config"
)

// TestNodesConfig: every setting of a cluster on Node.js gets there.
func TestNodesConfig(t *testing.T) {
	got := nodesConfig(config.Node{
		Cluster: "redis://127.0.0.1:1", Adapter: "streams", Prefix: "p", Streams: 2, Length: 3, Timeout: 4 * time.Second, Waiting: 5, Calls: 6,
	})
	want := nodehub.Config{
		URL: "redis://127.0.0.1:1", Adapter: nodehub.Streams, Prefix: "p", StreamCount: 2, MaxLen: 3, Timeout: 4 * time.Second, MaxPending: 5, MaxCalls: 6,
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, want %+v", got, want)
	}
}
