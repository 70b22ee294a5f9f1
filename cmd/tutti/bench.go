package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/tutti-rt/tutti/internal/load"
)

func benchManual() *manual {
	m := &manual{
		name: "bench", does: "measure a server under load",
		synopsis: []string{"SCENARIO [flags] URL", "server [--listen ADDRESS]"},
		about: `Measures a Socket.IO server that handles the events of docs/performance.md; "tutti bench server" is such a
server. The scenarios:

  idle      connect clients and leave them alone: memory, cost of connecting
  fanout    messages to a room that everybody is in
  rooms     messages to many rooms, of which each client is in one
  durable   fanout from many publishers, who wait for acks; start the server
            with --data to see what an fsync costs
  echo      events that are answered with an ack
  polling   fanout by long-polling
  churn     clients that come, ask once and leave`,
		see: "docs/performance.md",
	}
	newBenchFlags(&load.Options{}, &benchFiles{}).VisitAll(func(f *flag.Flag) {
		value, does := flag.UnquoteUsage(f)
		m.options = append(m.options, option{name: f.Name, value: strings.ToUpper(value), does: capital(does) + "."})
	})
	return m
}

// capital is a help text as a sentence.
func capital(s string) string { return strings.ToUpper(s[:1]) + s[1:] }

// bench measures a server.
func bench(ctx context.Context, c call) int {
	if len(c.args) > 0 && c.args[0] == "server" {
		c.args = c.args[1:]
		return benchServer(ctx, c)
	}
	o, files, err := benchFlags(c)
	switch {
	case errors.Is(err, flag.ErrHelp):
		return exitOK
	case err != nil:
		fmt.Fprintf(c.errors, "tutti bench: %v\n", err)
		return exitUsage
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	// Ends the run at a signal; ends with the run, which is not waited for
	// because the program ends then.
	go func() {
		select {
		case <-c.signals:
			cancel()
		case <-ctx.Done():
		}
	}()
	if err := runBench(ctx, c, o, files); err != nil {
		fmt.Fprintf(c.errors, "tutti bench: %v\n", err)
		return exitFailed
	}
	return exitOK
}

// runBench measures, with a line that shows how it goes if somebody is there to
// see it, and tells the result.
func runBench(ctx context.Context, c call, o load.Options, files benchFiles) error {
	live := terminal(c.errors)
	if live {
		o.Progress = func(p load.Progress) { fmt.Fprintf(c.errors, "\r\x1b[K%s", progressLine(p)) }
	}
	result, err := load.Run(ctx, o)
	if live {
		fmt.Fprint(c.errors, "\r\x1b[K")
	}
	switch {
	case errors.Is(err, context.Canceled):
		return errors.New("interrupted, nothing was measured")
	case err != nil:
		return err
	}
	err = files.write(result)
	if files.json == "-" {
		return errors.Join(err, writeJSON(c.output, result))
	}
	return errors.Join(err, printResult(c.output, result))
}

// benchFiles are where the result goes besides the terminal.
type benchFiles struct{ json, html string }

// benchFlags reads the command line. The scenario may come before the flags.
func benchFlags(c call) (load.Options, benchFiles, error) {
	var o load.Options
	var f benchFiles
	set := newBenchFlags(&o, &f)
	args := c.args
	if len(args) > 0 && slices.Contains(load.Scenarios(), args[0]) {
		o.Scenario, args = args[0], args[1:]
	}
	err := set.Parse(args)
	if errors.Is(err, flag.ErrHelp) || len(c.args) == 0 {
		if err == nil {
			return o, f, errors.New("what is to be measured? See tutti help bench")
		}
		benchManual().print(c.output)
		return o, f, err
	}
	rest := set.Args()
	if o.Scenario == "" && len(rest) > 0 {
		o.Scenario, rest = rest[0], rest[1:]
	}
	switch {
	case err != nil:
	case len(rest) == 0:
		err = errors.New("the URL of the server is missing")
	case len(rest) > 1:
		err = fmt.Errorf("flags come before the URL, and there is one URL: %s", strings.Join(rest, " "))
	default:
		o.URL = rest[0]
	}
	return o, f, err
}

// newBenchFlags declares the flags.
func newBenchFlags(o *load.Options, f *benchFiles) *flag.FlagSet {
	set := flag.NewFlagSet("bench", flag.ContinueOnError)
	set.SetOutput(io.Discard)
	set.StringVar(&o.Transport, "transport", "", "`websocket` or polling")
	set.IntVar(&o.Clients, "clients", 0, "how many `clients` connect (1000; echo 100)")
	set.IntVar(&o.Rooms, "rooms", 0, "how many `rooms` they are spread over (1; rooms 100)")
	set.IntVar(&o.Publishers, "publishers", 0, "how many `members` of a room publish to it, in turn (1; durable 64)")
	set.IntVar(&o.Size, "size", 0, "payload in `bytes` (100)")
	set.Float64Var(&o.Rate, "rate", 0, "`messages`, questions or connections per second, in all (fanout 10, rooms 500, echo 2000, churn 200)")
	set.BoolVar(&o.Closed, "closed", false, "echo, durable and churn: as fast as the server answers, for the cost of an operation")
	set.DurationVar(&o.Duration, "duration", 0, "what is measured (10s; with --p99 3s for each rate)")
	set.DurationVar(&o.WarmUp, "warm-up", 0, "what comes before (1s; negative: nothing)")
	set.IntVar(&o.Concurrency, "concurrency", 0, "how many `clients` may be connecting at once (64)")
	set.DurationVar(&o.P99, "p99", 0, "search for the highest rate whose 99th percentile stays below this")
	set.DurationVar(&o.SearchTime, "search-time", 0, "how long the search may take (2m)")
	set.Float64Var(&o.MaxRate, "max-rate", 0, "the highest `rate` that is searched (20000; echo 1000000)")
	set.IntVar(&o.PID, "pid", 0, "the server's `process` on this machine, whose CPU and memory are read")
	set.StringVar(&f.json, "json", "", "write the result to a `file`, or - for the standard output alone")
	set.StringVar(&f.html, "html", "", "write a report with plots to a `file`")
	return set
}

// terminal says whether what is read or written is one.
func terminal(stream any) bool {
	f, ok := stream.(*os.File)
	if !ok {
		return false
	}
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}

func progressLine(p load.Progress) string {
	line := fmt.Sprintf("%s: %d clients", p.Phase, p.Clients)
	if p.Rate > 0 {
		line += fmt.Sprintf(", %.5g/s asked for", p.Rate)
	}
	if p.Deliver > 0 {
		line += fmt.Sprintf(", %d/s done, p50 %v, p99 %v", p.Deliver, p.P50, p.P99)
	}
	if p.RSS > 0 {
		line += fmt.Sprintf(", server %.0f %% CPU %.1f MB", p.ServerCPU*100, float64(p.RSS)/1e6)
	}
	return line + fmt.Sprintf(", own %.0f %% CPU", p.OwnCPU*100)
}

// write writes the files that are asked for.
func (f benchFiles) write(r *load.Result) error {
	var errs []error
	if f.json != "" && f.json != "-" {
		errs = append(errs, writeFile(f.json, func(w io.Writer) error { return writeJSON(w, r) }))
	}
	if f.html != "" {
		errs = append(errs, writeFile(f.html, r.WriteHTML))
	}
	return errors.Join(errs...)
}

func writeJSON(w io.Writer, r *load.Result) error {
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	return e.Encode(r)
}

func writeFile(name string, write func(io.Writer) error) error {
	file, err := os.Create(name)
	if err != nil {
		return err
	}
	return errors.Join(write(file), file.Close())
}

// printResult prints the figures.
func printResult(w io.Writer, r *load.Result) error {
	var b strings.Builder
	line := func(name, format string, args ...any) {
		fmt.Fprintf(&b, "%-12s %s\n", name, fmt.Sprintf(format, args...))
	}
	line("scenario", "%s", describe(r))
	if r.Limit > 0 {
		printSearch(line, r)
	}
	if r.Rate > 0 {
		line("asked for", "%.5g/s", r.Rate)
	}
	line("done", "%d %s, %.0f/s; %d lost, %d out of order", r.Done, r.Operation, r.PerSecond, r.Lost, r.Disorder)
	summary := func(name string, s load.Summary) {
		line(name, "p50 %.2f ms, p90 %.2f, p99 %.2f, p99.9 %.2f, max %.2f", s.P50, s.P90, s.P99, s.P999, s.Max)
	}
	if r.Latency.Count > 0 {
		summary("latency", r.Latency)
	}
	if r.Acks != nil {
		line("published", "%.0f/s with acks", r.Published)
		summary("acks", *r.Acks)
	}
	summary("handshake", r.Handshake)
	if u := r.Server; u != nil {
		line("server", "%.2f µs of CPU per %s, %.2f cores, had to wait for them %.0f %% of the time", u.CPUPerOperation, r.Operation, u.Cores, u.Waited*100)
		line("memory", "%s", memory(u))
	}
	line("generator", "%.2f of its core; messages late by p50 %.2f ms, p99 %.2f ms", r.Own.Cores, r.Lag.P50, r.Lag.P99)
	for text, n := range r.Errors {
		line("error", "%d times: %s", n, text)
	}
	if r.Bottleneck != "" {
		line("WARNING", "this measures the generator: %s", r.Bottleneck)
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// printSearch prints the rates that were tried.
func printSearch(line func(name, format string, args ...any), r *load.Result) {
	for _, s := range r.Steps {
		verdict := "good"
		if !s.OK {
			verdict = s.Why
		}
		line("tried", "%8.5g/s: %9.0f %s/s, p50 %.1f ms, p99 %.1f ms: %s", s.Rate, s.PerSecond, r.Operation, s.P50, s.P99, verdict)
	}
	line("best", "%.0f %s/s with p99 below %v ms", r.Best, r.Operation, r.Limit)
	if r.Hurried {
		line("", "there was no time to look closer")
	}
}

// describe says what was measured.
func describe(r *load.Result) string {
	what := fmt.Sprintf("%s by %s, %v", r.Scenario, r.Transport, time.Duration(r.Seconds*1e9).Round(time.Millisecond))
	if r.Clients > 0 {
		what += fmt.Sprintf(", %d clients", r.Clients)
	}
	if r.Rooms > 1 {
		what += fmt.Sprintf(" in %d rooms", r.Rooms)
	}
	return what
}

func memory(u *load.Usage) string {
	text := fmt.Sprintf("%.1f MB after", mb(u.RSSAfter))
	if u.RSSBefore > 0 {
		text = fmt.Sprintf("%.1f MB before, %.1f MB connected, ", mb(u.RSSBefore), mb(u.RSSConnected)) + text
	}
	if u.BytesPerClient != 0 {
		text += fmt.Sprintf(": %.0f bytes per client", u.BytesPerClient)
	}
	return text
}

func mb(n int64) float64 { return float64(n) / 1e6 }
