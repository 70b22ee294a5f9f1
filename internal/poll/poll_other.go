//go:build !linux && !memnet

package poll

import (
	"errors"
	"net"
	"net/netip"
)

const supported = false

// Supported tells whether sockets can be adopted at all.
const Supported = supported

// queue has no form here: Adopt declines before there is one.
type queue struct{}

func newQueue() (*queue, error)                { return nil, errors.ErrUnsupported }
func (*queue) close()                          {}
func (*queue) add(int) error                   { return errors.ErrUnsupported }
func (*queue) remove(int)                      {}
func (*queue) wait([]notice, bool) (int, bool) { return -1, false }
func take(net.Conn) (int, error)               { return 0, errors.ErrUnsupported }
func closeDescriptor(int)                      {}

func listening(*net.TCPListener) (int, error) { return 0, errors.ErrUnsupported }

// Read reads what there is.
func (s *Socket) Read([]byte) (int, error) { return 0, errors.ErrUnsupported }

// Write writes as much as the socket takes at once.
func (s *Socket) Write([]byte) (int, error) { return 0, errors.ErrUnsupported }

// Again has the handler told what the socket can do now.
func (s *Socket) Again() error { return errors.ErrUnsupported }

// Shutdown ends the connection.
func (s *Socket) Shutdown(bool) {}

// Accept takes the next connection off a listener.
func (s *Socket) Accept() (int, netip.AddrPort, error) {
	return 0, netip.AddrPort{}, errors.ErrUnsupported
}
