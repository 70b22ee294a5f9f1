package jwt

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"slices"

	"github.com/go-jose/go-jose/v4"
)

// algorithms are those that a token may be signed with at all.
var algorithms = []jose.SignatureAlgorithm{
	jose.HS256, jose.HS384, jose.HS512, jose.RS256, jose.RS384, jose.RS512,
	jose.PS256, jose.PS384, jose.PS512, jose.ES256, jose.ES384, jose.ES512, jose.EdDSA,
}

// shortestSecret is by algorithm, in bytes: "A key of the same size as the hash
// output […] or larger MUST be used", RFC 7518 section 3.2.
var shortestSecret = map[jose.SignatureAlgorithm]int{jose.HS256: 32, jose.HS384: 48, jose.HS512: 64}

// shortestRSA is in bits: "A key of size 2048 bits or larger MUST be used", RFC
// 7518 section 3.3.
const shortestRSA = 2048

// A key verifies signatures of the algorithms that are its own.
type key struct {
	id    string
	algs  []jose.SignatureAlgorithm
	value any
}

// newKey pins the algorithms of a public key: the one it was published for, or
// those that its kind has, as far as the issuer's configuration allows them.
func newKey(id, published string, value any, allowed []jose.SignatureAlgorithm) (key, error) {
	k := key{id: id, value: value}
	switch v := value.(type) {
	case *rsa.PublicKey:
		if v.N.BitLen() < shortestRSA {
			return k, fmt.Errorf("an RSA key of %d bits: want at least %d", v.N.BitLen(), shortestRSA)
		}
		k.algs = []jose.SignatureAlgorithm{jose.RS256, jose.RS384, jose.RS512, jose.PS256, jose.PS384, jose.PS512}
	case *ecdsa.PublicKey:
		switch v.Curve.Params().BitSize {
		case 256:
			k.algs = []jose.SignatureAlgorithm{jose.ES256}
		case 384:
			k.algs = []jose.SignatureAlgorithm{jose.ES384}
		case 521:
			k.algs = []jose.SignatureAlgorithm{jose.ES512}
		}
	case ed25519.PublicKey:
		k.algs = []jose.SignatureAlgorithm{jose.EdDSA}
	default:
		// Above all no symmetric key: who could read it could sign.
		return k, errors.New("no public key of RSA, P-256, P-384, P-521 or Ed25519")
	}
	k.algs = slices.DeleteFunc(k.algs, func(a jose.SignatureAlgorithm) bool {
		return published != "" && string(a) != published || len(allowed) > 0 && !slices.Contains(allowed, a)
	})
	if len(k.algs) == 0 {
		return k, fmt.Errorf("no algorithm is left for the key: published for %q, configured for %v", published, allowed)
	}
	return k, nil
}

// maxKeys is how many keys of a set are looked at.
const maxKeys = 100

// parseSet reads a key set, or one key of it. Keys that are not for signatures
// of ours are left out: a set may hold others.
func parseSet(text []byte, allowed []jose.SignatureAlgorithm) ([]key, error) {
	var set struct {
		Keys []json.RawMessage `json:"keys"`
	}
	if err := json.Unmarshal(text, &set); err != nil {
		return nil, fmt.Errorf("read key set: %w", err)
	}
	if set.Keys == nil {
		set.Keys = []json.RawMessage{text}
	}
	if len(set.Keys) > maxKeys {
		return nil, fmt.Errorf("a key set of %d keys: want %d at most", len(set.Keys), maxKeys)
	}
	var (
		keys []key
		errs []error
	)
	for _, raw := range set.Keys {
		var one jose.JSONWebKey
		if err := one.UnmarshalJSON(raw); err != nil {
			errs = append(errs, errors.New("a key cannot be read"))
			continue
		}
		if one.Use != "" && one.Use != "sig" {
			continue
		}
		if !one.IsPublic() {
			errs = append(errs, errors.New("a private or symmetric key in a public set"))
			continue
		}
		k, err := newKey(one.KeyID, one.Algorithm, one.Key, allowed)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		keys = append(keys, k)
	}
	if len(keys) == 0 {
		return nil, fmt.Errorf("no key of the set is of use: %w", errors.Join(errs...))
	}
	return keys, nil
}

// parseKeys reads public keys that were configured: PEM, or a key set.
func parseKeys(text []byte, allowed []jose.SignatureAlgorithm) ([]key, error) {
	if text = bytes.TrimSpace(text); bytes.HasPrefix(text, []byte("{")) {
		return parseSet(text, allowed)
	}
	var keys []key
	for {
		var block *pem.Block
		if block, text = pem.Decode(text); block == nil {
			break
		}
		value, err := parsePEM(block)
		if err != nil {
			return nil, err
		}
		k, err := newKey("", "", value, allowed)
		if err != nil {
			return nil, err
		}
		keys = append(keys, k)
	}
	if len(keys) == 0 {
		return nil, errors.New("want public keys as PEM, or a JSON Web Key Set")
	}
	return keys, nil
}

func parsePEM(block *pem.Block) (any, error) {
	switch block.Type {
	case "PUBLIC KEY":
		return x509.ParsePKIXPublicKey(block.Bytes)
	case "RSA PUBLIC KEY":
		return x509.ParsePKCS1PublicKey(block.Bytes)
	case "CERTIFICATE":
		cert, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, err
		}
		return cert.PublicKey, nil
	}
	return nil, fmt.Errorf("a PEM block %q: want PUBLIC KEY or CERTIFICATE", block.Type)
}
