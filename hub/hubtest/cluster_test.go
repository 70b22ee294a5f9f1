package hubtest_test

import (
	"os"
	"testing"
	"time"

	"github.com/tutti-rt/tutti/hub"
	"github.com/tutti-rt/tutti/hub/hubtest"
	"github.com/tutti-rt/tutti/internal/leak"
)

func TestMain(m *testing.M) { os.Exit(leak.Run(m)) }

// closing closes what nodes are left at the end.
type closing struct {
	*hubtest.Cluster
	t *testing.T
}

func (c closing) Node() hub.Engine {
	e := c.Cluster.Node()
	c.t.Cleanup(func() { e.Close() })
	return e
}

func TestCluster(t *testing.T) {
	hubtest.TestEngine(t, func(t *testing.T) hubtest.Service { return closing{hubtest.NewCluster(200 * time.Millisecond), t} })
}
