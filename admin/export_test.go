package admin

import "net/http"

// Patterns are what the admin serves, as they were registered.
func (a *Admin) Patterns() []string { return a.mux.patterns }

// PatternOf is which of them serves a request.
func (a *Admin) PatternOf(r *http.Request) string {
	_, pattern := a.mux.Handler(r)
	return pattern
}

// HoldLogin has a login be checked until release is called.
func (a *Admin) HoldLogin() (release func()) {
	u := &a.ui
	u.waiting.Add(1)
	u.checking <- struct{}{}
	return func() {
		<-u.checking
		u.waiting.Add(-1)
	}
}
