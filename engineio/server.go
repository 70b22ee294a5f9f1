package engineio

import (
	"context"
	"errors"
	"net/http"
)

// Server is an [http.Handler] that serves sessions on whatever path it is mounted.
type Server struct {
	cfg      Config
	acceptor Acceptor
}

// New returns a server whose sessions are announced to a. The error lists every mistake in cfg.
func New(cfg Config, a Acceptor) (*Server, error) {
	cfg, err := cfg.withDefaults()
	if a == nil {
		err = errors.Join(err, errors.New("engineio: no acceptor"))
	}
	if err != nil {
		return nil, err
	}
	return &Server{cfg: cfg, acceptor: a}, nil
}

// ServeHTTP answers one request of the protocol.
func (srv *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {}

// Sessions returns how many sessions exist.
func (srv *Server) Sessions() int { return 0 }

// Shutdown closes every session with [ReasonShutdown], refuses new ones with 503, and returns when all goroutines of
// the server have ended, or when ctx ends: then what remains is cut and the error is that of ctx.
func (srv *Server) Shutdown(ctx context.Context) error { return nil }
