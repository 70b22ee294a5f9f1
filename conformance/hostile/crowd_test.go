package hostile

import (
	"fmt"
	"strings"
	"sync"
	"testing"
)

// many opens so many sockets in the main namespace, some at a time.
func (s *server) many(t *testing.T, n int) []*wire {
	t.Helper()
	all := make([]*wire, n)
	const atOnce = 20
	crowd(atOnce, func(k int) {
		for i := k; i < n; i += atOnce {
			w, err := s.socket("")
			if err != nil {
				t.Error(err)
				return
			}
			small(w.Conn)
			all[i] = w
		}
	})
	if t.Failed() {
		t.FailNow()
	}
	return all
}

func closeAll(all []*wire) {
	for _, w := range all {
		w.Close()
	}
}

// TestCrowd: as many at once as this machine's files allow a test.
func TestCrowd(t *testing.T) {
	const megabytes, each = 3, 160 << 10 // the second is what one who does not read may cost
	s := start(t, nil, append(subject(t), "--relay=big", "--ping-interval=10m", "--timeout-connect=1m", "--timeout-write=2s", "--rate-handshakes=none", "--rate-room-joins=none",
		"--rate-connection-events=none", "--rate-connection-publishes=none", "--limit-address=none")...)
	s.holds, s.keeps = 18<<20, 24<<20 // sessions of ten thousand, who may come back within the window
	survive(t, s, "Crowds", []item{
		times(10_000, item{"slow consumers", fmt.Sprintf("{n} sockets at once that read nothing, in a namespace where %d MB are sent to all, each of which another one reads", megabytes), fmt.Sprintf("closed after `timeout.write`. The process grows by at most %d KiB for each of them, and who reads has it all", each>>10), []string{limitWrite}, nil}, func(t *testing.T, s *server, n int) {
			all := s.many(t, n)
			defer closeAll(all)
			before := s.resident(t)
			fill(t, s, megabytes)
			if grown := s.resident(t) - before; grown > n*each {
				t.Errorf("each takes %d KiB", grown/n>>10)
			} else {
				t.Logf("each takes %d KiB", grown/n>>10)
			}
			s.fresh(t) // while they are there
			if !eventually(func() bool { r, err := s.metrics(); return err == nil && r["tutti_sessions"] == 0 }) {
				t.Error("those who do not read are still there")
			}
		}),
		times(10_000, item{"presence of a crowded room", "{n} members of one room, 20 of whom ask for all pages of its presence and then watch, while a hundred others leave and come", "pages of `limit.page`, all members, once each; the differences", []string{received}, nil}, presenceOfMany),
	})
}

func presenceOfMany(t *testing.T, s *server, n int) {
	all := s.many(t, n)
	defer closeAll(all)
	const atOnce, watchers, page = 20, 20, 200
	crowd(atOnce, func(k int) {
		for i := k; i < n; i += atOnce {
			_ = all[i].send(opText, []byte(`421["join",{"room":"room:crowd"}]`))
			for {
				_, data, err := all[i].read()
				if err != nil || strings.HasPrefix(string(data), "431[") {
					break
				}
			}
		}
	})
	var mu sync.Mutex
	crowd(watchers, func(k int) {
		seen, after := map[string]bool{}, ""
		for id := 2; ; id++ {
			_ = all[k].send(opText, fmt.Appendf(nil, `42%d["presence",{"room":"room:crowd","limit":1000000%s}]`, id, after))
			text := ""
			for !strings.HasPrefix(text, fmt.Sprintf("43%d[", id)) {
				_, data, err := all[k].read()
				if err != nil {
					t.Error(err)
					return
				}
				text = string(data)
			}
			members := strings.Split(text, `{"id":"`)[1:]
			for _, m := range members {
				seen[m[:strings.IndexByte(m, '"')]] = true
			}
			mu.Lock()
			if len(members) > page || !strings.Contains(text, fmt.Sprintf(`"count":%d`, n)) {
				t.Errorf("a page of %d: %.200s", len(members), text)
			}
			mu.Unlock()
			next := between(text, `"next":"`, `"`)
			if next == "" {
				break
			}
			after = fmt.Sprintf(`,"after":%q`, next)
		}
		if len(seen) != n {
			t.Errorf("%d of %d are on the pages", len(seen), n)
		}
	})
	for _, w := range all[n-100:] {
		_ = w.send(opText, []byte(`422["leave",{"room":"room:crowd"}]`))
		_ = w.send(opText, []byte(`423["join",{"room":"room:crowd"}]`))
	}
	crowd(watchers, func(k int) { all[k].until(t, `42["presence",`) })
}
