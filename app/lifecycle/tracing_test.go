package lifecycle_test

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"net/http"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	v1 "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"

	"github.com/onda-serving/onda/app/config"
	"github.com/onda-serving/onda/app/ingress/inferencepb"
	"github.com/onda-serving/onda/app/sidecar/sidecartest"
	"github.com/onda-serving/onda/app/telemetry/tracing/tracingtest"
)

// traced gives a configuration that exports traces to the collector, and a sidecar.
func traced(t *testing.T) (config.Config, *tracingtest.Collector, *sidecartest.Sidecar) {
	t.Helper()
	c, fake := tracingtest.Start(t), sidecartest.Start(t)
	t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", c.HTTP)
	t.Setenv("OTEL_BSP_SCHEDULE_DELAY", "10")
	cfg := settings(t)
	cfg.Dapr, cfg.DaprGRPCEndpoint, cfg.DaprHTTPEndpoint = "on", fake.GRPCAddress, fake.HTTPAddress
	cfg.RegistryPoll = 20 * time.Millisecond
	return cfg, c, fake
}

// parent is a trace of a caller that wants to be traced, and its parts.
func parent(n string) (traceparent, traceID, spanID string) {
	traceID, spanID = strings.Repeat(n, 32), strings.Repeat(n, 16)
	return "00-" + traceID + "-" + spanID + "-01", traceID, spanID
}

// of gives the spans of a trace.
func of(all []*v1.Span, traceID string) []*v1.Span {
	var found []*v1.Span
	for _, s := range all {
		if hex.EncodeToString(s.GetTraceId()) == traceID {
			found = append(found, s)
		}
	}
	return found
}

// one gives the only span of a name.
func one(t *testing.T, all []*v1.Span, name string) *v1.Span {
	t.Helper()
	found := tracingtest.Named(all, name)
	if len(found) != 1 {
		t.Fatalf("got %d spans %q in %v, want 1", len(found), name, all)
	}
	return found[0]
}

// child checks that a span is part of another, and lies within it.
func child(t *testing.T, of, s *v1.Span) {
	t.Helper()
	if !bytes.Equal(s.GetParentSpanId(), of.GetSpanId()) {
		t.Errorf("%s is part of %x, want %s, %x", s.GetName(), s.GetParentSpanId(), of.GetName(), of.GetSpanId())
	}
	if s.GetStartTimeUnixNano() < of.GetStartTimeUnixNano() || s.GetEndTimeUnixNano() > of.GetEndTimeUnixNano() || s.GetEndTimeUnixNano() < s.GetStartTimeUnixNano() {
		t.Errorf("%s is from %d to %d, want it within %s, %d to %d", s.GetName(), s.GetStartTimeUnixNano(), s.GetEndTimeUnixNano(), of.GetName(), of.GetStartTimeUnixNano(), of.GetEndTimeUnixNano())
	}
}

func (r *running) infer(t *testing.T, traceparent string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, r.url+"/v2/models/addsub/infer", strings.NewReader(addRequest))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Traceparent", traceparent)
	resp, err := r.client.Do(req)
	if err != nil {
		t.Error(err)
		return
	}
	resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		t.Errorf("got %d", resp.StatusCode)
	}
}

// TestTraces asks through each door, as a part of a trace of the caller's.
func TestTraces(t *testing.T) {
	cfg, c, fake := traced(t)
	r := run(t, cfg)
	t.Run("http", func(t *testing.T) {
		traceparent, traceID, spanID := parent("a")
		r.infer(t, traceparent)
		all := of(c.Await(t, func(all []*v1.Span) bool { return len(of(all, traceID)) >= 3 }), traceID)
		server := one(t, all, "POST /v2/models/{model}/infer")
		if hex.EncodeToString(server.GetParentSpanId()) != spanID || server.GetKind() != v1.Span_SPAN_KIND_SERVER || tracingtest.Attribute(server, "onda.model.name") != "addsub" {
			t.Errorf("got %v, want a server's span of the model, part of the caller's", server)
		}
		child(t, server, one(t, all, "decode"))
		child(t, server, one(t, all, "run"))
	})
	t.Run("grpc", func(t *testing.T) {
		traceparent, traceID, spanID := parent("b")
		conn, err := grpc.NewClient(strings.TrimPrefix(r.url, "http://"), grpc.WithTransportCredentials(insecure.NewCredentials()))
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		req := &inferencepb.ModelInferRequest{
			ModelName: "addsub", RawInputContents: [][]byte{numbers(1), numbers(2)},
			Inputs: []*inferencepb.ModelInferRequest_InferInputTensor{{Name: "INPUT0", Datatype: "INT32", Shape: []int64{1, 16}}, {Name: "INPUT1", Datatype: "INT32", Shape: []int64{1, 16}}},
		}
		client, ctx := inferencepb.NewGRPCInferenceServiceClient(conn), metadata.AppendToOutgoingContext(t.Context(), "traceparent", traceparent)
		if _, err := client.ModelInfer(ctx, req); err != nil {
			t.Fatal(err)
		}
		stream, err := client.ModelStreamInfer(ctx)
		if err != nil {
			t.Fatal(err)
		}
		for range 2 {
			if err := stream.Send(req); err != nil {
				t.Fatal(err)
			}
			if _, err := stream.Recv(); err != nil {
				t.Fatal(err)
			}
		}
		_ = stream.CloseSend()
		all := of(c.Await(t, func(all []*v1.Span) bool { return len(of(all, traceID)) >= 9 }), traceID)
		server := one(t, all, "ModelInfer")
		if hex.EncodeToString(server.GetParentSpanId()) != spanID || tracingtest.Attribute(server, "rpc.response.status_code") != "OK" {
			t.Errorf("got %v, want a span with a status, part of the caller's", server)
		}
		if n := len(tracingtest.Named(all, "ModelStreamInfer")); n != 2 {
			t.Errorf("got %d spans of a stream of 2 requests, want one of each", n)
		}
		if n := len(tracingtest.Named(all, "run")); n != 3 {
			t.Errorf("got %d runs, want 3", n)
		}
	})
	t.Run("events", func(t *testing.T) { traceEvent(t, r, c, fake) })
}

// traceEvent has an event delivered whose sender wants it traced, by a sidecar with a trace of
// its own.
func traceEvent(t *testing.T, r *running, c *tracingtest.Collector, fake *sidecartest.Sidecar) {
	t.Helper()
	traceparent, traceID, spanID := parent("c")
	delivery, deliveryID, _ := parent("d")
	event, err := json.Marshal(map[string]any{
		"specversion": "1.0", "id": "1", "source": "test", "type": "onda.score.request.v1", "subject": "addsub", "datacontenttype": "application/json",
		"traceparent": traceparent, "data": json.RawMessage(addRequest),
	})
	if err != nil {
		t.Fatal(err)
	}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, r.url+"/events/scoring", bytes.NewReader(event))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/cloudevents+json")
	req.Header.Set("Traceparent", delivery)
	resp, err := r.client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	all := c.Await(t, func(all []*v1.Span) bool { return len(of(all, traceID)) >= 2 && len(of(all, deliveryID)) >= 1 })
	consumer := one(t, of(all, traceID), "process scoring event")
	if hex.EncodeToString(consumer.GetParentSpanId()) != spanID || consumer.GetKind() != v1.Span_SPAN_KIND_CONSUMER {
		t.Errorf("got %v, want a consumer's span, part of the sender's", consumer)
	}
	server := one(t, of(all, deliveryID), "POST /events/scoring")
	if len(consumer.GetLinks()) != 1 || !bytes.Equal(consumer.GetLinks()[0].GetSpanId(), server.GetSpanId()) {
		t.Errorf("got the links %v, want one to the delivery", consumer.GetLinks())
	}
	child(t, consumer, one(t, of(all, traceID), "run"))
	eventually(t, func() bool { return len(fake.Published()) == 1 })
	var result struct{ TraceParent, TraceID string }
	if err := json.Unmarshal(fake.Published()[0].Data, &result); err != nil {
		t.Fatal(err)
	}
	if want := "00-" + traceID + "-" + hex.EncodeToString(consumer.GetSpanId()) + "-01"; result.TraceParent != want || result.TraceID != want {
		t.Errorf("the result has the traceparent %q and the traceid %q, want both to continue from the event's span: %q", result.TraceParent, result.TraceID, want)
	}
}

// TestBatchesAreLinked has three requests of three traces, one of which is not to be traced, run
// together.
func TestBatchesAreLinked(t *testing.T) {
	cfg, c, _ := traced(t)
	write(t, filepath.Join(cfg.ModelsDir, "addsub", "config.pbtxt"), []byte("max_batch_size: 8 dynamic_batching { max_queue_delay_microseconds: 400000 }"))
	r := run(t, cfg)
	var callers sync.WaitGroup
	var traces []string
	for _, n := range []string{"a", "b", "c"} {
		traceparent, traceID, _ := parent(n)
		if n == "c" {
			traceparent = strings.TrimSuffix(traceparent, "1") + "0"
		}
		traces = append(traces, traceID)
		callers.Go(func() { r.infer(t, traceparent) })
	}
	callers.Wait()
	all := c.Await(t, func(all []*v1.Span) bool {
		return len(tracingtest.Named(all, "run")) >= 2 && len(tracingtest.Named(all, "batch")) >= 1
	})
	batch := one(t, all, "batch")
	linked := map[string]bool{}
	for _, l := range batch.GetLinks() {
		linked[hex.EncodeToString(l.GetSpanId())] = true
	}
	for _, traceID := range traces[:2] {
		mine := of(all, traceID)
		server, ran := one(t, mine, "POST /v2/models/{model}/infer"), one(t, mine, "run")
		if !linked[hex.EncodeToString(server.GetSpanId())] {
			t.Errorf("the batch has the links %v, want one to %x", batch.GetLinks(), server.GetSpanId())
		}
		child(t, server, ran)
		if len(ran.GetLinks()) != 1 || !bytes.Equal(ran.GetLinks()[0].GetSpanId(), batch.GetSpanId()) {
			t.Errorf("the run has the links %v, want one to the batch", ran.GetLinks())
		}
		child(t, server, one(t, mine, "queue"))
	}
	if len(linked) != 2 || len(of(all, traces[2])) != 0 {
		t.Errorf("got %d links, and %d spans of a trace that nobody wants, want 2 and 0", len(linked), len(of(all, traces[2])))
	}
	if rows, requests := tracingtest.Attribute(batch, "onda.batch.rows"), tracingtest.Attribute(batch, "onda.batch.requests"); rows != "int_value:3" || requests != "int_value:3" {
		t.Errorf("the batch has %s rows of %s requests, want 3 of 3", rows, requests)
	}
}
