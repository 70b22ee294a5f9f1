package tutti

import (
	"context"

	"github.com/tutti-rt/tutti/hub"
)

// A Match decides whether a namespace that a peer asks for exists. name begins
// with "/". It may wait. An error refuses the peer, a [*Refusal] in its words.
type Match func(ctx context.Context, name string, h Handshake) (bool, error)

// Dynamic returns a family of namespaces: those whose names match says exist.
// What is registered for the family holds for each of them, and what is sent
// to the family goes to all of them. A namespace of a family comes into being
// with its first socket and is gone with its last. Families are asked in the
// order in which they were made, after the namespaces that have a name.
func (srv *Server) Dynamic(match Match) *Namespace {
	family := &Namespace{server: srv, rules: newRules(), match: match}
	srv.mu.Lock()
	defer srv.mu.Unlock()
	srv.families = append(srv.families, family)
	return family
}

// errNamespace is what a peer hears that asks for a namespace which does not
// exist, in the words of Socket.IO.
var errNamespace = &Refusal{Message: "Invalid namespace"}

// find returns the namespace that a socket asks for. Whoever finds one must
// release it.
func (srv *Server) find(s *Socket) (*Namespace, error) {
	srv.mu.Lock()
	ns := srv.namespaces[s.name]
	if ns != nil {
		ns.sockets++
	}
	families := srv.families
	srv.mu.Unlock()
	if ns != nil {
		return ns, nil
	}
	for _, family := range families {
		var ok bool
		err := s.protect("match", func() (err error) {
			ok, err = family.match(s.ctx, s.name, s.Handshake())
			return err
		})
		if err != nil {
			return nil, err
		}
		if ok {
			return srv.found(family, s)
		}
	}
	return nil, errNamespace
}

// found makes the namespace of a family, unless somebody else just did.
func (srv *Server) found(family *Namespace, s *Socket) (*Namespace, error) {
	name := s.name
	srv.mu.Lock()
	ns := srv.namespaces[name]
	if ns != nil {
		ns.sockets++
		srv.mu.Unlock()
		return ns, nil
	}
	if srv.dynamic >= srv.cfg.MaxDynamic {
		srv.mu.Unlock()
		s.link.limitHit("dynamic namespaces")
		return nil, &Refusal{Message: "Too many namespaces"}
	}
	ns = &Namespace{
		server:  srv,
		name:    name,
		space:   srv.hub.Space(name),
		rules:   family.rules,
		family:  family,
		sockets: 1,
	}
	srv.namespaces[name] = ns
	srv.dynamic++
	srv.mu.Unlock()
	if srv.cfg.Trace.NamespaceCreated != nil {
		srv.cfg.Trace.NamespaceCreated(ns)
	}
	return ns, nil
}

// release undoes find. The last one of a family's namespace takes it away.
func (srv *Server) release(ns *Namespace) {
	srv.mu.Lock()
	defer srv.mu.Unlock()
	ns.sockets--
	if ns.sockets > 0 || ns.kept || ns.family == nil {
		return
	}
	delete(srv.namespaces, ns.name)
	srv.dynamic--
	srv.hub.Forget(ns.name)
}

func (srv *Server) familySpaces(family *Namespace) []*hub.Space {
	srv.mu.RLock()
	defer srv.mu.RUnlock()
	var spaces []*hub.Space
	for _, ns := range srv.namespaces {
		if ns.family == family {
			spaces = append(spaces, ns.space)
		}
	}
	return spaces
}
