package httpapi

import (
	"cmp"
	"net/http"

	"github.com/onda-serving/onda/app/telemetry/spans"
)

// trace begins the span of a request. Probes have none: they come all the time and say nothing.
func (h *Handler) trace(r *http.Request, operation string) (*http.Request, spans.Span) {
	if h.parts.Tracer == nil || operation == "health" {
		return r, spans.Span{}
	}
	// The route, not the path: the names of spans are few.
	name := cmp.Or(r.Pattern, operation)
	ctx, span := h.parts.Tracer.Serve(r.Context(), r.Header.Get, name, spans.String("http.request.method", r.Method), spans.String("http.route", r.Pattern))
	return r.WithContext(ctx), span
}

// end ends the span of a request.
func end(span spans.Span, err error) {
	if span.On() {
		status := http.StatusOK
		if err != nil {
			status = httpStatus(err)
		}
		span.Set(spans.Int("http.response.status_code", status))
	}
	span.End(err)
}

// traceParent is what continues the trace of a request: its span, or what it brought where it has
// none.
func traceParent(r *http.Request) (parent, state string) {
	if parent, state = spans.Parent(r.Context()); parent != "" {
		return parent, state
	}
	return traceOf(r, "Traceparent"), traceOf(r, "Tracestate")
}
