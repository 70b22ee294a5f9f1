package tutti

// LedgerPage answers another node's question for what is revoked behind after, with
// how many that are and behind which to ask on, "" if they are all.
func (srv *Server) LedgerPage(after string) (n int, next string) {
	srv.ledgers.srv = srv
	p := srv.ledgers.page(ledgerQuestion{After: after})
	if n = len(p.Revoked); p.More {
		next = revocationKey(p.Revoked[n-1])
	}
	return n, next
}

// ReviewSocket does what [Namespace.Review] does with one of its sockets.
func ReviewSocket(s *Socket) { (*ward)(s).later(s.review) }
