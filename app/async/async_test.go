package async_test

import (
	"context"
	"errors"
	"maps"
	"reflect"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/uuid"

	"github.com/onda-serving/onda/app/answers"
	"github.com/onda-serving/onda/app/async"
	"github.com/onda-serving/onda/app/scoring"
)

// TestEvents compares what is published. The clock of the bubble stands at the start of the
// year 2000.
func TestEvents(t *testing.T) {
	t.Parallel()
	const noon = "2000-01-01T12:00:00Z"
	tests := []struct {
		name string
		req  async.Request
		want map[string]any // beside what all have
	}{
		{
			"JSON",
			async.Request{ContentType: "application/json; charset=utf-8", Body: []byte(`{"instances": ["a < b"]}`)},
			map[string]any{"datacontenttype": "application/json; charset=utf-8", "data": map[string]any{"instances": []any{"a < b"}}},
		},
		{
			"text",
			async.Request{ContentType: "text/plain", Body: []byte("Wie heißt \"das\"?\n")},
			map[string]any{"datacontenttype": "text/plain", "data": "Wie heißt \"das\"?\n"},
		},
		{
			"text that is none",
			async.Request{ContentType: "text/plain", Body: []byte("caf\xe9")},
			map[string]any{"datacontenttype": "text/plain", "data_base64": "Y2Fm6Q=="},
		},
		{
			"JSON with numbers that sidecars do not leave alone",
			async.Request{ContentType: "application/json", Body: []byte(`{"n":9007199254740993}`)},
			map[string]any{"datacontenttype": "application/json", "data_base64": "eyJuIjo5MDA3MTk5MjU0NzQwOTkzfQ=="},
		},
		{
			"picture",
			async.Request{ContentType: "image/jpeg", Body: []byte{0xff, 0xd8, 0xff}},
			map[string]any{"datacontenttype": "image/jpeg", "data_base64": "/9j/"},
		},
		{
			"form",
			async.Request{ContentType: "multipart/form-data; boundary=x", Body: []byte("--x--")},
			map[string]any{"datacontenttype": "multipart/form-data; boundary=x", "data_base64": "LS14LS0="},
		},
		{
			"attributes",
			async.Request{
				ContentType: "text/plain", Body: []byte("a"), PartitionKey: "user 7", Expiration: time.Date(2000, 1, 1, 13, 0, 0, 0, time.FixedZone("", 3600)),
				TraceParent: "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", TraceState: "a=1",
			},
			map[string]any{
				"datacontenttype": "text/plain", "data": "a", "partitionkey": "user 7", "expiration": noon,
				"traceparent": "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", "tracestate": "a=1",
			},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				r := newRig()
				tt.req.Subject = "faq/labels/live"
				accepted, err := r.Accept(t.Context(), tt.req)
				if err != nil || !accepted.New || accepted.Status != answers.Pending || uuid.Validate(accepted.ID) != nil {
					t.Fatalf("got %+v, %v", accepted, err)
				}
				want := map[string]any{
					"specversion": "1.0", "id": accepted.ID, "source": "onda/async", "type": "onda.score.request.v1", "subject": "faq/labels/live",
					"time": "2000-01-01T00:00:00Z", "expiration": "2000-01-01T01:00:00Z",
					"ondarequest": answers.Fingerprint("faq/labels/live", tt.req.ContentType, string(tt.req.Body)),
				}
				maps.Copy(want, tt.want)
				if len(r.broker.events) != 1 || r.broker.topics[0] != "requests" || !reflect.DeepEqual(r.broker.events[0], want) {
					t.Errorf("got  %v on %v\nwant %v", r.broker.events, r.broker.topics, want)
				}
			})
		})
	}
}

// TestIDs of callers make a request the same one.
func TestIDs(t *testing.T) {
	t.Parallel()
	r := newRig()
	for i, want := range []async.Accepted{{ID: "7", New: true, Status: answers.Pending}, {ID: "7", Status: answers.Pending}} {
		if got, err := r.Accept(t.Context(), question("7")); got != want || err != nil {
			t.Errorf("%d: got %+v, %v, want %+v", i, got, err, want)
		}
		if len(r.broker.events) != i+1 {
			t.Errorf("%d: %d events were published: one that has no answer is published again", i, len(r.broker.events))
		}
	}
	for name, change := range map[string]func(*async.Request){
		"body":         func(q *async.Request) { q.Body = []byte(`{"instances": ["Why?"]}`) },
		"model":        func(q *async.Request) { q.Subject = "faq/versions/2" },
		"content type": func(q *async.Request) { q.ContentType = "text/plain" },
	} {
		other := question("7")
		change(&other)
		_, err := r.Accept(t.Context(), other)
		if refused(t, err, scoring.Conflict, `the idempotency-key "7" was used before, for another request`); len(r.broker.events) != 2 {
			t.Errorf("%s: it was published", name)
		}
	}
	r.answer(t, "7", answers.Done, resultEvent)
	if got, err := r.Accept(t.Context(), question("7")); got != (async.Accepted{ID: "7", Status: answers.Done}) || err != nil || len(r.broker.events) != 2 {
		t.Errorf("got %+v, %v after %d events, want no further one for what is answered", got, err, len(r.broker.events))
	}
	if got, err := r.Accept(t.Context(), question("8")); !got.New || err != nil || len(r.broker.events) != 3 {
		t.Errorf("got %+v, %v, want a request of its own", got, err)
	}
}

func TestWrongIDs(t *testing.T) {
	t.Parallel()
	for id, text := range map[string]string{
		strings.Repeat("x", 201): "is 201 bytes long: want 1 to 200",
		"a/b":                    "a character at offset 1",
		"../x":                   "a character at offset 0",
		".":                      "a character at offset 0",
		"a b":                    "a character at offset 1",
		"é":                      "a character at offset 0",
		"a\x00":                  "a character at offset 1",
		"a\xe9":                  "a character at offset 1",
	} {
		r := newRig()
		_, err := r.Accept(t.Context(), question(id))
		refused(t, err, scoring.Invalid, text)
		_, err = r.Status(t.Context(), id)
		refused(t, err, scoring.NotFound, "there is no asynchronous request with this id")
	}
	for _, id := range []string{"7", "shop:order.7_b-c", strings.Repeat("x", 200), uuid.NewString()} {
		if err := async.CheckID(id); err != nil {
			t.Errorf("%s: %v", id, err)
		}
	}
}

// TestAtOnce sends the same request many times at the same time: each is told the same.
func TestAtOnce(t *testing.T) {
	t.Parallel()
	r := newRig()
	var all sync.WaitGroup
	for i := range 20 {
		all.Go(func() {
			q := question("7")
			if i%2 == 1 {
				q.Subject = "other"
			}
			switch got, err := r.Accept(t.Context(), q); {
			case err == nil && got.ID == "7":
			case scoring.CodeOf(err) == scoring.Conflict:
			default:
				t.Errorf("got %+v, %v", got, err)
			}
		})
	}
	all.Wait()
	if len(r.broker.events) != 10 {
		t.Fatalf("%d events were published, want those of the one request that was first", len(r.broker.events))
	}
	for _, event := range r.broker.events {
		if event["subject"] != r.broker.events[0]["subject"] {
			t.Errorf("both requests were published under one id: %v", r.broker.events)
		}
	}
}

// TestPublishFails leaves a record that the same request finds.
func TestPublishFails(t *testing.T) {
	t.Parallel()
	r := newRig()
	r.broker.fault = errors.New("gone")
	_, err := r.Accept(t.Context(), question("7"))
	refused(t, err, scoring.Unavailable, "send it again, with the header idempotency-key: 7")
	if !errors.Is(err, r.broker.fault) {
		t.Errorf("got %v, want its cause in it", err)
	}
	if got, err := r.Status(t.Context(), "7"); got.Status != answers.Pending || err != nil {
		t.Errorf("got %+v, %v", got, err)
	}
	_, err = r.Accept(t.Context(), question(""))
	refused(t, err, scoring.Unavailable, "idempotency-key: ")

	left, leave := context.WithCancel(t.Context())
	leave()
	_, err = r.Accept(left, question("7"))
	refused(t, err, scoring.Canceled)

	r.broker.fault = scoring.Errorf(scoring.TooLarge, "larger than the sidecar takes")
	_, err = r.Accept(t.Context(), question("7"))
	refused(t, err, scoring.TooLarge, "larger than the sidecar takes")

	r.broker.fault = nil
	if got, err := r.Accept(t.Context(), question("7")); got != (async.Accepted{ID: "7", Status: answers.Failed}) || err != nil || len(r.broker.events) != 0 {
		t.Errorf("got %+v, %v after %d events, want what is too large to have failed", got, err, len(r.broker.events))
	}
	state, err := r.Status(t.Context(), "7")
	if err != nil || state.Status != answers.Failed {
		t.Fatalf("got %+v, %v", state, err)
	}
	refused(t, state.Failure, scoring.TooLarge, "larger than the sidecar takes")
}

// TestRefusesBeforeItNotes anything.
func TestRefusesBeforeItNotes(t *testing.T) {
	t.Parallel()
	r := newRig()
	r.MaxBytes = 400
	large := question("7")
	large.Body = []byte(`{"instances": ["` + strings.Repeat("x", 400) + `"]}`)
	_, err := r.Accept(t.Context(), large)
	refused(t, err, scoring.TooLarge, "at most 400 are allowed; send it without the header prefer")
	for _, body := range []string{"", "{", "{}{}", "\"caf\xe9\""} {
		damaged := question("7")
		damaged.Body = []byte(body)
		_, err = r.Accept(t.Context(), damaged)
		refused(t, err, scoring.Invalid, "the body is not JSON")
	}
	if len(r.store.texts) != 0 || len(r.broker.events) != 0 {
		t.Errorf("got the records %s and the events %v", r.store.texts, r.broker.events)
	}
	if _, err := r.Accept(t.Context(), question("7")); err != nil {
		t.Error(err)
	}
}

func TestComponents(t *testing.T) {
	t.Parallel()
	noBroker, noStore, away := newRig(), newRig(), newRig()
	noBroker.Publisher, noStore.Answers, away.store.fault = nil, nil, errors.New("gone")
	for _, tt := range []struct {
		rig  *rig
		code scoring.Code
		text string
	}{
		{noBroker, scoring.Unimplemented, "ONDA_PUBSUB"},
		{noStore, scoring.Unimplemented, "ONDA_STATE_STORE"},
		{away, scoring.Unavailable, "the state store does not answer"},
	} {
		_, err := tt.rig.Accept(t.Context(), question("7"))
		refused(t, err, tt.code, tt.text)
		_, err = tt.rig.Accept(t.Context(), question(""))
		refused(t, err, tt.code, tt.text)
		_, err = tt.rig.Status(t.Context(), "7")
		refused(t, err, tt.code, tt.text)
		if len(tt.rig.broker.events) != 0 {
			t.Error("an event was published that no record tells of")
		}
	}
}
