package main

import (
	"context"
	"errors"
	"net/http"
	"strconv"
	"time"

	"github.com/tutti-rt/tutti"
	"github.com/tutti-rt/tutti/internal/config"
	"github.com/tutti-rt/tutti/tracing"
)

// lastTraces is how long the end waits for traces that are to be sent yet.
const lastTraces = 2 * time.Second

// openTraces follows messages of the server that cfg is going to be, if the
// settings ask for it.
func (a *app) openTraces(s config.Settings, cfg *tutti.Config) error {
	if s.Traces.Endpoint == "" {
		return nil
	}
	ratio, err := strconv.ParseFloat(s.Traces.Ratio, 64)
	if err != nil {
		return err // the settings were checked
	}
	a.traces, err = tracing.Open(context.Background(), tracing.Config{
		Endpoint: s.Traces.Endpoint, Ratio: ratio, Rate: int(s.Traces.Rate), Version: programVersion(),
	})
	if err != nil {
		return err
	}
	cfg.Hub.Trace = a.traces.Hub(cfg.Hub.Trace)
	before := a.closeAudit
	a.closeAudit = func() error { // after everything that may publish
		ctx, cancel := context.WithTimeout(context.Background(), lastTraces)
		defer cancel()
		return errors.Join(a.traces.Close(ctx), before())
	}
	return nil
}

// traced hands the trace of a request on to what is published by it.
func (a *app) traced(next http.Handler) http.Handler {
	if a.traces == nil {
		return next
	}
	return a.traces.HTTP(next)
}
