package tutti_test

import (
	"context"
	"fmt"
	"log"
	"time"

	"github.com/tutti-rt/tutti"
	"github.com/tutti-rt/tutti/hub"
	"github.com/tutti-rt/tutti/hub/hubtest"
	"github.com/tutti-rt/tutti/hub/redishub"
)

func ExampleServer_Join() {
	ctx := context.Background()

	engine, err := redishub.Open(ctx, redishub.Config{URL: "redis://10.0.0.5:6379", Cluster: "shop"})
	if err != nil {
		log.Fatal(err) // it cannot be reached, or its settings break the promise
	}
	srv, err := tutti.New(tutti.Config{
		Hub: hub.Config{
			Engine: engine,
			Memory: func(namespace string) *hub.Memory { return &hub.Memory{} },
		},
		Advertise: "http://10.0.0.7:3000", // where the other nodes reach this one
	})
	if err != nil {
		log.Fatal(err)
	}
	if err := srv.Join(ctx); err != nil { // before it listens, so that other nodes find it
		log.Fatal(err)
	}
}

func ExampleNamespace_AskNodes() {
	ctx := context.Background()
	cluster := hubtest.NewCluster(time.Second) // in memory; servers that run have redishub's
	var nodes []*network
	for _, name := range []string{"one", "two"} {
		srv, _ := tutti.New(tutti.Config{Hub: hub.Config{Engine: cluster.Node()}})
		n := serve(srv)
		defer n.close()
		nodes = append(nodes, n)
		ns := srv.Namespace("/")
		ns.Guard(func(ctx context.Context, s *tutti.Socket) (context.Context, error) { return ctx, s.Join("lobby") })

		ns.HandleNodes("settings", func(ctx context.Context, from string, args tutti.Args) (any, error) {
			var version int
			if err := args.Scan(&version); err != nil {
				return nil, err
			}
			return fmt.Sprintf("%s has settings %d", name, version), nil
		})

		srv.Join(ctx)
	}
	a, b := nodes[0].join("/", ""), nodes[1].join("/", "")
	ns := nodes[0].srv.Namespace("/")

	for answer, err := range ns.AskNodes(ctx, "settings", 7) {
		if err != nil {
			fmt.Println("some did not answer:", err) // a *hub.PartialError, last of all
			break
		}
		var text string
		answer.Args.Scan(&text)
		fmt.Println(text)
	}

	members, err := ns.To("lobby").Count(ctx)
	fmt.Println(members, err)

	for info, err := range ns.Sockets(ctx) {
		fmt.Println(info.ID == a.id || info.ID == b.id, err)
	}

	ns.To("lobby").Emit("welcome", "everybody, wherever you are")
	fmt.Println(b.hear())
	// Output:
	// two has settings 7
	// 2 <nil>
	// true <nil>
	// true <nil>
	// ["welcome","everybody, wherever you are"]
}
