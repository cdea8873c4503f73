package models_test

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/onda-serving/onda/app/catalog"
)

// judge changes a rollout as the server's judge does.
func (o *onda) judge(apply func(*catalog.Model) error) {
	_, err := o.book.Commit(context.Background(), "faq-matching", catalog.Change{Actor: "onda", Action: "step", Apply: apply})
	if err != nil {
		o.t.Error(err)
	}
}

// script runs a step before each look at the model while its rollout runs; the first one is
// the second look. After the last step nothing happens any more.
func (o *onda) script(steps ...func()) {
	looks := 0
	o.with(func() {
		o.hook = func(_ http.ResponseWriter, r *http.Request) bool {
			if r.Method != http.MethodGet || !strings.HasSuffix(r.URL.Path, "/models/faq-matching") {
				return false
			}
			m, err := o.book.Read(r.Context(), "faq-matching")
			if err != nil || m.Running() == nil {
				return false
			}
			if looks > 0 && looks <= len(steps) {
				steps[looks-1]()
			}
			looks++
			return false
		}
	})
}

// saw makes what the judge has seen and makes of it.
func (o *onda) saw(rollout string, step int, action, reason string) func() {
	return func() {
		o.with(func() {
			o.evidence["faq-matching"] = fmt.Sprintf(`{"rollout": %q, "step": %d, "decision": {"action": %q, "reason": %q}}`, rollout, step, action, reason)
		})
	}
}

var watch = []string{"--watch", "--every", "5ms"}

func TestWatchPromoted(t *testing.T) {
	t.Parallel()
	o := newOnda(t)
	o.faq(2)
	now := time.Now()
	o.script(
		o.saw("r4", 0, "wait", "step 1 of 2 (10 %): 12 requests: waiting for 88 more requests"),
		o.saw("r4", 0, "wait", "step 1 of 2 (10 %): 70 requests: waiting for 30 more requests"),
		o.saw("r4", 0, "advance", "step 1 of 2 (10 %): 101 requests: all limits are kept"),
		func() { o.judge(func(m *catalog.Model) error { return m.Advance("all limits are kept", now) }) },
		o.saw("r3", 1, "wait", "step 2 of 2 (50 %): another rollout"),
		func() {
			o.judge(func(m *catalog.Model) error {
				return m.Promote("step 2 of 2 (50 %): 512 requests, 0 % failed: all limits are kept", now)
			})
		},
	)
	o.want(append([]string{"rollout", "faq-matching", "2", "--steps", "10,50"}, watch...), 0,
		`faq-matching: canary none -> 2, rollout none -> 2 at 10 % (revision 4)
faq-matching: version 2 is live: step 2 of 2 (50 %): 512 requests, 0 % failed: all limits are kept
`, `version 2: step 1 of 2 (10 %)
version 2: wait: step 1 of 2 (10 %): 12 requests: waiting for 88 more requests
version 2: advance: step 1 of 2 (10 %): 101 requests: all limits are kept
version 2: step 2 of 2 (50 %)
`)
}

// TestWatchRolledBack follows a rollout that another command began.
func TestWatchRolledBack(t *testing.T) {
	t.Parallel()
	o := newOnda(t)
	o.faq(2)
	o.does("rollout", "faq-matching", "2")
	o.script(func() {}, func() {
		o.judge(func(m *catalog.Model) error {
			return m.RollBack("step 1 of 3 (5 %): 120 requests: at least 7.1 % of its requests fail", time.Now())
		})
	})
	o.want(append([]string{"rollout", "faq-matching"}, watch...), 1, "",
		"version 2: step 1 of 3 (5 %)\nonda: faq-matching: version 2 was rolled back, version 1 answers: step 1 of 3 (5 %): 120 requests: at least 7.1 % of its requests fail\n")
	o.want(append([]string{"rollout", "faq-matching"}, watch...), 1, "",
		"onda: no rollout of faq-matching is running: begin one with \"onda models rollout faq-matching VERSION\"\n")
}

// TestWatchJSON prints the document once, when all is over.
func TestWatchJSON(t *testing.T) {
	t.Parallel()
	for _, end := range []struct {
		code  int
		apply func(*catalog.Model) error
	}{
		{0, func(m *catalog.Model) error { return m.Promote("fine", time.Now()) }},
		{1, func(m *catalog.Model) error { return m.RollBack("bad", time.Now()) }},
	} {
		o := newOnda(t)
		o.faq(2)
		o.script(func() { o.judge(end.apply) })
		code, stdout, stderr := o.run(append([]string{"rollout", "faq-matching", "2", "-o", "json"}, watch...)...)
		if code != end.code || !strings.HasPrefix(stdout, `{"labels":{"live":`) || strings.Count(stdout, "\n") != 1 || !strings.Contains(stdout, `"verdict":`) {
			t.Errorf("got %d, want %d and the document\n%s\n%s", code, end.code, stdout, stderr)
		}
	}
}

// TestWatchAnotherRollout has one rollout end, and the next one begin, between two looks.
func TestWatchAnotherRollout(t *testing.T) {
	t.Parallel()
	o := newOnda(t)
	o.faq(3)
	o.script(func() {
		o.judge(func(m *catalog.Model) error { return m.RollBack("bad", time.Now()) })
		o.judge(func(m *catalog.Model) error { return m.BeginRollout(3, nil, catalog.Rule{}, "", nil, time.Now()) })
	})
	code, _, stderr := o.run(append([]string{"rollout", "faq-matching", "2"}, watch...)...)
	if want := "onda: rollout r5 of faq-matching ended, and r7 began meanwhile: see \"onda models history faq-matching\"\n"; code != 1 || !strings.HasSuffix(stderr, want) {
		t.Errorf("got %d and\n%s\nwant 1 and\n%s", code, stderr, want)
	}
}

// TestWatchOutlivesRestart has a server that is away for two looks: the rollout goes on there.
func TestWatchOutlivesRestart(t *testing.T) {
	t.Parallel()
	o := newOnda(t)
	o.faq(2)
	o.does("rollout", "faq-matching", "2")
	looks := 0
	o.hook = func(w http.ResponseWriter, r *http.Request) bool {
		if looks++; looks == 3 || looks == 4 {
			answer(w, 503, map[string]string{"error": "draining: ask another replica"})
			return true
		}
		if looks == 6 {
			o.judge(func(m *catalog.Model) error { return m.Promote("fine", time.Now()) })
		}
		return false
	}
	o.want(append([]string{"rollout", "faq-matching"}, watch...), 0, "faq-matching: version 2 is live: fine\n",
		"version 2: step 1 of 3 (5 %)\ndraining: ask another replica; trying again\n")
}

// TestWatchIsRefused ends at once with what no second look can mend.
func TestWatchIsRefused(t *testing.T) {
	t.Parallel()
	o := newOnda(t)
	o.want(append([]string{"rollout", "faq-matching"}, watch...), 1, "",
		"onda: model \"faq-matching\" is not in the registry\nThere is no model yet.\n")
}
