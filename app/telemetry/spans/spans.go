// Package spans makes the spans of Onda's traces: one for each request that a door takes, one
// for each of its phases, and one for each run of several requests, linked to all of them. It
// knows OpenTelemetry's API alone; what becomes of the spans is the business of package tracing.
//
// A nil [Tracer] and the zero [Span] are those of a server without tracing, and do nothing.
package spans

import (
	"context"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"

	"github.com/rs/zerolog"

	"github.com/onda-serving/onda/app/scoring"
)

// Tracer makes spans. It is safe for concurrent use.
type Tracer struct{ tracer trace.Tracer }

// New makes a tracer of OpenTelemetry's.
func New(t trace.Tracer) *Tracer { return &Tracer{t} }

// Span is a piece of work.
type Span struct{ span trace.Span }

// Attribute says something of a span. Names are those of OpenTelemetry's semantic conventions
// where they have one, and begin with onda. where not. No attribute holds a payload.
type Attribute = attribute.KeyValue

// String is an attribute with a text.
func String(key, value string) Attribute { return attribute.String(key, value) }

// Int is an attribute with a number.
func Int(key string, value int) Attribute { return attribute.Int(key, value) }

// w3c reads and writes traceparent and tracestate.
var w3c propagation.TraceContext

// carrier reads headers by a function.
type carrier func(key string) string

// Get implements propagation.TextMapCarrier.
func (c carrier) Get(key string) string { return c(key) }

// Set implements propagation.TextMapCarrier.
func (carrier) Set(string, string) {}

// Keys implements propagation.TextMapCarrier.
func (carrier) Keys() []string { return nil }

// Serve begins the span of a request. get gives its headers traceparent and tracestate, "" for
// none: where they name a trace the span is part of that, and is recorded if that is.
func (t *Tracer) Serve(ctx context.Context, get func(key string) string, name string, attributes ...Attribute) (context.Context, Span) {
	return t.begin(ctx, get, name, trace.SpanKindServer, attributes)
}

// Consume begins the span of an event. It is part of the trace that the event names, else of the
// delivery's.
func (t *Tracer) Consume(ctx context.Context, get func(key string) string, name string, attributes ...Attribute) (context.Context, Span) {
	return t.begin(ctx, get, name, trace.SpanKindConsumer, attributes)
}

func (t *Tracer) begin(ctx context.Context, get func(key string) string, name string, kind trace.SpanKind, attributes []Attribute) (context.Context, Span) {
	if t == nil {
		return ctx, Span{}
	}
	delivery := trace.SpanContextFromContext(ctx)
	ctx = w3c.Extract(ctx, carrier(get))
	options := []trace.SpanStartOption{trace.WithSpanKind(kind), trace.WithAttributes(attributes...)}
	if now := trace.SpanContextFromContext(ctx); delivery.IsValid() && now.TraceID() != delivery.TraceID() {
		options = append(options, trace.WithLinks(trace.Link{SpanContext: delivery}))
	}
	ctx, span := t.tracer.Start(ctx, name, options...) //nolint:spancheck // whoever called ends it

	return ctx, Span{span} //nolint:spancheck // whoever called ends it
}

// Scored says of the span that ctx is of what was scored in it.
func (t *Tracer) Scored(ctx context.Context, r scoring.Scored) {
	if t == nil {
		return
	}
	span := trace.SpanFromContext(ctx)
	if !span.IsRecording() {
		return
	}
	span.SetAttributes(attribute.String("onda.model.name", r.Model.Name), attribute.Int64("onda.model.version", r.Model.Version),
		attribute.Int("onda.rows", r.Rows), attribute.String("onda.lane", r.Lane.String()), attribute.Bool("onda.cached", r.Timing.Cached))
}

// Set adds attributes.
func (s Span) Set(attributes ...Attribute) {
	if s.span != nil {
		s.span.SetAttributes(attributes...)
	}
}

// On says whether the span is recorded: what is not need not be described.
func (s Span) On() bool { return s.span != nil && s.span.IsRecording() }

// End ends the span. err is nil for success; of it the span has the code and the public text.
func (s Span) End(err error) {
	if s.span != nil {
		fail(s.span, err)
		s.span.End()
	}
}

// Fail says that the work failed.
func (s Span) Fail(err error) {
	if s.span != nil {
		fail(s.span, err)
	}
}

// Log adds to a line in the log the trace and the span.
func (s Span) Log(line *zerolog.Event) *zerolog.Event {
	if s.span == nil {
		return line
	}
	return ids(line, s.span.SpanContext())
}

// fail says that a span failed. What the caller did wrong is not an error of a server, as the
// conventions have it, and still has its type.
func fail(span trace.Span, err error) {
	if err == nil {
		return
	}
	e := scoring.AsError(err)
	span.SetAttributes(attribute.String("error.type", e.Code.String()))
	switch e.Code {
	case scoring.Internal, scoring.Unavailable, scoring.Expired, scoring.Overloaded:
		span.SetStatus(codes.Error, e.Code.String())
	default:
	}
}

// Phase begins the span of a phase of the request that ctx is of.
func (t *Tracer) Phase(ctx context.Context, phase scoring.Phase) Span {
	if t == nil || !trace.SpanFromContext(ctx).IsRecording() {
		return Span{}
	}
	_, span := t.tracer.Start(ctx, phase.String()) //nolint:spancheck // whoever called ends it

	return Span{span} //nolint:spancheck // whoever called ends it
}

// shortest is the shortest wait that has a span: on an idle server there is one of some hundred
// nanoseconds before every run.
const shortest = 100 * time.Microsecond

// Decode notes that the request that ctx is of was read and decoded.
func (t *Tracer) Decode(ctx context.Context, start time.Time, took time.Duration) {
	if t == nil || !trace.SpanFromContext(ctx).IsRecording() {
		return
	}
	_, span := t.tracer.Start(ctx, "decode", trace.WithTimestamp(start))
	span.End(trace.WithTimestamp(start.Add(took)))
}

// Ran notes that the request that ctx is of waited, from start on, and then ran. Where the run
// was one of several requests, batch is its span, and rows its rows.
func (t *Tracer) Ran(ctx context.Context, start time.Time, queue, run time.Duration, rows int, batch Link, err error) {
	if t == nil || !trace.SpanFromContext(ctx).IsRecording() {
		return
	}
	began := start.Add(queue)
	if queue >= shortest {
		_, waited := t.tracer.Start(ctx, scoring.Queue.String(), trace.WithTimestamp(start))
		waited.End(trace.WithTimestamp(began))
	}
	options := []trace.SpanStartOption{trace.WithTimestamp(began), trace.WithAttributes(attribute.Int("onda.batch.rows", rows))}
	if batch.to.IsValid() {
		options = append(options, trace.WithLinks(trace.Link{SpanContext: batch.to}))
	}
	_, span := t.tracer.Start(ctx, scoring.Run.String(), options...)
	fail(span, err)
	span.End(trace.WithTimestamp(began.Add(run)))
}

// Waited notes a wait of the request that ctx is of, from start on.
func (t *Tracer) Waited(ctx context.Context, start time.Time, took time.Duration) {
	if t == nil || took < shortest || !trace.SpanFromContext(ctx).IsRecording() {
		return
	}
	_, span := t.tracer.Start(ctx, scoring.Queue.String(), trace.WithTimestamp(start))
	span.End(trace.WithTimestamp(start.Add(took)))
}

// Link names a span of another trace; the zero value names none.
type Link struct{ to trace.SpanContext }

// Batch begins the span of a run of several requests, those that requests gives the contexts of.
// It is linked to all of them that are recorded. So that it is recorded when one of them is, it
// is part of that one's trace: a trace of its own would be sampled by another throw of the dice.
func (t *Tracer) Batch(requests func(yield func(context.Context) bool)) Span {
	if t == nil {
		return Span{}
	}
	var links []trace.Link
	requests(func(ctx context.Context) bool {
		if to := trace.SpanContextFromContext(ctx); to.IsSampled() {
			links = append(links, trace.Link{SpanContext: to})
		}
		return true
	})
	if len(links) == 0 {
		return Span{}
	}
	ctx := trace.ContextWithSpanContext(context.Background(), links[0].SpanContext)
	_, span := t.tracer.Start(ctx, "batch", trace.WithLinks(links...)) //nolint:spancheck // whoever called ends it

	return Span{span} //nolint:spancheck // whoever called ends it
}

// Link is for the spans of the requests in a batch.
func (s Span) Link() Link {
	if s.span == nil {
		return Link{}
	}
	return Link{s.span.SpanContext()}
}

// headers are what a trace is told on with.
type headers struct{ parent, state string }

// Get implements propagation.TextMapCarrier.
func (*headers) Get(string) string { return "" }

// Set implements propagation.TextMapCarrier.
func (h *headers) Set(key, value string) {
	switch key {
	case "traceparent":
		h.parent = value
	case "tracestate":
		h.state = value
	}
}

// Keys implements propagation.TextMapCarrier.
func (*headers) Keys() []string { return nil }

// Parent gives the traceparent and tracestate by which others continue the trace that ctx is
// part of; both are "" where it is part of none.
func Parent(ctx context.Context) (traceparent, tracestate string) {
	if !trace.SpanContextFromContext(ctx).IsValid() {
		return "", ""
	}
	var h headers
	w3c.Inject(ctx, &h)
	return h.parent, h.state
}

// Log adds to the lines of a log the trace and the span of the context that they are given: see
// zerolog.Event.Ctx.
type Log struct{}

// Run implements zerolog.Hook.
func (Log) Run(line *zerolog.Event, _ zerolog.Level, _ string) {
	ids(line, trace.SpanContextFromContext(line.GetCtx()))
}

// ids adds the ids of a span, if there is one.
func ids(line *zerolog.Event, of trace.SpanContext) *zerolog.Event {
	if !of.IsValid() || !line.Enabled() {
		return line
	}
	return line.Str("trace_id", of.TraceID().String()).Str("span_id", of.SpanID().String())
}
