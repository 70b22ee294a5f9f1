package admin_test

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tutti-rt/tutti"
	"github.com/tutti-rt/tutti/admin"
	"github.com/tutti-rt/tutti/auth"
	"github.com/tutti-rt/tutti/hub"
	"github.com/tutti-rt/tutti/hub/hubtest"
	"github.com/tutti-rt/tutti/metrics"
)

// operated makes a server of a cluster with its admin.
func operated(t *testing.T, cluster *hubtest.Cluster, who auth.Config) (*admin.Admin, *tutti.Server) {
	t.Helper()
	log := slog.New(slog.DiscardHandler)
	a, err := admin.New(admin.Config{Keys: keys, Metrics: metrics.New(), Log: log})
	if err != nil {
		t.Fatal(err)
	}
	who.AllowAnonymous, who.AllowUnknown = true, true
	authority, err := auth.New(who)
	if err != nil {
		t.Fatal(err)
	}
	cfg := tutti.Config{Log: log, Auth: authority, Hub: hub.Config{Engine: cluster.Node()}}
	a.Observe(&cfg)
	srv, err := tutti.New(cfg)
	if err == nil {
		err = srv.Join(t.Context())
	}
	if err != nil {
		t.Fatal(err)
	}
	a.Attach(srv)
	t.Cleanup(func() {
		a.Close()
		srv.Shutdown(context.Background())
	})
	return a, srv
}

// revokeAnn has an operator log ann out.
func revokeAnn(a *admin.Admin) *httptest.ResponseRecorder {
	r := httptest.NewRequest("POST", "http://localhost/api/disconnect", strings.NewReader(`{"user":"ann","revoke":true}`))
	r.Header.Set("Authorization", "Bearer "+operateKey)
	w := httptest.NewRecorder()
	a.Handler().ServeHTTP(w, r)
	return w
}

// TestRevokeNotKept: an operator is told if a revocation does not hold on this
// node, whatever others say, and on which others it may not.
func TestRevokeNotKept(t *testing.T) {
	cluster := hubtest.NewCluster(10 * time.Second)
	one, _ := operated(t, cluster, auth.Config{})
	_, broken := operated(t, cluster, auth.Config{Revoked: func(auth.Revocation) error { return errors.New("disk full") }})
	if said := decode[struct{ Silent []string }](t, revokeAnn(one)); !slices.Equal(said.Silent, []string{broken.Hub().Node()}) {
		t.Errorf("nodes that may not have done it: %q, want %q", said.Silent, broken.Hub().Node())
	}
	full, _ := operated(t, cluster, auth.Config{MaxRevocations: -1})
	refused(t, revokeAnn(full), http.StatusServiceUnavailable, "not_kept")
}

// TestRevokeFor: an operator's revocation holds for as long as the authority says.
func TestRevokeFor(t *testing.T) {
	a, srv := operated(t, hubtest.NewCluster(10*time.Second), auth.Config{RevokeFor: 30 * 24 * time.Hour})
	if w := revokeAnn(a); w.Code != http.StatusOK {
		t.Fatalf("answered %d %s", w.Code, w.Body)
	}
	if got := srv.Users().Revocations(); len(got) != 1 || time.Until(got[0].Until) < 29*24*time.Hour {
		t.Errorf("remembered: %+v", got)
	}
}
