package redishub_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/tutti-rt/tutti/hub/redishub"
)

// acl is what docs/engines.md recommends.
const acl = "~{tutti:* resetchannels &tutti:* +@all -@admin -@dangerous +info +config|get"

// TestACL: a user with what the documentation recommends, another database, and a
// wrong password.
func TestACL(t *testing.T) {
	s := startServer(t)
	s.say(append([]string{"ACL", "SETUSER", "tutti", "on", ">geheim"}, strings.Fields(acl)...)...)
	s.say("ACL", "SETUSER", "default", "off")
	url := strings.Replace(s.url(), "redis://", "redis://tutti:geheim@", 1)
	url = strings.TrimSuffix(url, "/0") + "/3"
	a, b := join(t, quick(url), "r"), join(t, quick(url), "r")
	want := numbers(0, 20)
	a.say("r", want...)
	b.wants(want)
	if err := b.engine.Tell(a.engine.Node(), []byte("x")); err != nil {
		t.Error(err)
	}
	_, err := redishub.Open(t.Context(), quick(strings.Replace(url, "geheim", "falsch", 1)))
	if err == nil || !strings.Contains(err.Error(), "WRONGPASS") || strings.Contains(err.Error(), "falsch") {
		t.Errorf("a wrong password: %v", err)
	}
	_, err = redishub.Open(t.Context(), quick(s.url()))
	if err == nil || !strings.Contains(err.Error(), "NOAUTH") {
		t.Errorf("no password: %v", err)
	}
}

// TestTLS: encrypted, and not to be had by whoever has no certificate for it.
func TestTLS(t *testing.T) {
	dir := t.TempDir()
	roots := certificate(t, dir)
	plain := startServer(t) // its port is not the encrypted one
	plain.kill()
	addr := freeAddr(t)
	_, port, _ := net.SplitHostPort(addr)
	plain.args = []string{"--tls-port", port, "--tls-auth-clients", "no",
		"--tls-cert-file", filepath.Join(dir, "cert"), "--tls-key-file", filepath.Join(dir, "key")}
	plain.start()
	cfg := quick("rediss://" + addr)
	cfg.TLS = &tls.Config{RootCAs: roots}
	a, b := join(t, cfg, "r"), join(t, cfg, "r")
	a.say("r", "0")
	b.wants([]string{"0"})
	cfg.TLS = nil
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	if _, err := redishub.Open(ctx, cfg); err == nil || !strings.Contains(err.Error(), "certificate") {
		t.Errorf("an unknown authority: %v", err)
	}
}

// certificate writes a key and its certificate, and returns who trusts it.
func certificate(t *testing.T, dir string) *x509.CertPool {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "redis"}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	secret, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	for name, block := range map[string]*pem.Block{"cert": {Type: "CERTIFICATE", Bytes: der}, "key": {Type: "PRIVATE KEY", Bytes: secret}} {
		if err := os.WriteFile(filepath.Join(dir, name), pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AddCert(cert)
	return pool
}
