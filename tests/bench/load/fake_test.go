package load

import (
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"testing"

	runtime "github.com/dapr/dapr/pkg/proto/runtime/v1"
	"google.golang.org/grpc"
)

// published is an event as it comes in.
type published struct {
	ID      string          `json:"id"`
	Subject string          `json:"subject"`
	Data    json.RawMessage `json:"data"`
}

// fake is a sidecar with a broker inside, and an app behind it that answers.
type fake struct {
	runtime.UnimplementedDaprServer

	http, grpc string
	// answer says what comes of an event: the topics on which an answer to it appears.
	answer func(n int, e published) []string

	mu      sync.Mutex
	events  []published
	streams map[string]chan *runtime.SubscribeTopicEventsResponseAlpha1
	acked   int
}

func newFake(t *testing.T, answer func(int, published) []string) *fake {
	t.Helper()
	f := &fake{answer: answer, streams: map[string]chan *runtime.SubscribeTopicEventsResponseAlpha1{}}
	mux := http.NewServeMux()
	mux.HandleFunc("POST /v1.0/publish/pubsub/requests", f.one)
	mux.HandleFunc("POST /v1.0/publish/bulk/pubsub/requests", f.many)
	web := httptest.NewServer(mux)
	f.http = strings.TrimPrefix(web.URL, "http://")
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	f.grpc = listener.Addr().String()
	server := grpc.NewServer()
	runtime.RegisterDaprServer(server, f)
	var done sync.WaitGroup
	done.Go(func() { _ = server.Serve(listener) })
	t.Cleanup(func() {
		web.Close()
		server.Stop()
		done.Wait()
	})
	return f
}

// SubscribeTopicEventsAlpha1 implements the sidecar's streaming subscriptions.
func (f *fake) SubscribeTopicEventsAlpha1(stream runtime.Dapr_SubscribeTopicEventsAlpha1Server) error {
	first, err := stream.Recv()
	if err != nil {
		return err
	}
	want := first.GetInitialRequest()
	if want.GetPubsubName() != "pubsub" || want.GetMetadata()["rawPayload"] != "true" {
		return fmt.Errorf("a subscription to %s with %v", want.GetPubsubName(), want.GetMetadata())
	}
	out := make(chan *runtime.SubscribeTopicEventsResponseAlpha1, 10_000)
	out <- &runtime.SubscribeTopicEventsResponseAlpha1{SubscribeTopicEventsResponseType: &runtime.SubscribeTopicEventsResponseAlpha1_InitialResponse{
		InitialResponse: &runtime.SubscribeTopicEventsResponseInitialAlpha1{},
	}}
	f.mu.Lock()
	f.streams[want.GetTopic()] = out
	f.mu.Unlock()
	var acks sync.WaitGroup
	defer acks.Wait()
	ended := make(chan struct{})
	acks.Go(func() {
		defer close(ended)
		for {
			if _, err := stream.Recv(); err != nil {
				return
			}
			f.mu.Lock()
			f.acked++
			f.mu.Unlock()
		}
	})
	for {
		select {
		case m := <-out:
			if err := stream.Send(m); err != nil {
				return err
			}
		case <-ended:
			return nil
		}
	}
}

// one takes an event.
func (f *fake) one(w http.ResponseWriter, r *http.Request) {
	text, err := io.ReadAll(r.Body)
	if err != nil || r.Header.Get("Content-Type") != "application/cloudevents+json" || !f.take(text) {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	w.WriteHeader(http.StatusNoContent)
}

// many takes a bulk of events.
func (f *fake) many(w http.ResponseWriter, r *http.Request) {
	var entries []struct {
		EntryID     string          `json:"entryId"`
		ContentType string          `json:"contentType"`
		Event       json.RawMessage `json:"event"`
	}
	ids := map[string]bool{}
	err := json.NewDecoder(r.Body).Decode(&entries)
	for _, e := range entries {
		ids[e.EntryID] = true
		if e.ContentType != "application/cloudevents+json" || !f.take(e.Event) {
			err = io.ErrUnexpectedEOF
		}
	}
	if err != nil || len(ids) != len(entries) {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	w.WriteHeader(http.StatusNoContent)
}

// take has an event answered.
func (f *fake) take(text []byte) bool {
	var e published
	if err := json.Unmarshal(text, &e); err != nil {
		return false
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	n := len(f.events)
	f.events = append(f.events, e)
	for _, topic := range f.answer(n, e) {
		answer := fmt.Appendf(nil, `{"id":"onda/bench#%s/x","requestid":%q,"data":{"code":"Invalid","error":"it is bad"}}`, e.ID, e.ID)
		f.streams[topic] <- &runtime.SubscribeTopicEventsResponseAlpha1{SubscribeTopicEventsResponseType: &runtime.SubscribeTopicEventsResponseAlpha1_EventMessage{
			EventMessage: &runtime.TopicEventRequest{Id: strconv.Itoa(n) + topic, Data: answer, DataContentType: "application/json"},
		}}
	}
	return true
}

// request publishes to the fake.
func (f *fake) request(t *testing.T, bulk bool) Request {
	t.Helper()
	body, err := Event("faq", json.RawMessage(`{"instances":["Why?"]}`))
	if err != nil {
		t.Fatal(err)
	}
	r := Request{
		Protocol: Events, Address: f.http, Path: "/v1.0/publish/pubsub/requests", Body: body,
		Headers: map[string]string{"content-type": "application/cloudevents+json"},
		Answers: Answers{Sidecar: f.grpc, PubSub: "pubsub", Results: "results", DeadLetters: "letters"},
	}
	if bulk {
		r.Bulk, r.Path, r.Headers = true, "/v1.0/publish/bulk/pubsub/requests", nil
	}
	return r
}
