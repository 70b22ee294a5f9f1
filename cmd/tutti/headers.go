package main

import (
	"fmt"
	"net/http"
	"strings"
)

// Policies for what browsers show. The demo has a stricter one of its own; pages
// of a folder are somebody else's, whose scripts may come from anywhere.
const (
	pagePolicy   = "object-src 'none'; base-uri 'self'; frame-ancestors 'self'"
	answerPolicy = "default-src 'none'; frame-ancestors 'none'"
)

// secure adds the headers that tell browsers what not to do with an answer. A
// handler may set others in their place. The answers of Socket.IO are as its
// clients know them.
func secure(next http.Handler, socketIO string, e *encryption) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		if e != nil && r.TLS != nil {
			if age := e.current.Load().hsts; age > 0 {
				h.Set("Strict-Transport-Security", fmt.Sprintf("max-age=%d", int(age.Seconds())))
			}
		}
		switch {
		case strings.HasPrefix(r.URL.Path, socketIO):
			next.ServeHTTP(w, r)
			return
		case isAnswer(r.URL.Path):
			h.Set("Content-Security-Policy", answerPolicy)
			h.Set("X-Frame-Options", "DENY")
		default:
			h.Set("Content-Security-Policy", pagePolicy)
			h.Set("X-Frame-Options", "SAMEORIGIN")
			h.Set("Cross-Origin-Opener-Policy", "same-origin-allow-popups")
		}
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Referrer-Policy", "strict-origin-when-cross-origin")
		next.ServeHTTP(w, r)
	})
}

// isAnswer says whether a path answers programs: nothing there is a page.
func isAnswer(path string) bool {
	for _, prefix := range []string{"/api/", "/events", "/ws", "/healthz"} {
		if strings.HasPrefix(path, prefix) {
			return true
		}
	}
	return false
}
