package admin_test

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/onda-serving/onda/app/admin"
	"github.com/onda-serving/onda/app/catalog"
	"github.com/onda-serving/onda/app/judge"
	"github.com/onda-serving/onda/app/scoring"
	"github.com/onda-serving/onda/app/statistics"
)

func TestModels(t *testing.T) {
	t.Parallel()
	r := newRig()
	none, err := r.Models(t.Context())
	if err != nil || none == nil || len(none) != 0 {
		t.Errorf("got %v, %v, want an empty list", none, err)
	}
	for _, name := range []string{"b", "c", "a"} {
		r.store.files[sum("1")] = 5
		if _, err := r.Register(t.Context(), name, admin.Registration{Location: "store:", Files: filesOf("1")}, by); err != nil {
			t.Fatal(err)
		}
	}
	r.book.Put(catalog.ModelKey("b"), nil)
	all, err := r.Models(t.Context())
	if err != nil || len(all) != 2 || all[0].Name != "a" || all[1].Name != "c" || all[1].Versions[1].Version != 1 {
		t.Errorf("got %+v, %v, want a and c: b is gone", all, err)
	}
	r.book.Fail(func(string, string) error { return errors.New("refused") })
	_, err = r.Models(t.Context())
	refused(t, err, scoring.Unavailable, "state store")
}

func TestModelAndVersion(t *testing.T) {
	t.Parallel()
	r := managed(t)
	r.replica.serving.Revision = 3
	document, err := r.Model(t.Context(), "m")
	if err != nil || document.Revision != 4 || document.Labels["live"] != 1 || len(document.Versions) != 3 || document.Serving.Revision != 3 || document.Serving.Labels == nil {
		t.Errorf("got %+v, %v", document, err)
	}
	if _, err := r.Retire(t.Context(), "m", 2, by); err != nil {
		t.Fatal(err)
	}
	v, err := r.Version(t.Context(), "m", 2)
	if err != nil || v.Version.Version != 2 || v.Standing != catalog.Retired || v.Serving == nil || v.Serving.State != "cold" || v.Revision != 5 {
		t.Errorf("got %+v, %v, want the retired version 2", v, err)
	}
	if v, err = r.Version(t.Context(), "m", 3); err != nil || v.Standing != "" || v.Serving != nil {
		t.Errorf("got %+v, %v, want version 3, which the replica does not know", v, err)
	}
	_, err = r.Version(t.Context(), "m", 9)
	refused(t, err, scoring.NotFound, `model "m" has no version 9`)
	_, err = r.Model(t.Context(), "x")
	refused(t, err, scoring.NotFound, `model "x" is not in the registry`)
	_, err = r.Model(t.Context(), "a:b")
	refused(t, err, scoring.Invalid, `model name "a:b"`)
}

func TestDocumentIsFlatAndHasNoHistory(t *testing.T) {
	t.Parallel()
	document, err := managed(t).Model(t.Context(), "m")
	if err != nil {
		t.Fatal(err)
	}
	text, err := json.Marshal(document)
	if err != nil {
		t.Fatal(err)
	}
	var keys map[string]any
	if err := json.Unmarshal(text, &keys); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"schema", "name", "revision", "versions", "labels", "serving"} {
		if keys[name] == nil {
			t.Errorf("%s is missing in %s", name, text)
		}
	}
	if keys["history"] != nil || keys["State"] != nil {
		t.Errorf("got %s, want no history", text)
	}
}

func TestHistory(t *testing.T) {
	t.Parallel()
	r := managed(t)
	entries, err := r.History(t.Context(), "m", 2)
	if err != nil || len(entries) != 2 || entries[0].Revision != 4 || entries[0].Action != catalog.ActionLabel || entries[1].Revision != 3 {
		t.Errorf("got %+v, %v, want the entries 4 and 3", entries, err)
	}
	_, err = r.History(t.Context(), "x", 2)
	refused(t, err, scoring.NotFound, `model "x"`)
	r.book.Fail(func(string, string) error { return context.DeadlineExceeded })
	_, err = r.History(t.Context(), "m", 2)
	refused(t, err, scoring.Unavailable, "state store")
}

// tally counts answers, failures and comparisons.
func tally(answers, failures, compared, disagreed int) statistics.TallySnapshot {
	var counted statistics.Tally
	for range answers {
		counted.Request(scoring.Timing{}, 20*time.Millisecond, nil)
	}
	for range failures {
		counted.Request(scoring.Timing{}, time.Millisecond, errors.New("no"))
	}
	for i := range compared {
		counted.Compared(i < disagreed, false, 0.25)
	}
	return counted.Snapshot()
}

func TestEvidence(t *testing.T) {
	t.Parallel()
	r := rollingOut(t)
	before, err := r.Evidence(t.Context(), "m")
	if err != nil || before.Rollout != "r5" || before.Candidate.Requests != 0 || before.Decision.Action != judge.Wait {
		t.Errorf("got %+v, %v, want nothing yet", before, err)
	}
	document := judge.Decode(nil)
	if !document.Merge(*r.model(t).Rollout, "r1", judge.Part{At: noon, Candidate: tally(8, 2, 5, 1), Baseline: tally(90, 0, 0, 0)}) {
		t.Fatal("the evidence was not taken")
	}
	text, err := json.Marshal(document)
	if err != nil {
		t.Fatal(err)
	}
	r.book.Put(catalog.EvidenceKey("m"), text)
	check := func(when string, action judge.Action, reason string) {
		got, err := r.Evidence(t.Context(), "m")
		if err != nil {
			t.Fatal(err)
		}
		if got.Candidate.Requests != 10 || got.Candidate.Errors != 2 || got.Baseline.Requests != 90 || got.Compared != 5 || got.Disagreed != 1 || got.MaxDifference != 0.25 {
			t.Errorf("%s: got %+v", when, got)
		}
		if math.Abs(got.Candidate.P99-20) > 1 {
			t.Errorf("%s: the candidate took %v ms, want about 20", when, got.Candidate.P99)
		}
		if got.Decision.Action != action || !strings.Contains(got.Decision.Reason, reason) {
			t.Errorf("%s: got the decision %+v, want %s because %s", when, got.Decision, action, reason)
		}
	}
	check("while it runs", judge.Wait, "step 1 of 2")
	r.now = r.now.Add(time.Second)
	if _, err := r.RollBack(t.Context(), "m", by); err != nil {
		t.Fatal(err)
	}
	check("when it ended", "rolled_back", "rolled back by ann")

	r.book.Fail(func(_, key string) error {
		if key == catalog.EvidenceKey("m") {
			return errors.New("refused")
		}
		return nil
	})
	_, err = r.Evidence(t.Context(), "m")
	refused(t, err, scoring.Unavailable, "state store")
}

func TestStatus(t *testing.T) {
	t.Parallel()
	got, err := newRig().Status()
	if err != nil || got.Replica != "r1" || !got.InSync || got.Models == nil {
		t.Errorf("got %+v, %v, want the replica's", got, err)
	}
}

func TestEvidenceWithoutARollout(t *testing.T) {
	t.Parallel()
	_, err := managed(t).Evidence(t.Context(), "m")
	refused(t, err, scoring.NotFound, `model "m" has no rollout`)
}

func TestBlobs(t *testing.T) {
	t.Parallel()
	r := newRig()
	put := func(size int64, body io.Reader) (bool, error) { return r.Upload(t.Context(), sum("a"), size, body) }
	if _, ok, err := r.HasBlob(t.Context(), sum("a")); ok || err != nil {
		t.Errorf("got %v, %v, want no file", ok, err)
	}
	if created, err := put(5, strings.NewReader("12345")); !created || err != nil {
		t.Errorf("got %v, %v, want a new file", created, err)
	}
	if size, ok, err := r.HasBlob(t.Context(), sum("a")); size != 5 || !ok || err != nil {
		t.Errorf("got %d, %v, %v, want 5 bytes", size, ok, err)
	}
	unread := strings.NewReader("12345")
	if created, err := put(5, unread); created || err != nil || unread.Len() != 5 {
		t.Errorf("got %v, %v with %d bytes unread, want that it is there", created, err, unread.Len())
	}
	// One of another size is damaged where it is kept: the store sees to it.
	if created, err := put(6, strings.NewReader("123456")); !created || err != nil {
		t.Errorf("got %v, %v, want a new file", created, err)
	}
	_, err := r.Upload(t.Context(), sum("b"), 5, io.MultiReader(strings.NewReader("12"), broken{}))
	refused(t, err, scoring.Expired, "the body did not arrive")
	_, err = r.Upload(t.Context(), "ABC", 5, unread)
	refused(t, err, scoring.Invalid, `"ABC" is no SHA-256`)
	r.store.err = scoring.Errorf(scoring.Unavailable, "the artifact store cannot be reached")
	_, err = r.Upload(t.Context(), sum("a"), 5, unread)
	refused(t, err, scoring.Unavailable, "artifact store")
	_, err = r.Register(t.Context(), "m", admin.Registration{Location: "store:", Files: filesOf("a")}, by)
	refused(t, err, scoring.Unavailable, "artifact store")

	r.Store = nil
	_, _, err = r.HasBlob(t.Context(), sum("a"))
	refused(t, err, scoring.Unimplemented, "ONDA_ARTIFACT_STORE")
	_, err = put(5, unread)
	refused(t, err, scoring.Unimplemented, "ONDA_ARTIFACT_STORE")
}

// broken is a body that ends too early.
type broken struct{}

func (broken) Read([]byte) (int, error) {
	return 0, scoring.Errorf(scoring.Expired, "the body did not arrive")
}
