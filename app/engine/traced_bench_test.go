package engine_test

import (
	"testing"

	"github.com/rs/zerolog"

	"github.com/onda-serving/onda/app/admit"
	"github.com/onda-serving/onda/app/engine"
	"github.com/onda-serving/onda/app/telemetry/spans"
	"github.com/onda-serving/onda/app/telemetry/tracing"
	"github.com/onda-serving/onda/app/telemetry/tracing/tracingtest"
)

// uncounted is for spans that nobody counts.
type uncounted struct{}

func (uncounted) Spans(string, int) {}

// BenchmarkTracing is what a request costs without traces, as one of a trace that is not
// sampled, and as one that is exported, each with the span that a door makes.
func BenchmarkTracing(b *testing.B) {
	c := tracingtest.Start(b)
	b.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", c.HTTP)
	provider, err := tracing.Start(b.Context(), tracing.HTTP, "", "", uncounted{}, zerolog.Nop())
	if err != nil {
		b.Fatal(err)
	}
	defer provider.Close(b.Context())
	for name, test := range map[string]struct {
		tracer *spans.Tracer
		parent string
	}{
		"off": {}, "unsampled": {provider.Tracer(), "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00"},
		"sampled": {provider.Tracer(), "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"},
	} {
		b.Run(name, func(b *testing.B) {
			v := instantVersion()
			e := engine.New(engine.Parts{
				Flights: admit.NewFlights(), Preprocess: admit.NewLanes(2), Models: lent{Version: v}, Observer: deaf{}, Log: zerolog.Nop(), Tracer: test.tracer,
			})
			header := func(key string) string {
				if key == "traceparent" {
					return test.parent
				}
				return ""
			}
			ask := texts("a")
			b.ReportAllocs()
			for b.Loop() {
				ctx, span := test.tracer.Serve(b.Context(), header, "POST /v1/models/{target}")
				if _, err := e.Predict(ctx, ask); err != nil {
					b.Fatal(err)
				}
				span.End(nil)
			}
		})
	}
}
