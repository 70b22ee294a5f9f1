package admin

import "net/http"

// Patterns are what the admin serves, as they were registered.
func (a *Admin) Patterns() []string { return a.mux.patterns }

// PatternOf is which of them serves a request.
func (a *Admin) PatternOf(r *http.Request) string {
	_, pattern := a.mux.Handler(r)
	return pattern
}
