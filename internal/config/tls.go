package config

import (
	"crypto/tls"
	"net/url"
	"os"
	"slices"
	"strings"
	"time"
)

// TLS is how the public listener is encrypted, if this program does it and no
// proxy before it.
type TLS struct {
	Cert      Folder        `set:"cert FILE: Serve https and wss with the certificate in this file, PEM, followed by those of its issuers. It is read again when it changes." live:"yes"`
	Key       Folder        `set:"key FILE: The private key of the certificate, PEM." live:"yes"`
	Domains   []string      `set:"domain NAME: A name to get certificates for by ACME, from Let's Encrypt unless tls.directory says otherwise. Its port 443 must lead here, or its port 80 to tls.redirect. Needs data, where they are kept. Repeatable." live:"yes"`
	Email     string        `set:"email ADDRESS: Where the ACME authority can reach the operator."`
	Directory string        `set:"directory URL: The ACME authority."`
	Roots     Folder        `set:"roots FILE: Certificates, PEM, by which the ACME authority is recognised, if it is one's own."`
	Redirect  string        `set:"redirect HOST:PORT: Listen for http there, mostly on :80, and lead all to https."`
	Min       string        `set:"min VERSION: The oldest version of TLS that is spoken: 1.2 or 1.3." live:"yes"`
	HSTS      time.Duration `set:"hsts DURATION: How long browsers are told to come by https only, or 0s for not at all." live:"yes"`
}

// Kind is how certificates come: from files, by ACME, or not at all. A running
// server can't change it.
func (t TLS) Kind() string {
	switch {
	case len(t.Domains) > 0:
		return "acme"
	case t.Cert != "":
		return "files"
	}
	return ""
}

// On says whether the public listener is encrypted.
func (t TLS) On() bool { return t.Kind() != "" }

// Version is the oldest version that is spoken.
func (t TLS) Version() uint16 {
	if t.Min == "1.3" {
		return tls.VersionTLS13
	}
	return tls.VersionTLS12
}

// checkTLS checks what has nothing to do with what is in the files.
func (l *loader) checkTLS() {
	t := l.TLS
	switch {
	case (t.Cert == "") != (t.Key == ""):
		l.conflict("tls.cert", "tls.key", "tls.cert and tls.key go together: give both")
	case t.Cert != "" && len(t.Domains) > 0:
		l.conflict("tls.cert", "tls.domain", "tls.cert and tls.domain are two ways to come by a certificate: choose one")
	}
	for _, file := range []struct {
		name string
		path Folder
	}{{"tls.cert", t.Cert}, {"tls.key", t.Key}, {"tls.roots", t.Roots}} {
		if file.path == "" {
			continue
		}
		if info, err := os.Stat(string(file.path)); err != nil {
			l.not(file.name, "is %q, which can't be opened (%v): want a file", file.path, err)
		} else if info.IsDir() {
			l.not(file.name, "is %q, which is a folder: want a file", file.path)
		}
	}
	l.checkACME()
	if t.Redirect != "" && !isAddress(t.Redirect) {
		l.not("tls.redirect", "is %q: want HOST:PORT, such as :80", t.Redirect)
	}
	if t.Redirect != "" && !t.On() {
		l.not("tls.redirect", "leads to https, which is not served: give tls.cert and tls.key, or tls.domain")
	}
	if t.Min != "1.2" && t.Min != "1.3" {
		l.not("tls.min", "is %q: want 1.2 or 1.3", t.Min)
	}
	if t.HSTS < 0 || t.HSTS > 2*365*24*time.Hour {
		l.not("tls.hsts", "is %v: want 0s to 17520h", t.HSTS)
	}
}

func (l *loader) checkACME() {
	t := l.TLS
	if len(t.Domains) > 0 && l.Data == "" {
		l.not("tls.domain", "needs a folder to keep certificates in: give data, such as --data .data")
	}
	for i, name := range t.Domains {
		at := l.placeOf("tls.domain", i)
		switch {
		case !strings.Contains(name, ".") || strings.ContainsAny(name, "*:/ ") || strings.HasPrefix(name, "."):
			l.wrong(at, "tls.domain is %q: want a whole name, such as app.example.com", name)
		case slices.Index(t.Domains, name) < i:
			l.wrong(at, "tls.domain names %q twice", name)
		}
	}
	if u, err := url.Parse(t.Directory); err != nil || u.Scheme != "https" || u.Host == "" {
		l.not("tls.directory", "is %q: want an address that begins with https://", t.Directory)
	}
}
