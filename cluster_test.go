package tutti_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/tutti-rt/tutti"
	"github.com/tutti-rt/tutti/hub"
	"github.com/tutti-rt/tutti/hub/hubtest"
)

// TestEngineAway: who wants to come in while the engine is away is told so, in
// words and for programs, and comes in when it is back: over the same connection
// if it likes, for the first time or to a session that it had.
func TestEngineAway(t *testing.T) {
	const refused = `4{"data":{"code":"unavailable","retry":1000},"message":"the server cannot reach its engine: try again"}`
	for _, memory := range []*hub.Memory{nil, {}} {
		synctest.Test(t, func(t *testing.T) {
			cluster := hubtest.NewCluster(time.Minute)
			engine := cluster.Node()
			cfg := tutti.Config{Hub: hub.Config{Engine: engine, Memory: func(string) *hub.Memory { return memory }}}
			runWorld(t, cfg, func(w *world) { comeWhileAway(w, cluster, engine, refused) })
		})
	}
}

func comeWhileAway(w *world, cluster *hubtest.Cluster, engine hub.Engine, refused string) {
	cluster.Cut(engine)
	first := w.dial()
	first.send("0")
	first.want(refused, "a client while the engine is away from the beginning")
	cluster.Mend(engine)
	synctest.Wait()
	first.join("/")
	if !w.srv.Namespace("/").Space().Remembers() {
		return // nothing is promised that needs the engine
	}
	old := w.travel()
	old.Close()
	synctest.Wait()
	cluster.Cut(engine)
	again := w.dial()
	again.send(`0{"pid":"` + old.pid + `"}`)
	again.want(refused, "a client that comes back while the engine is away")
	cluster.Mend(engine)
	synctest.Wait()
	if old.comeBack(); !old.recovered {
		w.t.Error("it was not recovered when the engine was back")
	}
}
