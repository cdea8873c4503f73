package registry_test

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/onda-serving/onda/app/artifact"
	"github.com/onda-serving/onda/app/catalog"
	"github.com/onda-serving/onda/app/registry"
	"github.com/onda-serving/onda/app/scoring"
)

// document makes a document of versions 1 to n, with the digests of [version].
func document(name string, n int64, state catalog.State) *catalog.Model {
	m := catalog.New(name)
	for v := int64(1); v <= n; v++ {
		m.Versions[v] = catalog.Version{Version: v, Digest: "sha256:1", Location: catalog.InModelsFolder}
	}
	m.State = state
	return m
}

// answers asks for a version and gives the one that answers.
func answers(r *registry.Registry, want registry.Want) (got, mirror int64, err error) {
	err = r.Use(context.Background(), want, func(l registry.Lease) error {
		got = l.ID.Version
		if l.Mirror != nil {
			mirror = l.Mirror.ID.Version
		}
		return nil
	})
	return got, mirror, err
}

func named(name, label string) registry.Want {
	return registry.Want{Ref: scoring.ModelRef{Name: name, Label: label}}
}

func TestADocumentDecidesWhoAnswers(t *testing.T) {
	t.Parallel()
	r := registry.New()
	for v := int64(1); v <= 3; v++ {
		add(t, r, "m", v)
	}
	if got, _, err := answers(r, named("m", "")); got != 3 || err != nil {
		t.Fatalf("without a document version %d answers (%v), want the newest", got, err)
	}
	doc := document("m", 3, catalog.State{Labels: map[string]int64{"live": 1, "canary": 2}})
	r.Take(doc)
	if got, _, err := answers(r, named("m", "")); got != 3 || err != nil {
		t.Errorf("before the route is applied: version %d (%v), want the one that answered before", got, err)
	}
	const notYet = `Unavailable: label "canary" of model "m" names version 2, which this replica has not loaded yet: GET /registry/v1/models/m says why`
	if _, _, err := answers(r, named("m", "canary")); err == nil || err.Error() != notYet {
		t.Errorf("a label that is not in force yet: %v", err)
	}
	r.Apply("m", doc.Route())
	for label, want := range map[string]int64{"": 1, "live": 1, "canary": 2} {
		if got, _, err := answers(r, named("m", label)); got != want || err != nil {
			t.Errorf("label %q: version %d (%v), want %d", label, got, err, want)
		}
	}
	if _, _, err := answers(r, named("m", "none")); err == nil || err.Error() != `NotFound: model "m" has no label "none": GET /v1/models/m lists its labels` {
		t.Errorf("unknown label: %v", err)
	}
	if m, err := r.Model("m"); err != nil || !m.Managed || m.Labels["live"] != 1 || m.Labels["canary"] != 2 {
		t.Errorf("got %+v, %v", m, err)
	}
}

// TestLabelsWaitForTheDocuments: the newest version of the folder may not be the live one.
func TestLabelsWaitForTheDocuments(t *testing.T) {
	t.Parallel()
	r := registry.New()
	settled := false
	r.AwaitDocuments(func() bool { return settled })
	add(t, r, "m", 1)
	r.SetLoaded()
	const want = `Unavailable: the registry was not read yet, and which version of "m" answers is not known: the state store does not answer, or only just began`
	if _, _, err := answers(r, named("m", "")); err == nil || err.Error() != want {
		t.Errorf("got %v", err)
	}
	if _, _, err := answers(r, named("unknown", "")); scoring.CodeOf(err) != scoring.Unavailable {
		t.Errorf("a model that may be in the registry: %v", err)
	}
	if got, _, err := answers(r, registry.Want{Ref: scoring.ModelRef{Name: "m", Version: 1}}); got != 1 || err != nil {
		t.Errorf("by number: %d, %v", got, err)
	}
	expectReady(t, r, false, "the documents are not known")
	r.Documented()
	settled = true
	expectReady(t, r, true, "they are")
	if got, _, err := answers(r, named("m", "")); got != 1 || err != nil {
		t.Errorf("after the documents: %d, %v", got, err)
	}
}

func TestTrafficIsSplitByKey(t *testing.T) {
	t.Parallel()
	r := registry.New()
	add(t, r, "m", 1)
	add(t, r, "m", 2)
	doc := document("m", 2, catalog.State{
		Labels: map[string]int64{"live": 1}, Traffic: &catalog.Traffic{Weights: map[int64]int{1: 75, 2: 25}, Sticky: catalog.StickyKey},
	})
	r.Take(doc)
	r.Apply("m", doc.Route())
	counts := map[int64]int{}
	for i := range 4000 {
		want := named("m", "")
		want.Caller.Key = fmt.Sprint("caller ", i)
		first, _, err := answers(r, want)
		if err != nil {
			t.Fatal(err)
		}
		if again, _, _ := answers(r, want); again != first {
			t.Fatalf("caller %d got version %d, then %d", i, first, again)
		}
		counts[first]++
	}
	if counts[2] < 800 || counts[2] > 1200 {
		t.Errorf("version 2 got %d of 4000 callers, want about 1000", counts[2])
	}
	if got, _, _ := answers(r, named("m", "live")); got != 1 {
		t.Errorf("the label itself gives version %d, want 1", got)
	}
}

func TestMirrors(t *testing.T) {
	t.Parallel()
	r := registry.New()
	for v := int64(1); v <= 3; v++ {
		add(t, r, "m", v)
	}
	route := func(s catalog.State) {
		doc := document("m", 3, s)
		r.Take(doc)
		r.Apply("m", doc.Route())
	}
	live := map[string]int64{"live": 1, "canary": 2}
	route(catalog.State{Labels: live, Shadow: &catalog.Shadow{Version: 3, Share: 1}})
	if got, mirror, err := answers(r, named("m", "")); got != 1 || mirror != 3 || err != nil {
		t.Errorf("shadow: %d mirrored by %d, %v", got, mirror, err)
	}
	if _, mirror, _ := answers(r, registry.Want{Ref: scoring.ModelRef{Name: "m", Version: 1}}); mirror != 0 {
		t.Errorf("a request by number was mirrored by %d", mirror)
	}
	rollout := &catalog.Rollout{
		ID: "r1", Candidate: 2, Baseline: 1, Steps: []int{100}, Status: catalog.Running, Rule: catalog.Rule{Compare: 1}, Sticky: catalog.StickyKey,
	}
	route(catalog.State{Labels: live, Rollout: rollout})
	if got, mirror, err := answers(r, named("m", "")); got != 2 || mirror != 1 || err != nil {
		t.Errorf("candidate: %d mirrored by %d, %v", got, mirror, err)
	}
	route(catalog.State{Labels: live, Shadow: &catalog.Shadow{Version: 3, Share: 0.25}})
	n := 0
	for range 4000 {
		if _, mirror, _ := answers(r, named("m", "")); mirror == 3 {
			n++
		}
	}
	if n < 800 || n > 1200 {
		t.Errorf("%d of 4000 requests were mirrored, want about 1000", n)
	}
}

// TestOtherFilesThanTheDocumentsDoNotAnswer: a version is what was registered.
func TestOtherFilesThanTheDocumentsDoNotAnswer(t *testing.T) {
	t.Parallel()
	r := registry.New()
	s := add(t, r, "m", 1)
	doc := document("m", 1, catalog.State{})
	doc.Versions[1] = catalog.Version{Version: 1, Digest: "sha256:other", Location: catalog.InModelsFolder}
	if other := r.Take(doc); len(other) != 1 || other[0] != 1 {
		t.Errorf("got %v, want version 1", other)
	}
	if got, _, err := answers(r, named("m", "")); got != 1 || err != nil {
		t.Errorf("where no document decides the folder does: %d, %v", got, err)
	}
	doc.Labels = map[string]int64{"live": 1}
	r.Take(doc)
	<-s.closed
	if st, err := r.Status(scoring.ModelRef{Name: "m", Version: 1}); err != nil || st.State != registry.Cold {
		t.Errorf("got %v, %v, want it out of memory", st.State, err)
	}
}

func TestRetiredVersionsAnswerNobody(t *testing.T) {
	t.Parallel()
	r := registry.New()
	add(t, r, "m", 1)
	s := add(t, r, "m", 2)
	doc := document("m", 2, catalog.State{Labels: map[string]int64{"live": 1}, Standing: map[int64]catalog.Standing{2: catalog.Retired}})
	r.Take(doc)
	r.Apply("m", doc.Route())
	<-s.closed
	_, _, err := answers(r, registry.Want{Ref: scoring.ModelRef{Name: "m", Version: 2}})
	if scoring.CodeOf(err) != scoring.NotFound || !strings.Contains(err.Error(), "version 2 of model \"m\" is retired") {
		t.Errorf("got %v", err)
	}
}

func TestStatesInPublicWords(t *testing.T) {
	t.Parallel()
	r := registry.New()
	r.AnnounceCold([]artifact.Ref{ref("m", 1)})
	tests := []struct {
		status registry.Status
		public registry.State
		index  string
	}{
		{registry.Status{State: registry.Available}, registry.Available, "READY"},
		{registry.Status{State: registry.Cold}, registry.Available, "READY"},
		{registry.Status{State: registry.Cold, Reason: "no file"}, registry.Failed, "UNAVAILABLE"},
		{registry.Status{State: registry.Cold, Retired: true}, registry.Unloaded, "UNAVAILABLE"},
		{registry.Status{State: registry.Loading}, registry.Loading, "LOADING"},
		{registry.Status{State: registry.Failed, Reason: "broken"}, registry.Failed, "UNAVAILABLE"},
		{registry.Status{State: registry.Unloaded}, registry.Unloaded, "UNAVAILABLE"},
	}
	for _, tt := range tests {
		if got := tt.status.Public(); got != tt.public {
			t.Errorf("%+v: %s, want %s", tt.status, got, tt.public)
		}
		if got, _ := tt.status.RepositoryState(); got != tt.index {
			t.Errorf("%+v: %s, want %s", tt.status, got, tt.index)
		}
	}
}
