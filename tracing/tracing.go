package tracing

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/url"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/sdk/resource"
	sdk "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"

	"github.com/tutti-rt/tutti/hub"
	"github.com/tutti-rt/tutti/internal/limit"
)

// Config sets up a [Tracing].
type Config struct {
	// Endpoint is where spans are sent, by OTLP over HTTP: a URL such as
	// http://127.0.0.1:4318. Without a path it is /v1/traces there.
	Endpoint string
	// Ratio is the share of messages that is followed whose publisher does not
	// say, from 0, none and the default, to 1.
	Ratio float64
	// Rate is how many messages are followed per second at most, and of one peer
	// ([hub.SenderKey]) a tenth of it, at least one. Default 100; negative: no limit.
	Rate int
	// Service is what the server is called. Default "tutti".
	Service string
	// Version is that of the program.
	Version string
}

const (
	defaultRate = 100
	maxPeers    = 10_000 // whose shares are counted; beyond it nobody is followed who is new
)

// Tracing follows messages. It is safe for concurrent use.
type Tracing struct {
	ratio    float64
	bucket   *limit.Bucket
	shares   *limit.Group[string] // by peer
	provider *sdk.TracerProvider
	tracer   trace.Tracer
}

// Open begins to send spans, in the background, until Close. It does not wait
// for the receiver, which may be away.
func Open(ctx context.Context, cfg Config) (*Tracing, error) {
	u, err := url.Parse(cfg.Endpoint)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
		return nil, fmt.Errorf("the endpoint of traces is %q: want a URL such as http://127.0.0.1:4318", cfg.Endpoint)
	}
	if cfg.Ratio < 0 || cfg.Ratio > 1 {
		return nil, errors.New("the ratio of traces: want 0 to 1")
	}
	if u.Path == "" || u.Path == "/" {
		u.Path = "/v1/traces"
	}
	exporter, err := otlptracehttp.New(ctx, otlptracehttp.WithEndpointURL(u.String()))
	if err != nil {
		return nil, fmt.Errorf("open traces: %w", err)
	}
	if cfg.Rate == 0 {
		cfg.Rate = defaultRate
	}
	if cfg.Service == "" {
		cfg.Service = "tutti"
	}
	about := resource.NewSchemaless(attribute.String("service.name", cfg.Service), attribute.String("service.version", cfg.Version))
	// What is followed is decided before there is a span.
	provider := sdk.NewTracerProvider(sdk.WithBatcher(exporter), sdk.WithResource(about), sdk.WithSampler(sdk.AlwaysSample()))
	share := limit.Rate{PerSecond: float64(max(cfg.Rate/10, 1)), Burst: max(cfg.Rate/10, 1)}
	if cfg.Rate < 0 {
		share = limit.Rate{}
	}
	return &Tracing{
		ratio: cfg.Ratio, shares: limit.NewGroup[string](share, maxPeers), bucket: limit.NewBucket(limit.Rate{PerSecond: float64(cfg.Rate), Burst: cfg.Rate}),
		provider: provider, tracer: provider.Tracer("github.com/tutti-rt/tutti/tracing"),
	}, nil
}

// Close sends what is left, until ctx ends, and ends the sending.
func (t *Tracing) Close(ctx context.Context) error {
	if err := t.provider.Shutdown(ctx); err != nil {
		return fmt.Errorf("send the last traces: %w", err)
	}
	return nil
}

// HTTP hands the traceparent of requests on to what is published by them.
func (t *Tracing) HTTP(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if text := r.Header.Get("Traceparent"); text != "" {
			r = r.WithContext(hub.WithTraceparent(r.Context(), text))
		}
		next.ServeHTTP(w, r)
	})
}

// Hub returns a trace that follows messages, and tells another, if there is one,
// what it was told before.
func (t *Tracing) Hub(other *hub.Trace) *hub.Trace {
	h := &hub.Trace{}
	if other != nil {
		*h = *other
	}
	h.Publishing = func(ctx context.Context, m *hub.Message) any {
		ctx, ok := t.follow(ctx)
		if !ok {
			return nil
		}
		ctx, span := t.tracer.Start(ctx, "publish "+m.Namespace, trace.WithSpanKind(trace.SpanKindProducer), trace.WithAttributes(
			attribute.String("messaging.system", "tutti"), attribute.String("messaging.operation.type", "publish"),
			attribute.String("tutti.namespace", m.Namespace), attribute.String("tutti.event", m.Event),
			attribute.Int("tutti.rooms", len(m.Rooms)), attribute.Int("messaging.message.body.size", m.Args.Size()),
			attribute.Bool("tutti.volatile", m.Volatile)))
		return &followed{ctx, span}
	}
	h.Logged = func(m *hub.Message, began time.Time) { t.part(m, "log", began) }
	h.Handed = func(m *hub.Message, members int, began time.Time) {
		t.part(m, "deliver", began, attribute.Int("tutti.members", members))
	}
	h.Done = func(m *hub.Message, r hub.Receipt, err error) {
		f, ok := m.Traced.(*followed)
		if !ok {
			return
		}
		f.span.SetAttributes(attribute.String("tutti.offset", string(r.Offset)), attribute.Bool("tutti.repeated", r.Repeated))
		if err != nil {
			f.span.SetStatus(codes.Error, err.Error())
		}
		f.span.End()
	}
	return h
}

// followed is what a message that is followed carries.
type followed struct {
	// ctx holds the span for those of the parts, which are finished elsewhere.
	ctx  context.Context
	span trace.Span
}

// part adds a span that ends now.
func (t *Tracing) part(m *hub.Message, name string, began time.Time, about ...attribute.KeyValue) {
	if f, ok := m.Traced.(*followed); ok {
		_, span := t.tracer.Start(f.ctx, name, trace.WithTimestamp(began), trace.WithAttributes(about...))
		span.End()
	}
}

// follow decides whether a message is followed, and in which trace.
func (t *Tracing) follow(ctx context.Context) (context.Context, bool) {
	given := trace.SpanContextFromContext(ctx)
	if text := hub.Traceparent(ctx); !given.IsValid() && text != "" {
		ctx = propagation.TraceContext{}.Extract(ctx, propagation.MapCarrier{"traceparent": text})
		given = trace.SpanContextFromContext(ctx)
	}
	wanted := given.IsSampled()
	if !given.IsValid() {
		wanted = t.ratio > 0 && rand.Float64() < t.ratio
	}
	if peer, ok := ctx.Value(hub.SenderKey{}).(string); wanted && ok {
		_, wanted = t.shares.Take(peer) // first: who sends too much must not use up what is for all
	}
	if wanted {
		_, wanted = t.bucket.Take()
	}
	return ctx, wanted
}
