package engineio

import (
	"net/url"
	"strings"
)

// query is what the protocol reads of a URL's query. Of a repeated parameter the last counts.
type query struct {
	protocol  int // 3 or 4; 3 if EIO is missing or unknown, as it was before there was a 4
	transport string
	sid       string
	jsonp     bool
	callback  string // digits of j
	base64    bool
}

// parseQuery reads raw. What is not well-formed is skipped, as browsers and Node do. Nothing is allocated for queries
// without escapes.
func parseQuery(raw string) query {
	q := query{protocol: 3}
	for pair := range strings.SplitSeq(raw, "&") {
		key, value, _ := strings.Cut(pair, "=")
		switch unescape(key) {
		case "EIO":
			q.protocol = 3
			if unescape(value) == "4" {
				q.protocol = 4
			}
		case "transport":
			q.transport = unescape(value)
		case "sid":
			q.sid = unescape(value)
		case "j":
			q.jsonp, q.callback = true, digits(unescape(value))
		case "b64":
			q.base64 = unescape(value) != ""
		}
	}
	return q
}

func unescape(s string) string {
	if !strings.ContainsAny(s, "%+") {
		return s
	}
	u, err := url.QueryUnescape(s)
	if err != nil {
		return s
	}
	return u
}

// digits returns the digits of s, twenty at most: they become part of a script.
func digits(s string) string {
	d := make([]byte, 0, 20)
	for i := 0; i < len(s) && len(d) < cap(d); i++ {
		if s[i] >= '0' && s[i] <= '9' {
			d = append(d, s[i])
		}
	}
	return string(d)
}
