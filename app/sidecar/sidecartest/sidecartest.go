// Package sidecartest provides a Dapr sidecar for tests: the parts of its API that Onda
// calls, in this process, with faults on demand. What the real one does is checked by
// the end-to-end tests.
package sidecartest

import (
	"context"
	"net"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"testing"

	common "github.com/dapr/dapr/pkg/proto/common/v1"
	runtime "github.com/dapr/dapr/pkg/proto/runtime/v1"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/emptypb"
)

// Sidecar is a fake sidecar. Its methods are safe for concurrent use.
type Sidecar struct {
	// GRPCAddress and HTTPAddress are where it listens.
	GRPCAddress, HTTPAddress string

	api *api
}

// Published is an event that was published.
type Published struct {
	// PubSub and Topic it was published to.
	PubSub, Topic string
	// ContentType that was given.
	ContentType string
	// Data of the event.
	Data []byte
}

// Start starts a sidecar that lives as long as the test.
func Start(t testing.TB) *Sidecar {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatalf("listen: %v", err)
	}
	a := &api{documents: map[string]document{}, ready: true, subscribed: make(chan *Subscription, 8), endStreams: make(chan struct{})}
	server := grpc.NewServer()
	runtime.RegisterDaprServer(server, a)
	var running sync.WaitGroup
	running.Go(func() { _ = server.Serve(listener) })
	web := httptest.NewServer(http.HandlerFunc(a.outbound))
	t.Cleanup(func() {
		web.Close()
		server.Stop()
		running.Wait()
	})
	return &Sidecar{GRPCAddress: listener.Addr().String(), HTTPAddress: web.URL, api: a}
}

// SetReady says whether the components can be called; they can from the start.
func (s *Sidecar) SetReady(ready bool) {
	s.api.mu.Lock()
	defer s.api.mu.Unlock()
	s.api.ready = ready
}

// Fail makes every call fail with err until it is called with nil.
func (s *Sidecar) Fail(err error) {
	s.api.mu.Lock()
	defer s.api.mu.Unlock()
	s.api.fault = err
}

// Document reads a document as "store/key"; it is "" where there is none.
func (s *Sidecar) Document(store, key string) string {
	s.api.mu.Lock()
	defer s.api.mu.Unlock()
	return string(s.api.documents[store+"/"+key].value)
}

// TTL gives the time that the store was asked to keep a document "store/key", in seconds; ""
// for ever.
func (s *Sidecar) TTL(store, key string) string {
	s.api.mu.Lock()
	defer s.api.mu.Unlock()
	return s.api.documents[store+"/"+key].ttl
}

// SetDocument writes a document behind everybody's back.
func (s *Sidecar) SetDocument(store, key, value string) {
	s.api.mu.Lock()
	defer s.api.mu.Unlock()
	s.api.put(store+"/"+key, []byte(value))
}

// Saves counts the documents that were saved.
func (s *Sidecar) Saves() int {
	s.api.mu.Lock()
	defer s.api.mu.Unlock()
	return s.api.saves
}

// Published lists the events that were published.
func (s *Sidecar) Published() []Published {
	s.api.mu.Lock()
	defer s.api.mu.Unlock()
	return append([]Published(nil), s.api.published...)
}

// Traces lists the traceparents of all calls, in order; "" for a call without one.
func (s *Sidecar) Traces() []string {
	s.api.mu.Lock()
	defer s.api.mu.Unlock()
	return append([]string(nil), s.api.traces...)
}

// Tokens lists the API tokens of all calls, in order.
func (s *Sidecar) Tokens() []string {
	s.api.mu.Lock()
	defer s.api.mu.Unlock()
	return append([]string(nil), s.api.tokens...)
}

type document struct {
	value []byte
	etag  string
	// ttl is the time that the store was asked to keep it, in seconds; "" for ever.
	ttl string
}

// api implements the calls. Unlike a real store's, its ETags count from 1.
type api struct {
	runtime.UnimplementedDaprServer

	mu        sync.Mutex
	documents map[string]document
	published []Published
	tokens    []string
	traces    []string
	ready     bool
	fault     error
	revision  int
	saves     int
	// declared are pub/sub components, and the topic of a subscription to each.
	declared   map[string]string
	subscribed chan *Subscription
	endStreams chan struct{}
	silent     chan struct{}
	// former is listed by the next answers, so many.
	former      *runtime.PubsubSubscription
	formerTimes int
}

func (a *api) outbound(w http.ResponseWriter, r *http.Request) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if r.URL.Path != "/v1.0/healthz/outbound" || !a.ready {
		w.WriteHeader(http.StatusInternalServerError)
		return
	}
	w.WriteHeader(http.StatusNoContent)
}

// enter notes a call and gives the fault, if there is one. The lock is held.
func (a *api) enter(ctx context.Context) error {
	md, _ := metadata.FromIncomingContext(ctx)
	a.tokens = append(a.tokens, strings.Join(md.Get("dapr-api-token"), ","))
	a.traces = append(a.traces, strings.Join(md.Get("traceparent"), ","))
	return a.fault
}

// put writes a document. The lock is held.
func (a *api) put(key string, value []byte) {
	a.revision++
	a.documents[key] = document{value: value, etag: strconv.Itoa(a.revision)}
}

// GetState implements the call of that name.
func (a *api) GetState(ctx context.Context, req *runtime.GetStateRequest) (*runtime.GetStateResponse, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if err := a.enter(ctx); err != nil {
		return nil, err
	}
	d := a.documents[req.GetStoreName()+"/"+req.GetKey()]
	return &runtime.GetStateResponse{Data: d.value, Etag: d.etag}, nil
}

// SaveState implements the call of that name with the rules of SQLite's store: with
// first-write-wins and no ETag, the key must be new.
func (a *api) SaveState(ctx context.Context, req *runtime.SaveStateRequest) (*emptypb.Empty, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if err := a.enter(ctx); err != nil {
		return nil, err
	}
	for _, item := range req.GetStates() {
		key := req.GetStoreName() + "/" + item.GetKey()
		if item.GetOptions().GetConcurrency() != common.StateOptions_CONCURRENCY_FIRST_WRITE {
			return nil, status.Error(codes.FailedPrecondition, "first-write-wins was not asked for")
		}
		if a.documents[key].etag != item.GetEtag().GetValue() {
			return nil, status.Error(codes.Aborted, "possible etag mismatch on "+key)
		}
		a.put(key, item.GetValue())
		d := a.documents[key]
		d.ttl = item.GetMetadata()["ttlInSeconds"]
		a.documents[key] = d
		a.saves++
	}
	return &emptypb.Empty{}, nil
}

// DeleteState implements the call of that name.
func (a *api) DeleteState(ctx context.Context, req *runtime.DeleteStateRequest) (*emptypb.Empty, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if err := a.enter(ctx); err != nil {
		return nil, err
	}
	key := req.GetStoreName() + "/" + req.GetKey()
	if a.documents[key].etag != req.GetEtag().GetValue() {
		return nil, status.Error(codes.Aborted, "possible etag mismatch on "+key)
	}
	delete(a.documents, key)
	return &emptypb.Empty{}, nil
}

// PublishEvent implements the call of that name.
func (a *api) PublishEvent(ctx context.Context, req *runtime.PublishEventRequest) (*emptypb.Empty, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if err := a.enter(ctx); err != nil {
		return nil, err
	}
	a.published = append(a.published, Published{
		PubSub: req.GetPubsubName(), Topic: req.GetTopic(), ContentType: req.GetDataContentType(), Data: req.GetData(),
	})
	return &emptypb.Empty{}, nil
}
