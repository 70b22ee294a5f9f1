package hostile

import (
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
)

// certificate makes one for this machine, and returns the files.
func certificate(t *testing.T) (cert, key string) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "localhost"}, DNSNames: []string{"localhost"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &private.PublicKey, private)
	if err != nil {
		t.Fatal(err)
	}
	secret, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	cert, key = filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	for file, block := range map[string]*pem.Block{cert: {Type: "CERTIFICATE", Bytes: der}, key: {Type: "PRIVATE KEY", Bytes: secret}} {
		if err := os.WriteFile(file, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return cert, key
}

// hello is the first message of a handshake, as a client of Go sends it.
func hello(t *testing.T) []byte {
	t.Helper()
	ours, theirs := net.Pipe()
	go func() { // ends with the pipe
		_ = tls.Client(ours, anyCertificate).Handshake()
	}()
	defer ours.Close()
	b := make([]byte, 4096)
	n, err := theirs.Read(b)
	theirs.Close()
	if err != nil {
		t.Fatal(err)
	}
	return b[:n]
}

// TestTLS: what is there before there is a request, and HTTP/2.
func TestTLS(t *testing.T) {
	cert, key := certificate(t)
	s := start(t, nil, append(subject(t), "--tls-cert="+cert, "--tls-key="+key, "--relay=big", "--rate-connection-events=none", "--rate-connection-publishes=none", "--rate-room-publishes=none")...)
	s.keeps = 4 << 20 // buffers of TLS and of HTTP/2 in pools
	survive(t, s, "TLS", []item{
		times(200, item{"half a handshake", "{n} connections that send half of the first message, and nothing more", "closed after `timeout.header`", []string{noRequest}, nil}, func(t *testing.T, s *server, n int) {
			half := hello(t)
			crowd(n, func(int) {
				c := s.dial(t)
				_, _ = c.Write(half[:len(half)/2])
				ended(t, c)
			})
		}),
		times(40, item{"a handshake a byte at a time", "{n} connections that send a byte every 50 ms", "closed after `timeout.header`", []string{noRequest}, nil}, func(t *testing.T, s *server, n int) {
			first := hello(t)
			crowd(n, func(int) {
				c := s.dial(t)
				tick := time.NewTicker(50 * time.Millisecond)
				defer tick.Stop()
				for _, b := range first {
					<-tick.C
					if _, err := c.Write([]byte{b}); err != nil {
						return
					}
				}
				t.Error("it may go on for as long as it likes")
			})
		}),
		times(200, item{"a handshake and silence", "{n} connections that complete the handshake and say nothing", "closed after `timeout.header`", []string{noRequest}, nil}, func(t *testing.T, s *server, n int) {
			crowd(n, func(int) {
				if c, err := s.connect(); err == nil {
					ended(t, c)
					c.Close()
				}
			})
		}),
		{"no TLS", "HTTP, a WebSocket's handshake, zeroes, SSH and a record of 16 MB to a port that speaks TLS", "400 in plain, or closed", []string{noRequest}, func(t *testing.T, s *server) {
			for _, raw := range []string{"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n", strings.ReplaceAll(upgrade, "%s", ""), strings.Repeat("\x00", 10_000), "SSH-2.0-x\r\n", "\x16\x03\x01\xff\xff" + strings.Repeat("x", 100_000)} {
				if got := s.say(t, raw); strings.HasPrefix(got, "HTTP/1.1 200") || strings.HasPrefix(got, "HTTP/1.1 101") {
					t.Errorf("%.40q is answered %.100q", raw, got)
				}
			}
		}},
		{"garbage in TLS", "after a handshake: bytes that are no record, a record that was not encrypted, another handshake's first message (a renegotiation), an oversized record; TLS 1.1", "closed", []string{noRequest}, func(t *testing.T, s *server) {
			for _, raw := range [][]byte{[]byte(strings.Repeat("garbage", 1000)), []byte("\x17\x03\x03\x00\x05hello"), hello(t), append([]byte("\x17\x03\x03\xff\xff"), make([]byte, 65535)...), []byte("\x15\x03\x03\x00\x02\x02\x00")} {
				c, err := tls.Dial("tcp", s.address, anyCertificate)
				if err != nil {
					t.Fatal(err)
				}
				_, _ = c.NetConn().Write(raw)
				ended(t, c.NetConn())
				c.Close()
			}
			old := anyCertificate.Clone()
			old.MinVersion, old.MaxVersion = tls.VersionTLS10, tls.VersionTLS11
			if c, err := tls.Dial("tcp", s.address, old); err == nil {
				c.Close()
				t.Error("TLS 1.1 is spoken")
			}
		}},
		times(30, item{"readers that do not read, with TLS", "{n} sockets over TLS that read nothing, in a namespace where 40 MB are sent to all", "closed after `timeout.write`, or for want of a heartbeat", []string{late}, nil}, func(t *testing.T, s *server, n int) {
			starve(t, s, n, 40, nil)
		}),
		times(20, item{"reset within TLS", "{n} sockets over TLS that are reset in the midst of a frame", "the session ends", []string{closedGone + " or " + closedError}, nil}, func(t *testing.T, s *server, n int) {
			for range n {
				w := must(t)(s.socket(""))
				_, _ = w.Write(frame(fin|opText, make([]byte, 100_000))[:50_000])
				reset(w.Conn.(*tls.Conn).NetConn())
			}
		}),
	})
	survive(t, s, "HTTP/2", streamItems)

}
