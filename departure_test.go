package tutti

import "testing"

// TestOwnDeparture: a socket that has come back leaves before it is greeted. It
// does not wait for itself, which nobody could end.
func TestOwnDeparture(t *testing.T) {
	srv := new(Server)
	s := &Socket{id: "x", returns: true, recovered: true, link: &link{server: srv}}
	done := make(chan struct{})
	s.departLocked()
	if err := s.mailbox.Put(1, func() {
		srv.awaitDeparture(s)
		close(done)
	}); err != nil {
		t.Fatal(err)
	}
	<-done
	s.mailbox.Wait()
}
