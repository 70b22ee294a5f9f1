package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/crypto/acme"
	"golang.org/x/crypto/acme/autocert"

	"github.com/tutti-rt/tutti/internal/config"
)

// An encryption is what listeners speak TLS with. Its settings can change while
// they do: every handshake asks for those that are current.
type encryption struct {
	log     *slog.Logger
	current atomic.Pointer[encrypted]
	manager *autocert.Manager // nil unless certificates come by ACME
	domains atomic.Pointer[[]string]
	ends    sync.Map // by domain: the time.Time until when what it was last given holds, with ACME
}

// encrypted is one state of the settings.
type encrypted struct {
	config *tls.Config
	files  *certificateFiles // nil with ACME
	hsts   time.Duration
}

// newEncryption returns nil if the settings ask for none.
func newEncryption(s config.Settings, log *slog.Logger) (*encryption, error) {
	if !s.TLS.On() {
		return nil, nil
	}
	e := &encryption{log: log}
	if len(s.TLS.Domains) > 0 {
		client, err := acmeClient(s.TLS)
		if err != nil {
			return nil, err
		}
		e.manager = &autocert.Manager{
			Prompt:     autocert.AcceptTOS,
			Cache:      autocert.DirCache(filepath.Join(string(s.Data), "acme")),
			HostPolicy: e.hostPolicy,
			Email:      s.TLS.Email,
			Client:     client,
		}
	}
	return e, e.reload(s)
}

// reload puts settings to use for handshakes to come, and reads the files again.
// Nothing has changed if it returns an error.
func (e *encryption) reload(s config.Settings) error {
	next := &encrypted{hsts: s.TLS.HSTS}
	next.config = &tls.Config{MinVersion: s.TLS.Version(), NextProtos: []string{"h2", "http/1.1"}}
	if e.manager != nil {
		next.config.GetCertificate = e.acmeCertificate
		next.config.NextProtos = append(next.config.NextProtos, acme.ALPNProto)
		e.domains.Store(&s.TLS.Domains)
		e.current.Store(next)
		return nil
	}
	files, err := openCertificate(string(s.TLS.Cert), string(s.TLS.Key), e.log)
	if err != nil {
		return err
	}
	next.files, next.config.GetCertificate = files, files.certificate
	e.current.Store(next)
	return nil
}

// server is the part of an http.Server that doesn't change.
func (e *encryption) server() *tls.Config {
	return &tls.Config{
		MinVersion: tls.VersionTLS12,
		NextProtos: e.current.Load().config.NextProtos,
		GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) {
			return e.current.Load().config, nil
		},
	}
}

// hostPolicy says for which names certificates are asked for: without it,
// anybody could have the authority's limits used up.
func (e *encryption) hostPolicy(_ context.Context, host string) error {
	if !slices.Contains(*e.domains.Load(), host) {
		return fmt.Errorf("acme: %q is not in tls.domain", host)
	}
	return nil
}

func (e *encryption) acmeCertificate(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
	cert, err := e.manager.GetCertificate(hello)
	if err != nil && e.hostPolicy(context.Background(), hello.ServerName) == nil {
		e.log.Error("no certificate", "name", hello.ServerName, "err", err)
	}
	if err == nil && cert.Leaf != nil && !slices.Contains(hello.SupportedProtos, acme.ALPNProto) { // else it is the authority's question
		e.ends.Store(hello.ServerName, cert.Leaf.NotAfter)
	}
	return cert, err
}

// until is when the certificate ends that is in use, or the first of several; the
// zero time if none is, or none has been asked for.
func (e *encryption) until() (first time.Time) {
	if e == nil {
		return first
	}
	if files := e.current.Load().files; files != nil {
		if cert, err := files.certificate(nil); err == nil { // which looks whether it was replaced
			first = cert.Leaf.NotAfter
		}
		return first
	}
	for _, name := range *e.domains.Load() {
		if end, ok := e.ends.Load(name); ok && (first.IsZero() || end.(time.Time).Before(first)) {
			first = end.(time.Time)
		}
	}
	return first
}

func acmeClient(t config.TLS) (*acme.Client, error) {
	client := &acme.Client{DirectoryURL: t.Directory, UserAgent: "tutti/" + programVersion()}
	if t.Roots == "" {
		return client, nil
	}
	pem, err := os.ReadFile(string(t.Roots))
	if err != nil {
		return nil, fmt.Errorf("tls.roots: %w", err)
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("tls.roots: there is no certificate in %s", t.Roots)
	}
	client.HTTPClient = &http.Client{
		Timeout:   time.Minute,
		Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}},
	}
	return client, nil
}

// certificateFiles are a certificate and its key. They are looked at again
// during handshakes, at most once a second, and read again when they differ: so
// whatever renews them needs to tell nobody.
type certificateFiles struct {
	cert, key string
	log       *slog.Logger
	current   atomic.Pointer[tls.Certificate]

	mu     sync.Mutex
	looked time.Time
	seen   [2]os.FileInfo // what was read, or could not be used
}

// lookEvery is how often files are looked at, at most.
const lookEvery = time.Second

func openCertificate(cert, key string, log *slog.Logger) (*certificateFiles, error) {
	f := &certificateFiles{cert: cert, key: key, log: log, looked: time.Now()}
	var err error
	if f.seen, err = f.look(); err == nil {
		err = f.read()
	}
	if err != nil {
		return nil, err
	}
	return f, nil
}

func (f *certificateFiles) look() (seen [2]os.FileInfo, err error) {
	for i, name := range []string{f.cert, f.key} {
		if seen[i], err = os.Stat(name); err != nil {
			return seen, fmt.Errorf("certificate: %w", err)
		}
	}
	return seen, nil
}

// read reads the files. A pair that doesn't go together, as it is in the middle
// of a renewal, is an error, and so is a certificate that has ended.
func (f *certificateFiles) read() error {
	pair, err := tls.LoadX509KeyPair(f.cert, f.key)
	if err != nil {
		return fmt.Errorf("certificate %s with key %s: %w", f.cert, f.key, withoutPrefix(err))
	}
	if end := pair.Leaf.NotAfter; time.Now().After(end) {
		return fmt.Errorf("certificate %s has ended on %s", f.cert, end.Format(time.DateOnly))
	}
	f.current.Store(&pair)
	f.log.Info("certificate", "file", f.cert, "names", strings.Join(pair.Leaf.DNSNames, " "), "until", pair.Leaf.NotAfter.Format(time.RFC3339))
	return nil
}

func withoutPrefix(err error) error {
	if text, ok := strings.CutPrefix(err.Error(), "tls: "); ok {
		return errors.New(text)
	}
	return err
}

// certificate is what a handshake uses.
func (f *certificateFiles) certificate(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	if f.mu.TryLock() { // who comes meanwhile does without
		if now := time.Now(); now.Sub(f.looked) >= lookEvery {
			f.looked = now
			f.refreshLocked()
		}
		f.mu.Unlock()
	}
	return f.current.Load(), nil
}

// refreshLocked reads the files if they are others than were seen last.
func (f *certificateFiles) refreshLocked() {
	seen, err := f.look()
	if err != nil {
		return // a file that is being replaced
	}
	same := func(a, b os.FileInfo) bool {
		return os.SameFile(a, b) && a.ModTime().Equal(b.ModTime()) && a.Size() == b.Size()
	}
	if same(seen[0], f.seen[0]) && same(seen[1], f.seen[1]) {
		return
	}
	f.seen = seen
	if err := f.read(); err != nil {
		f.log.Error("the certificate was changed and can't be used; the one before stays", "err", err)
	}
}

// redirector leads to https, and answers the ACME authority.
func (e *encryption) redirector(public net.Addr) http.Handler {
	if e == nil {
		return nil
	}
	lead := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		host := r.Host
		if name, _, err := net.SplitHostPort(host); err == nil {
			host = name
			if strings.Contains(name, ":") {
				host = "[" + name + "]"
			}
		}
		if tcp, ok := public.(*net.TCPAddr); ok && tcp.Port != 443 {
			host = fmt.Sprintf("%s:%d", host, tcp.Port)
		}
		http.Redirect(w, r, "https://"+host+r.URL.RequestURI(), http.StatusPermanentRedirect)
	})
	if e.manager == nil {
		return lead
	}
	return e.manager.HTTPHandler(lead)
}
