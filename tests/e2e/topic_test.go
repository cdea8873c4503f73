package e2e_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"sync"
	"testing"
	"time"

	dapr "github.com/dapr/go-sdk/client"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
)

// The topics of Onda.
const (
	pubsub          = "pubsub"
	requestsTopic   = "scoring.requests"
	resultsTopic    = "scoring.results"
	deadLetterTopic = "scoring.deadletter"
)

// event is a CloudEvent with the attributes that Onda adds.
type event struct {
	SpecVersion     string          `json:"specversion"`
	ID              string          `json:"id"`
	Source          string          `json:"source"`
	Type            string          `json:"type"`
	Subject         string          `json:"subject"`
	Time            time.Time       `json:"time"`
	DataContentType string          `json:"datacontenttype"`
	RequestID       string          `json:"requestid"`
	RequestSource   string          `json:"requestsource"`
	ModelVersion    string          `json:"modelversion"`
	ModelDigest     string          `json:"modeldigest"`
	Data            json.RawMessage `json:"data"`
}

// subscriber collects what arrives on a topic.
type subscriber struct {
	topic string

	mu     sync.Mutex
	events []event
	err    error
}

// subscribe follows a topic through a sidecar, as an app does with Dapr's SDK. Raw
// payloads bring the whole CloudEvent: otherwise the SDK gives only its data.
func subscribe(t *testing.T, s *sidecar, topic string) *subscriber {
	t.Helper()
	conn, err := grpc.NewClient(local(s.grpcPort), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	client := dapr.NewClientWithConnection(conn)
	stream, err := client.Subscribe(t.Context(), dapr.SubscriptionOptions{PubsubName: pubsub, Topic: topic, Metadata: map[string]string{"rawPayload": "true"}})
	if err != nil {
		t.Fatalf("subscribe to %s: %s", topic, err)
	}
	sub := &subscriber{topic: topic}
	var done sync.WaitGroup
	done.Go(func() { sub.receive(stream) })
	// The test's context has ended by then, and the subscription with it. Its own Close may
	// not be called while events are acknowledged.
	t.Cleanup(func() {
		_ = conn.Close()
		done.Wait()
	})
	return sub
}

// receive takes events until the subscription ends.
func (s *subscriber) receive(stream *dapr.Subscription) {
	for {
		message, err := stream.Receive()
		if err != nil {
			return
		}
		var e event
		parseErr := json.Unmarshal(message.RawData, &e)
		s.mu.Lock()
		s.events = append(s.events, e)
		if parseErr != nil {
			s.err = fmt.Errorf("an event on %s is not a CloudEvent: %w: %s", s.topic, parseErr, message.RawData)
		}
		s.mu.Unlock()
		if message.Success() != nil {
			return
		}
	}
}

// about gives the events that answer a request, or are it.
func (s *subscriber) about(t *testing.T, id string) (found []event) {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err != nil {
		t.Fatal(s.err)
	}
	for _, e := range s.events {
		if e.RequestID == id || e.ID == id {
			found = append(found, e)
		}
	}
	return found
}

// wait waits for the event that answers a request.
func (s *subscriber) wait(t *testing.T, id string) (first event) {
	t.Helper()
	eventually(t, fmt.Sprintf("an event about %s on %s", id, s.topic), func() error {
		found := s.about(t, id)
		if len(found) == 0 {
			return errors.New("nothing came")
		}
		first = found[0]
		return nil
	})
	return first
}

// publish sends to the topic of scoring requests, over the sidecar's HTTP API.
func (s *stack) publish(t *testing.T, contentType, query string, body []byte) {
	t.Helper()
	r := request{path: "publish/" + pubsub + "/" + requestsTopic + query, contentType: contentType, body: body}
	if err := wants(http.StatusNoContent, r.to(t, way{"to the topic", s.own.api("")})); err != nil {
		t.Fatalf("publish: %s", err)
	}
}

// publishEvent sends a CloudEvent; attributes that are not given get their usual value.
// It returns the event's id.
func (s *stack) publishEvent(t *testing.T, attributes map[string]any) string {
	t.Helper()
	e := map[string]any{"specversion": "1.0", "id": "request-" + unique(), "source": "tests", "type": "onda.score.request.v1", "datacontenttype": "application/json"}
	maps.Copy(e, attributes)
	s.publish(t, "application/cloudevents+json", "", asJSON(t, e))
	id, _ := e["id"].(string)
	return id
}

// eventsFlow waits until the sidecar delivers events to Onda. A sidecar begins with that
// at some moment after it has seen the app healthy, and in-memory topics keep nothing for
// later: events are sent until the first is answered.
func (s *stack) eventsFlow(t *testing.T, letters *subscriber) {
	t.Helper()
	var sent []string
	var last time.Time
	eventually(t, "the first event arrives", func() error {
		if time.Since(last) > 200*time.Millisecond {
			sent = append(sent, s.publishEvent(t, map[string]any{"subject": "no-such-model", "data": map[string]any{"instances": []string{"probe"}}}))
			last = time.Now()
		}
		for _, id := range sent {
			if len(letters.about(t, id)) > 0 {
				return nil
			}
		}
		return fmt.Errorf("none of %d", len(sent))
	})
}
