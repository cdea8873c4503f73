package events

import (
	"context"

	"github.com/onda-serving/onda/app/telemetry/spans"
)

// trace begins the span of an event, in the trace that it names or else in that of its delivery.
// The events that answer it continue the trace from there.
func (c *Consumer) trace(ctx context.Context, event *cloudEvent) context.Context {
	named := func(key string) string {
		if key == "traceparent" {
			return event.TraceParent
		}
		return event.TraceState
	}
	ctx, event.span = c.parts.Tracer.Consume(ctx, named, "process scoring event",
		spans.String("messaging.system", "dapr"), spans.String("messaging.operation.type", "process"), spans.String("messaging.operation.name", "process"))
	if event.span.On() {
		event.span.Set(spans.String("messaging.message.id", clip(event.ID)))
	}
	event.TraceParent, event.TraceState = spans.Parent(ctx)
	return ctx
}
