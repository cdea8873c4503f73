package events_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/onda-serving/onda/app/scoring"
)

func TestPredictForms(t *testing.T) {
	t.Parallel()
	text := func(s string) scoring.Instance { return scoring.Instance{Kind: scoring.Text, Data: []byte(s)} }
	picture := scoring.Instance{Kind: scoring.Binary, Data: []byte("\xff\xd8\xff")}
	tests := []struct {
		name, body string
		model      scoring.ModelRef
		instances  []scoring.Instance
		topK       int
	}{
		{"body", event(predictData), scoring.ModelRef{Name: "faq"}, []scoring.Instance{text("How?")}, 0},
		{"whole body", event(`, "datacontenttype": "application/json", "data": {"instances": ["a", {"text": "b"}, {"b64": "/9j/"}], "parameters": {"top_k": 2}, "id": "ignored"}`), scoring.ModelRef{Name: "faq"}, []scoring.Instance{text("a"), text("b"), picture}, 2},
		{"JSON with a charset", event(`, "datacontenttype": "application/json; charset=utf-8"` + predictData), scoring.ModelRef{Name: "faq"}, []scoring.Instance{text("How?")}, 0},
		{"type based on JSON", event(`, "datacontenttype": "application/vnd.shop+json"` + predictData), scoring.ModelRef{Name: "faq"}, []scoring.Instance{text("How?")}, 0},
		{"body in base64", event(`, "datacontenttype": "application/vnd.shop+json", "data_base64": "` + base64.StdEncoding.EncodeToString([]byte(`{"instances": ["How?"]}`)) + `"`), scoring.ModelRef{Name: "faq"}, []scoring.Instance{text("How?")}, 0},
		{"JPEG", event(`, "datacontenttype": "image/jpeg", "data_base64": "/9j/"`), scoring.ModelRef{Name: "faq"}, []scoring.Instance{picture}, 0},
		{"octets", event(`, "datacontenttype": "application/octet-stream", "data_base64": "/9j/", "data": null`), scoring.ModelRef{Name: "faq"}, []scoring.Instance{picture}, 0},
		{"text", event(`, "datacontenttype": "text/plain", "data": "Wie gäht’s \ud83d\ude00?"`), scoring.ModelRef{Name: "faq"}, []scoring.Instance{text("Wie gäht’s 😀?")}, 0},
		{"text in base64", event(`, "datacontenttype": "text/plain; charset=utf-8", "data_base64": "SG93Pw=="`), scoring.ModelRef{Name: "faq"}, []scoring.Instance{text("How?")}, 0},
		{"Dapr's own type", `{"specversion": "1.0", "id": "7", "source": "shop", "type": "com.dapr.event.sent", "subject": "faq", "topic": "scoring.requests", "pubsubname": "pubsub", "traceid": "", "time": "2026-11-23T10:00:00Z"` + predictData + `}`, scoring.ModelRef{Name: "faq"}, []scoring.Instance{text("How?")}, 0},
		{"later minor version", strings.Replace(event(predictData), `"1.0"`, `"1.1"`, 1), scoring.ModelRef{Name: "faq"}, []scoring.Instance{text("How?")}, 0},
		{"version in the subject", strings.Replace(event(predictData), `"faq"`, `"faq/versions/12"`, 1), scoring.ModelRef{Name: "faq", Version: 12}, []scoring.Instance{text("How?")}, 0},
		{"label in the subject", strings.Replace(event(predictData), `"faq"`, `"faq/labels/canary"`, 1), scoring.ModelRef{Name: "faq", Label: "canary"}, []scoring.Instance{text("How?")}, 0},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			d := newDoor()
			if status := d.deliver(t, test.body); status != "SUCCESS" {
				t.Errorf("got status %q, want SUCCESS: %s", status, d.log.String())
			}
			out := d.published(t, results)
			if out["requestid"] != "7" || out["requestsource"] != "shop" || out["modelversion"] != "3" || out["modeldigest"] != "sha256:d1" {
				t.Errorf("got the result %v, want it to name its request and model", out)
			}
			d.observed(t, "scored OK")
			if len(d.scorer.predicted) != 1 || len(d.scorer.inferred) != 0 {
				t.Fatalf("got %d predictions and %d inferences, want one prediction", len(d.scorer.predicted), len(d.scorer.inferred))
			}
			req := d.scorer.predicted[0]
			if req.Model != test.model || req.ID != "7" || req.Parameters.TopK != test.topK {
				t.Errorf("got model %s, id %q, top_k %d, want %s, 7, %d", req.Model, req.ID, req.Parameters.TopK, test.model, test.topK)
			}
			if !slices.EqualFunc(req.Instances, test.instances, func(a, b scoring.Instance) bool { return a.Kind == b.Kind && bytes.Equal(a.Data, b.Data) }) {
				t.Errorf("got the instances %v, want %v", req.Instances, test.instances)
			}
		})
	}
}

func TestPartitionKeyIsTheCallers(t *testing.T) {
	t.Parallel()
	longest := strings.Repeat("k", scoring.MaxKeyLen)
	for _, key := range []string{"", "user 7", "Zoë", longest} {
		for _, data := range []string{predictData, inferData} {
			d := newDoor()
			if status := d.deliver(t, event(`, "partitionkey": "`+key+`"`+data)); status != "SUCCESS" {
				t.Fatalf("got status %q, want SUCCESS: %s", status, d.log.String())
			}
			d.published(t, results)
			var got []scoring.Caller
			for _, req := range d.scorer.predicted {
				got = append(got, req.Caller)
			}
			for _, req := range d.scorer.inferred {
				got = append(got, req.Caller)
			}
			if want := (scoring.Caller{Key: key}); !slices.Equal(got, []scoring.Caller{want}) {
				t.Errorf("asked by %+v, want %+v", got, want)
			}
		}
	}
	for key, text := range map[string]string{
		longest + "k": "partitionkey is 257 bytes long: at most 256 are allowed",
		`a\nb`:        "partitionkey has a control character at offset 1: want text without any",
	} {
		d := newDoor()
		d.refused(t, d.deliver(t, event(`, "partitionkey": "`+key+`"`+predictData)), scoring.Invalid, text)
	}
}

func TestInferForms(t *testing.T) {
	t.Parallel()
	body := `{"inputs": [{"name": "x", "shape": [2], "datatype": "INT8", "data": [1, 2]}], "id": "ignored"}`
	for name, data := range map[string]string{
		"body":               `, "data": ` + body,
		"body in base64":     `, "data_base64": "` + base64.StdEncoding.EncodeToString([]byte(body)) + `"`,
		"type based on JSON": `, "datacontenttype": "application/vnd.shop+json", "data": ` + body,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := newDoor()
			if status := d.deliver(t, event(data)); status != "SUCCESS" {
				t.Errorf("got status %q, want SUCCESS: %s", status, d.log.String())
			}
			data, ok := d.published(t, results)["data"].(map[string]any)
			if !ok || data["model_name"] != "faq" || data["id"] != "7" {
				t.Errorf("got the data %v, want the answer of the protocol", data)
			}
			d.observed(t, "scored OK")
			if len(d.scorer.predicted) != 0 || len(d.scorer.inferred) != 1 {
				t.Fatalf("got %d predictions and %d inferences, want one inference", len(d.scorer.predicted), len(d.scorer.inferred))
			}
			req := d.scorer.inferred[0]
			if req.Model != (scoring.ModelRef{Name: "faq"}) || req.ID != "7" || len(req.Inputs) != 1 || !bytes.Equal(req.Inputs[0].Data, []byte{1, 2}) {
				t.Errorf("got %+v, want the event's tensor", req)
			}
		})
	}
}

// TestGoldenEvents compares whole events. The clock of the bubble stands at the start of
// the year 2000.
func TestGoldenEvents(t *testing.T) {
	t.Parallel()
	tests := []struct {
		file, body string
		topic      string
	}{
		{"result.json", event(`, "traceparent": "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", "tracestate": "a=1,b=2"` + predictData), results},
		{"infer-result.json", event(inferData), results},
		{"error.json", event(`, "traceparent": "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", "tracestate": "a=1,b=2", "data": {"instances": []}`), deadLetters},
		{"unreadable.json", "\xff\xfe", deadLetters},
	}
	for _, test := range tests {
		t.Run(test.file, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				d := newDoor()
				if status := d.deliver(t, test.body); status != "SUCCESS" {
					t.Errorf("got status %q, want SUCCESS", status)
				}
				d.published(t, test.topic)
				golden(t, test.file, d.publisher.messages[0].body)
			})
		})
	}
}

func TestMalformedEvents(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("x", 1025)
	change := func(before, after string) string { return strings.Replace(event(predictData), before, after, 1) }
	tests := []struct {
		name, body string
		code       scoring.Code
		want       string
	}{
		{"nothing", "", scoring.Invalid, "the event is not a CloudEvent in structured JSON"},
		{"not JSON", "hello", scoring.Invalid, "the event is not a CloudEvent in structured JSON"},
		{"array", "[]", scoring.Invalid, "the event is not a CloudEvent in structured JSON"},
		{"id is a number", change(`"7"`, `7`), scoring.Invalid, "the event is not a CloudEvent in structured JSON"},
		{"invalid UTF-8", change("How?", "caf\xe9"), scoring.Invalid, "the event is not valid UTF-8"},
		{"no CloudEvent", `{"instances": ["How?"]}`, scoring.Invalid, `specversion "": want "1.0"`},
		{"null", `null`, scoring.Invalid, `specversion "": want "1.0"`},
		{"old version", change(`"1.0"`, `"0.3"`), scoring.Invalid, `specversion "0.3": want "1.0"`},
		{"no id", change(`"7"`, `""`), scoring.Invalid, "the event has no id or no source: both are needed to tell events apart"},
		{"no source", change(`"shop"`, `""`), scoring.Invalid, "the event has no id or no source: both are needed to tell events apart"},
		{"long id", change(`"7"`, `"`+long+`"`), scoring.TooLarge, "the event's id or source is longer than 1024 bytes"},
		{"long source", change(`"shop"`, `"`+long+`"`), scoring.TooLarge, "the event's id or source is longer than 1024 bytes"},
		{"other type", change("onda.score.request.v1", "onda.score.result.v1"), scoring.Invalid, `type "onda.score.result.v1": want "onda.score.request.v1"`},
		{"long type", change("onda.score.request.v1", long), scoring.Invalid, `type "` + long[:120] + `...": want "onda.score.request.v1"`},
		{"no subject", change(`"faq"`, `""`), scoring.Invalid, `the event has no subject: want "MODEL", "MODEL/versions/N" or "MODEL/labels/L"`},
		{"wrong subject", change(`"faq"`, `"faq/versions/0"`), scoring.Invalid, `subject: version "0": want a positive whole number`},
		{"wrong model name", change(`"faq"`, `"a b"`), scoring.Invalid, `subject: model name "a b": use letters, digits, '.', '_' and '-', a letter or digit first`},
		{"no data", event(), scoring.Invalid, "the event has neither data nor data_base64"},
		{"null data", event(`, "data": null`), scoring.Invalid, "the event has neither data nor data_base64"},
		{"empty data_base64", event(`, "data_base64": ""`), scoring.Invalid, "the event has neither data nor data_base64"},
		{"both", event(predictData, `, "data_base64": "/9j/"`), scoring.Invalid, "the event has both data and data_base64: want one of them"},
		{"not base64", event(`, "datacontenttype": "image/jpeg", "data_base64": "_9j_"`), scoring.Invalid, "data_base64 is not standard base64"},
		{"picture without a type", event(`, "data_base64": "/9j/"`), scoring.Invalid, "data: the body is not valid UTF-8 (byte 0xff at offset 0)"},
		{"unknown type of data", event(`, "datacontenttype": "text/csv", "data": "1,2"`), scoring.UnsupportedMedia, `data: content type "text/csv" is not supported: want application/json, multipart/form-data, text/plain, application/octet-stream, image/jpeg, image/png, image/webp or image/gif`},
		{"half of a character", event(`, "datacontenttype": "text/plain", "data": "\ud83d"`), scoring.Invalid, `data: the text has half of a surrogate pair (\uD800 to \uDFFF without its partner): it is not valid Unicode`},
		{"empty text", event(`, "datacontenttype": "text/plain", "data": ""`), scoring.Invalid, "data: the body is empty: send the text"},
		{"text for JSON", event(`, "data": "How?"`), scoring.Invalid, "data: the body is a JSON string: want an object"},
		{"number", event(`, "data": 7`), scoring.Invalid, "data: the body is a JSON number: want an object"},
		{"no instances", event(`, "data": {}`), scoring.Invalid, `data: "instances" is missing: want {"instances": [...]}`},
		{"too many instances", event(`, "data": {"instances": ["a", "b", "c", "d", "e"]}`), scoring.TooLarge, "data: 5 instances in one request: at most 4 are allowed; split the request"},
		{"instances and inputs", event(`, "data": {"instances": ["a"], "inputs": []}`), scoring.Invalid, `data: "instances" and "inputs" exclude each other: send "instances" alone`},
		{"wrong tensor", event(`, "data": {"inputs": [{"name": "x"}]}`), scoring.Invalid, `data: input "x" has no "shape"`},
		{"binary tensors", event(`, "data": {"inputs": [{"name": "x", "shape": [1], "datatype": "INT8", "parameters": {"binary_data_size": 1}}]}`), scoring.Invalid, `data: input "x" has binary_data_size, and the request has no binary data: send it behind the JSON, and the length of the JSON in the header Inference-Header-Content-Length`},
		{"wrong expiration", event(`, "expiration": "soon"`, predictData), scoring.Invalid, "expiration: want a time as RFC 3339 has it"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			d := newDoor()
			letter := d.refused(t, d.deliver(t, test.body), test.code, test.want)
			if len(d.scorer.predicted)+len(d.scorer.inferred) != 0 {
				t.Error("it was scored, want no scoring")
			}
			if letter["type"] != "onda.score.error.v1" || letter["specversion"] != "1.0" || letter["source"] != "onda" || letter["datacontenttype"] != "application/json" {
				t.Errorf("got the event %v, want an error event", letter)
			}
			for _, attribute := range []string{"id", "requestid", "requestsource", "subject"} {
				if s, _ := letter[attribute].(string); len(s) > 1024+100 {
					t.Errorf("%s has %d bytes, want it bounded", attribute, len(s))
				}
			}
		})
	}
}

// TestOriginal looks for the whole event that failed in the event that says so.
func TestOriginal(t *testing.T) {
	t.Parallel()
	compact := `{"specversion":"1.0","id":"7","source":"shop","type":"onda.score.request.v1","subject":"faq","data":{"instances":[],"a":1,"a":1.0e0,"<&>":"\u2028é\u00e9\/"},"more":9007199254740993}`
	deep := strings.Replace(event(), `"faq"`, `"faq", "data": `+strings.Repeat("[", 9_999)+strings.Repeat("]", 9_999), 1)
	tests := []struct {
		name, body string
		json       bool
	}{
		{"JSON", compact, true},
		{"JSON that is no event", `[1,2,"<>"]`, true},
		{"not JSON", "hello, world", false},
		{"no UTF-8", "{\"a\":\"\xff\"}", false},
		{"two events", compact + compact, false},
		{"too deep to be put into another event", deep, false},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			d := newDoor()
			if status := d.deliver(t, test.body); status != "SUCCESS" {
				t.Errorf("got status %q, want SUCCESS: %s", status, d.log.String())
			}
			d.published(t, deadLetters)
			var letter struct {
				Data struct {
					Original      json.RawMessage `json:"original"`
					OriginalBytes []byte          `json:"original_base64"`
				}
			}
			if err := json.Unmarshal(d.publisher.messages[0].body, &letter); err != nil {
				t.Fatal(err)
			}
			got, other := letter.Data.OriginalBytes, []byte(letter.Data.Original)
			if test.json {
				got, other = other, got
			}
			if string(got) != test.body || other != nil {
				t.Errorf("got  %s, and in the other form %s\nwant %s", got, other, test.body)
			}
		})
	}
}

func TestEveryCode(t *testing.T) {
	t.Parallel()
	for _, code := range scoring.Codes() {
		for form, data := range map[string]string{"predict": predictData, "infer": inferData} {
			inBubble(t, code.String()+" "+form, func(t *testing.T) { // one that is Overloaded waits
				d := newDoor()
				d.scorer.err = fmt.Errorf("score: %w", scoring.Errorf(code, "the reason").WithCause(errors.New("a secret")))
				// An event with a budget of its own: see TestOurOwnTimeoutIsNoExpiry for one without.
				soon := time.Now().Add(10 * time.Second).UTC().Format(time.RFC3339Nano)
				status := d.deliver(t, event(`, "expiration": "`+soon+`"`, data))
				switch code.EventOutcome() {
				case scoring.Retry:
					if status != "RETRY" || len(d.publisher.messages) != 0 {
						t.Errorf("got status %q and %s published, want RETRY and nothing", status, d.publisher.messages)
					}
					d.observed(t, "retry "+code.String())
				case scoring.DeadLetter:
					d.refused(t, status, code, "the reason")
					if body := d.publisher.messages[0].body; bytes.Contains(body, []byte("a secret")) {
						t.Errorf("got %s, want the cause in the log alone", body)
					}
				default:
					t.Errorf("got the outcome %d, want one that this test knows", code.EventOutcome())
				}
				if !strings.Contains(d.log.String(), "a secret") {
					t.Errorf("got the log %s, want the cause in it", d.log.String())
				}
			})
		}
	}
}

func TestOtherErrorsAreRetried(t *testing.T) {
	t.Parallel()
	d := newDoor()
	d.scorer.err = errors.New("any other")
	if status := d.deliver(t, event(predictData)); status != "RETRY" || len(d.publisher.messages) != 0 {
		t.Errorf("got status %q and %s published, want RETRY and nothing", status, d.publisher.messages)
	}
	d.observed(t, "retry Internal")
}

func TestFailedPublishIsRetried(t *testing.T) {
	t.Parallel()
	for name, body := range map[string]string{
		"result": event(predictData), "tensors": event(inferData), "dead letter": event(), "unreadable": "hello",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := newDoor()
			d.publisher.err = errBroker
			if status := d.deliver(t, body); status != "RETRY" {
				t.Errorf("got status %q, want RETRY", status)
			}
			d.observed(t, "retry Unavailable")
			if !strings.Contains(d.log.String(), errBroker.Error()) {
				t.Errorf("got the log %s, want the cause in it", d.log.String())
			}
		})
	}
}

// TestResultWithoutAJSONForm shows that an answer that cannot be written is not retried:
// it would fail again.
func TestResultWithoutAJSONForm(t *testing.T) {
	t.Parallel()
	d := newDoor()
	data := `, "data": {"inputs": [{"name": "x", "shape": [0], "datatype": "FP16", "data": []}, {"name": "s", "shape": [1], "datatype": "BYTES", "data": ["a"]}]}`
	d.handler = d.with(mangler{&d.scorer})
	d.refused(t, d.deliver(t, event(data)), scoring.Unimplemented, `output "s": value 0 holds bytes that are no text, which have no JSON form: ask for binary data, with the output parameter "binary_data": true or the request parameter "binary_data_output": true`)
}

func TestBudget(t *testing.T) {
	t.Parallel()
	timeout := func(micros string) string {
		return strings.Replace(inferData, `{"inputs"`, `{"parameters": {"timeout": `+micros+`}, "inputs"`, 1)
	}
	tests := []struct {
		name, body string
		want       time.Duration
	}{
		{"ours", event(predictData), 30 * time.Second},
		{"expiration", event(`, "expiration": "2000-01-01T00:00:02.5Z"`, predictData), 2500 * time.Millisecond},
		{"expiration in another zone", event(`, "expiration": "2000-01-01T05:30:05+05:30"`, inferData), 5 * time.Second},
		{"expiration after ours", event(`, "expiration": "2000-01-01T01:00:00Z"`, predictData), 30 * time.Second},
		{"timeout", event(timeout("1500")), 1500 * time.Microsecond},
		{"timeout before the expiration", event(`, "expiration": "2000-01-01T00:00:02Z"`, timeout("1000000")), time.Second},
		{"timeout after the expiration", event(`, "expiration": "2000-01-01T00:00:02Z"`, timeout("3000000")), 2 * time.Second},
		{"timeout after ours", event(timeout("60000000")), 30 * time.Second},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				d := newDoor()
				if status := d.deliver(t, test.body); status != "SUCCESS" {
					t.Errorf("got status %q, want SUCCESS", status)
				}
				if !slices.Equal(d.scorer.budgets, []time.Duration{test.want}) {
					t.Errorf("got the budgets %v, want %v", d.scorer.budgets, test.want)
				}
			})
		})
	}
}

func TestExpired(t *testing.T) {
	t.Parallel()
	for name, at := range map[string]string{"past": "1999-12-31T23:59:59Z", "now": "2000-01-01T00:00:00Z"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				d := newDoor()
				status := d.deliver(t, event(`, "expiration": "`+at+`"`, predictData))
				d.refused(t, status, scoring.Expired, "the request's time budget was spent before there was an answer")
				if len(d.scorer.predicted) != 0 {
					t.Error("it was scored, want no work for an event whose budget is spent")
				}
			})
		})
	}
}

// TestExpiresWhileScoring publishes the dead letter, though the budget is spent.
func TestExpiresWhileScoring(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		d := newDoor()
		d.handler = d.with(sleeper{&d.scorer})
		start := time.Now()
		status := d.deliver(t, event(`, "expiration": "2000-01-01T00:00:02Z"`, predictData))
		d.refused(t, status, scoring.Expired, "the request's time budget was spent before there was an answer")
		if took := time.Since(start); took != 2*time.Second {
			t.Errorf("took %s, want 2s", took)
		}
	})
}

// TestSidecarLeft gives the event back when the sidecar that delivered it is gone.
func TestSidecarLeft(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	d := newDoor()
	status := d.handler.Deliver(ctx, []byte(event(predictData)), "").Status
	if status != "RETRY" || len(d.publisher.messages) != 0 {
		t.Errorf("got status %q and %s published, want RETRY and nothing", status, d.publisher.messages)
	}
	d.observed(t, "retry Canceled")
}

// TestIDs shows that a repeated delivery is answered with the same id, and that the
// events of two senders are not, even where both call theirs 7.
func TestIDs(t *testing.T) {
	t.Parallel()
	other := func(body string) string { return strings.Replace(body, `"shop"`, `"bank"`, 1) }
	garbage := "not an event"
	tests := []struct {
		name, body, want string
	}{
		{"result", event(predictData), "shop#7/result"},
		{"tensors", event(inferData), "shop#7/result"},
		{"error", event(), "shop#7/error"},
		{"put back by an operator", strings.Replace(event(predictData), `{`, `{"ondareplay":"2",`, 1), "shop#7/result/2"},
		{"other sender's result", other(event(predictData)), "bank#7/result"},
		{"other sender's error", other(event()), "bank#7/error"},
		{"unreadable", garbage, fmt.Sprintf("unreadable-%x/error", sha256.Sum256([]byte(garbage)))},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			d := newDoor()
			for range 2 {
				d.deliver(t, test.body)
			}
			if len(d.publisher.messages) != 2 {
				t.Fatalf("got %d events, want 2", len(d.publisher.messages))
			}
			for _, m := range d.publisher.messages {
				var event struct{ ID string }
				if err := json.Unmarshal(m.body, &event); err != nil || event.ID != test.want {
					t.Errorf("got id %q, %v, want %q", event.ID, err, test.want)
				}
			}
		})
	}
}

func TestTraceIsContinued(t *testing.T) {
	t.Parallel()
	const parent, state = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", "a=1,b=2"
	for name, data := range map[string]string{results: predictData, deadLetters: ""} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := newDoor()
			d.deliver(t, event(`, "traceparent": "`+parent+`", "tracestate": "`+state+`"`, data))
			if out := d.published(t, name); out["traceparent"] != parent || out["tracestate"] != state {
				t.Errorf("got traceparent %v, tracestate %v, want %s, %s", out["traceparent"], out["tracestate"], parent, state)
			}
			d = newDoor()
			d.deliver(t, event(data))
			if out := d.published(t, name); out["traceparent"] != nil || out["tracestate"] != nil {
				t.Errorf("got traceparent %v, tracestate %v for an event without, want none", out["traceparent"], out["tracestate"])
			}
		})
	}
}

// TestRefuse shows what becomes of deliveries that could not be read: Dapr keeps the
// original of one that is too large, and delivers any other again.
func TestRefuse(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, status, observed string
		err                    error
	}{
		{"too large", "DROP", "dead_letter TooLarge", scoring.Errorf(scoring.TooLarge, "the body is too large")},
		{"cut off", "RETRY", "retry Invalid", scoring.Errorf(scoring.Invalid, "the body is cut off")},
		{"no room", "RETRY", "retry Overloaded", scoring.Errorf(scoring.Overloaded, "as many as it may")},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			d := newDoor()
			if status := d.handler.Refuse(tt.err).Status; status != tt.status || len(d.publisher.messages) != 0 {
				t.Errorf("got status %q and %s published, want %s and nothing", status, d.publisher.messages, tt.status)
			}
			d.observed(t, tt.observed)
		})
	}
}

// TestOurOwnTimeoutIsNoExpiry shows that an event without a budget of its own goes back
// to the broker when Onda is too slow for it.
func TestOurOwnTimeoutIsNoExpiry(t *testing.T) {
	t.Parallel()
	tests := []struct{ name, extra, status, observed string }{
		{"no budget", "", "RETRY", "retry Overloaded"},
		{"a budget that is longer than ours", `, "expiration": "2999-01-01T00:00:00Z"`, "RETRY", "retry Overloaded"},
		{"a budget of its own", `, "expiration": "2000-01-01T00:00:00.5Z"`, "SUCCESS", "dead_letter Expired"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) { // its clock starts at 2000-01-01
				d := newDoor()
				d.handler = d.with(waiter{})
				if status := d.deliver(t, event(tt.extra, predictData)); status != tt.status {
					t.Errorf("got status %q, want %s", status, tt.status)
				}
				d.observed(t, tt.observed)
			})
		})
	}
}

// waiter is a scorer that is never done in time.
type waiter struct{}

func (waiter) Predict(ctx context.Context, _ *scoring.PredictRequest) (*scoring.PredictResponse, error) {
	<-ctx.Done()
	return nil, scoring.AsError(ctx.Err())
}

func (waiter) Infer(ctx context.Context, _ *scoring.InferRequest) (*scoring.InferResponse, error) {
	<-ctx.Done()
	return nil, scoring.AsError(ctx.Err())
}

// TestFinalFailureIsNotRetried ends an event for a model that cannot be loaded: given back
// to the broker, it would only keep others waiting.
func TestFinalFailureIsNotRetried(t *testing.T) {
	t.Parallel()
	d := newDoor()
	failed := scoring.Errorf(scoring.Unavailable, "model m@1 could not be loaded")
	failed.Final = true
	d.scorer.err = fmt.Errorf("score: %w", failed)
	d.refused(t, d.deliver(t, event(predictData)), scoring.Unavailable, "model m@1 could not be loaded")
}

// TestLetterThatIsTooLarge leaves the dead letter to the sidecar, which has the original.
func TestLetterThatIsTooLarge(t *testing.T) {
	t.Parallel()
	d := newDoor()
	d.publisher.err = scoring.Errorf(scoring.TooLarge, "the event is larger than the sidecar takes")
	if status := d.deliver(t, "no event"); status != "DROP" {
		t.Errorf("got status %q, want DROP", status)
	}
	d.observed(t, "dead_letter Invalid")
}

func FuzzDeliver(f *testing.F) {
	for _, body := range []string{
		event(predictData), event(inferData), event(), "", "null", "[]", "\xff",
		event(`, "datacontenttype": "image/jpeg", "data_base64": "/9j/"`), event(`, "datacontenttype": "text/plain", "data": "\ud83d"`),
		event(`, "expiration": "2000-01-01T00:00:00Z"`, predictData), event(`, "traceparent": "x"`, predictData),
	} {
		f.Add([]byte(body))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		d := newDoor()
		switch status := d.deliver(t, string(body)); status {
		case "SUCCESS":
		case "":
			return // a bulk delivery: see FuzzDeliverTwice
		default:
			t.Fatalf("got status %q, want SUCCESS: scorer and publisher work", status)
		}
		if len(d.publisher.messages) != 1 || len(d.observer.seen) != 1 {
			t.Fatalf("got %s published and %q counted, want one of each", d.publisher.messages, d.observer.seen)
		}
		var out struct {
			SpecVersion, ID, Source, Type, Time string
			Data                                struct {
				Code, Error   string
				Original      json.RawMessage `json:"original"`
				OriginalBytes []byte          `json:"original_base64"`
			}
		}
		m := d.publisher.messages[0]
		if err := json.Unmarshal(m.body, &out); err != nil {
			t.Fatalf("%s: %v", m.body, err)
		}
		if out.SpecVersion != "1.0" || out.ID == "" || out.Source != "onda" || out.Time == "" {
			t.Fatalf("got %s, want a whole CloudEvent", m.body)
		}
		if m.topic == results {
			if out.Type != "onda.score.result.v1" || len(d.scorer.predicted)+len(d.scorer.inferred) != 1 {
				t.Fatalf("got the type %s for %d scorings, want a result for one", out.Type, len(d.scorer.predicted)+len(d.scorer.inferred))
			}
			return
		}
		if out.Type != "onda.score.error.v1" || out.Data.Code == "" || out.Data.Error == "" {
			t.Fatalf("got %s, want an error event", m.body)
		}
		if out.Data.Original == nil {
			if !bytes.Equal(out.Data.OriginalBytes, body) {
				t.Fatalf("got the original %q, want %q", out.Data.OriginalBytes, body)
			}
			return
		}
		// JSON keeps every byte but the spaces between its values.
		var compact bytes.Buffer
		if err := json.Compact(&compact, body); err != nil || !bytes.Equal(out.Data.Original, compact.Bytes()) {
			t.Fatalf("got the original %s, %v, want %s", out.Data.Original, err, compact.Bytes())
		}
	})
}
