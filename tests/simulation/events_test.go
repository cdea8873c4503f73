package simulation_test

import (
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
)

// tally counts what happened in all worlds: a simulation in which nothing happens finds
// nothing either.
type tally struct {
	mu    sync.Mutex
	count map[string]int
}

// add counts what happened in a world.
func (t *tally) add(w *world) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.count == nil {
		t.count = map[string]int{}
	}
	for _, m := range w.ledger.models {
		for _, e := range m.entries {
			by := "operators"
			if e.Actor == "onda" {
				by = "onda"
			}
			if strings.Contains(e.Reason, "could not load") {
				by = "onda for a load"
			}
			t.count[e.Action+" by "+by]++
		}
		if m.doc.Archived > 0 {
			t.count["archived history"]++
		}
	}
	for _, c := range w.changes {
		t.count["change "+c.outcome]++
	}
	for _, e := range w.trace.events {
		switch e.what {
		case "gone", "stop", "dies", "failed", "apply", asked, "watched", "unload", "cut off":
			t.count[e.what]++
		}
	}
}

// eventful is what must have happened in a thousand worlds, each many times.
var eventful = []string{
	"register by onda", "register by operators", "label by operators", "unlabel by operators", "traffic by operators", "shadow by operators",
	"rollout by operators", "promote by operators", "rollback by operators", "retire by operators", "pin by operators",
	"step by onda", "promote by onda", "rollback by onda", "rollback by onda for a load",
	"change acknowledged", "change refused", "change unknown", "archived history", "watched", "cut off",
	"gone", "stop", "dies", "failed", "apply", asked, "unload",
}

// check fails the test if something never happened.
func (t *tally) check(tb testing.TB) {
	tb.Helper()
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, what := range eventful {
		if t.count[what] < 10 {
			tb.Errorf("%q happened %d times: the worlds are too quiet to find anything", what, t.count[what])
		}
	}
	for _, what := range slices.Sorted(maps.Keys(t.count)) {
		tb.Logf("%8d %s", t.count[what], what)
	}
}
