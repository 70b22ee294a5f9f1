package auth

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
)

// A Key is a secret that a backend shows, known by its hash alone.
type Key struct {
	// Name is who shows it: the identity's subject is "key:" and the name.
	Name string
	// Hash is "sha256:" and the hexadecimal SHA-256 of the secret. The secret is
	// random, as [NewSecret] makes it, so a quick hash does.
	Hash string
}

// NewSecret returns a random secret and its hash for a [Key].
func NewSecret() (secret, hash string) {
	var b [32]byte
	rand.Read(b[:]) // never fails: crypto/rand ends the process instead
	secret = "tutti_" + base64.RawURLEncoding.EncodeToString(b[:])
	return secret, HashSecret(secret)
}

// HashSecret returns a secret's hash for a [Key].
func HashSecret(secret string) string {
	sum := sha256.Sum256([]byte(secret))
	return hashPrefix + hex.EncodeToString(sum[:])
}

const hashPrefix = "sha256:"

// Keys is a [Verifier] of static keys.
type Keys struct {
	names  []string
	hashes [][sha256.Size]byte
}

var _ Verifier = (*Keys)(nil)

// NewKeys returns a verifier of keys. Its error lists all that is wrong with
// them.
func NewKeys(keys ...Key) (*Keys, error) {
	k := &Keys{}
	var errs []error
	for _, one := range keys {
		text, ok := strings.CutPrefix(one.Hash, hashPrefix)
		sum, err := hex.DecodeString(text)
		switch {
		case !ok || err != nil || len(sum) != sha256.Size:
			errs = append(errs, fmt.Errorf("key %q: the hash is not %q and 64 hexadecimal digits", one.Name, hashPrefix))
			continue
		case one.Name == "":
			errs = append(errs, errors.New("a key has no name"))
			continue
		}
		for _, name := range k.names {
			if name == one.Name {
				errs = append(errs, fmt.Errorf("two keys have the name %q", name))
			}
		}
		k.names, k.hashes = append(k.names, one.Name), append(k.hashes, [sha256.Size]byte(sum))
	}
	return k, errors.Join(errs...)
}

// Verify implements [Verifier]. A token that is no key may be somebody else's.
func (k *Keys) Verify(_ context.Context, c Credentials) (*Identity, error) {
	if c.Token == "" {
		return nil, nil
	}
	sum, found := sha256.Sum256([]byte(c.Token)), -1
	for i := range k.hashes { // all of them, so that the time tells nothing
		if subtle.ConstantTimeCompare(sum[:], k.hashes[i][:]) == 1 {
			found = i
		}
	}
	if found < 0 {
		return nil, nil
	}
	return &Identity{Subject: keySubject + k.names[found], Method: ByKey, Claims: map[string]any{"key": k.names[found]}}, nil
}
