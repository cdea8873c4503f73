// Package tracing exports spans over OTLP, to where the environment variables of OpenTelemetry
// say. The SDK reads them itself: OTEL_EXPORTER_OTLP_ENDPOINT and its like, OTEL_SERVICE_NAME,
// OTEL_RESOURCE_ATTRIBUTES, OTEL_TRACES_SAMPLER, OTEL_BSP_SCHEDULE_DELAY and so on. Without a
// sampler everything is traced whose caller does not say otherwise.
//
// Nothing here makes a request wait: spans that find no room are dropped and counted.
package tracing

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/rs/zerolog"
	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracegrpc"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	"go.opentelemetry.io/otel/sdk/resource"
	sdk "go.opentelemetry.io/otel/sdk/trace"

	"github.com/onda-serving/onda/app/telemetry/spans"
)

// The protocols of OTLP, as OTEL_EXPORTER_OTLP_PROTOCOL names them.
const (
	// GRPC is OTLP over gRPC.
	GRPC = "grpc"
	// HTTP is OTLP over HTTP in binary form.
	HTTP = "http/protobuf"
)

const (
	// queue is how many spans may wait for their export. A traced request has about six.
	queue = 8192
	// perExport is the most spans of one message.
	perExport = 512
	// mostLinks is the most requests that the span of a run is linked to.
	mostLinks = 1024
	// quietly is the time between two lines in the log about spans that were lost.
	quietly = time.Minute
	// exportTimeout bounds the export of a message, tries among it.
	exportTimeout = 10 * time.Second
)

// Observer counts spans: see telemetry.Metrics, which implements it.
type Observer interface {
	// Spans counts n spans that were exported, that the collector did not take ("failed"), or that
	// found no room to wait ("dropped").
	Spans(outcome string, n int)
}

// Provider makes spans and exports them.
type Provider struct{ provider *sdk.TracerProvider }

// Start begins to export. It connects when there is something to export: that there is no
// collector, or none any more, is a line in the log, and no error. version is that of Onda,
// replica its name.
func Start(ctx context.Context, protocol, version, replica string, observer Observer, log zerolog.Logger) (*Provider, error) {
	exporter, err := open(ctx, protocol)
	if err != nil {
		return nil, fmt.Errorf("export traces over OTLP (%s): %w", protocol, err)
	}
	// What is here is overruled by OTEL_SERVICE_NAME and OTEL_RESOURCE_ATTRIBUTES.
	about, err := resource.New(ctx,
		resource.WithAttributes(attribute.String("service.name", "onda"), attribute.String("service.version", version), attribute.String("service.instance.id", replica)),
		resource.WithTelemetrySDK(), resource.WithFromEnv())
	if err != nil && !errors.Is(err, resource.ErrPartialResource) && !errors.Is(err, resource.ErrSchemaURLConflict) {
		return nil, fmt.Errorf("describe the traces (OTEL_RESOURCE_ATTRIBUTES): %w", err)
	}
	counted := &counting{SpanExporter: exporter, observer: observer, log: log}
	// The SDK would drop what finds no room without a word: so its queue has more than [queue],
	// which is counted here.
	batches := sdk.NewBatchSpanProcessor(counted, sdk.WithMaxQueueSize(queue+perExport), sdk.WithMaxExportBatchSize(perExport), sdk.WithExportTimeout(exportTimeout))
	limits := sdk.NewSpanLimits()
	limits.LinkCountLimit = mostLinks
	otel.SetErrorHandler(otel.ErrorHandlerFunc(func(err error) { counted.complain(err, "a trace could not be made or exported") }))
	return &Provider{sdk.NewTracerProvider(sdk.WithResource(about), sdk.WithRawSpanLimits(limits), sdk.WithSpanProcessor(&bounded{SpanProcessor: batches, counted: counted}))}, nil
}

// open makes the exporter, with what the environment says.
func open(ctx context.Context, protocol string) (sdk.SpanExporter, error) {
	switch protocol {
	case GRPC:
		return otlptracegrpc.New(ctx)
	case HTTP:
		return otlptracehttp.New(ctx)
	default:
		return nil, fmt.Errorf("the protocol %q is not known: want %s or %s", protocol, GRPC, HTTP)
	}
}

// Tracer makes spans that are exported.
func (p *Provider) Tracer() *spans.Tracer {
	return spans.New(p.provider.Tracer("github.com/onda-serving/onda"))
}

// Flush exports what waits, until ctx ends.
func (p *Provider) Flush(ctx context.Context) error { return p.provider.ForceFlush(ctx) }

// Close exports what waits, until ctx ends, and frees what [Start] took.
func (p *Provider) Close(ctx context.Context) error { return p.provider.Shutdown(ctx) }

// bounded takes no more spans than may wait.
type bounded struct {
	sdk.SpanProcessor

	counted *counting
}

// OnEnd implements sdk.SpanProcessor.
func (b *bounded) OnEnd(s sdk.ReadOnlySpan) {
	if !s.SpanContext().IsSampled() {
		return // nobody exports those
	}
	if b.counted.waiting.Add(1) > queue {
		b.counted.waiting.Add(-1)
		b.counted.observer.Spans("dropped", 1)
		b.counted.complain(errNoRoom, "spans are dropped: the collector does not keep up")
		return
	}
	b.SpanProcessor.OnEnd(s)
}

var errNoRoom = fmt.Errorf("%d spans wait for their export, and no more may", queue)

// counting counts what becomes of spans.
type counting struct {
	sdk.SpanExporter

	observer Observer
	log      zerolog.Logger
	waiting  atomic.Int64
	// complained is when the last line was logged, in nanoseconds of Unix time.
	complained atomic.Int64
}

// ExportSpans implements sdk.SpanExporter. A failure is counted and logged here, and is none for
// the SDK, which has no better idea.
func (c *counting) ExportSpans(ctx context.Context, all []sdk.ReadOnlySpan) error {
	defer c.waiting.Add(-int64(len(all)))
	if err := c.SpanExporter.ExportSpans(ctx, all); err != nil {
		c.observer.Spans("failed", len(all))
		c.complain(err, "spans could not be exported")
		return nil
	}
	c.observer.Spans("exported", len(all))
	return nil
}

// complain logs, but not often.
func (c *counting) complain(err error, text string) {
	now, last := time.Now().UnixNano(), c.complained.Load()
	if now-last < int64(quietly) || !c.complained.CompareAndSwap(last, now) {
		return
	}
	c.log.Warn().Err(err).Msg(text + ": see onda_spans_total")
}
