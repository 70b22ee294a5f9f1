package load

import (
	_ "embed"
	"fmt"
	"html/template"
	"io"
	"math"
	"slices"
	"strings"
	"time"
)

//go:embed report.html
var reportPage string

// WriteHTML writes a page with the figures and plots of r that needs nothing
// else: no script, no other file.
func (r *Result) WriteHTML(w io.Writer) error {
	page, err := template.New("report").Funcs(template.FuncMap{"number": anyNumber, "mb": func(n int64) string { return fmt.Sprintf("%.1f MB", float64(n)/1e6) }}).Parse(reportPage)
	if err != nil {
		return fmt.Errorf("report: %w", err)
	}
	err = page.Execute(w, struct {
		*Result
		Date   string
		Facts  []fact
		Tables []summaryRow
		Plots  []Plot
	}{r, r.Started.UTC().Format(time.DateTime + " MST"), r.facts(), r.tables(), r.plots()})
	if err != nil {
		return fmt.Errorf("report: %w", err)
	}
	return nil
}

// A fact is a figure with what it is.
type fact struct{ Value, Unit, Name string }

func (r *Result) facts() []fact {
	facts := []fact{{number(r.PerSecond), "/s", plural(r.Operation)}}
	if r.Limit > 0 {
		facts[0] = fact{number(r.Best), "/s", fmt.Sprintf("%s at most, with p99 below %v ms", plural(r.Operation), r.Limit)}
	}
	facts = append(facts, fact{number(r.Latency.P50), " ms", "latency, median"}, fact{number(r.Latency.P99), " ms", "latency, 99th percentile"})
	if u := r.Server; u != nil {
		facts = append(facts, fact{number(u.CPUPerOperation), " µs", "server's CPU per " + r.Operation})
		if u.BytesPerClient != 0 {
			facts = append(facts, fact{number(u.BytesPerClient), " B", "server's memory per client"})
		}
	}
	return append(facts, fact{number(float64(r.Lost + r.Disorder)), "", fmt.Sprintf("%d lost, %d out of order", r.Lost, r.Disorder)})
}

func plural(operation string) string {
	if operation == "delivery" {
		return "deliveries"
	}
	return operation + "s"
}

// A summaryRow is a line of the table of latencies.
type summaryRow struct {
	Name string
	Summary
}

func (r *Result) tables() []summaryRow {
	var rows []summaryRow
	var acks Summary
	if r.Acks != nil {
		acks = *r.Acks
	}
	for _, row := range []summaryRow{
		{"latency, from when it was due", r.Latency},
		{"acks of messages, from when they were due", acks},
		{"connecting, until the namespace is joined", r.Handshake},
		{"the generator's own lag", r.Lag},
	} {
		if row.Count > 0 {
			rows = append(rows, row)
		}
	}
	return rows
}

// anyNumber is number for templates, where figures have several types.
func anyNumber(v any) (string, error) {
	switch v := v.(type) {
	case float64:
		return number(v), nil
	case int64:
		return number(float64(v)), nil
	}
	return "", fmt.Errorf("not a figure: %T", v)
}

// number writes v to three digits, thousands apart.
func number(v float64) string {
	switch a := math.Abs(v); {
	case a >= 100:
		text := fmt.Sprintf("%.0f", a)
		for i := len(text) - 3; i > 0; i -= 3 {
			text = text[:i] + "\u202f" + text[i:]
		}
		if v < 0 {
			text = "−" + text
		}
		return text
	case a == math.Trunc(a):
		return fmt.Sprintf("%.0f", v)
	case a >= 10:
		return fmt.Sprintf("%.1f", v)
	}
	return fmt.Sprintf("%.2f", v)
}

// plots returns the plots that there is something for.
func (r *Result) plots() []Plot {
	plots := []Plot{r.latencyPlot()}
	at := make([]float64, len(r.Series))
	for i, s := range r.Series {
		at[i] = s.At
	}
	over := func(title, unit string, lines ...Curve) Plot {
		return Plot{Title: title, Unit: unit, X: at, XUnit: "s", Lines: lines}
	}
	of := func(name string, f func(Sample) float64) Curve {
		values := make([]float64, len(r.Series))
		for i, s := range r.Series {
			values[i] = f(s)
		}
		return Curve{Name: name, Y: values}
	}
	plots = append(plots,
		over(strings.ToUpper(r.Operation[:1])+plural(r.Operation)[1:]+" per second", "/s", of(plural(r.Operation), func(s Sample) float64 { return s.PerSecond })),
		over("Latency of each second", " ms", of("p50", func(s Sample) float64 { return s.P50 }), of("p99", func(s Sample) float64 { return s.P99 })),
	)
	cpu := []Curve{of("generator", func(s Sample) float64 { return 100 * s.OwnCPU })}
	if r.Server != nil {
		cpu = append([]Curve{of("server", func(s Sample) float64 { return 100 * s.ServerCPU })}, cpu...)
	}
	plots = append(plots, over("CPU, in percent of a core", " %", cpu...))
	plots = append(plots, over("Clients connected", "", of("clients", func(s Sample) float64 { return float64(s.Clients) })))
	if r.Server != nil {
		plots = append(plots, over("Memory of the server", " MB", of("RSS", func(s Sample) float64 { return float64(s.RSS) / 1e6 })))
	}
	return slices.DeleteFunc(plots, func(p Plot) bool { return len(p.X) < 2 })
}

// latencyPlot is the latency by percentile. Each unit to the right halves, ten
// times over, what is left of the operations.
func (r *Result) latencyPlot() Plot {
	p := Plot{Title: "Latency by percentile (%)", Unit: " ms", Lines: []Curve{{Name: "latency"}}}
	for _, point := range r.Curve {
		rest := 100 - point.Percentile
		if rest <= 0 { // the last: as far as there are operations
			rest = 100 / float64(max(r.Latency.Count, 2))
		}
		p.X = append(p.X, -math.Log10(rest/100))
		p.Lines[0].Y = append(p.Lines[0].Y, point.Value)
	}
	if n := len(p.X); n > 0 {
		for i, label := range []string{"0", "90", "99", "99.9", "99.99", "99.999", "99.9999", "99.99999"} {
			if float64(i) <= p.X[n-1] {
				p.Ticks = append(p.Ticks, Tick{float64(i), label})
			}
		}
	}
	return p
}
