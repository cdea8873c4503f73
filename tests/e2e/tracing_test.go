package e2e_test

import (
	"encoding/hex"
	"slices"
	"testing"

	v1 "go.opentelemetry.io/proto/otlp/trace/v1"

	"github.com/onda-serving/onda/app/telemetry/tracing/tracingtest"
)

// TestTracesThroughTheSidecar has an event come through a real sidecar, which puts a trace of
// another in the place of what it does not know, and follows it to its result.
func TestTracesThroughTheSidecar(t *testing.T) {
	group(t)
	c := tracingtest.Start(t)
	s := startStack(t, map[string]string{"OTEL_EXPORTER_OTLP_ENDPOINT": c.HTTP, "OTEL_BSP_SCHEDULE_DELAY": "20"})
	e := &exchange{s, listen(t, s.own.grpcPort, pubsub, resultsTopic), listen(t, s.own.grpcPort, pubsub, deadLetterTopic)}
	s.eventsFlow(t, e.letters)
	const trace, sender = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
	parent := "00-" + trace + "-" + sender + "-01"
	id := e.publishEvent(t, map[string]any{
		"subject": faqModel, "traceparent": parent, "traceid": parent, "data": map[string]any{"instances": []string{golden(t, faqModel).cases[0].text}},
	})
	got := e.results.wait(t, id)
	ours := func(s *v1.Span) bool {
		return s.GetName() == "process scoring event" && hex.EncodeToString(s.GetTraceId()) == trace
	}
	all := c.Await(t, func(all []*v1.Span) bool { return slices.ContainsFunc(all, ours) })
	span := all[slices.IndexFunc(all, ours)]
	if hex.EncodeToString(span.GetParentSpanId()) != sender {
		t.Errorf("got %v, want it to be part of the sender's span %s", span, sender)
	}
	if want := "00-" + trace + "-" + hex.EncodeToString(span.GetSpanId()) + "-01"; got.TraceParent != want {
		t.Errorf("the result has the traceparent %q, want %q", got.TraceParent, want)
	}
}
