package e2e_test

import (
	"fmt"
	"maps"
	"net/http"
	"testing"
	"time"
)

// The topics of Onda.
const (
	pubsub          = "pubsub"
	requestsTopic   = "scoring.requests"
	resultsTopic    = "scoring.results"
	deadLetterTopic = "scoring.deadletter"
)

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
func (s *stack) eventsFlow(t *testing.T, letters *listener) {
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
