package events_test

import (
	"encoding/json"
	"testing"
)

// FuzzDeliverTwice takes whatever a broker may bring: it ends with a status that Dapr understands,
// what leaves is a CloudEvent, and a second delivery sends the same again.
func FuzzDeliverTwice(f *testing.F) {
	for _, body := range []string{
		event(predictData), event(inferData), event(predictData, `, "ondareplay": "2"`), event(`, "data_base64": "/9j/"`),
		event(`, "dataref": "file:///x", "datarefsha256": "00"`), `{"entries": [{"entryId": "a", "event": ` + event(predictData) + `}]}`,
		`{"specversion": "1.0", "type": "com.dapr.event.sent", "id": "1", "source": "s", "data_base64": "` + base64Of(event(predictData)) + `"}`,
		"", "\xff", "[]", "null", `{"entries": [{}]}`,
	} {
		f.Add([]byte(body))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		d, _, _ := remembering()
		first := d.handler.Deliver(t.Context(), body, "")
		for _, entry := range first.Statuses {
			known(t, entry.Status)
		}
		if first.Statuses == nil {
			known(t, first.Status)
		}
		sent := len(d.publisher.messages)
		d.handler.Deliver(t.Context(), body, "")
		ids := map[any]int{}
		for i, m := range d.publisher.messages {
			var out map[string]any
			if err := json.Unmarshal(m.body, &out); err != nil || out["specversion"] != "1.0" || out["id"] == "" {
				t.Fatalf("sent %s (%v), want a CloudEvent", m.body, err)
			}
			if i < sent {
				ids[out["id"]]++
			} else if ids[out["id"]] == 0 {
				t.Fatalf("the second delivery sent %s, which the first did not", m.body)
			}
		}
	})
}

func known(t *testing.T, status string) {
	t.Helper()
	if status != "SUCCESS" && status != "RETRY" && status != "DROP" {
		t.Fatalf("got the status %q", status)
	}
}
