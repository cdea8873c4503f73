// Package tracingtest provides a collector of traces for tests: it takes OTLP over gRPC and over
// HTTP, in this process, and keeps what it was sent.
package tracingtest

import (
	"context"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"sync"
	"testing"
	"time"

	collector "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	trace "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"
)

// Collector is a collector. It is safe for concurrent use.
type Collector struct {
	collector.UnimplementedTraceServiceServer

	// GRPC and HTTP are the URLs of its two doors.
	GRPC, HTTP string

	mu    sync.Mutex
	spans []*trace.Span
	attrs map[string]string // of the resource
	block chan struct{}     // nil where it answers
}

// Start starts a collector that lives as long as the test.
func Start(t testing.TB) *Collector {
	t.Helper()
	c := &Collector{attrs: map[string]string{}}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := grpc.NewServer()
	collector.RegisterTraceServiceServer(server, c)
	var running sync.WaitGroup
	running.Go(func() { _ = server.Serve(listener) })
	web := httptest.NewServer(http.HandlerFunc(c.serve))
	c.GRPC, c.HTTP = "http://"+listener.Addr().String(), web.URL
	t.Cleanup(func() {
		web.Close()
		server.Stop()
		running.Wait()
	})
	return c
}

// Block has the collector answer nothing until the function that it gives is called.
func (c *Collector) Block() (unblock func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	block := make(chan struct{})
	c.block = block
	return sync.OnceFunc(func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.block = nil
		close(block)
	})
}

// Export implements the collector's gRPC service.
func (c *Collector) Export(ctx context.Context, req *collector.ExportTraceServiceRequest) (*collector.ExportTraceServiceResponse, error) {
	c.mu.Lock()
	block := c.block
	c.mu.Unlock()
	if block != nil {
		select {
		case <-block:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, r := range req.GetResourceSpans() {
		for _, a := range r.GetResource().GetAttributes() {
			c.attrs[a.GetKey()] = a.GetValue().GetStringValue()
		}
		for _, s := range r.GetScopeSpans() {
			c.spans = append(c.spans, s.GetSpans()...)
		}
	}
	return &collector.ExportTraceServiceResponse{}, nil
}

// serve is the collector's HTTP door.
func (c *Collector) serve(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	var req collector.ExportTraceServiceRequest
	if r.URL.Path != "/v1/traces" || r.Header.Get("Content-Type") != "application/x-protobuf" || err != nil || proto.Unmarshal(body, &req) != nil {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	resp, err := c.Export(r.Context(), &req)
	if err != nil {
		w.WriteHeader(http.StatusServiceUnavailable)
		return
	}
	out, _ := proto.Marshal(resp)
	w.Header().Set("Content-Type", "application/x-protobuf")
	_, _ = w.Write(out)
}

// Spans gives the spans that came, in the order of their ends.
func (c *Collector) Spans() []*trace.Span {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.spans)
}

// Await waits until enough holds of the spans that came, and gives them.
func (c *Collector) Await(t testing.TB, enough func([]*trace.Span) bool) []*trace.Span {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); ; time.Sleep(5 * time.Millisecond) {
		if all := c.Spans(); enough(all) {
			return all
		}
		if time.Now().After(end) {
			t.Fatalf("the spans did not come within 20 seconds; there are %d", len(c.Spans()))
		}
	}
}

// Resource gives what the spans say of their sender.
func (c *Collector) Resource(key string) string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.attrs[key]
}

// Named gives the spans of a name.
func Named(all []*trace.Span, name string) []*trace.Span {
	return slices.DeleteFunc(slices.Clone(all), func(s *trace.Span) bool { return s.GetName() != name })
}

// Attribute gives an attribute of a span as text; "" where there is none.
func Attribute(s *trace.Span, key string) string {
	for _, a := range s.GetAttributes() {
		if a.GetKey() == key {
			if text := a.GetValue().GetStringValue(); text != "" {
				return text
			}
			return a.GetValue().String()
		}
	}
	return ""
}
