package main

import (
	"fmt"
	"os"
	"sync"
)

// An auditFile is the audit log in a file that may be moved away while the
// program runs: what comes after a reopen goes to a new one of the same name.
type auditFile struct {
	name string

	mu   sync.Mutex
	file *os.File
}

func openAuditFile(name string) (*auditFile, error) {
	f, err := appendTo(name)
	if err != nil {
		return nil, fmt.Errorf("open the audit log: %w; choose another file with --admin-audit", err)
	}
	return &auditFile{name: name, file: f}, nil
}

func appendTo(name string) (*os.File, error) {
	return os.OpenFile(name, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
}

// Write appends a line.
func (a *auditFile) Write(line []byte) (int, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.file.Write(line)
}

// reopen goes on in the file that has the name now. If there can't be one the
// old one stays: better lines in a file that was moved than none.
func (a *auditFile) reopen() error {
	if a == nil {
		return nil
	}
	f, err := appendTo(a.name)
	if err != nil {
		return fmt.Errorf("reopen the audit log: %w", err)
	}
	a.mu.Lock()
	old := a.file
	a.file = f
	a.mu.Unlock()
	return old.Close()
}

func (a *auditFile) close() error {
	if a == nil {
		return nil
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.file.Close()
}
