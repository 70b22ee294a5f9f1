package main

import (
	"bytes"
	"log/slog"
	"net/url"
	"strings"
	"testing"
)

// TestExposedEngine: an engine that anybody in the network may write to is warned of.
func TestExposedEngine(t *testing.T) {
	for engine, want := range map[string]bool{
		"redis://10.0.0.5:6379":                           true,
		"redis://redis.internal":                          true,
		"redis://[2001:db8::1]:6379":                      true,
		"redis://user@10.0.0.5:6379":                      true,
		"redis://:secret@10.0.0.5:6379":                   false,
		"redis://user:secret@10.0.0.5:6379":               false,
		"redis://10.0.0.5:6379?password=secret":           false,
		"redis://10.0.0.5:6379?master_name=m&db=1":        true,
		"rediss://10.0.0.5:6379":                          false,
		"redis://127.0.0.1:6379":                          false,
		"redis://localhost":                               false,
		"redis://[::1]:6379":                              false,
		"redis://[::1]":                                   false,
		"redis://":                                        false,
		"unix:///run/redis.sock":                          false,
		"nats://10.0.0.5:4222":                            true,
		"nats://127.0.0.1:4222,10.0.0.5:4222":             true,
		"nats://127.0.0.1:4222,127.0.0.1:4223":            false,
		"nats://token@10.0.0.5:4222":                      false,
		"nats://10.0.0.5:4222?creds=/etc/tutti/nats.cred": false,
		"tls://10.0.0.5:4222":                             false,
	} {
		u, err := url.Parse(engine)
		if err != nil {
			t.Fatal(err)
		}
		if got := exposed(u); got != want {
			t.Errorf("%s: exposed %v, want %v", engine, got, want)
		}
	}
}

// TestExposedEngineIsSaid: once, when the program starts.
func TestExposedEngineIsSaid(t *testing.T) {
	var log bytes.Buffer
	s := settingsOf(t)
	// It is said before anybody is asked, and that the URL is wrong is another matter.
	s.Engine = "nats://nobody.invalid:1?what=this"
	if _, err := openEngine(s, &link{}, slog.New(slog.NewTextHandler(&log, nil))); err == nil {
		t.Fatal("an engine by a URL that is wrong was opened")
	}
	if n := strings.Count(log.String(), "neither password nor TLS"); n != 1 || !strings.Contains(log.String(), "nobody.invalid") {
		t.Errorf("said %d times: %s", n, &log)
	}
}
