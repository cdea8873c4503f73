package tracing_test

import (
	"bytes"
	"context"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/rs/zerolog"
	v1 "go.opentelemetry.io/proto/otlp/trace/v1"
	"go.uber.org/goleak"

	"github.com/onda-serving/onda/app/scoring"
	"github.com/onda-serving/onda/app/telemetry/spans"
	"github.com/onda-serving/onda/app/telemetry/tracing"
	"github.com/onda-serving/onda/app/telemetry/tracing/tracingtest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// The tests set environment variables, which the SDK reads: they run one after the other.

// counter counts spans by outcome.
type counter struct {
	mu  sync.Mutex
	all map[string]int
}

func (c *counter) Spans(outcome string, n int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.all == nil {
		c.all = map[string]int{}
	}
	c.all[outcome] += n
}

func (c *counter) of(outcome string) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.all[outcome]
}

// log is a log that can be read while it is written.
type log struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *log) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *log) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// start begins to export to where the environment says.
func start(t *testing.T, protocol string) (*tracing.Provider, *counter, *log) {
	t.Helper()
	t.Setenv("OTEL_BSP_SCHEDULE_DELAY", "10")
	counts, lines := &counter{}, &log{}
	p, err := tracing.Start(t.Context(), protocol, "v1", "replica-7", counts, zerolog.New(lines))
	if err != nil {
		t.Fatal(err)
	}
	return p, counts, lines
}

func none(string) string { return "" }

func TestExport(t *testing.T) {
	for _, protocol := range []string{tracing.GRPC, tracing.HTTP} {
		t.Run(protocol, func(t *testing.T) {
			c := tracingtest.Start(t)
			t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", map[string]string{tracing.GRPC: c.GRPC, tracing.HTTP: c.HTTP}[protocol])
			t.Setenv("OTEL_RESOURCE_ATTRIBUTES", "deployment.environment.name=test")
			p, counts, lines := start(t, protocol)
			ctx, server := p.Tracer().Serve(t.Context(), none, "POST /x", spans.String("http.route", "/x"))
			p.Tracer().Phase(ctx, scoring.Preprocess).End(nil)
			server.End(scoring.Errorf(scoring.Internal, "broken").WithCause(context.Canceled))
			if err := p.Close(t.Context()); err != nil {
				t.Fatal(err)
			}
			all := c.Spans()
			if len(all) != 2 || all[0].GetName() != "preprocess" || all[1].GetName() != "POST /x" {
				t.Fatalf("got %v, want a phase and its request", all)
			}
			phase, request := all[0], all[1]
			if !bytes.Equal(phase.GetParentSpanId(), request.GetSpanId()) || !bytes.Equal(phase.GetTraceId(), request.GetTraceId()) {
				t.Errorf("got %v, want the phase to be part of the request", all)
			}
			if request.GetKind() != v1.Span_SPAN_KIND_SERVER || request.GetStatus().GetCode() != v1.Status_STATUS_CODE_ERROR || tracingtest.Attribute(request, "error.type") != "Internal" {
				t.Errorf("got %v, want a server's span that failed", request)
			}
			if strings.Contains(request.String(), "canceled") {
				t.Errorf("got %v: the cause is the log's business", request)
			}
			for key, want := range map[string]string{"service.name": "onda", "service.version": "v1", "service.instance.id": "replica-7", "deployment.environment.name": "test"} {
				if got := c.Resource(key); got != want {
					t.Errorf("%s: got %q, want %q", key, got, want)
				}
			}
			if counts.of("exported") != 2 || counts.of("failed")+counts.of("dropped") != 0 || lines.String() != "" {
				t.Errorf("got %v and the log %q, want 2 exported and no line", counts.all, lines)
			}
		})
	}
}

// TestSampling follows what a caller decided, and the sampler of the environment where there is
// no caller's decision.
func TestSampling(t *testing.T) {
	c := tracingtest.Start(t)
	t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", c.HTTP)
	t.Setenv("OTEL_TRACES_SAMPLER", "parentbased_always_off")
	p, counts, _ := start(t, tracing.HTTP)
	with := func(parent string) func(string) string {
		return func(key string) string {
			if key == "traceparent" {
				return parent
			}
			return ""
		}
	}
	for name, parent := range map[string]string{
		"nobody decided": "", "decided against": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00",
		"decided for": "00-1af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", "nonsense": "00-xx-yy-01",
	} {
		ctx, span := p.Tracer().Serve(t.Context(), with(parent), name)
		p.Tracer().Phase(ctx, scoring.Run).End(nil)
		told, _ := spans.Parent(ctx)
		if strings.HasPrefix(name, "decided") && (told[:36] != parent[:36] || told[53:] != parent[53:] || told == parent) {
			t.Errorf("%s: told on %q after %q, want the same trace, decision and another span", name, told, parent)
		}
		span.End(nil)
	}
	if err := p.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	if all := c.Spans(); len(all) != 2 || all[1].GetName() != "decided for" {
		t.Errorf("got %v, want the one that its caller wants, with its phase", all)
	}
	if counts.of("exported") != 2 {
		t.Errorf("got %v, want 2 exported", counts.all)
	}
}

// TestCollectorThatHangs makes more spans than may wait: whoever makes them does not wait, and
// what finds no room is counted and logged once.
func TestCollectorThatHangs(t *testing.T) {
	c := tracingtest.Start(t)
	t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", c.GRPC)
	t.Setenv("OTEL_EXPORTER_OTLP_TIMEOUT", "200")
	unblock := c.Block()
	defer unblock()
	p, counts, lines := start(t, tracing.GRPC)
	const made = 20_000
	begin, slowest := time.Now(), time.Duration(0)
	for range made {
		one := time.Now()
		_, span := p.Tracer().Serve(t.Context(), none, "x")
		span.End(nil)
		slowest = max(slowest, time.Since(one))
	}
	if took := time.Since(begin); took > 5*time.Second || slowest > time.Second {
		t.Errorf("%d spans took %s, the slowest %s: somebody waits for the collector", made, took, slowest)
	}
	if dropped := counts.of("dropped"); dropped < made/4 {
		t.Errorf("got %d dropped of %d, want what found no room", dropped, made)
	}
	unblock()
	if err := p.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	_, span := p.Tracer().Serve(t.Context(), none, "after")
	span.End(nil)
	if err := p.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	if n := len(tracingtest.Named(c.Spans(), "after")); n != 1 {
		t.Errorf("got %d spans from after the collector was back, want 1", n)
	}
	if sum := counts.of("dropped") + counts.of("failed") + counts.of("exported"); sum != made+1 {
		t.Errorf("got %v, in sum %d: want every one of %d counted", counts.all, sum, made+1)
	}
	if got := strings.Count(lines.String(), "\n"); got != 1 || !strings.Contains(lines.String(), "onda_spans_total") {
		t.Errorf("got the log %q, want one line", lines)
	}
}

// TestNoCollector has nobody listen.
func TestNoCollector(t *testing.T) {
	for _, protocol := range []string{tracing.GRPC, tracing.HTTP} {
		t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:9")
		t.Setenv("OTEL_EXPORTER_OTLP_TIMEOUT", "200")
		p, counts, lines := start(t, protocol)
		_, span := p.Tracer().Serve(t.Context(), none, "x")
		span.End(nil)
		if err := p.Close(t.Context()); err != nil {
			t.Errorf("%s: %v: want a stop that nobody complains about", protocol, err)
		}
		if counts.of("failed") != 1 || !strings.Contains(lines.String(), "could not be exported") {
			t.Errorf("%s: got %v and the log %q, want a failure, and a line about it", protocol, counts.all, lines)
		}
	}
	if _, err := tracing.Start(t.Context(), "http/json", "", "", &counter{}, zerolog.Nop()); err == nil || !strings.Contains(err.Error(), "want grpc or http/protobuf") {
		t.Errorf("got %v, want to hear which protocols there are", err)
	}
}
