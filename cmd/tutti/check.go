package main

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strings"

	"github.com/tutti-rt/tutti/internal/config"
	"github.com/tutti-rt/tutti/schema"
	"github.com/tutti-rt/tutti/verb"
)

// checkSettings finds the mistakes that only show when the settings are put to
// use: in the files that they name. It opens nothing that it does not close.
func checkSettings(l *config.Loaded) config.Mistakes {
	var found config.Mistakes
	note := func(setting string, i int, err error) {
		for line := range strings.Lines(errorLines(err)) {
			found = append(found, config.Mistake{Place: l.Place(setting, i), Text: setting + ": " + strings.TrimSuffix(line, "\n")})
		}
	}
	if isFile(l.TLS.Cert) && isFile(l.TLS.Key) { // else that has been said
		_, err := openCertificate(string(l.TLS.Cert), string(l.TLS.Key), slog.New(slog.DiscardHandler))
		note("tls.cert", 0, err)
	}
	if isFile(l.TLS.Roots) {
		_, err := acmeClient(l.TLS)
		note("tls.roots", 0, err)
	}
	note("auth.token", 0, checkAuth(l.Settings))
	_, err := schema.New(schemaConfig(l.Settings))
	for _, one := range joined(err) {
		if rule, ok := errors.AsType[*schema.RuleError](one); ok {
			note("schema", rule.Index, fmt.Errorf("%s: %w", l.Schemas[rule.Index].Event, rule.Err))
		}
	}
	_, err = verb.New(verbConfig(l.Settings))
	note("allow", 0, err)
	return found
}

func isFile(name config.Folder) bool {
	info, err := os.Stat(string(name))
	return err == nil && info.Mode().IsRegular()
}

func errorLines(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

// joined are the errors that an error joins.
func joined(err error) []error {
	if list, ok := err.(interface{ Unwrap() []error }); ok {
		return list.Unwrap()
	}
	if err == nil {
		return nil
	}
	return []error{err}
}

// schemaConfig says in the checker's terms what clients are held to.
func schemaConfig(s config.Settings) schema.Config {
	cfg := schema.Config{MaxSteps: int(s.Limit.Schema)}
	for _, r := range s.Schemas {
		cfg.Rules = append(cfg.Rules, schema.Rule{Event: r.Event, Namespace: r.Namespace, Room: r.Room, Args: r.Args, File: r.File, Text: r.Text})
	}
	return cfg
}
