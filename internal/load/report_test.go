package load

import (
	"bytes"
	"encoding/xml"
	"errors"
	"io"
	"math"
	"strings"
	"testing"
	"time"
)

func sampleResult() *Result {
	m := newMeter()
	for i := range 10_000 {
		m.record(int64(i) * 1000)
	}
	r := &Result{
		Scenario: Fanout, Transport: webSocket, URL: "http://127.0.0.1:3000/?a=<b>", Operation: "delivery",
		Clients: 1000, Rooms: 1, Size: 100, Rate: 10, Done: 100_000, PerSecond: 12345.6,
		Latency: m.summary(), Curve: m.curve(), Server: &Usage{PID: 7, CPUPerOperation: 8.25, BytesPerClient: 1800},
		Bottleneck: "the generator was busy", Errors: map[string]int{"read: <reset>": 3},
		Steps: []Step{{Rate: 10, OK: true}, {Rate: 20, Why: "too late"}}, Limit: 100, Best: 10_000,
	}
	for i := range 10 {
		r.Series = append(r.Series, Sample{At: float64(i + 1), PerSecond: float64(i * 1000), P50: 1, P99: float64(i), ServerCPU: .5, RSS: 1e8})
	}
	return r
}

// TestReport: the page is one file, and each plot is XML.
func TestReport(t *testing.T) {
	var page bytes.Buffer
	if err := sampleResult().WriteHTML(&page); err != nil {
		t.Fatal(err)
	}
	text := page.String()
	for _, want := range []string{"10\u202f000", "8.25", "the generator was busy", "too late", "read: &lt;reset&gt;", "a=&lt;b&gt;", "99.9<"} {
		if !strings.Contains(text, want) {
			t.Errorf("the page lacks %q", want)
		}
	}
	for _, not := range []string{"<script", "<link", "src=", "@import", "NaN", "Inf"} {
		if strings.Contains(text, not) {
			t.Errorf("the page has %q", not)
		}
	}
	plots := strings.Split(text, "<svg")[1:]
	if len(plots) != 6 {
		t.Errorf("%d plots, want 6", len(plots))
	}
	for _, p := range plots {
		svg, _, _ := strings.Cut("<svg"+p, "</svg>")
		d := xml.NewDecoder(strings.NewReader(svg + "</svg>"))
		for {
			if _, err := d.Token(); errors.Is(err, io.EOF) {
				break
			} else if err != nil {
				t.Fatalf("a plot is not XML: %v", err)
			}
		}
	}
}

// TestEmptyReport: a run that measured nothing has a page too.
func TestEmptyReport(t *testing.T) {
	if err := (&Result{Operation: "ack"}).WriteHTML(io.Discard); err != nil {
		t.Error(err)
	}
}

func TestTicks(t *testing.T) {
	for _, top := range []float64{0, 0.001, 1, 3, 9.9, 10, 12345, 1e7, math.Inf(1), math.NaN()} {
		if n := len(ticksTo(top, 5)); n < 1 || n > 6 {
			t.Errorf("%d ticks up to %v", n, top)
		}
	}
}

func TestMeter(t *testing.T) {
	m := newMeter()
	for i := 1; i <= 1000; i++ {
		m.record(int64(i) * int64(time.Millisecond))
	}
	s := m.summary()
	for name, pair := range map[string][2]float64{"p50": {s.P50, 500}, "p99": {s.P99, 990}, "max": {s.Max, 1000}} {
		if off := math.Abs(pair[0] - pair[1]); off > pair[1]/500 {
			t.Errorf("%s is %v, want %v within three digits", name, pair[0], pair[1])
		}
	}
	curve := m.curve()
	for i := 1; i < len(curve); i++ {
		if curve[i].Percentile <= curve[i-1].Percentile || curve[i].Value < curve[i-1].Value {
			t.Errorf("the curve falls at %v", curve[i])
		}
	}
	if last := curve[len(curve)-1]; last.Percentile != 100 {
		t.Errorf("the curve ends at %v %%", last.Percentile)
	}
	m.record(-5)
	m.record(math.MaxInt64)
	if n := m.summary().Count; n != 1002 {
		t.Errorf("what is out of range is not counted: %d, want 1002", n)
	}
}

func TestOptions(t *testing.T) {
	good := Options{URL: "http://h:1", Scenario: Fanout}
	if o, to, err := good.withDefaults(); err != nil || o.Clients != 1000 || o.Rate != 10 || to.path != "/socket.io/" || to.host != "h:1" {
		t.Errorf("defaults: %+v, %+v, %v", o, to, err)
	}
	if o, to, err := (Options{URL: "ws://h/x", Scenario: Polling}).withDefaults(); err != nil || o.Transport != longPolling || to.path != "/x" || to.host != "h:80" {
		t.Errorf("polling: %+v, %+v, %v", o, to, err)
	}
	for want, o := range map[string]Options{
		"no scenario":     {URL: "http://h", Scenario: "dance"},
		"is not one such": {URL: "https://h", Scenario: Idle},
		"no transport":    {URL: "http://h", Scenario: Idle, Transport: "pigeon"},
		"at least 25":     {URL: "http://h", Scenario: Fanout, Size: 10},
		"rooms for":       {URL: "http://h", Scenario: Rooms, Clients: 5},
		"rate":            {URL: "http://h", Scenario: Fanout, Rate: -1},
		"searched":        {URL: "http://h", Scenario: Churn, P99: time.Second},
		"closed":          {URL: "http://h", Scenario: Fanout, Closed: true},
	} {
		if _, _, err := o.withDefaults(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%+v: %v, want something of %q", o, err, want)
		}
	}
}
