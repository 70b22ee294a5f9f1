// Command server is the application that the conformance tests drive: package
// tutti at /socket.io/, and engines that send every message back at /engine.io/
// and /engine.io-3/. It takes the flags of conformance/reference/server.mjs,
// which is the same application on Node's server, and handles the same events.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/tutti-rt/tutti"
	"github.com/tutti-rt/tutti/engineio"
	"github.com/tutti-rt/tutti/internal/clientfiles"
)

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "conformance server:", err)
		os.Exit(1)
	}
}

// options are the flags of the command line.
type options struct {
	listen, origin, cookie                    string
	pingInterval, pingTimeout, connectTimeout int // milliseconds
	maxPayload                                int64
	compress, eio3                            bool
	nodeCluster, nodeAdapter, nodePrefix      string
}

func parse() options {
	var o options
	flag.StringVar(&o.listen, "listen", "127.0.0.1:0", "`address` to listen on")
	flag.StringVar(&o.origin, "origin", "", "another `origin` that may connect, with credentials")
	flag.StringVar(&o.cookie, "cookie", "", "`name` of the session cookie")
	flag.String("parser", "json", "ignored: Node's server speaks one parser at a time, this one all")
	flag.IntVar(&o.pingInterval, "ping-interval", 25_000, "`milliseconds`")
	flag.IntVar(&o.pingTimeout, "ping-timeout", 20_000, "`milliseconds`")
	flag.IntVar(&o.connectTimeout, "connect-timeout", 45_000, "`milliseconds`")
	flag.Int64Var(&o.maxPayload, "max-payload", 1_000_000, "`bytes`")
	flag.BoolVar(&o.compress, "compress", false, "permessage-deflate")
	flag.BoolVar(&o.eio3, "eio3", false, "let clients of Socket.IO 1 and 2 in")
	flag.StringVar(&o.nodeCluster, "node-cluster", "", "redis:// `URL` by which several servers are one")
	flag.StringVar(&o.nodeAdapter, "node-adapter", "classic", "`name` of the adapter that they use")
	flag.StringVar(&o.nodePrefix, "node-prefix", "socket.io", "what their channels begin with")
	flag.Parse()
	return o
}

// engine is the part of the configuration that all three servers have.
func (o options) engine() engineio.Config {
	return engineio.Config{
		PingInterval: time.Duration(o.pingInterval) * time.Millisecond,
		PingTimeout:  time.Duration(o.pingTimeout) * time.Millisecond,
		MaxPayload:   o.maxPayload,
	}
}

func (o options) server() (srv *tutti.Server, end func() error, err error) {
	files, _, err := clientfiles.Files()
	if err != nil {
		return nil, nil, err
	}
	cfg := tutti.Config{Engine: o.engine(), ClientFiles: files}
	cfg.Engine.ConfirmTimeout = time.Duration(o.connectTimeout) * time.Millisecond
	cfg.Engine.AllowEIO3 = o.eio3
	if o.compress {
		cfg.Engine.Deflate = &engineio.Deflate{}
	}
	if o.cookie != "" {
		cfg.Engine.Cookie = &http.Cookie{Name: o.cookie, Path: "/", HttpOnly: true, SameSite: http.SameSiteLaxMode}
	}
	if o.origin != "" {
		cfg.Engine.Origins, cfg.Engine.Credentials = []string{o.origin}, true
	}
	if end, err = o.open(&cfg.Hub); err != nil {
		return nil, nil, err
	}
	srv, err = tutti.New(cfg)
	return srv, end, err
}

func run() error {
	o := parse()
	srv, end, err := o.server()
	if err != nil {
		return err
	}
	register(srv)
	if err := srv.Namespace("/").Space().Err(); err != nil { // waits until it is shared, if it is to be
		return errors.Join(err, end())
	}
	mux := http.NewServeMux()
	mux.Handle("/socket.io/", srv)
	for path, old := range map[string]bool{"/engine.io/": false, "/engine.io-3/": true} {
		cfg := o.engine()
		cfg.AllowEIO3 = old
		echo, err := engineio.New(cfg, echoes{})
		if err != nil {
			return err
		}
		mux.Handle(path, echo)
	}
	return errors.Join(listenAndServe(o.listen, mux, srv), end())
}

// listenAndServe serves until SIGTERM, and then ends the sessions.
func listenAndServe(address string, h http.Handler, srv *tutti.Server) error {
	listener, err := net.Listen("tcp", address)
	if err != nil {
		return err
	}
	fmt.Printf("listening on http://%s\n", listener.Addr())
	server := &http.Server{Handler: h, ReadHeaderTimeout: 10 * time.Second}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	stopped := make(chan error, 1)
	context.AfterFunc(ctx, func() {
		ending, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		err := srv.Shutdown(ending)
		stopped <- errors.Join(err, server.Close())
	})
	if err := tutti.Serve(server, listener); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return <-stopped
}

// echoes sends every message of every session back.
type echoes struct{}

func (echoes) Accept(s *engineio.Session) engineio.Receiver {
	s.Confirm()
	return echo{s}
}

type echo struct{ session *engineio.Session }

func (e echo) Receive(m engineio.Message) {
	_ = e.session.Send(engineio.Prepare(m)) // a session that has ended hears nothing
}

func (echo) Closed(engineio.Reason, error) {}
