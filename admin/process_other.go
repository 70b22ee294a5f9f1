//go:build !linux

package admin

// system fills in what the system says of the process: nothing here.
func (p *process) system() {}
