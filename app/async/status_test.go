package async_test

import (
	"testing"

	"github.com/onda-serving/onda/app/answers"
	"github.com/onda-serving/onda/app/async"
	"github.com/onda-serving/onda/app/scoring"
)

const (
	resultEvent = `{"specversion":"1.0","id":"onda/async#7/result","source":"onda","type":"onda.score.result.v1","subject":"faq/labels/live","modelversion":"3","modeldigest":"sha256:d1","data":{"predictions":[1.50],"id":"7"}}`
	errorEvent  = `{"specversion":"1.0","type":"onda.score.error.v1","subject":"faq","data":{"code":"Expired","error":"the budget was spent","original":{"data":{"instances":["a secret"]}}}}`
)

func TestStatus(t *testing.T) {
	t.Parallel()
	r := newRig()
	_, err := r.Status(t.Context(), "7")
	refused(t, err, scoring.NotFound, "there is no asynchronous request with this id", "kept for 1h0m0s (ONDA_ANSWER_TTL)")

	if _, err := r.Accept(t.Context(), question("7")); err != nil {
		t.Fatal(err)
	}
	if got, err := r.Status(t.Context(), "7"); got.ID != "7" || got.Status != answers.Pending || got.Response != nil || got.Failure != nil || err != nil {
		t.Errorf("got %+v, %v", got, err)
	}
	r.answer(t, "7", answers.Done, resultEvent)
	got, err := r.Status(t.Context(), "7")
	if got.Status != answers.Done || string(got.Response) != `{"predictions":[1.50],"id":"7"}` || got.Failure != nil || err != nil {
		t.Errorf("got %+v, %v", got, err)
	}
	if want := (scoring.ModelID{Name: "faq", Version: 3, Digest: "sha256:d1"}); got.Model != want {
		t.Errorf("got %+v, want %+v", got.Model, want)
	}

	r.answer(t, "8", answers.Failed, errorEvent)
	got, err = r.Status(t.Context(), "8")
	if got.Status != answers.Failed || got.Response != nil || err != nil {
		t.Fatalf("got %+v, %v", got, err)
	}
	if text := got.Failure.Error(); text != "Expired: the budget was spent" {
		t.Errorf("got %q, want nothing of the original", text)
	}
}

// TestReplayed requests are answered as their newest replay was, for whoever polls or asks again.
func TestReplayed(t *testing.T) {
	t.Parallel()
	r := newRig()
	if _, err := r.Accept(t.Context(), question("7")); err != nil {
		t.Fatal(err)
	}
	asked, _ := r.broker.events[0]["ondarequest"].(string)
	own := answers.Key{Source: answers.AsyncSource, ID: "7"}
	for replay, step := range []struct {
		status answers.Status
		event  string
	}{{answers.Failed, errorEvent}, {answers.Done, resultEvent}} {
		key := answers.Key{Source: own.Source, ID: own.ID, Replay: replay + 1}
		record, err := r.Answers.Keep(t.Context(), key, answers.Record{Status: step.status, Request: asked, Event: []byte(step.event)})
		if err != nil {
			t.Fatal(err)
		}
		if err := r.Answers.Answered(t.Context(), key, record); err != nil {
			t.Fatal(err)
		}
		if got, err := r.Status(t.Context(), "7"); got.ID != "7" || got.Status != step.status || err != nil {
			t.Errorf("got %+v, %v, want %s", got, err, step.status)
		}
		if got, err := r.Accept(t.Context(), question("7")); got != (async.Accepted{ID: "7", Status: step.status}) || err != nil || len(r.broker.events) != 1 {
			t.Errorf("got %+v, %v after %d events, want what is answered already", got, err, len(r.broker.events))
		}
	}
	if first, err := r.Answers.Find(t.Context(), own); err != nil || first.Status != answers.Pending {
		t.Errorf("got %+v, %v, want the first record as it was", first, err)
	}
}

// TestFailureOfAnotherVersion has a code that is not known.
func TestFailureOfAnotherVersion(t *testing.T) {
	t.Parallel()
	r := newRig()
	r.answer(t, "7", answers.Failed, `{"data":{"code":"Teapot","error":"no coffee"}}`)
	if got, err := r.Status(t.Context(), "7"); err != nil || got.Failure.Error() != "Internal: no coffee" {
		t.Errorf("got %+v, %v", got, err)
	}
}

func TestUnreadableAnswers(t *testing.T) {
	t.Parallel()
	for event, status := range map[string]answers.Status{
		``:   answers.Done,
		`{}`: answers.Done,
		`[]`: answers.Failed,
		`{"subject":"a b","modelversion":"3","data":{}}`:   answers.Done,
		`{"subject":"faq","modelversion":"new","data":{}}`: answers.Done,
		`{"data":"x"}`: answers.Failed,
		`{"data":7}`:   answers.Failed,
		`{"a":{}}`:     answers.Failed,
	} {
		r := newRig()
		r.answer(t, "7", status, event)
		_, err := r.Status(t.Context(), "7")
		refused(t, err, scoring.Internal, "the answer that was kept for the request cannot be read")
	}
}

// FuzzStatus reads what a state store may hold.
func FuzzStatus(f *testing.F) {
	f.Add(resultEvent, true)
	f.Add(errorEvent, false)
	f.Add(`{"data":{"code":7}}`, false)
	f.Fuzz(func(t *testing.T, event string, done bool) {
		r := newRig()
		status := answers.Failed
		if done {
			status = answers.Done
		}
		text := []byte(`{"status":"` + string(status) + `","event":` + event + `}`)
		if err := r.store.SaveFor(t.Context(), answers.Key{Source: answers.AsyncSource, ID: "7"}.String(), text, "", 0); err != nil {
			t.Fatal(err)
		}
		state, err := r.Status(t.Context(), "7")
		switch {
		case err != nil && scoring.CodeOf(err) != scoring.Internal:
			t.Errorf("got %v", err)
		case err == nil && state.Status == answers.Failed && state.Failure == nil:
			t.Errorf("got %+v, want why it failed", state)
		case err == nil && state.Status == answers.Done && (state.Failure != nil || state.Model.Name == ""):
			t.Errorf("got %+v, want an answer", state)
		}
	})
}
