package main

import (
	"bufio"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"io"
	"log/slog"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/gobwas/ws"
	"github.com/gobwas/ws/wsutil"

	"github.com/tutti-rt/tutti/internal/config"
)

// certify writes a self-signed certificate for localhost and its key, and
// returns the pool that trusts it.
func certify(t *testing.T, dir string, serial int64) *x509.CertPool {
	t.Helper()
	return certifyUntil(t, dir, serial, time.Now().Add(time.Hour))
}

func certifyUntil(t *testing.T, dir string, serial int64, until time.Time) *x509.CertPool {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(serial), Subject: pkix.Name{CommonName: "localhost"},
		NotBefore: time.Now().Add(-2 * time.Hour), NotAfter: until,
		DNSNames: []string{"localhost"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
	}
	cert, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	// As renewals should: a whole file takes the place of the other.
	for name, block := range map[string]*pem.Block{"cert.pem": {Type: "CERTIFICATE", Bytes: cert}, "key.pem": {Type: "PRIVATE KEY", Bytes: private}} {
		write(t, filepath.Join(dir, name+".new"), string(pem.EncodeToMemory(block)))
		if err := os.Rename(filepath.Join(dir, name+".new"), filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert}))
	return pool
}

// secureClient trusts a pool, and speaks HTTP/2 if it is asked to.
func secureClient(t *testing.T, pool *x509.CertPool, h2 bool) *http.Client {
	t.Helper()
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool}, ForceAttemptHTTP2: h2}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport, Timeout: patience}
}

// serial is that of the certificate which the server shows now.
func serial(t *testing.T, url string) int64 {
	t.Helper()
	conn, err := tls.Dial("tcp", strings.TrimPrefix(url, "https://"), &tls.Config{InsecureSkipVerify: true}) //nolint:gosec // who it is is asked here
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	return conn.ConnectionState().PeerCertificates[0].SerialNumber.Int64()
}

// TestTLS: polling over HTTP/1.1 and HTTP/2, WebSockets and streams over TLS,
// and a new certificate under them.
func TestTLS(t *testing.T) {
	dir, data := t.TempDir(), t.TempDir()
	pool := certify(t, dir, 1)
	p := start(t, "--data", data, "--tls-cert", filepath.Join(dir, "cert.pem"), "--tls-key", filepath.Join(dir, "key.pem"), "--tls-redirect", "127.0.0.1:0", "--open", "news", "--static", dir)
	if !strings.HasPrefix(p.url, "https://") {
		t.Fatalf("listening on %s", p.url)
	}
	for _, h2 := range []bool{false, true} {
		res, err := secureClient(t, pool, h2).Get(p.url + "/socket.io/?EIO=4&transport=polling")
		if err != nil {
			t.Fatal(err)
		}
		text, err := io.ReadAll(res.Body)
		res.Body.Close()
		if err != nil || res.StatusCode != http.StatusOK || (res.ProtoMajor == 2) != h2 || !strings.HasPrefix(string(text), `0{"sid":"`) {
			t.Errorf("h2 %v: got %s %d %q, %v", h2, res.Proto, res.StatusCode, text, err)
		}
		if got := res.Header.Get("Strict-Transport-Security"); got != "max-age=2592000" {
			t.Errorf("Strict-Transport-Security is %q", got)
		}
	}
	client := secureClient(t, pool, true)
	stream, err := client.Transport.RoundTrip(must(http.NewRequestWithContext(t.Context(), "GET", p.url+"/events?room=news", http.NoBody)))
	if err != nil || stream.StatusCode != http.StatusOK {
		t.Fatalf("events: %v, %v", stream, err)
	}
	defer stream.Body.Close()
	dialer := ws.Dialer{TLSConfig: &tls.Config{RootCAs: pool, ServerName: "127.0.0.1"}}
	socket, _, _, err := dialer.Dial(t.Context(), "wss"+strings.TrimPrefix(p.url, "https")+"/ws?room=news&framing=json")
	if err != nil {
		t.Fatal(err)
	}
	defer socket.Close()

	certify(t, dir, 2)
	p.signal(syscall.SIGHUP)
	for serial(t, p.url) != 2 { // until the signal has its effect
	}
	certify(t, dir, 3) // and without a signal
	for serial(t, p.url) != 3 {
	}
	write(t, filepath.Join(dir, "cert.pem"), "nonsense")
	write(t, filepath.Join(dir, "key.pem"), "nonsense")
	runCommand(t, nil, "", "reload", "--data", data).want(t, "reload", exitFailed, "", "tls.cert: certificate "+dir+"/cert.pem with key ")
	if got := serial(t, p.url); got != 3 {
		t.Errorf("after nonsense the certificate is %d, want 3", got)
	}
	res, err := secureClient(t, certify(t, dir, 4), true).Post(p.url+"/api/publish", "application/json", strings.NewReader(`{"room":"news","event":"x","data":1}`))
	for err != nil { // until the fourth is seen
		res, err = secureClient(t, certifiedBy(t, dir), true).Post(p.url+"/api/publish", "application/json", strings.NewReader(`{"room":"news","event":"x","data":1}`))
	}
	res.Body.Close()
	if res.StatusCode != http.StatusOK {
		t.Errorf("publish: %d", res.StatusCode)
	}
	if text, err := wsutil.ReadServerText(socket); err != nil || !strings.Contains(string(text), `"event":"x"`) {
		t.Errorf("the WebSocket of the first certificate got %q, %v", text, err)
	}
	lines := bufio.NewScanner(stream.Body)
	for lines.Scan() && lines.Text() != "event: x" {
	}
	if lines.Text() != "event: x" {
		t.Errorf("the stream of the first certificate ended: %v", lines.Err())
	}
	p.signal(syscall.SIGTERM)
	socket.Close()
	stream.Body.Close()
	if code := p.wait(); code != exitOK {
		t.Errorf("exit code %d; stderr:\n%s", code, p.stderr.String())
	}
	contains(t, "stderr", p.stderr.String(), []string{`msg="mistake in the settings"`, "cert.pem"})
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// certifiedBy is the pool that trusts the certificate of a folder.
func certifiedBy(t *testing.T, dir string) *x509.CertPool {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(dir, "cert.pem"))
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(text)
	return pool
}

// TestTLSVersions: nothing older than 1.2, and than 1.3 if the settings say so.
func TestTLSVersions(t *testing.T) {
	dir := t.TempDir()
	certify(t, dir, 1)
	flags := []string{"--tls-cert", filepath.Join(dir, "cert.pem"), "--tls-key", filepath.Join(dir, "key.pem")}
	for _, tt := range []struct {
		min  string
		most uint16
		ok   bool
	}{{"1.2", tls.VersionTLS11, false}, {"1.2", tls.VersionTLS12, true}, {"1.3", tls.VersionTLS12, false}, {"1.3", tls.VersionTLS13, true}} {
		p := start(t, append(flags, "--tls-min", tt.min)...)
		conn, err := tls.Dial("tcp", strings.TrimPrefix(p.url, "https://"), &tls.Config{InsecureSkipVerify: true, MinVersion: tls.VersionTLS10, MaxVersion: tt.most}) //nolint:gosec // that is what is tried
		if err == nil {
			conn.Close()
		}
		if (err == nil) != tt.ok {
			t.Errorf("tls.min %s, client %x: %v", tt.min, tt.most, err)
		}
	}
}

func TestTLSMistakes(t *testing.T) {
	dir, ended := t.TempDir(), t.TempDir()
	certify(t, dir, 1)
	certifyUntil(t, ended, 1, time.Now().Add(-time.Hour))
	write(t, filepath.Join(dir, "text.pem"), "text")
	cert, key := filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	for _, tt := range []struct {
		args []string
		want string
	}{
		{[]string{"--tls-cert", cert}, "tls.cert and tls.key go together"},
		{[]string{"--tls-cert", filepath.Join(dir, "gone.pem"), "--tls-key", key}, "gone.pem\", which can't be opened"},
		{[]string{"--tls-cert", filepath.Join(dir, "text.pem"), "--tls-key", key}, "failed to find any PEM data"},
		{[]string{"--tls-cert", cert, "--tls-key", filepath.Join(ended, "key.pem")}, "private key does not match public key"},
		{[]string{"--tls-cert", filepath.Join(ended, "cert.pem"), "--tls-key", filepath.Join(ended, "key.pem")}, "has ended on"},
		{[]string{"--tls-domain", "app.example.com"}, "tls.domain needs a folder to keep certificates in"},
		{[]string{"--tls-domain", "localhost", "--data", dir}, `tls.domain is "localhost": want a whole name`},
		{[]string{"--tls-domain", "*.example.com", "--data", dir}, "want a whole name"},
		{[]string{"--tls-redirect", ":80"}, "leads to https, which is not served"},
		{[]string{"--tls-min", "1.1"}, `tls.min is "1.1": want 1.2 or 1.3`},
		{[]string{"--tls-domain", "a.example", "--data", "x", "--tls-roots", filepath.Join(dir, "text.pem")}, "there is no certificate in"},
		{[]string{"--tls-directory", "http://a.example"}, "want an address that begins with https://"},
	} {
		o := runCommand(t, nil, "", append([]string{"serve", "--listen", "127.0.0.1:0"}, tt.args...)...)
		o.want(t, strings.Join(tt.args, " "), exitUsage, "", tt.want)
	}
}

// TestCertificateFiles: files that are in the middle of being replaced change
// nothing, and are read when they go together again.
func TestCertificateFiles(t *testing.T) {
	dir, other := t.TempDir(), t.TempDir()
	certify(t, dir, 1)
	certifyUntil(t, other, 2, time.Now().Add(3*time.Hour))
	f, err := openCertificate(filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem"), slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	now := func() int64 {
		f.mu.Lock()
		f.looked = time.Time{} // a second has passed
		f.mu.Unlock()
		cert, err := f.certificate(nil)
		if err != nil {
			t.Fatal(err)
		}
		return cert.Leaf.SerialNumber.Int64()
	}
	e := &encryption{}
	e.current.Store(&encrypted{files: f})
	until := func() time.Time {
		f.mu.Lock()
		f.looked = time.Time{}
		f.mu.Unlock()
		return e.until()
	}
	first := until()
	if first.IsZero() || (*encryption)(nil).until() != (time.Time{}) {
		t.Errorf("the certificate ends at %v", first)
	}
	replace := func(name string) {
		if err := os.Rename(filepath.Join(other, name), filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	if got := now(); got != 1 {
		t.Errorf("got %d, want the first", got)
	}
	replace("cert.pem")
	if got := now(); got != 1 {
		t.Errorf("got %d, want the first as long as the key is missing", got)
	}
	replace("key.pem")
	if got := now(); got != 2 {
		t.Errorf("got %d, want the second", got)
	}
	if end := until(); !end.After(first.Add(time.Hour)) {
		t.Errorf("it ends at %v, want that of the second, which is later than %v", end, first)
	}
	os.Remove(filepath.Join(dir, "key.pem"))
	if got := now(); got != 2 {
		t.Errorf("got %d, want the second to stay", got)
	}
	if _, err := openCertificate(filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem"), nil); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("got %v", err)
	}
}

// TestRedirect leads to the same place by https.
func TestRedirect(t *testing.T) {
	e := &encryption{}
	for _, tt := range []struct {
		host string
		port int
		want string
	}{
		{"app.example.com", 443, "https://app.example.com/a?b=c"},
		{"app.example.com:80", 443, "https://app.example.com/a?b=c"},
		{"app.example.com:8080", 8443, "https://app.example.com:8443/a?b=c"},
		{"[::1]:80", 443, "https://[::1]/a?b=c"},
	} {
		w := httptest.NewRecorder()
		r := must(http.NewRequest("GET", "http://"+tt.host+"/a?b=c", http.NoBody))
		e.redirector(&net.TCPAddr{Port: tt.port}).ServeHTTP(w, r)
		if got := w.Header().Get("Location"); w.Code != http.StatusPermanentRedirect || got != tt.want {
			t.Errorf("%s: got %d %q, want %q", tt.host, w.Code, got, tt.want)
		}
	}
}

// TestCookieOverTLS: the id of a session that came over TLS goes nowhere else.
func TestCookieOverTLS(t *testing.T) {
	s := config.Default()
	s.Cookie = "io"
	if c := engineConfig(s).Cookie; c.Secure || !c.HttpOnly {
		t.Errorf("without TLS: %v", c)
	}
	s.TLS.Cert, s.TLS.Key = "cert.pem", "key.pem"
	if c := engineConfig(s).Cookie; !c.Secure {
		t.Errorf("with TLS: %v", c)
	}
}
