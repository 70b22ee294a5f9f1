package main

import (
	"context"

	"github.com/tutti-rt/tutti"
	"github.com/tutti-rt/tutti/quota"
)

// relay passes the events on to everyone in the namespace that they were sent
// in, the sender included: so that a page needs no server of its own.
func relay(srv *tutti.Server, namespaces, events []string) {
	for _, name := range namespaces {
		ns := srv.Namespace(name)
		for _, event := range events {
			ns.Handle(event, func(_ context.Context, s *tutti.Socket, m *tutti.Message) error {
				if err := s.Spend(quota.Publish); err != nil {
					return err
				}
				args := make([]any, 0, m.Args.Len())
				for _, arg := range m.Args.All() {
					args = append(args, arg)
				}
				_, err := ns.Emit(event, args...)
				return err
			})
		}
	}
}
