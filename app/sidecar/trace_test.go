package sidecar_test

import (
	"testing"

	"go.opentelemetry.io/otel/trace"

	"github.com/onda-serving/onda/app/sidecar/sidecartest"
)

// TestSidecarContinuesTheTrace calls the sidecar as a part of a trace, and as a part of none.
func TestSidecarContinuesTheTrace(t *testing.T) {
	t.Parallel()
	fake := sidecartest.Start(t)
	c := client(t, fake, "secret")
	state, err := trace.ParseTraceState("a=b")
	if err != nil {
		t.Fatal(err)
	}
	span := trace.NewSpanContext(trace.SpanContextConfig{TraceID: trace.TraceID{1}, SpanID: trace.SpanID{2}, TraceFlags: trace.FlagsSampled, TraceState: state})
	if err := c.Publish(trace.ContextWithSpanContext(t.Context(), span), "t", []byte(`{}`)); err != nil {
		t.Error(err)
	}
	if err := c.Publish(t.Context(), "t", []byte(`{}`)); err != nil {
		t.Error(err)
	}
	const want = "00-01000000000000000000000000000000-0200000000000000-01"
	if got := fake.Traces(); len(got) != 2 || got[0] != want || got[1] != "" {
		t.Errorf("got the traces %q, want %q and none", got, want)
	}
}
