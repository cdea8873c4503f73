package spans_test

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/rs/zerolog"
	sdk "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"

	"github.com/onda-serving/onda/app/scoring"
	"github.com/onda-serving/onda/app/telemetry/spans"
)

// recording gives a tracer, and what it recorded.
func recording(t *testing.T) (*spans.Tracer, *tracetest.SpanRecorder) {
	t.Helper()
	recorder := tracetest.NewSpanRecorder()
	return spans.New(sdk.NewTracerProvider(sdk.WithSpanProcessor(recorder)).Tracer("test")), recorder
}

func none(string) string { return "" }

// TestOff does everything without a tracer.
func TestOff(t *testing.T) {
	t.Parallel()
	var off *spans.Tracer
	ctx, span := off.Serve(t.Context(), none, "x")
	_, event := off.Consume(ctx, none, "x")
	off.Decode(ctx, time.Now(), time.Second)
	off.Waited(ctx, time.Now(), time.Second)
	off.Ran(ctx, time.Now(), time.Second, time.Second, 1, spans.Link{}, nil)
	off.Scored(ctx, scoring.Scored{})
	batch := off.Batch(func(func(context.Context) bool) { t.Error("asked for the requests of a batch that nobody traces") })
	for _, s := range []spans.Span{span, event, batch, off.Phase(ctx, scoring.Run)} {
		s.Set(spans.String("a", "b"))
		s.Fail(errors.New("broken"))
		s.End(nil)
		if s.On() {
			t.Errorf("got %+v, want no span", s)
		}
	}
	if ctx != t.Context() {
		t.Error("the context is another")
	}
	if parent, state := spans.Parent(ctx); parent != "" || state != "" {
		t.Errorf("got %q, %q, want nothing to be told on", parent, state)
	}
}

// TestWhatIsNotRecordedHasNoPhases asks for phases outside of a trace.
func TestWhatIsNotRecordedHasNoPhases(t *testing.T) {
	t.Parallel()
	tracer, recorder := recording(t)
	tracer.Phase(t.Context(), scoring.Run).End(nil)
	tracer.Decode(t.Context(), time.Now(), time.Second)
	tracer.Ran(t.Context(), time.Now(), time.Second, time.Second, 1, spans.Link{}, nil)
	tracer.Batch(func(yield func(context.Context) bool) { yield(t.Context()) }).End(nil)
	if got := recorder.Ended(); len(got) != 0 {
		t.Errorf("got %d spans, want none", len(got))
	}
}

func TestPhases(t *testing.T) {
	t.Parallel()
	tracer, recorder := recording(t)
	ctx, span := tracer.Serve(t.Context(), none, "request")
	start := time.Now()
	tracer.Waited(ctx, start, 99*time.Microsecond) // too short to be told
	tracer.Ran(ctx, start, time.Second, 2*time.Second, 3, spans.Link{}, scoring.Errorf(scoring.Expired, "late"))
	span.End(scoring.Errorf(scoring.Invalid, "the caller's fault"))
	var got strings.Builder
	for _, s := range recorder.Ended() {
		got.WriteString(s.Name() + " " + s.Status().Code.String() + " " + s.EndTime().Sub(s.StartTime()).Truncate(time.Second).String() + "; ")
	}
	if want := "queue Unset 1s; run Error 2s; request Unset 0s; "; got.String() != want {
		t.Errorf("got %q, want %q", got.String(), want)
	}
	if began := recorder.Ended()[1].StartTime(); began.Sub(start) != time.Second {
		t.Errorf("the run began %s after the wait did, want 1s", began.Sub(start))
	}
}

// TestLog logs with a trace and without.
func TestLog(t *testing.T) {
	t.Parallel()
	tracer, recorder := recording(t)
	ctx, span := tracer.Serve(t.Context(), none, "request")
	var out bytes.Buffer
	log := zerolog.New(&out).Hook(spans.Log{})
	log.Info().Ctx(ctx).Msg("by context")
	span.Log(log.Info()).Msg("by span")
	span.End(nil)
	sc := recorder.Ended()[0].SpanContext()
	ids := `"trace_id":"` + sc.TraceID().String() + `","span_id":"` + sc.SpanID().String() + `"`
	if strings.Count(out.String(), ids) != 2 {
		t.Errorf("got %s, want both lines to have %s", out.String(), ids)
	}
	out.Reset()
	log.Info().Msg("neither")
	if strings.Contains(out.String(), "trace_id") {
		t.Errorf("got %s, want no ids", out.String())
	}
}
