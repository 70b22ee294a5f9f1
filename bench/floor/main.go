// Command floor is the smallest server that "tutti bench" can drive: how far
// from the limit a real one is, is measured against it. It has no heartbeat, no
// limits, no polling and no mercy; it is not to be used for anything else.
//
//	floor -mode net|epoll -listen 127.0.0.1:3000
package main

import (
	"flag"
	"fmt"
	"log"
)

func main() {
	mode := flag.String("mode", "epoll", "`net`: a goroutine per connection; epoll: none")
	address := flag.String("listen", "127.0.0.1:3000", "`address` to listen on")
	flag.Parse()
	serve := map[string]func(string) error{"net": serveNet, "epoll": serveEpoll}[*mode]
	if serve == nil {
		log.Fatalf("floor: no mode %q", *mode)
	}
	fmt.Printf("Floor about to listen on http://%s\n", *address)
	log.Fatal(serve(*address))
}
