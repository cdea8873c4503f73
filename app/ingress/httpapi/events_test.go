package httpapi_test

import (
	"context"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/onda-serving/onda/app/scoring"
	"github.com/onda-serving/onda/app/wire"
)

// fakeEvents takes every delivery and refuses by the code of the failure.
type fakeEvents struct{ delivered, subject, refused string }

func (f *fakeEvents) Deliver(_ context.Context, body []byte, subject string) wire.Delivery {
	f.delivered, f.subject = string(body), subject
	if f.delivered == "bulk" {
		return wire.Delivery{Statuses: []wire.EntryStatus{{EntryID: "a", Status: "RETRY"}}}
	}
	return wire.Delivery{Status: "SUCCESS"}
}

func (f *fakeEvents) Refuse(err error) wire.Delivery {
	f.refused = scoring.CodeOf(err).String()
	return wire.Delivery{Status: "DROP"}
}

func TestEvents(t *testing.T) {
	t.Parallel()
	var events fakeEvents
	r := start(t, func(r *rig) { r.parts.Events = &events; r.config.MaxBody = 16 })
	expect(t, r.call(t, "POST", "/events/scoring", `{"id":1}`), 200, `{"status":"SUCCESS"}`)
	if events.delivered != `{"id":1}` || events.subject != "" {
		t.Errorf("delivered %q for %q", events.delivered, events.subject)
	}
	expect(t, r.call(t, "POST", "/events/scoring/faq/labels/canary", "bulk"), 200, `{"statuses":[{"entryId":"a","status":"RETRY"}]}`)
	if events.subject != "faq/labels/canary" {
		t.Errorf("delivered for %q, want what the path says", events.subject)
	}
	expect(t, r.call(t, "POST", "/events/scoring", strings.Repeat("x", 17)), 200, `{"status":"DROP"}`)
	if events.refused != "TooLarge" {
		t.Errorf("refused for %s, want TooLarge", events.refused)
	}
}

// TestEventWithoutSidecar gives the event back: a 404 would make Dapr lose it.
func TestEventWithoutSidecar(t *testing.T) {
	t.Parallel()
	expect(t, start(t).call(t, "POST", "/events/scoring", `{}`), 200, `{"status":"RETRY"}`)
}

func TestEventThatStopsArriving(t *testing.T) {
	t.Parallel()
	var events fakeEvents
	r := start(t, func(r *rig) { r.parts.Events = &events; r.config.ReadTimeout = 50 * time.Millisecond })
	resp := raw(t, r, "POST /events/scoring HTTP/1.1\r\nHost: onda\r\nContent-Length: 100\r\n\r\n{")
	if resp.StatusCode != 200 || events.refused != "Expired" {
		t.Errorf("got %d and refused for %q, want 200 and Expired", resp.StatusCode, events.refused)
	}
}

// TestDeadLetters hands them to their own door, and says why there is none.
func TestDeadLetters(t *testing.T) {
	t.Parallel()
	none := start(t)
	expect(t, none.call(t, "POST", "/events/deadletters", `{}`), 200, `{"status":"SUCCESS"}`)
	if resp := none.call(t, "GET", "/events/v1/deadletters", ""); resp.status != 501 || !strings.Contains(resp.body, "ONDA_STATE_STORE") {
		t.Errorf("got %d: %s", resp.status, resp.body)
	}
	var asked []string
	r := start(t, func(r *rig) {
		r.parts.DeadLetters = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			asked = append(asked, r.Method+" "+r.URL.Path)
			w.WriteHeader(http.StatusAccepted)
		})
	})
	r.call(t, "POST", "/events/deadletters", `{}`)
	r.call(t, "GET", "/events/v1/deadletters/ab12", "")
	if want := []string{"POST /events/deadletters", "GET /events/v1/deadletters/ab12"}; !slices.Equal(asked, want) {
		t.Errorf("asked for %q, want %q", asked, want)
	}
}
