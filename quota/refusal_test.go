package quota_test

import (
	"testing"
	"time"

	"github.com/tutti-rt/tutti/quota"
)

func TestRefusal(t *testing.T) {
	var none *quota.Quota
	q := quota.New(quota.Config{Refusal: 100})
	if got := none.Refusal(); got != 0 {
		t.Errorf("without a quota: %v", got)
	}
	seen := map[time.Duration]bool{}
	for range 10_000 {
		d := q.Refusal()
		if d < 50 || d > 100 {
			t.Fatalf("%d, want 50 to 100", d)
		}
		seen[d] = true
	}
	if len(seen) < 40 {
		t.Errorf("%d different times: who was refused together comes again together", len(seen))
	}
	q.Reload(quota.Config{})
	if got := q.Refusal(); got != 0 {
		t.Errorf("after a reload without it: %v", got)
	}
}
