package httpapi_test

import (
	"context"
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
