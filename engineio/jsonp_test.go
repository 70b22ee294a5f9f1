package engineio_test

import (
	"testing"

	"github.com/tutti-rt/tutti/engineio"
)

// TestScriptsOfOtherPages: a script of any page would read a session's messages,
// and its browser sends no Origin with it.
func TestScriptsOfOtherPages(t *testing.T) {
	const site = "Sec-Fetch-Site"
	run(t, engineio.Config{Origins: []string{"https://app.example.com"}}, func(h *harness) {
		const query = "EIO=4&transport=polling&j=0"
		for _, from := range []string{"cross-site", "same-site", "what comes next"} {
			h.want(from, h.do("GET", query, "", site, from), 403, `{"code":4,"message":"Forbidden"}`)
		}
		for _, from := range []string{"same-origin", "none"} {
			if a := h.do("GET", query, "", site, from); a.status != 200 {
				t.Errorf("%s: %v", from, a)
			}
		}
		p := h.poll("EIO=4&j=0") // a browser that is old
		h.want("a session that is there", h.do("GET", p.query, "", site, "cross-site"), 403, `{"code":4,"message":"Forbidden"}`)
		if a := h.do("GET", "EIO=4&transport=polling", "", site, "cross-site"); a.status != 200 {
			t.Errorf("what is no script cannot be read: %v", a)
		}
	})
	run(t, engineio.Config{Origins: []string{"*"}}, func(h *harness) {
		if a := h.do("GET", "EIO=4&transport=polling&j=0", "", site, "cross-site"); a.status != 200 {
			t.Errorf("everybody may connect: %v", a)
		}
	})
}
