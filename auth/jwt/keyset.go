package jwt

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/go-jose/go-jose/v4"
)

// maxSet is more than any key set needs, in bytes.
const maxSet = 1 << 20

// A keySet is the keys that an issuer publishes.
type keySet struct {
	url     string
	allowed []jose.SignatureAlgorithm
	cfg     *Config
	owner   *Verifier

	mu      sync.Mutex
	keys    []key
	fetched time.Time     // when keys were
	tried   time.Time     // when the last fetch began
	err     error         // of the last fetch
	flight  chan struct{} // closed when the fetch under way has ended; nil if there is none
}

// find returns the keys for a token that names one, or all for one that names
// none. It fetches the set if it has to and may.
func (s *keySet) find(ctx context.Context, kid string) ([]key, error) {
	s.mu.Lock()
	now := time.Now()
	stale := s.keys == nil || now.Sub(s.fetched) > s.cfg.MaxStale
	due := stale || now.Sub(s.fetched) >= s.cfg.Refresh || kid != "" && !hasKey(s.keys, kid)
	waits := stale || kid != "" && !hasKey(s.keys, kid)
	if due && s.flight == nil && (s.tried.IsZero() || now.Sub(s.tried) >= s.cfg.MinRefresh) {
		s.fetchLocked(now)
	}
	flight := s.flight
	s.mu.Unlock()
	if waits && flight != nil {
		select {
		case <-flight:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.keys == nil || time.Since(s.fetched) > s.cfg.MaxStale {
		if s.err == nil {
			return nil, errors.New("the key set was not fetched")
		}
		return nil, s.err
	}
	return s.keys, nil
}

func hasKey(keys []key, id string) bool {
	return slices.ContainsFunc(keys, func(k key) bool { return k.id == id })
}

// fetchLocked begins to fetch the set.
func (s *keySet) fetchLocked(now time.Time) {
	flight := make(chan struct{})
	s.flight, s.tried = flight, now
	// Started here for all who need the set, ended by its timeout or by
	// Verifier.Close, which waits for it.
	s.owner.fetches.Go(func() {
		defer close(flight)
		keys, err := s.fetch()
		s.mu.Lock()
		s.flight, s.err = nil, err
		if err == nil {
			s.keys, s.fetched = keys, time.Now()
		}
		s.mu.Unlock()
		if err != nil {
			s.cfg.Log.Warn("fetch key set", "url", s.url, "err", err)
		}
		if s.cfg.Fetched != nil {
			s.cfg.Fetched(err)
		}
	})
}

func (s *keySet) failing() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.err != nil
}

func (s *keySet) fetch() ([]key, error) {
	ctx, cancel := context.WithTimeout(s.owner.life, s.cfg.Timeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, s.url, http.NoBody)
	if err != nil {
		return nil, err
	}
	req.Header.Set("Accept", "application/jwk-set+json, application/json")
	res, err := s.cfg.Client.Do(req)
	if err != nil {
		return nil, err
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("%s answered %d", s.url, res.StatusCode)
	}
	text, err := io.ReadAll(io.LimitReader(res.Body, maxSet+1))
	if err != nil {
		return nil, err
	}
	if len(text) > maxSet {
		return nil, fmt.Errorf("%s answered more than %d bytes", s.url, maxSet)
	}
	return parseSet(text, s.allowed)
}
