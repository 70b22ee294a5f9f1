package tracing_test

import (
	"compress/gzip"
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	collector "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	spans "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"

	"github.com/tutti-rt/tutti/hub"
	"github.com/tutti-rt/tutti/internal/leak"
	"github.com/tutti-rt/tutti/packet"
	"github.com/tutti-rt/tutti/tracing"
)

// TestMain fails if a goroutine stays behind.
func TestMain(m *testing.M) { os.Exit(leak.Run(m)) }

// A receiver takes spans as a collector does.
type receiver struct {
	*httptest.Server
	mu    sync.Mutex
	spans []*spans.Span
	paths []string
}

func newReceiver(t *testing.T) *receiver {
	r := &receiver{}
	r.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		body := io.Reader(q.Body)
		if q.Header.Get("Content-Encoding") == "gzip" {
			var err error
			if body, err = gzip.NewReader(q.Body); err != nil {
				t.Error(err)
				return
			}
		}
		text, err := io.ReadAll(body)
		var request collector.ExportTraceServiceRequest
		if err == nil {
			err = proto.Unmarshal(text, &request)
		}
		if err != nil {
			t.Error(err)
		}
		r.mu.Lock()
		defer r.mu.Unlock()
		r.paths = append(r.paths, q.URL.Path)
		for _, resource := range request.ResourceSpans {
			for _, scope := range resource.ScopeSpans {
				r.spans = append(r.spans, scope.Spans...)
			}
		}
		w.Header().Set("Content-Type", "application/x-protobuf")
	}))
	t.Cleanup(r.Close)
	return r
}

type member struct{}

func (member) Deliver(*hub.Message) {}

// publish publishes with a tracing of that configuration, and returns the spans
// that were received.
func publish(t *testing.T, cfg tracing.Config, contexts ...context.Context) []*spans.Span {
	t.Helper()
	r := newReceiver(t)
	cfg.Endpoint = r.URL
	tr, err := tracing.Open(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	published := 0
	before := &hub.Trace{Published: func(*hub.Message, int) { published++ }}
	h := hub.New(hub.Config{Trace: tr.Hub(before), Memory: func(string) *hub.Memory {
		return &hub.Memory{Rooms: []hub.RoomRule{{Pattern: "*"}}}
	}})
	sp := h.Space("/")
	if _, err := sp.Enter(member{}, nil, "secret room"); err != nil {
		t.Fatal(err)
	}
	for _, ctx := range contexts {
		args, err := packet.Marshal("secret")
		if err != nil {
			t.Fatal(err)
		}
		if _, err := sp.Publish(ctx, &hub.Message{Event: "said", Args: args}, hub.Address{Rooms: []string{"secret room"}}); err != nil {
			t.Fatal(err)
		}
	}
	h.Close()
	if err := tr.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	if published != len(contexts) {
		t.Errorf("the trace before was told of %d messages", published)
	}
	for _, path := range r.paths {
		if path != "/v1/traces" {
			t.Errorf("spans were sent to %s", path)
		}
	}
	return r.spans
}

const (
	traceID = "0af7651916cd43dd8448eb211c80319c"
	sampled = "00-" + traceID + "-b7ad6b7169203331-01"
	ignored = "00-" + traceID + "-b7ad6b7169203331-00"
)

// TestSpans: a message that is to be followed has three spans, in the trace of
// whoever published it, and no secrets in them.
func TestSpans(t *testing.T) {
	got := publish(t, tracing.Config{}, hub.WithTraceparent(t.Context(), sampled))
	byName := map[string]*spans.Span{}
	for _, s := range got {
		byName[s.Name] = s
		if id := hex(s.TraceId); id != traceID {
			t.Errorf("%s is in the trace %s", s.Name, id)
		}
		if s.EndTimeUnixNano < s.StartTimeUnixNano {
			t.Errorf("%s ends before it begins", s.Name)
		}
		if strings.Contains(s.String(), "secret") {
			t.Errorf("a span tells too much: %v", s)
		}
	}
	root, log, deliver := byName["publish /"], byName["log"], byName["deliver"]
	if len(got) != 3 || root == nil || log == nil || deliver == nil {
		t.Fatalf("got %v", got)
	}
	if hex(root.ParentSpanId) != "b7ad6b7169203331" || hex(log.ParentSpanId) != hex(root.SpanId) || hex(deliver.ParentSpanId) != hex(root.SpanId) {
		t.Errorf("the spans do not hang together: %v", got)
	}
	if log.EndTimeUnixNano > deliver.EndTimeUnixNano || deliver.EndTimeUnixNano > root.EndTimeUnixNano {
		t.Errorf("the log comes before the delivery, and both before the end: %v", got)
	}
}

// TestFollowed: the publisher's flag decides, or else chance; and never more
// than the rate.
func TestFollowed(t *testing.T) {
	for name, test := range map[string]struct {
		cfg         tracing.Config
		traceparent string
		messages    int
		want        int
	}{
		"the publisher wants it":           {tracing.Config{}, sampled, 5, 5},
		"the publisher does not":           {tracing.Config{Ratio: 1}, ignored, 5, 0},
		"nobody says, none":                {tracing.Config{}, "", 5, 0},
		"nobody says, all":                 {tracing.Config{Ratio: 1}, "", 5, 5},
		"what is no traceparent":           {tracing.Config{}, "00-zz-01", 5, 0},
		"what is no traceparent, but luck": {tracing.Config{Ratio: 1}, strings.Repeat("0", 1000), 5, 5},
		"more than may be":                 {tracing.Config{Rate: 3}, sampled, 50, 3},
	} {
		t.Run(name, func(t *testing.T) {
			var contexts []context.Context
			for range test.messages {
				contexts = append(contexts, hub.WithTraceparent(t.Context(), test.traceparent))
			}
			n := 0
			for _, s := range publish(t, test.cfg, contexts...) {
				if s.Name == "publish /" {
					n++
				}
			}
			if n < test.want || n > test.want && test.cfg.Rate == 0 || n > 10 {
				t.Errorf("%d messages were followed, want %d", n, test.want)
			}
		})
	}
}

// TestShares: one peer cannot have all that may be followed.
func TestShares(t *testing.T) {
	var contexts []context.Context
	flooder, other := context.WithValue(t.Context(), hub.SenderKey{}, "flooder"), context.WithValue(t.Context(), hub.SenderKey{}, "other")
	for range 500 {
		contexts = append(contexts, hub.WithTraceparent(flooder, sampled))
	}
	const another = "00-11111111111111111111111111111111-b7ad6b7169203331-01"
	for range 5 {
		contexts = append(contexts, hub.WithTraceparent(other, another))
	}
	const own = "00-22222222222222222222222222222222-b7ad6b7169203331-01"
	for range 50 {
		contexts = append(contexts, hub.WithTraceparent(t.Context(), own))
	}
	n := map[string]int{}
	for _, s := range publish(t, tracing.Config{Rate: 100}, contexts...) {
		if s.Name == "publish /" {
			n[hex(s.TraceId)[:1]]++
		}
	}
	if n["0"] < 10 || n["1"] != 5 || n["2"] != 50 {
		t.Errorf("of the flooder %d messages were followed, of another peer %d of 5, and of the application's own %d of 50", n["0"], n["1"], n["2"])
	}
}

// TestHTTP: a request's traceparent reaches what it publishes.
func TestHTTP(t *testing.T) {
	tr, err := tracing.Open(t.Context(), tracing.Config{Endpoint: "http://127.0.0.1:1/"})
	if err != nil {
		t.Fatal(err)
	}
	got := ""
	handler := tr.HTTP(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { got = hub.Traceparent(r.Context()) }))
	r := httptest.NewRequest("POST", "/", nil)
	r.Header.Set("Traceparent", sampled)
	if handler.ServeHTTP(httptest.NewRecorder(), r); got != sampled {
		t.Errorf("got %q", got)
	}
	if handler.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("POST", "/", nil)); got != "" {
		t.Errorf("got %q", got)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	if err := tr.Close(ctx); err != nil {
		t.Error(err) // nothing was followed, so nobody is asked
	}
}

// TestMistakes: what can't be is refused.
func TestMistakes(t *testing.T) {
	for _, cfg := range []tracing.Config{{}, {Endpoint: "127.0.0.1:4318"}, {Endpoint: "ftp://a"}, {Endpoint: "http://a", Ratio: 2}, {Endpoint: "http://a", Ratio: -1}} {
		if _, err := tracing.Open(t.Context(), cfg); err == nil {
			t.Errorf("%+v is accepted", cfg)
		}
	}
}

func hex(b []byte) string {
	const digits = "0123456789abcdef"
	var s strings.Builder
	for _, c := range b {
		s.WriteByte(digits[c>>4])
		s.WriteByte(digits[c&15])
	}
	return s.String()
}
