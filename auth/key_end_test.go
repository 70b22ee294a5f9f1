package auth_test

import (
	"testing"
	"time"

	"github.com/tutti-rt/tutti/auth"
)

type idle struct{}

func (idle) Expiring(time.Duration) {}
func (idle) Expel(*auth.Refusal)    {}

// TestKeyEndsBeforeEntry: who was known by a key that ended before it entered does
// not enter; who shows a new one of that name does.
func TestKeyEndsBeforeEntry(t *testing.T) {
	secret, hash := auth.NewSecret()
	keys, err := auth.NewKeys(auth.Key{Name: "backend", Hash: hash})
	if err != nil {
		t.Fatal(err)
	}
	a, err := auth.New(auth.Config{Verifiers: []auth.Verifier{keys}})
	if err != nil {
		t.Fatal(err)
	}
	r := a.Register()
	known := func() []*auth.Identity {
		id, err := a.Identify(t.Context(), auth.Credentials{Token: secret})
		if err != nil {
			t.Fatal(err)
		}
		return []*auth.Identity{id, auth.ByKeyAt("key:backend", r.Now())}
	}
	before := known()
	r.EndKey("backend", "")
	for i, id := range before {
		if _, err := r.Enter(idle{}, id); err == nil {
			t.Errorf("%d enters with a key that has ended", i)
		}
	}
	for i, id := range known() {
		if _, err := r.Enter(idle{}, id); err != nil {
			t.Errorf("%d, who was known later: %v", i, err)
		}
	}
}
