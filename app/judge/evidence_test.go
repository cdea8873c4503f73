package judge_test

import (
	"encoding/json"
	"fmt"
	"strconv"
	"testing"
	"time"

	"github.com/onda-serving/onda/app/catalog"
	"github.com/onda-serving/onda/app/judge"
)

// part is what a replica has seen: so many requests of the candidate, and twice as many of
// the baseline.
func part(requests int, at time.Duration) judge.Part {
	return judge.Part{At: noon.Add(at), Candidate: usual(requests).tally(), Baseline: usual(2 * requests).tally()}
}

// evidence holds the parts of replicas a, b and so on, with so many requests of the candidate.
func evidence(requests ...int) *judge.Evidence {
	e := judge.Decode(nil)
	for i, n := range requests {
		e.Merge(rollout(), string(rune('a'+i)), part(n, time.Second))
	}
	return e
}

// holds checks how many requests of the candidate a document sums up to.
func holds(t *testing.T, e *judge.Evidence, r catalog.Rollout, want uint64) {
	t.Helper()
	got := e.Totals(r)
	if got.Candidate.Requests() != want || got.Baseline.Requests() != 2*want {
		t.Errorf("the sum is %d requests, and %d of the baseline, want %d and %d", got.Candidate.Requests(), got.Baseline.Requests(), want, 2*want)
	}
}

func TestMerge(t *testing.T) {
	t.Parallel()
	change := func(f func(*catalog.Rollout)) catalog.Rollout {
		r := rollout()
		f(&r)
		return r
	}
	tests := []struct {
		name    string
		as      catalog.Rollout
		replica string
		part    judge.Part
		changed bool
		want    uint64 // requests in the sum of the rollout as it is
	}{
		{"another replica", rollout(), "c", part(100, 2*time.Second), true, 500},
		{"the same replica, with more", rollout(), "a", part(300, 2*time.Second), true, 500},
		{"the same replica, with nothing new", rollout(), "a", part(200, time.Hour), false, 400},
		{"another replica, with nothing at all", rollout(), "c", judge.Part{At: noon}, false, 400},
		{"the next step", change(func(r *catalog.Rollout) { r.Step++; r.StepSince = noon.Add(time.Minute) }), "a", part(10, 0), true, 10},
		{"the next step, by a clock that is behind", change(func(r *catalog.Rollout) { r.Step++; r.StepSince = noon.Add(-time.Second) }), "a", part(10, 0), true, 10},
		{"the next rollout", change(func(r *catalog.Rollout) { r.ID, r.Step, r.StepSince = "r10", 0, noon.Add(time.Minute) }), "a", part(10, 0), true, 10},
		{"the next rollout, by a clock that is behind", change(func(r *catalog.Rollout) { r.ID, r.Step, r.StepSince = "r10", 0, noon.Add(-time.Minute) }), "a", part(10, 0), true, 10},
		{"the step before", change(func(r *catalog.Rollout) { r.Step--; r.StepSince = noon.Add(-time.Minute) }), "a", part(10, 0), false, 0},
		{"the rollout before", change(func(r *catalog.Rollout) { r.ID, r.Step, r.StepSince = "r5", 2, noon.Add(-time.Hour) }), "a", part(10, 0), false, 0},
		{"the same rollout of a model that was deleted and made again", change(func(r *catalog.Rollout) { r.StepSince = noon.Add(time.Hour) }), "a", part(10, 0), true, 10},
		{"an earlier rollout of a model that was deleted and made again", change(func(r *catalog.Rollout) { r.ID, r.Step, r.StepSince = "r3", 0, noon.Add(time.Hour) }), "a", part(10, 0), true, 10},
		{"an ID that is no number", change(func(r *catalog.Rollout) { r.ID, r.StepSince = "x", noon.Add(time.Hour) }), "a", part(10, 0), true, 10},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			e := evidence(200, 200)
			before := written(t, e)
			if got := e.Merge(test.as, test.replica, test.part); got != test.changed {
				t.Errorf("it says %t, want %t", got, test.changed)
			}
			if after := written(t, e); (after != before) != test.changed {
				t.Errorf("the document was %s, and is %s", before, after)
			}
			holds(t, e, test.as, test.want)
		})
	}
}

func written(t *testing.T, v any) string {
	t.Helper()
	text, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func TestTheDocumentAsJSON(t *testing.T) {
	t.Parallel()
	e := judge.Decode(nil)
	e.Merge(rollout(), "host-1", judge.Part{At: noon, Candidate: seen{ok: 2, failed: 1, fast: 10 * ms}.tally(), Baseline: seen{}.tally()})
	want := `{"rollout":"r7","step":1,"since":"2026-09-01T12:00:00Z","replicas":{"host-1":{"at":"2026-09-01T12:00:00Z",` +
		`"candidate":{"ok":2,"failed":1,"latency":{"188":2}},"baseline":{"ok":0}}}}`
	if got := written(t, e); got != want {
		t.Errorf("got %s\nwant %s", got, want)
	}
	back := judge.Decode([]byte(want))
	if got := written(t, back); got != want {
		t.Errorf("it came back as %s\nwant %s", got, want)
	}
	if got := back.Totals(rollout()); got.Candidate.OK != 2 || got.Candidate.Failed != 1 {
		t.Errorf("it came back with %+v", got.Candidate)
	}
}

func TestDecodeLeavesOutWhatItCannotRead(t *testing.T) {
	t.Parallel()
	const head, good = `{"rollout":"r7","step":1,"since":"2026-09-01T12:00:00Z","replicas":{`, `"a":{"candidate":{"failed":3},"baseline":{"failed":6}}`
	tests := []struct {
		name, document string
		want           uint64
	}{
		{"nothing", ``, 0},
		{"not JSON", `{"rollout`, 0},
		{"not a document", `[1]`, 0},
		{"null", `null`, 0},
		{"good", head + good + `}}`, 3},
		{"unknown fields", head + good + `},"more":{"x":1}}`, 3},
		{"a part of another kind", head + good + `,"b":"x"}}`, 3},
		{"a part with numbers that cannot be", head + good + `,"b":{"candidate":{"failed":18446744073709551615}}}}`, 3},
		{"a part with negative numbers", head + good + `,"b":{"candidate":{"failed":-1}}}}`, 3},
		{"an empty part", head + good + `,"b":null}}`, 3},
		{"others", head + good + `},"others":{"candidate":{"failed":4},"baseline":{"failed":8}}}`, 7},
		{"others that cannot be", head + good + `},"others":{"candidate":{"compared":1,"disagreed":2}}}`, 3},
		{"no replicas", `{"rollout":"r7","step":1,"since":"2026-09-01T12:00:00Z","replicas":null}`, 0},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			e := judge.Decode([]byte(test.document))
			holds(t, e, rollout(), test.want)
			if !e.Merge(rollout(), "c", part(200, 0)) {
				t.Error("nothing can be added to it")
			}
			holds(t, e, rollout(), test.want+200)
		})
	}
}

func TestThereIsRoomForTwoHundredReplicas(t *testing.T) {
	t.Parallel()
	e := judge.Decode(nil)
	for i := range 250 {
		// Replica 249 wrote longest ago.
		e.Merge(rollout(), fmt.Sprint("replica-", i), part(100, -time.Duration(i)*time.Second))
	}
	if len(e.Replicas) != 200 || e.Others == nil || e.Others.Candidate.Requests() != 50*100 {
		t.Fatalf("%d replicas are listed, and the others are %+v", len(e.Replicas), e.Others)
	}
	for _, i := range []int{0, 199} {
		if _, there := e.Replicas[fmt.Sprint("replica-", i)]; !there {
			t.Errorf("replica %d is not listed, though others wrote longer ago", i)
		}
	}
	holds(t, e, rollout(), 250*100)
	back := judge.Decode([]byte(written(t, e)))
	holds(t, back, rollout(), 250*100)
	next := rollout()
	next.Step++
	back.Merge(next, "a", part(100, 0))
	holds(t, back, next, 100)
}

func TestDecodeBoundsTheReplicas(t *testing.T) {
	t.Parallel()
	many := judge.Evidence{Rollout: "r7", Step: 1, Since: noon, Replicas: map[string]judge.Part{}}
	for i := range 300 {
		many.Replicas[strconv.Itoa(i)] = part(100, 0)
	}
	e := judge.Decode([]byte(written(t, many)))
	if len(e.Replicas) != 200 {
		t.Errorf("%d replicas are listed, want 200", len(e.Replicas))
	}
	holds(t, e, rollout(), 300*100)
}

func TestView(t *testing.T) {
	t.Parallel()
	e := judge.Decode(nil)
	e.Merge(rollout(), "a", judge.Part{
		Candidate: seen{ok: 80, failed: 20, fast: 10 * ms, compared: 20, disagreed: 2, notCompared: 1}.tally(),
		Baseline:  usual(300).tally(),
	})
	want := `{"rollout":"r7","step":1,"candidate":{"requests":100,"errors":20,"p99_ms":9.87},` +
		`"baseline":{"requests":300,"errors":3,"p99_ms":13.2},"compared":20,"disagreed":3,"max_difference":0.5,` +
		`"decision":{"action":"rollback","reason":"step 2 of 3 (25 %): 100 requests, 20 % failed (baseline 1 % of 300), p99 9.87 ms (baseline 13.2 ms, ratio 0.75 of at most 1.50), ` +
		`15 % of 20 compared answers disagree (1 because the comparison failed): with 99 % confidence at least 6.3 % more of its requests fail than of the baseline's, where at most 1 % may"}}`
	if got := written(t, e.View(rollout(), noon)); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	later := rollout()
	later.Step++
	if got := e.View(later, noon); got.Step != 2 || got.Candidate.Requests != 0 || got.Decision.Action != judge.Wait {
		t.Errorf("the evidence of another step shows: %+v", got)
	}
}

func FuzzDecode(f *testing.F) {
	f.Add([]byte(`{"rollout":"r7","step":1,"since":"2026-09-01T12:00:00Z","replicas":{"a":{"at":"2026-09-01T12:00:00Z","candidate":{"ok":2,"failed":1,"latency":{"188":2}},"baseline":{"ok":0}}}}`))
	f.Add([]byte(`{"rollout":"r7","replicas":{"a":{"candidate":{"compared":3,"disagreed":1,"not_compared":1,"max_difference":1e300}}},"others":{"candidate":{"failed":9}}}`))
	f.Add([]byte(`{"rollout":"r99999999999999999999","step":-1,"replicas":{"":null,"b":7}}`))
	f.Add([]byte(`null`))
	f.Fuzz(func(t *testing.T, document []byte) {
		e := judge.Decode(document)
		if len(e.Replicas) > 200 {
			t.Fatalf("%d replicas", len(e.Replicas))
		}
		text, err := json.Marshal(e)
		if err != nil {
			t.Skip(err) // a year that JSON has no digits for
		}
		if again, err := json.Marshal(judge.Decode(text)); err != nil || string(again) != string(text) {
			t.Fatalf("it was %s, and is %s, %v", text, again, err)
		}
		// Whatever the document says, the rollout that it claims to be about can be judged.
		r := rollout()
		r.ID, r.Step, r.StepSince = e.Rollout, e.Step, e.Since
		totals := e.Totals(r)
		got := judge.Decide(r, totals, e.Since.Add(time.Hour))
		if got.Reason == "" || got.Action == judge.Advance && totals.Candidate.Requests() < uint64(r.Rule.MinSamples) {
			t.Fatalf("got %+v of %s", got, text)
		}
		e.Merge(r, "fuzz", judge.Part{At: noon, Candidate: seen{failed: 1}.tally()})
		if part := e.Replicas["fuzz"]; part.Candidate.Failed != 1 && e.Others == nil {
			t.Fatalf("what was merged is not there: %+v", part)
		}
	})
}
