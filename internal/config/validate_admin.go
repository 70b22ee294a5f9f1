package config

import (
	"net"
	"net/netip"
	"slices"
	"strings"
)

func (l *loader) checkAdmin() {
	a := &l.Admin
	switch {
	case a.Listen == "":
		if len(a.Keys) > 0 {
			l.not("admin.keys", "lets operators in, and there is no admin.listen for them: say where")
		}
	case !isAddress(a.Listen):
		l.not("admin.listen", "is %q: want HOST:PORT, such as 127.0.0.1:9091", a.Listen)
	case len(a.Keys) == 0 && !isLoopback(a.Listen):
		l.not("admin.listen", "is %q, which others can reach, and there are no admin.keys: want keys, or an address such as 127.0.0.1:9091", a.Listen)
	case !strings.HasSuffix(a.Listen, ":0") && (a.Listen == l.Listen || a.Listen == l.Metrics):
		l.not("admin.listen", "is %q, where something else listens already: want an address of its own", a.Listen)
	}
	for i, k := range a.Keys {
		if slices.IndexFunc(a.Keys, func(other AdminKey) bool { return other.Name == k.Name }) < i {
			l.wrong(l.placeOf("admin.keys", i), "admin.keys: a second key has the name %q", k.Name)
		}
	}
	l.checkUI()
}

func (l *loader) checkUI() {
	a := &l.Admin
	switch a.UI {
	case "off":
		return
	case "production", "development":
	default:
		l.not("admin.ui", "is %q: want off, production or development", a.UI)
		return
	}
	if a.UIUser == "" {
		l.not("admin.ui-user", `is "": want the name that the admin UI logs in with`)
	}
	if !strings.HasPrefix(string(a.UIPassword), "$2") || len(a.UIPassword) != 60 {
		l.not("admin.ui-password", "is no bcrypt hash: want 60 characters that begin with $2, as 'htpasswd -nbB' prints them")
	}
	if slices.Contains(l.Namespaces, "/admin") {
		l.conflict("admin.ui", "namespace", "admin.ui serves the namespace /admin: leave it out of namespace")
	}
}

// isLoopback says whether only this machine reaches an address.
func isLoopback(address string) bool {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return false
	}
	if host == "localhost" {
		return true
	}
	ip, err := netip.ParseAddr(host)
	return err == nil && ip.IsLoopback()
}
