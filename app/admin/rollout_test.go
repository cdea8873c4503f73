package admin_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/onda-serving/onda/app/admin"
	"github.com/onda-serving/onda/app/catalog"
	"github.com/onda-serving/onda/app/scoring"
)

// rollingOut is a rig whose rollout of version 2 runs.
func rollingOut(t *testing.T) *rig {
	t.Helper()
	r := managed(t)
	if _, err := r.Rollout(t.Context(), "m", admin.RolloutPlan{Version: 2, Steps: []int{10, 50}}, by); err != nil {
		t.Fatal(err)
	}
	r.replica.calls = nil
	return r
}

func TestRollout(t *testing.T) {
	t.Parallel()
	r := managed(t)
	document, err := r.Rollout(t.Context(), "m", admin.RolloutPlan{Version: 2, Steps: []int{10, 50}, Rule: catalog.Rule{MinSamples: 7}, Sticky: "caller"}, by)
	if err != nil {
		t.Fatal(err)
	}
	got := document.Rollout
	if got.Candidate != 2 || got.Baseline != 1 || got.Steps[1] != 50 || got.Rule.MinSamples != 7 || got.Rule.MaxErrorRate != 0.01 || got.Sticky != "caller" || !got.StepSince.Equal(noon) {
		t.Errorf("got the rollout %+v", got)
	}
	if document.Labels["canary"] != 2 || document.Report == nil || document.Report.Candidate != 2 {
		t.Errorf("got the labels %v and the report %+v", document.Labels, document.Report)
	}
}

func TestPromoteARunningRollout(t *testing.T) {
	t.Parallel()
	r := rollingOut(t)
	_, err := r.Promote(t.Context(), "m", 3, by)
	refused(t, err, scoring.Conflict, "the rollout that runs is of version 2, not of 3")
	document, err := r.Promote(t.Context(), "m", 0, admin.Ask{Actor: "ann", Reason: "good enough"})
	if err != nil {
		t.Fatal(err)
	}
	same(t, "asked of the replica", r.replica.asked(), []string{"prepare m@2 with 1", "follow m at 6"})
	if document.Labels["live"] != 2 || document.Rollout.Status != catalog.Promoted || document.Rollout.Verdict != "promoted by ann: good enough" {
		t.Errorf("got %v and the rollout %+v", document.Labels, document.Rollout)
	}
}

func TestRollBackARollout(t *testing.T) {
	t.Parallel()
	r := rollingOut(t)
	document, err := r.RollBack(t.Context(), "m", by)
	if err != nil {
		t.Fatal(err)
	}
	same(t, "asked of the replica", r.replica.asked(), []string{"follow m at 6"})
	if document.Labels["live"] != 1 || document.Rollout.Status != catalog.WasRolledBack || document.Standing[2] != catalog.RolledBack || document.Rollout.Verdict != "rolled back by ann" {
		t.Errorf("got %+v with the rollout %+v", document.State, document.Rollout)
	}
	if entry := r.newest(t); entry.Action != catalog.ActionRollback || entry.Version != 2 {
		t.Errorf("got the entry %+v, want a rollback of version 2", entry)
	}
}

// TestRollBackMeansOneRollout is about a second rollback that somebody asks for right after
// the first one: it would take away a live version that has nothing to do with the rollout.
func TestRollBackMeansOneRollout(t *testing.T) {
	t.Parallel()
	ready := func(t *testing.T) *rig {
		t.Helper()
		r := managed(t)
		if _, err := r.SetLabel(t.Context(), "m", "live", 3, by); err != nil {
			t.Fatal(err)
		}
		if _, err := r.Rollout(t.Context(), "m", admin.RolloutPlan{Version: 2}, by); err != nil {
			t.Fatal(err)
		}
		if _, err := r.RollBack(t.Context(), "m", by); err != nil {
			t.Fatal(err)
		}
		r.now = r.now.Add(20 * time.Second)
		return r
	}
	t.Run("again", func(t *testing.T) {
		t.Parallel()
		r := ready(t)
		_, err := r.RollBack(t.Context(), "m", by)
		refused(t, err, scoring.Conflict, "the rollout of version 2 was rolled back already, 20s ago, and version 3 answers", `the revision "7"`)
		if got := r.model(t).Labels["live"]; got != 3 {
			t.Errorf("live is %d, want 3", got)
		}
	})
	t.Run("confirmed", func(t *testing.T) {
		t.Parallel()
		document, err := ready(t).RollBack(t.Context(), "m", admin.Ask{Actor: "ann", Revision: 7})
		if err != nil || document.Labels["live"] != 1 {
			t.Errorf("got %+v, %v, want version 1 live", document, err)
		}
	})
	t.Run("later", func(t *testing.T) {
		t.Parallel()
		r := ready(t)
		r.now = r.now.Add(time.Minute)
		document, err := r.RollBack(t.Context(), "m", by)
		if err != nil || document.Labels["live"] != 1 {
			t.Errorf("got %+v, %v, want version 1 live", document, err)
		}
	})
	t.Run("another version is live", func(t *testing.T) {
		t.Parallel()
		r := ready(t)
		if _, err := r.SetLabel(t.Context(), "m", "live", 1, by); err != nil {
			t.Fatal(err)
		}
		document, err := r.RollBack(t.Context(), "m", by)
		if err != nil || document.Labels["live"] != 3 {
			t.Errorf("got %+v, %v, want version 3 live", document, err)
		}
	})
}

func TestRollBackBringsWhatIsNotLoaded(t *testing.T) {
	t.Parallel()
	r := managed(t)
	if _, err := r.SetLabel(t.Context(), "m", "live", 2, by); err != nil {
		t.Fatal(err)
	}
	r.replica.serving, r.replica.calls = admin.Serving{}, nil
	// Nobody judges what the replica found out.
	r.replica.prepare = func(context.Context, *catalog.Model, int64, int64) (admin.Comparison, error) {
		return admin.Comparison{Samples: 50, Disagreed: 50, Failed: 50}, nil
	}
	document, err := r.RollBack(t.Context(), "m", by)
	if err != nil || document.Labels["live"] != 1 {
		t.Fatalf("got %+v, %v, want version 1 live", document, err)
	}
	same(t, "asked of the replica", r.replica.asked(), []string{"prepare m@1 with 0", "follow m at 6"})
	if entry := r.newest(t); entry.Version != 2 {
		t.Errorf("got the entry %+v, want version 2", entry)
	}
}

func TestRollBackToWhatCannotBeLoaded(t *testing.T) {
	t.Parallel()
	r := managed(t)
	if _, err := r.SetLabel(t.Context(), "m", "live", 2, by); err != nil {
		t.Fatal(err)
	}
	r.replica.serving = admin.Serving{}
	r.replica.prepare = func(context.Context, *catalog.Model, int64, int64) (admin.Comparison, error) {
		return admin.Comparison{}, scoring.Errorf(scoring.Unavailable, "the files are gone")
	}
	_, err := r.RollBack(t.Context(), "m", by)
	refused(t, err, scoring.Unavailable, "the files are gone")
	if got := r.model(t).Labels["live"]; got != 2 {
		t.Errorf("live is %d, want 2", got)
	}
}

// TestRollBackWaitsForNobody rolls back while another change proves a version, which then
// finds that it was made for another state.
func TestRollBackWaitsForNobody(t *testing.T) {
	t.Parallel()
	r := managed(t)
	if _, err := r.SetLabel(t.Context(), "m", "live", 2, by); err != nil {
		t.Fatal(err)
	}
	r.replica.prepare = func(ctx context.Context, _ *catalog.Model, version, _ int64) (admin.Comparison, error) {
		if version != 3 {
			return admin.Comparison{}, nil
		}
		document, err := r.RollBack(ctx, "m", by)
		if err != nil || document.Labels["live"] != 1 {
			t.Errorf("got %+v, %v, want version 1 live", document, err)
		}
		return admin.Comparison{}, nil
	}
	_, err := r.SetLabel(t.Context(), "m", "live", 3, by)
	refused(t, err, scoring.Conflict, "rollback of version 2 by ann")
}

// TestRollBackOfSomethingElse lets somebody else change the model between the look of a
// rollback and its writing, so that it would roll back what nobody meant.
func TestRollBackOfSomethingElse(t *testing.T) {
	t.Parallel()
	bob := admin.Ask{Actor: "bob"}
	tests := []struct {
		name    string
		rollout bool
		other   func(ctx context.Context, r *rig) error
		text    string
	}{
		{"rolled back", false, func(ctx context.Context, r *rig) error {
			_, err := r.RollBack(ctx, "m", bob)
			return err
		}, "no version before it"},
		{"rollout rolled back", true, func(ctx context.Context, r *rig) error {
			_, err := r.RollBack(ctx, "m", bob)
			return err
		}, "was rolled back already"},
		{"another version is live", false, func(ctx context.Context, r *rig) error {
			_, err := r.Book.Commit(ctx, "m", catalog.Change{Actor: "bob", Action: catalog.ActionLabel, Version: 3, Apply: func(m *catalog.Model) error {
				return m.SetLabel("live", 3, nil)
			}})
			return err
		}, "label of version 3 by bob"},
		{"promoted", true, func(ctx context.Context, r *rig) error {
			_, err := r.Book.Commit(ctx, "m", catalog.Change{Actor: "bob", Action: catalog.ActionPromote, Version: 3, Apply: func(m *catalog.Model) error {
				return m.Promote("fine", noon)
			}})
			return err
		}, ""},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			r := managed(t)
			if _, err := r.SetLabel(t.Context(), "m", "live", 2, by); err != nil {
				t.Fatal(err)
			}
			if test.rollout {
				if _, err := r.Rollout(t.Context(), "m", admin.RolloutPlan{Version: 3}, by); err != nil {
					t.Fatal(err)
				}
			}
			r.replica.serving = admin.Serving{}
			other := true
			r.replica.prepare = func(ctx context.Context, _ *catalog.Model, _, _ int64) (admin.Comparison, error) {
				if !other {
					return admin.Comparison{}, nil
				}
				other = false
				return admin.Comparison{}, test.other(ctx, r)
			}
			before := r.model(t).Revision
			document, err := r.RollBack(t.Context(), "m", by)
			if test.text == "" { // it is still the same version that goes, and the same that comes
				if err != nil || document.Labels["live"] != 2 {
					t.Errorf("got %+v, %v, want version 2 live", document, err)
				}
				return
			}
			refused(t, err, scoring.Conflict, test.text)
			if got := r.model(t); got.Revision != before+1 || r.newest(t).Actor != "bob" {
				t.Errorf("the document is at %d, changed by %s, want %d by bob", got.Revision, r.newest(t).Actor, before+1)
			}
		})
	}
}

// TestRollBackIsNotStoppedByAStep lets the judge go on to the next step while somebody rolls
// back.
func TestRollBackIsNotStoppedByAStep(t *testing.T) {
	t.Parallel()
	r := rollingOut(t)
	r.replica.serving = admin.Serving{}
	r.replica.prepare = func(ctx context.Context, _ *catalog.Model, _, _ int64) (admin.Comparison, error) {
		_, err := r.Book.Commit(ctx, "m", catalog.Change{Actor: "onda", Action: catalog.ActionStep, Apply: func(m *catalog.Model) error {
			return m.Advance("fine", noon)
		}})
		return admin.Comparison{}, err
	}
	document, err := r.RollBack(t.Context(), "m", by)
	if err != nil || document.Rollout.Status != catalog.WasRolledBack || document.Rollout.Step != 1 {
		t.Errorf("got %+v, %v, want the rollout rolled back at step 1", document, err)
	}
}

func TestFirstLiveVersion(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name   string
		labels map[string]int64 // what the replica answers with
		call   string
	}{
		{"nothing answers", nil, "prepare m@2 with 0"},
		{"another version answers", map[string]int64{"live": 1}, "prepare m@2 with 1"},
		{"it answers already", map[string]int64{"live": 2}, "prepare m@2 with 0"},
		{"an unknown version answers", map[string]int64{"live": 9}, "prepare m@2 with 0"},
	}
	for _, test := range tests {
		r := newRig()
		r.register(t, 1, 2)
		r.replica.serving, r.replica.calls = admin.Serving{Labels: test.labels}, nil
		document, err := r.SetLabel(t.Context(), "m", "live", 2, by)
		if err != nil || document.Labels["live"] != 2 {
			t.Errorf("%s: got %+v, %v", test.name, document, err)
		}
		same(t, test.name, r.replica.asked(), []string{test.call, "follow m at 3"})
	}
}

func TestLabelThatWasRolledBackIsConfirmed(t *testing.T) {
	t.Parallel()
	r := rollingOut(t)
	if _, err := r.RollBack(t.Context(), "m", by); err != nil {
		t.Fatal(err)
	}
	_, err := r.SetLabel(t.Context(), "m", "live", 2, by)
	refused(t, err, scoring.Conflict, "rolled-back")
	document, err := r.SetLabel(t.Context(), "m", "live", 2, admin.Ask{Actor: "ann", Accept: catalog.Accept{"rolled-back"}})
	if err != nil || document.Labels["live"] != 2 {
		t.Errorf("got %+v, %v, want version 2 live", document, err)
	}
}

func TestWhatEndsNeedsNoProof(t *testing.T) {
	t.Parallel()
	r := managed(t)
	steps := []func() (*admin.Document, error){
		func() (*admin.Document, error) { return r.SetLabel(t.Context(), "m", "stable", 2, by) },
		func() (*admin.Document, error) {
			return r.SetTraffic(t.Context(), "m", &catalog.Traffic{Weights: map[int64]int{1: 1, 2: 1}}, by)
		},
		func() (*admin.Document, error) {
			return r.SetShadow(t.Context(), "m", &catalog.Shadow{Version: 3, Share: 1}, by)
		},
	}
	for _, step := range steps {
		if _, err := step(); err != nil {
			t.Fatal(err)
		}
	}
	r.replica.calls = nil
	_, errLabel := r.RemoveLabel(t.Context(), "m", "stable", by)
	_, errTraffic := r.SetTraffic(t.Context(), "m", nil, by)
	document, errShadow := r.SetShadow(t.Context(), "m", nil, by)
	if err := errors.Join(errLabel, errTraffic, errShadow); err != nil {
		t.Fatal(err)
	}
	if len(document.Labels) != 1 || document.Traffic != nil || document.Shadow != nil {
		t.Errorf("got %+v, want the live version alone", document.State)
	}
	same(t, "asked of the replica", r.replica.asked(), []string{"follow m at 8", "follow m at 9", "follow m at 10"})
}
