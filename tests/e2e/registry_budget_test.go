package e2e_test

import (
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"testing"
	"time"
)

const (
	// manyModels are there, and room for few of them.
	manyModels, roomFor = 6, 2
	// products is how many numbers a model holds, of 4 bytes each.
	products   = 2 << 20
	modelBytes = 4 * products
)

// TestMemoryBudget serves more models than there is memory for.
func TestMemoryBudget(t *testing.T) {
	group(t)
	models := t.TempDir()
	for i := range manyModels {
		addFiles(t, models, model(i), 1, modelFiles(table(products, float32(i+1))))
	}
	addFiles(t, models, "large", 1, modelFiles(table(4*products, 1)))
	s := startStack(t, map[string]string{
		"ONDA_MODELS_DIR": models, "ONDA_REGISTRY_CHANGES": "open", "ONDA_DRAIN_DELAY": "0s", "ONDA_ARTIFACT_STORE": t.TempDir(),
		"ONDA_MEMORY_BUDGET": strconv.Itoa(roomFor*modelBytes + modelBytes/2),
	})
	b := budgeted{s, operator{way: s.throughOther()}}
	t.Run("all answer", func(t *testing.T) { b.allAnswer(t) })
	t.Run("registered", func(t *testing.T) { b.registered(t) })
	t.Run("pinned", func(t *testing.T) { b.pinned(t) })
	t.Run("too large", func(t *testing.T) { b.tooLarge(t) })
	t.Run("at once", func(t *testing.T) { b.atOnce(t, manyModels) })
	t.Run("at once beside a pinned one", func(t *testing.T) { b.atOncePinned(t) })
	t.Run("a new version", func(t *testing.T) { b.newVersion(t) })
}

// model names one of the models, whose factor is its number.
func model(i int) string { return "model-" + strconv.Itoa(i+1) }

// budgeted is a stack with little memory.
type budgeted struct {
	*stack

	operator operator
}

// count reads a metric.
func (b budgeted) count(t *testing.T, name string, labels ...string) float64 {
	t.Helper()
	return metric(t, b.onda.metricsPort, name, labels...)
}

// asksEach asks models about a number, one after the other. What is in memory stays within the
// budget.
func (b budgeted) asksEach(t *testing.T, models ...int) {
	t.Helper()
	ways := b.ways()
	budget := b.count(t, "onda_models_memory_budget_bytes")
	for i, m := range models {
		w := ways[i%len(ways)]
		if got := asked(t, w, model(m), 7); got != (scored{1, 7 * float64(m+1)}) {
			t.Errorf("%s %s: %+v, want %v", model(m), w.name, got, 7*(m+1))
		}
		if used := b.count(t, "onda_models_memory_bytes"); used > budget {
			t.Errorf("the models take %v bytes of %v", used, budget)
		}
	}
}

func (b budgeted) allAnswer(t *testing.T) {
	b.asksEach(t, 0, 1, 2, 3, 4, 5, 0, 1, 2, 3, 4, 5)
	const loads = 2 * manyModels
	loaded, failed, evicted := b.count(t, "onda_model_loads_total", `outcome="loaded"`), b.count(t, "onda_model_loads_total", `outcome="failed"`), b.count(t, "onda_model_evictions_total")
	if loaded != loads || failed != 0 || evicted != loads-roomFor {
		t.Errorf("%v loads, %v that failed and %v evictions, want %d, none and %d", loaded, failed, evicted, loads, loads-roomFor)
	}
	b.asksEach(t, 5, 4, 5, 4)
	if got := b.count(t, "onda_model_loads_total", `outcome="loaded"`); got != loads {
		t.Errorf("models that were asked last were loaded again: %v loads, want %v", got, loads)
	}
}

// registered wants every model that answered to be in the registry: it could not be pinned or
// followed by a version otherwise.
func (b budgeted) registered(t *testing.T) {
	within(t, 3*time.Second, "the models are registered", func() error {
		var all records
		b.operator.asks(http.MethodGet, "models", nil).into(t, &all)
		if len(all.Models) != manyModels {
			return fmt.Errorf("%d of %d are", len(all.Models), manyModels)
		}
		return nil
	})
}

// pinned keeps one model in memory, whatever the others need.
func (b budgeted) pinned(t *testing.T) {
	eventually(t, "the model is registered", func() error {
		b.asksEach(t, 0)
		return wants(http.StatusOK, b.operator.asks(http.MethodGet, "models/"+model(0), nil))
	})
	b.operator.says(t, `model-1: pinned no -> yes \(revision 2\)\n`, "pin", model(0))
	b.asksEach(t, 0)
	loaded := b.document(t, model(0))
	for range 2 {
		b.asksEach(t, 1, 2, 3, 4, 5)
		if d := b.document(t, model(0)); d != loaded {
			t.Errorf("the pinned model was %s, and is %s", loaded, d)
		}
	}
	b.operator.says(t, `model-1: pinned yes -> no \(revision 3\)\n`, "pin", model(0), "--off")
	b.asksEach(t, 1, 2, 3)
	if d := b.document(t, model(0)); d != "cold" {
		t.Errorf("the model that is not pinned any more is %s, want cold", d)
	}
}

// document says how the first version of a model is served, and since when.
func (b budgeted) document(t *testing.T, model string) string {
	t.Helper()
	var d struct {
		Serving struct {
			Versions []struct {
				State    string `json:"state"`
				LoadedAt string `json:"loaded_at"`
			} `json:"versions"`
		} `json:"serving"`
	}
	b.operator.asks(http.MethodGet, "models/"+model, nil).into(t, &d)
	if len(d.Serving.Versions) != 1 {
		t.Fatalf("%s has the versions %+v", model, d.Serving.Versions)
	}
	return d.Serving.Versions[0].State + d.Serving.Versions[0].LoadedAt
}

// tooLarge asks for a model that would not fit if it were alone.
func (b budgeted) tooLarge(t *testing.T) {
	const pattern = `status 503, want 200: \{"error":"model large@1 takes about [\d.]+ MiB, and the budget of [\d.]+ MiB \(ONDA_MEMORY_BUDGET\) has room for [\d.]+ MiB: [\d.]+ MiB are taken by models that are pinned or being loaded; raise the budget, or unpin a model"\}`
	for _, w := range b.ways() {
		if _, err := ask(client, w, "large", 7); err == nil || !matches(pattern, err.Error()) {
			t.Errorf("%s: %v, want %s", w.name, err, pattern)
		}
	}
	b.asksEach(t, 0, 1, 2)
}

// atOnce has a caller for each of so many models, all at once.
func (b budgeted) atOnce(t *testing.T, models int) {
	var all []*callers
	for i := range models {
		factor := float64(i + 1)
		all = append(all, call(t, model(i), func(_ int64, x float64) float64 { return factor * x }, b.ways()[i%3]))
	}
	for _, c := range all {
		c.more(t, 1, 5)
	}
	for _, c := range all {
		c.stop()
		c.only(t, 1)
	}
}

// atOncePinned leaves room for one model beside a pinned one: the others come in turn.
func (b budgeted) atOncePinned(t *testing.T) {
	b.operator.changes(t, http.MethodPut, "models/"+model(0)+"/pin", map[string]any{"pinned": true})
	b.asksEach(t, 0)
	defer b.operator.changes(t, http.MethodPut, "models/"+model(0)+"/pin", map[string]any{"pinned": false})
	b.atOnce(t, 3)
}

// newVersion registers and releases a version of a model, which takes no more than the others.
func (b budgeted) newVersion(t *testing.T) {
	b.operator.register(t, model(0), 2, modelFiles(table(products, 20)))
	b.operator.label(t, model(0), "live", 2)
	if got := asked(t, b.throughOther(), model(0), 7); got != (scored{2, 140}) {
		t.Errorf("after the release %+v answers", got)
	}
	history := b.operator.history(t, model(0))
	if last := history[len(history)-1]; last.Action != "label" || !slices.Contains(sortedKeys(last.After.Labels), "live") {
		t.Errorf("the history ends with %+v", last)
	}
}
