package e2e_test

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"
)

// TestEvents publishes scoring requests and receives what Onda publishes in return.
func TestEvents(t *testing.T) {
	group(t)
	s := startStack(t, nil)
	e := &exchange{s, listen(t, s.own.grpcPort, pubsub, resultsTopic), listen(t, s.own.grpcPort, pubsub, deadLetterTopic)}
	s.eventsFlow(t, e.letters)
	t.Run("results", e.resultsArrive)
	t.Run("plain JSON", e.plainJSON)
	t.Run("infer", e.infer)
	t.Run("refused", e.refused)
	t.Run("expired", e.expired)
	t.Run("forged", e.forged)
	t.Run("each once", e.eachOnce)
}

// exchange is Onda with subscribers to what it publishes.
type exchange struct {
	*stack

	results, letters *listener
}

// checkResult holds a result event against the request's id and subject.
func (e *exchange) checkResult(t *testing.T, got event, id, source, subject string) {
	t.Helper()
	model, _, _ := strings.Cut(subject, "/")
	if got.SpecVersion != "1.0" || got.ID != source+"#"+id+"/result" || got.Type != "onda.score.result.v1" || got.Source != "onda" || got.Subject != subject ||
		got.RequestID != id || got.RequestSource != source || got.DataContentType != "application/json" {
		t.Errorf("request %s of %s about %s is answered by %+v", id, source, subject, got)
	}
	if got.ModelVersion != "1" || !strings.HasPrefix(got.ModelDigest, "sha256:") || time.Since(got.Time).Abs() > patience {
		t.Errorf("the result does not say which version gave it, and when: %+v", got)
	}
	var data struct {
		Model struct{ Name string } `json:"model"`
		Name  string                `json:"model_name"`
		ID    string                `json:"id"`
	}
	if err := json.Unmarshal(got.Data, &data); err != nil || data.Model.Name+data.Name != model || data.ID != id {
		t.Errorf("the result's data is %s (%v), want an answer of %s with id %s", clip(string(got.Data)), err, model, id)
	}
}

// resultsArrive sends every kind of data that an event can have.
func (e *exchange) resultsArrive(t *testing.T) {
	picture, question := golden(t, imageModel).cases[0], golden(t, faqModel).cases[0]
	encoded := base64.StdEncoding.EncodeToString(picture.picture)
	for name, c := range map[string]struct {
		goldens

		want       goldenCase
		attributes map[string]any
	}{
		"a picture in JSON": {golden(t, imageModel), picture, map[string]any{
			"subject": imageModel, "data": map[string]any{"instances": []any{map[string]string{"b64": encoded}}},
		}},
		"a picture as data_base64": {golden(t, imageModel), picture, map[string]any{
			"subject": imageModel + "/versions/1", "datacontenttype": "image/png", "data_base64": encoded,
		}},
		"a question in JSON": {golden(t, faqModel), question, map[string]any{
			"subject": faqModel, "data": map[string]any{"instances": []string{question.text}, "parameters": map[string]int{"top_k": 2}},
		}},
		"a question as text": {golden(t, faqModel), question, map[string]any{
			"subject": faqModel + "/labels/live", "datacontenttype": "text/plain", "data": question.text,
		}},
	} {
		t.Run(name, func(t *testing.T) {
			id := e.publishEvent(t, c.attributes)
			got := e.results.wait(t, id)
			subject, _ := c.attributes["subject"].(string)
			e.checkResult(t, got, id, "tests", subject)
			var a answer
			if err := json.Unmarshal(got.Data, &a); err != nil || len(a.Predictions) != 1 {
				t.Fatalf("the result's data is %s (%v)", clip(string(got.Data)), err)
			}
			c.check(t, a.Predictions[0], c.want)
		})
	}
}

// plainJSON leaves it to the sidecar to make the CloudEvent.
func (e *exchange) plainJSON(t *testing.T) {
	question := golden(t, faqModel).cases[0]
	for name, attributes := range map[string]map[string]string{
		"with a type": {"cloudevent.type": "onda.score.request.v1"},
		// The type that Dapr gives to events without one.
		"without a type": {},
	} {
		t.Run(name, func(t *testing.T) {
			id := "plain-" + unique()
			query := url.Values{"metadata.cloudevent.subject": {faqModel}, "metadata.cloudevent.id": {id}}
			for name, value := range attributes {
				query.Set("metadata."+name, value)
			}
			e.publish(t, "application/json", "?"+query.Encode(), asJSON(t, map[string]any{"instances": []string{question.text}}))
			e.checkResult(t, e.results.wait(t, id), id, e.id, faqModel)
		})
	}
}

// infer sends tensors.
func (e *exchange) infer(t *testing.T) {
	zeros := tensor{Name: "images", Datatype: "FP32", Shape: []int64{1, 3, 224, 224}, Data: make([]int, 3*224*224)}
	id := e.publishEvent(t, map[string]any{"subject": imageModel, "data": map[string]any{"inputs": []tensor{zeros}}})
	e.checkResult(t, e.results.wait(t, id), id, "tests", imageModel)
}

// letter is the data of an error event.
type letter struct {
	Code     string          `json:"code"`
	Error    string          `json:"error"`
	Original json.RawMessage `json:"original"`
}

// checkLetter holds an error event against the request.
func (e *exchange) checkLetter(t *testing.T, id, code, text string) {
	t.Helper()
	got := e.letters.wait(t, id)
	if got.SpecVersion != "1.0" || got.ID != "tests#"+id+"/error" || got.Type != "onda.score.error.v1" || got.Source != "onda" || got.RequestID != id {
		t.Errorf("request %s is answered by %+v", id, got)
	}
	var data letter
	var original event
	if err := json.Unmarshal(got.Data, &data); err != nil {
		t.Fatalf("the error event's data is %s: %s", got.Data, err)
	}
	if data.Code != code || data.Error != text {
		t.Errorf("code %s, error %q\nwant %s, %q", data.Code, data.Error, code, text)
	}
	if err := json.Unmarshal(data.Original, &original); err != nil || original.ID != id || original.Type != "onda.score.request.v1" {
		t.Errorf("the original is %s (%v)", clip(string(data.Original)), err)
	}
}

// refused sends what no retry can mend: each ends as an error event with its reason and
// the original.
func (e *exchange) refused(t *testing.T) {
	ask := map[string]any{"instances": []string{"How?"}}
	for name, c := range map[string]struct {
		attributes map[string]any
		code, text string
	}{
		"unknown model":   {map[string]any{"subject": "none", "data": ask}, "NotFound", `Request for unknown model: 'none' is not found: GET /v1/models lists the models`},
		"unknown version": {map[string]any{"subject": imageModel + "/versions/99", "data": ask}, "NotFound", `model "image-classification" has no version 99: GET /v1/models/image-classification lists its versions`},
		"bad subject":     {map[string]any{"subject": imageModel + "/99", "data": ask}, "Invalid", `subject: model reference "image-classification/99": want "model", "model/versions/N" or "model/labels/L"`},
		"no subject":      {map[string]any{"data": ask}, "Invalid", `the event has no subject: want "MODEL", "MODEL/versions/N" or "MODEL/labels/L"`},
		"no data":         {map[string]any{"subject": imageModel}, "Invalid", "the event has neither data nor data_base64"},
		"wrong data":      {map[string]any{"subject": imageModel, "data": map[string]any{"instance": "x"}}, "Invalid", `data: the body: unknown key "instance": want instances, parameters and id`},
		"text to the image model": {
			map[string]any{"subject": imageModel, "data": ask},
			"Invalid",
			`instances[0]: this model takes pictures: send {"b64": "..."} or the picture itself as image/jpeg, image/png, image/webp or image/gif`,
		},
		"not a picture": {
			map[string]any{"subject": imageModel, "datacontenttype": "image/png", "data_base64": "bm8gcGljdHVyZQ=="},
			"Invalid",
			"instances[0]: the bytes are not a picture: send JPEG, PNG, WebP or GIF",
		},
		"unknown content type": {
			map[string]any{"subject": imageModel, "datacontenttype": "video/mp4", "data_base64": "bm8gcGljdHVyZQ=="},
			"UnsupportedMedia",
			`data: content type "video/mp4" is not supported: want application/json, multipart/form-data, text/plain, application/octet-stream, image/jpeg, image/png, image/webp or image/gif`,
		},
	} {
		t.Run(name, func(t *testing.T) { e.checkLetter(t, e.publishEvent(t, c.attributes), c.code, c.text) })
	}
}

// expired sends events whose time is over. The sidecar passes such an event to the
// dead-letter topic as it is; one that expires between the sidecar and Onda becomes an
// error event.
func (e *exchange) expired(t *testing.T) {
	attributes := map[string]any{"subject": imageModel, "data": map[string]any{"instances": []string{"x"}}, "expiration": "2020-01-01T00:00:00Z"}
	id := e.publishEvent(t, attributes)
	if got := e.letters.wait(t, id); got.ID != id || got.Type != "onda.score.request.v1" {
		t.Errorf("the sidecar passed on %+v, want the event as it was", got)
	}
	late := "late-" + unique()
	delivery := map[string]any{"specversion": "1.0", "id": late, "source": "tests", "type": "onda.score.request.v1"}
	maps.Copy(delivery, attributes)
	got := request{path: "/events/scoring", contentType: "application/cloudevents+json", body: asJSON(t, delivery)}.to(t, e.direct())
	if got.status != http.StatusOK || got.body != `{"status":"SUCCESS"}` {
		t.Errorf("the delivery is answered by %d %s", got.status, got.body)
	}
	e.checkLetter(t, late, "Expired", "the request's time budget was spent before there was an answer")
}

// forged has another app call where the sidecar delivers events: it is refused, and nothing of it
// is scored or kept.
func (e *exchange) forged(t *testing.T) {
	id := "forged-" + unique()
	body := asJSON(t, map[string]any{
		"specversion": "1.0", "id": id, "source": "tests", "type": "onda.score.request.v1", "subject": faqModel, "data": map[string]any{"instances": []string{"How?"}},
	})
	for _, path := range []string{"/events/scoring", "/events/scoring/" + faqModel, "/events/deadletters"} {
		got := request{path: path, contentType: "application/cloudevents+json", body: body}.to(t, e.throughOther())
		if got.status != http.StatusNotFound || !strings.Contains(got.body, "delivered here by the sidecar alone") {
			t.Errorf("%s: got %d %s", path, got.status, got.body)
		}
	}
	e.publishEvent(t, map[string]any{"subject": faqModel, "data": map[string]any{"instances": []string{"How?"}}})
	for _, l := range []*listener{e.results, e.letters} {
		if about := l.about(t, id); len(about) != 0 {
			t.Errorf("it was answered by %+v", about)
		}
	}
}

// eachOnce counts: after all that was sent, no request has two answers.
func (e *exchange) eachOnce(t *testing.T) {
	last := e.publishEvent(t, map[string]any{"subject": "none", "data": map[string]any{"instances": []string{"x"}}})
	e.letters.wait(t, last)
	seen := map[string]string{}
	for _, s := range []*listener{e.results, e.letters} {
		s.mu.Lock()
		for _, got := range s.events {
			id := got.RequestID
			if id == "" {
				id = got.ID
			}
			if first, twice := seen[id]; twice {
				t.Errorf("request %s is answered twice: %s and %s", id, first, fmt.Sprintf("%s on %s", got.ID, s.topic))
			}
			seen[id] = got.ID + " on " + s.topic
		}
		s.mu.Unlock()
	}
}
