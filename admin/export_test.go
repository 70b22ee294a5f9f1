package admin

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
