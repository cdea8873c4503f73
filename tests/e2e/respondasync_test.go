package e2e_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/onda-serving/onda/tests/internal/ondatest"
)

// TestRespondAsync sends requests whose callers do not wait, by every way.
func TestRespondAsync(t *testing.T) {
	group(t)
	models := t.TempDir()
	linkModel(t, models, faqModel)
	addFiles(t, models, brittleModel, 1, modelFiles(brittle()))
	s := startStack(t, map[string]string{"ONDA_MODELS_DIR": models, "ONDA_DRAIN_DELAY": "0s"})
	d := &desk{s, listen(t, s.own.grpcPort, pubsub, resultsTopic), listen(t, s.own.grpcPort, pubsub, deadLetterTopic), nil}
	s.eventsFlow(t, d.letters)
	for _, w := range s.ways() {
		t.Run(w.name, func(t *testing.T) {
			t.Run("polled", func(t *testing.T) { d.polled(t, w) })
			t.Run("waited", func(t *testing.T) { d.waited(t, w) })
			t.Run("sent twice", func(t *testing.T) { d.twice(t, w) })
			t.Run("sent at once", func(t *testing.T) { d.atOnce(t, w) })
			t.Run("failed", func(t *testing.T) { d.failed(t, w) })
			t.Run("refused", func(t *testing.T) { d.refused(t, w) })
			t.Run("unknown", func(t *testing.T) { d.unknown(t, w) })
		})
	}
	t.Run("no events", d.noEvents)
	t.Run("restart", d.restart)
}

// desk is Onda with listeners, who must not hear of requests that callers ask for themselves.
type desk struct {
	*stack

	results, letters *listener

	ids []string
}

// accepted is the body of a 202.
type accepted struct {
	ID     string `json:"id"`
	Status string `json:"status"`
	URL    string `json:"url"`
}

// state is what GET /v1/requests/{id} answers.
type state struct {
	ID       string          `json:"id"`
	Status   string          `json:"status"`
	Response json.RawMessage `json:"response"`
	Model    struct {
		Name    string `json:"name"`
		Version string `json:"version"`
	} `json:"model"`
	Error struct {
		Code  string `json:"code"`
		Error string `json:"error"`
	} `json:"error"`
}

// askNumber asks the brittle model about a number.
func askNumber(t *testing.T, x float64) request {
	t.Helper()
	return request{path: "/v2/models/" + brittleModel + "/infer", contentType: "application/json", body: asJSON(t, number(x)["data"])}
}

// with is the request with further headers, names and values in turn.
func (r request) with(headers ...string) request {
	r.header = maps.Clone(r.header)
	if r.header == nil {
		r.header = map[string]string{}
	}
	for i := 0; i+1 < len(headers); i += 2 {
		r.header[headers[i]] = headers[i+1]
	}
	return r
}

// accepts sends a request without waiting, which must be accepted. key is "" where the caller
// has no id of its own.
func (d *desk) accepts(t *testing.T, w way, r request, key string) accepted {
	t.Helper()
	r = r.with("Prefer", "respond-async")
	if key != "" {
		r = r.with("Idempotency-Key", key)
	}
	got := r.to(t, w)
	var a accepted
	if err := errors.Join(wants(http.StatusAccepted, got), json.Unmarshal([]byte(got.body), &a)); err != nil {
		t.Fatal(err)
	}
	if a.ID == "" || key != "" && a.ID != key || a.URL != "/v1/requests/"+a.ID || got.header.Get("Location") != a.URL || got.header.Get("Preference-Applied") != "respond-async" {
		t.Errorf("the request %q is accepted with %s and the headers %v", key, got.body, got.header)
	}
	if pending := got.header.Get("Retry-After") != ""; pending != (a.Status == "pending") {
		t.Errorf("status %q, and Retry-After is %q", a.Status, got.header.Get("Retry-After"))
	}
	d.ids = append(d.ids, a.ID)
	return a
}

// polls asks for the answer until there is one.
func polls(t *testing.T, w way, url string) (s state) {
	t.Helper()
	eventually(t, "the request is answered", func() error {
		got := get(w.url + url)
		s = state{}
		if err := errors.Join(wants(http.StatusOK, got), json.Unmarshal([]byte(got.body), &s)); err != nil {
			t.Fatal(err)
		}
		if s.Status == "pending" {
			return errors.New(got.body)
		}
		return nil
	})
	return s
}

// polled gets the answer from the status, where it is what the same request is answered at once.
func (d *desk) polled(t *testing.T, w way) {
	question := golden(t, faqModel).cases[0].text
	path := "/v1/models/" + faqModel
	for name, r := range map[string]request{
		"JSON":    {path: path + ":predict", contentType: "application/json", body: asJSON(t, map[string]any{"instances": []string{question}, "parameters": map[string]int{"top_k": 2}})},
		"text":    {path: path + "/versions/1:predict", contentType: "text/plain", body: []byte(question)},
		"a label": {path: path + "/labels/live:predict", contentType: "application/json", body: asJSON(t, map[string]any{"instances": []string{question}})},
		"tensors": askNumber(t, 3),
	} {
		t.Run(name, func(t *testing.T) {
			key := "polled-" + unique()
			atOnce := r.with("X-Request-Id", key).to(t, w)
			if err := wants(http.StatusOK, atOnce); err != nil {
				t.Fatal(err)
			}
			s := polls(t, w, d.accepts(t, w, r, key).URL)
			if s.Status != "done" || s.ID != key || !sameValue(t, s.Response, []byte(atOnce.body)) || s.Error.Code != "" {
				t.Errorf("request %s: %s %s\n%s\nat once it is answered by\n%s", s.ID, s.Status, s.Error.Error, s.Response, atOnce.body)
			}
			if s.Model.Version != "1" || !strings.Contains(r.path, s.Model.Name) || s.Model.Name == "" {
				t.Errorf("the answer is of %+v", s.Model)
			}
		})
	}
	t.Run("without an id", func(t *testing.T) {
		one, other := d.accepts(t, w, askNumber(t, 4), ""), d.accepts(t, w, askNumber(t, 4), "")
		if one.ID == other.ID || one.Status != "pending" {
			t.Errorf("two requests are accepted as %+v and %+v", one, other)
		}
		d.answers(t, w, one.URL, 4)
		d.answers(t, w, other.URL, 4)
	})
}

// answers waits for a number.
func (d *desk) answers(t *testing.T, w way, url string, y float64) {
	t.Helper()
	s := polls(t, w, url)
	if got, err := readScored(s.Response); s.Status != "done" || err != nil || got.y != y {
		t.Errorf("%s: %s %s (%v), want %v", url, s.Status, s.Response, err, y)
	}
}

// waited gets the answer at once, since there is one within the time.
func (d *desk) waited(t *testing.T, w way) {
	key := "waited-" + unique()
	r := askNumber(t, 6).with("X-Request-Id", key)
	atOnce := r.to(t, w)
	const wait = 15 * time.Second
	start := time.Now()
	got := r.with("Prefer", fmt.Sprintf("respond-async, wait=%d", int(wait.Seconds())), "Idempotency-Key", key).to(t, w)
	if took := time.Since(start); took >= wait {
		t.Errorf("it took %s, and wait is %s", took, wait)
	}
	if got.status != http.StatusOK || got.body != atOnce.body || got.header.Get("X-Request-Id") != key || got.header.Get("Onda-Model") != brittleModel+"@1" {
		t.Errorf("%d %s, headers %v\nat once it is %d %s", got.status, got.body, got.header, atOnce.status, atOnce.body)
	}
	if location := got.header.Get("Location"); location != "" {
		t.Errorf("an answer has the location %s", location)
	}
	d.answers(t, w, "/v1/requests/"+key, 6)
	d.ids = append(d.ids, key)
}

// runs counts the runs of the brittle model.
func (d *desk) runs(t *testing.T) int {
	t.Helper()
	var a struct {
		Stats []struct {
			Count int `json:"inference_count"`
		} `json:"model_stats"`
	}
	get(d.onda.url()+"/v2/models/"+brittleModel+"/stats").into(t, &a)
	if len(a.Stats) != 1 {
		t.Fatalf("statistics of %d versions, want 1", len(a.Stats))
	}
	return a.Stats[0].Count
}

// twice sends a request again that is answered: it gets the same answer, and is not run.
func (d *desk) twice(t *testing.T, w way) {
	key, r, before := "twice-"+unique(), askNumber(t, 7), d.runs(t)
	first := d.accepts(t, w, r, key)
	answer := polls(t, w, first.URL)
	d.answers(t, w, first.URL, 7)
	for range 2 {
		if again := d.accepts(t, w, r, key); again.Status != "done" {
			t.Errorf("a request that is answered is accepted as %+v", again)
		}
	}
	quoted := r.with("Prefer", "respond-async, wait=5", "Idempotency-Key", `"`+key+`"`).to(t, w)
	if quoted.status != http.StatusOK || quoted.body != string(answer.Response) {
		t.Errorf("with wait it is answered by %d %s, want %s", quoted.status, quoted.body, answer.Response)
	}
	if again := polls(t, w, first.URL); !sameJSON(t, again, answer) {
		t.Errorf("the answer became %+v from %+v", again, answer)
	}
	if ran := d.runs(t) - before; ran != 1 {
		t.Errorf("%d runs of one request", ran)
	}
	other := askNumber(t, 8).with("Prefer", "respond-async", "Idempotency-Key", key).to(t, w)
	if other.status != http.StatusConflict || !strings.Contains(other.body, "was used before, for another request") {
		t.Errorf("another request under the same key: %d %s, want 409", other.status, other.body)
	}
	d.answers(t, w, first.URL, 7)
}

// atOnce sends a request several times while it is not answered.
func (d *desk) atOnce(t *testing.T, w way) {
	key, r := "at-once-"+unique(), askNumber(t, 9)
	replies := make([]reply, 6)
	var all sync.WaitGroup
	for i := range replies {
		prefer := "respond-async"
		if i%2 == 1 {
			prefer += ", wait=15"
		}
		all.Go(func() { replies[i] = r.with("Prefer", prefer, "Idempotency-Key", key).send(w) })
	}
	all.Wait()
	answer := polls(t, w, "/v1/requests/"+key)
	for i, got := range replies {
		switch {
		case i%2 == 0 && wants(http.StatusAccepted, got) != nil:
			t.Errorf("%d %s (%v), want 202", got.status, got.body, got.err)
		case i%2 == 1 && (wants(http.StatusOK, got) != nil || got.body != string(answer.Response)):
			t.Errorf("%d %s (%v)\nwant 200 %s", got.status, got.body, got.err, answer.Response)
		}
	}
	d.answers(t, w, "/v1/requests/"+key, 9)
	d.ids = append(d.ids, key)
}

// failed sends what only the model finds out to be wrong: the request is accepted, and fails.
func (d *desk) failed(t *testing.T, w way) {
	r := askNumber(t, limit+5)
	atOnce := r.to(t, w)
	var why struct {
		Error string `json:"error"`
	}
	if err := json.Unmarshal([]byte(atOnce.body), &why); err != nil || atOnce.status != http.StatusBadRequest || why.Error == "" {
		t.Fatalf("at once it is answered by %d %s, want 400", atOnce.status, atOnce.body)
	}
	a := d.accepts(t, w, r, "failed-"+unique())
	s := polls(t, w, a.URL)
	if s.Status != "failed" || s.Error.Code != "Invalid" || s.Error.Error != why.Error || len(s.Response) != 0 {
		t.Errorf("the request is %s with %+v %s\nwant Invalid %q", s.Status, s.Error, s.Response, why.Error)
	}
	if again := d.accepts(t, w, r, a.ID); again.Status != "failed" {
		t.Errorf("sent again it is accepted as %+v", again)
	}
	waited := r.with("Prefer", "respond-async, wait=15", "Idempotency-Key", "failed-"+unique()).to(t, w)
	if waited.status != http.StatusBadRequest || waited.body != atOnce.body {
		t.Errorf("with wait it is answered by %d %s, want 400 %s", waited.status, waited.body, atOnce.body)
	}
}

// refused sends what is found out to be wrong at once: it is not accepted.
func (d *desk) refused(t *testing.T, w way) {
	question := []byte(`{"instances":["How?"]}`)
	for name, c := range map[string]struct {
		request

		prefer, text string
		status       int
	}{
		"unknown model":   {request{path: "/v1/models/none:predict", contentType: "application/json", body: question}, "", "unknown model", http.StatusNotFound},
		"unknown version": {request{path: "/v1/models/" + faqModel + "/versions/99:predict", contentType: "application/json", body: question}, "", "no version 99", http.StatusNotFound},
		"no tensors":      {request{path: "/v2/models/" + brittleModel + "/infer", contentType: "application/json", body: []byte(`{}`)}, "", "inputs", http.StatusBadRequest},
		"no JSON":         {request{path: "/v1/models/" + faqModel + ":predict", contentType: "application/json", body: []byte(`{"instances":`)}, "", "JSON", http.StatusBadRequest},
		"no time":         {askNumber(t, 1), "respond-async, wait=soon", "want a whole number of seconds", http.StatusBadRequest},
		"content type":    {request{path: "/v1/models/" + faqModel + ":predict", contentType: "video/mp4", body: question}, "", "not supported", http.StatusUnsupportedMediaType},
	} {
		t.Run(name, func(t *testing.T) {
			key := "refused-" + unique()
			if c.prefer == "" {
				c.prefer = "respond-async"
			}
			got := c.with("Prefer", c.prefer, "Idempotency-Key", key).to(t, w)
			if got.status != c.status || !strings.Contains(got.body, c.text) {
				t.Errorf("%d %s, want %d and %q", got.status, got.body, c.status, c.text)
			}
			if got := get(w.url + "/v1/requests/" + key); got.status != http.StatusNotFound {
				t.Errorf("it is known all the same: %d %s", got.status, got.body)
			}
		})
	}
	got := askNumber(t, 1).with("Prefer", "respond-async", "Idempotency-Key", "a b").to(t, w)
	if got.status != http.StatusBadRequest || !strings.Contains(got.body, "idempotency-key has a character at offset 1") {
		t.Errorf("a key with a space: %d %s", got.status, got.body)
	}
}

// unknown asks for requests that nobody sent.
func (d *desk) unknown(t *testing.T, w way) {
	for _, id := range []string{unique(), "x" + strings.Repeat("y", 300)} {
		got := get(w.url + "/v1/requests/" + id)
		if got.status != http.StatusNotFound || !strings.Contains(got.body, `{"error":"there is no asynchronous request with this id`) {
			t.Errorf("%d %s, want 404", got.status, got.body)
		}
	}
}

// noEvents looks that no answer was published: the callers ask for them, and nobody else knows
// what they are about.
func (d *desk) noEvents(t *testing.T) {
	d.results.wait(t, d.publishEvent(t, number(1)))
	time.Sleep(100 * time.Millisecond)
	if len(d.ids) == 0 {
		t.Fatal("nothing was accepted")
	}
	for _, id := range d.ids {
		for _, l := range []*listener{d.results, d.letters} {
			if got := l.about(t, id); len(got) != 0 {
				t.Errorf("request %s is answered on %s: %s", id, l.topic, got[0].text)
			}
		}
	}
}

// restart ends Onda and its sidecar: answers are there afterwards, by every way.
func (d *desk) restart(t *testing.T) {
	w := d.direct()
	url := d.accepts(t, w, askNumber(t, 5), "restart-"+unique()).URL
	before := polls(t, w, url)
	d.onda.kill(t)
	d.own.end(t)
	d.onda.start(t)
	d.own.start(t)
	d.ready(t)
	for _, w := range d.ways() {
		d.answers(t, w, url, 5)
		if after := polls(t, w, url); !sameJSON(t, after, before) {
			t.Errorf("%s: after a restart the request is %+v, before it was %+v", w.name, after, before)
		}
	}
}

// unread starts Onda with a topic of requests that goes to a path that nobody answers, and gives
// the way to it. change may change the subscription.
func unread(t *testing.T, change func(spec map[string]any)) way {
	t.Helper()
	models := t.TempDir()
	addFiles(t, models, brittleModel, 1, modelFiles(brittle()))
	appID := "unanswered-" + unique()
	components := ondatest.Components(t, appID, ondatest.SQLite(filepath.Join(t.TempDir(), "state.db")))
	// Declared, so that Onda does not subscribe itself.
	lost, write := resources(t, filepath.Join(components, "subscription.yaml"))
	spec, _ := lost[0]["spec"].(map[string]any)
	spec["topic"], spec["routes"] = "read.by.nobody", map[string]any{"default": "/nowhere"}
	change(spec)
	lost[0]["metadata"] = map[string]any{"name": "read-by-nobody"}
	write(filepath.Join(components, "nobody.yaml"), lost[0])
	r := ondatest.StartReplica(t, ondatest.ReplicaOptions{
		Binary: ondaBinary, AppID: appID, Models: models,
		Components: components,
		Settings:   map[string]string{"ONDA_REQUESTS_TOPIC": "read.by.nobody"},
	})
	r.Sidecar.Reaches(appID)
	return way{"through the sidecar", r.URL()}
}

// TestRespondAsyncGivenUp: a request whose event the sidecar gives up on has failed, and does not
// stay pending.
func TestRespondAsyncGivenUp(t *testing.T) {
	group(t)
	w := unread(t, func(map[string]any) {}) // with a dead-letter topic
	ask := askNumber(t, 1).with("Prefer", "respond-async", "Idempotency-Key", "given-up-"+unique())
	var s state
	eventually(t, "the request has failed", func() error {
		var a accepted
		got := ask.to(t, w) // again: a topic in the sidecar keeps nothing for subscribers that come later
		if err := errors.Join(wants(http.StatusAccepted, got), json.Unmarshal([]byte(got.body), &a)); err != nil {
			t.Fatal(err)
		}
		now := get(w.url + a.URL)
		if err := json.Unmarshal([]byte(now.body), &s); err != nil || s.Status == "pending" {
			return fmt.Errorf("%d %s (%w)", now.status, now.body, err)
		}
		return nil
	})
	if s.Status != "failed" || s.Error.Code != "Unavailable" {
		t.Errorf("got %+v", s)
	}
}

// TestRespondAsyncUnanswered puts requests on a topic that nobody reads: whoever waits does so
// for the time that it said, and is told where to ask.
func TestRespondAsyncUnanswered(t *testing.T) {
	group(t)
	w := unread(t, func(spec map[string]any) { delete(spec, "deadLetterTopic") })
	const wait = time.Second
	start := time.Now()
	got := askNumber(t, 1).with("Prefer", "respond-async, wait=1").to(t, w)
	if took := time.Since(start); took < wait || took > 10*wait {
		t.Errorf("it took %s, and wait is %s", took, wait)
	}
	var a accepted
	if err := errors.Join(wants(http.StatusAccepted, got), json.Unmarshal([]byte(got.body), &a)); err != nil {
		t.Fatal(err)
	}
	if a.Status != "pending" || got.header.Get("Location") != a.URL || got.header.Get("Retry-After") != "1" {
		t.Errorf("%s, headers %v", got.body, got.header)
	}
	status := get(w.url + a.URL)
	if want := fmt.Sprintf(`{"id":%q,"status":"pending"}`, a.ID); status.status != http.StatusOK || status.body != want || status.header.Get("Retry-After") != "1" {
		t.Errorf("%d %s, headers %v: want %s", status.status, status.body, status.header, want)
	}
}
