package tutti_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/tutti-rt/tutti"
	"github.com/tutti-rt/tutti/auth"
)

// revoked returns a server that knows so many revocations.
func revoked(t testing.TB, n int) *tutti.Server {
	srv, err := tutti.New(tutti.Config{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { srv.Shutdown(t.Context()) })
	for i := range n {
		revoke(t, srv, fmt.Sprintf("token %07d", i))
	}
	return srv
}

func revoke(t testing.TB, srv *tutti.Server, token string) {
	t.Helper()
	if _, err := srv.Users().Revoke(auth.Revocation{Token: token, Until: time.Now().Add(time.Hour)}); err != nil {
		t.Fatal(err)
	}
}

// BenchmarkLedger is what a node costs another that joins and asks for all that is
// revoked.
func BenchmarkLedger(b *testing.B) {
	const all = 30_000
	srv := revoked(b, all)
	b.ReportAllocs()
	for b.Loop() {
		got, pages := 0, 0
		for after := ""; ; {
			n, next := srv.LedgerPage(after)
			got, pages, after = got+n, pages+1, next
			if next == "" {
				break
			}
		}
		if got != all {
			b.Fatalf("%d of %d in %d pages", got, all, pages)
		}
	}
}

// TestLedger: who asks for what is revoked gets all that was when he began, page
// by page, whoever asks besides and whatever is revoked meanwhile.
func TestLedger(t *testing.T) {
	const all = 2500
	srv := revoked(t, all)
	got := 0
	after := ""
	for page := range 3 {
		n, next := srv.LedgerPage(after)
		if want := page < 2; (next != "") != want || n == 0 {
			t.Errorf("page %d has %d, and goes on at %q", page, n, next)
		}
		got, after = got+n, next
		revoke(t, srv, fmt.Sprintf("later %d", page)) // told as it happens
		revoke(t, srv, fmt.Sprintf("token 9%06d", page))
		if n, _ := srv.LedgerPage("t~"); n != 0 {
			t.Errorf("%d are behind the last", n)
		}
	}
	if got < all || got > all+6 {
		t.Errorf("%d were told, want %d that were there", got, all)
	}
	if n, _ := srv.LedgerPage("ttoken 9"); n != 3 {
		t.Errorf("%d were told of the three at the end", n)
	}
	if n, next := srv.LedgerPage(""); n != 1000 || next != "ttoken 0000996" {
		t.Errorf("who asks then is told %d up to %q", n, next)
	}
}
