package follow_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/onda-serving/onda/app/catalog"
	"github.com/onda-serving/onda/app/catalog/catalogtest"
	"github.com/onda-serving/onda/app/follow"
	"github.com/onda-serving/onda/app/scoring"
	"github.com/onda-serving/onda/app/statistics"
)

// rollout begins one of version 2 in two steps.
func rollout(t *testing.T, store catalog.Store) {
	t.Helper()
	rule := catalog.Rule{MinSamples: 50, MinCompared: 1, StepTime: catalog.Duration(5 * time.Second), MaxDivergence: 1}
	change(t, store, catalog.ActionRollout, func(m *catalog.Model) error {
		return m.BeginRollout(2, []int{10, 50}, rule, "", nil, time.Now())
	})
}

// judged makes a replica with two loaded versions, of which the candidate fails every failing
// requests; 0 never does.
func judged(t *testing.T, store catalog.Store, failing int) *replica {
	t.Helper()
	r := start(t, store, func(_ *follow.Config, r *runtime) {
		r.ready[2] = true
		r.recorders[1], r.recorders[2] = &statistics.Recorder{}, &statistics.Recorder{}
	})
	ctx, cancel := context.WithCancel(t.Context())
	asking := make(chan struct{})
	go func() {
		defer close(asking)
		for n := 1; ctx.Err() == nil; n++ {
			var err error
			if failing > 0 && n%failing == 0 {
				err = scoring.Errorf(scoring.Internal, "broken")
			}
			r.runtime.recorders[1].Request(1, scoring.Timing{}, 10*time.Millisecond, nil)
			r.runtime.recorders[2].Request(1, scoring.Timing{}, 10*time.Millisecond, err)
			time.Sleep(20 * time.Millisecond)
		}
	}()
	t.Cleanup(func() { cancel(); <-asking })
	return r
}

// actions lists what onda did.
func actions(doc *catalog.Model) (all []string) {
	for _, e := range doc.History {
		if e.Actor == "onda" {
			all = append(all, e.Action)
		}
	}
	return all
}

func TestGoodCandidateIsPromoted(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		store := managed(t, 2)
		rollout(t, store)
		r := judged(t, store, 0)
		pass(20 * time.Second)
		doc := document(t, store)
		same(t, "actions", actions(doc), []string{catalog.ActionStep, catalog.ActionPromote})
		if doc.Labels["live"] != 2 || doc.Rollout.Status != catalog.Promoted || !strings.Contains(doc.Rollout.Verdict, "step 2 of 2 (50 %)") {
			t.Errorf("got live %d and %+v, want version 2 promoted", doc.Labels["live"], doc.Rollout)
		}
		if e := doc.History[len(doc.History)-1]; e.Version != 2 || !strings.Contains(e.Reason, "all limits are kept") {
			t.Errorf("got the entry %+v", e)
		}
		same(t, "routes", applied(r.runtime), []string{
			"0s [canary:2 live:1] 1:90 2:10 by key compare 2 with 1",
			"5s [canary:2 live:1] 1:50 2:50 by key compare 2 with 1",
			"10s [live:2]",
		})
	})
}

func TestBadCandidateIsRolledBack(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		store := managed(t, 2)
		rollout(t, store)
		r := judged(t, store, 3)
		pass(20 * time.Second)
		doc := document(t, store)
		same(t, "actions", actions(doc), []string{catalog.ActionRollback})
		if doc.Labels["live"] != 1 || doc.Rollout.Status != catalog.WasRolledBack || doc.Standing[2] != catalog.RolledBack {
			t.Errorf("got live %d and %+v, want version 2 rolled back", doc.Labels["live"], doc.Rollout)
		}
		all := applied(r.runtime)
		if got := all[len(all)-1]; !strings.HasSuffix(got, " [live:1]") {
			t.Errorf("the last route is %s, want all for version 1", got)
		}
	})
}

// TestReplicasJudgeTogether: each sees half of it, and one of them decides.
func TestReplicasJudgeTogether(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		store := managed(t, 2)
		rollout(t, store)
		judged(t, store, 3)
		judged(t, store, 3)
		pass(20 * time.Second)
		same(t, "actions", actions(document(t, store)), []string{catalog.ActionRollback})
	})
}

// TestChangeInBetweenIsNotOverruled: what was judged is not there any more.
func TestChangeInBetweenIsNotOverruled(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		inner := managed(t, 2)
		rollout(t, inner)
		store := &late{Store: inner}
		judged(t, store, 3)
		pass(900 * time.Millisecond)
		label(t, inner, "a", 2) // which the replica does not hear of before it judges
		pass(200 * time.Millisecond)
		for _, e := range document(t, inner).History {
			if e.Actor == "onda" && e.Before.Labels["a"] != 2 {
				t.Errorf("decided on %+v", e.Before)
			}
		}
		pass(10 * time.Second)
		same(t, "actions", actions(document(t, inner)), []string{catalog.ActionRollback})
	})
}

func TestEvidenceThatCannotBeWrittenDecidesNothing(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		store := managed(t, 2)
		rollout(t, store)
		away(store, catalogtest.OpSave, catalog.EvidenceKey("m"))
		r := judged(t, store, 3)
		pass(20 * time.Second)
		same(t, "actions", actions(document(t, store)), []string{})
		if r.log.count("a rollout could not be judged") == 0 {
			t.Error("nobody hears of it")
		}
	})
}

// trying makes version 2 fail to load with what cause gives.
func trying(cause func() error) func(*follow.Config, *runtime) {
	return loading(func(context.Context, int64) error { return cause() })
}

func TestCandidateThatDoesNotLoadIsRolledBack(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		store := managed(t, 2)
		rollout(t, store)
		r := start(t, store, trying(func() error { return errors.New("no such operator") }))
		pass(2 * time.Second)
		same(t, "actions after two tries", actions(document(t, store)), []string{})
		pass(2 * time.Second)
		doc := document(t, store)
		same(t, "actions", actions(doc), []string{catalog.ActionRollback})
		const want = "replica here could not load version 2, 3 times in a row: no such operator"
		if e := doc.History[len(doc.History)-1]; e.Reason != want || doc.Rollout.Verdict != want || e.Version != 2 {
			t.Errorf("got %q and %q, want %q", e.Reason, doc.Rollout.Verdict, want)
		}
		same(t, "tries", ensured(r.runtime), []string{"0s 2", "1s 2", "3s 2"})
		r.inSync(t, true, "")
	})
}

func TestOnlyTheCandidateIsRolledBack(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		store := managed(t, 3)
		label(t, store, "a", 3)
		rollout(t, store)
		start(t, store, func(_ *follow.Config, r *runtime) { r.ready[2] = true }, trying(func() error { return errors.New("broken") }))
		pass(time.Minute)
		same(t, "actions", actions(document(t, store)), []string{})
	})
}

// TestCandidateThatIsNotThereYet: a store that is away says nothing about the version, for
// some time.
func TestCandidateThatIsNotThereYet(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		store := managed(t, 2)
		rollout(t, store)
		start(t, store, trying(func() error { return scoring.Errorf(scoring.Unavailable, "the store does not answer") }))
		pass(119 * time.Second)
		same(t, "actions after two minutes", actions(document(t, store)), []string{})
		pass(10 * time.Second)
		doc := document(t, store)
		same(t, "actions", actions(doc), []string{catalog.ActionRollback})
		if got := doc.Rollout.Verdict; !strings.Contains(got, "could not load version 2, 8 times in a row") {
			t.Errorf("got %q", got)
		}
	})
}

// TestEndOfTheProcessIsNoFailure: the third load ends because the replica stops.
func TestEndOfTheProcessIsNoFailure(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		store := managed(t, 2)
		rollout(t, store)
		var tries atomic.Int64
		r := start(t, store, loading(func(ctx context.Context, _ int64) error {
			if tries.Add(1) < 3 {
				return errors.New("broken")
			}
			<-ctx.Done()
			return ctx.Err()
		}))
		pass(10 * time.Second)
		same(t, "tries", tries.Load(), 3)
		r.stop()
		same(t, "actions", actions(document(t, store)), []string{})
	})
}

// TestOlderDocumentsFailuresDoNotCount for the rollout of a newer one.
func TestOlderDocumentsFailuresDoNotCount(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		store := managed(t, 2)
		rollout(t, store)
		start(t, store, trying(func() error { return errors.New("broken") }))
		for range 5 {
			pass(2 * time.Second) // two tries
			label(t, store, "a", document(t, store).Revision%2+1)
		}
		if got := actions(document(t, store)); slices.Contains(got, catalog.ActionRollback) {
			t.Errorf("got %v, want no rollback", got)
		}
	})
}

func TestRollbackIsTriedAgain(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		store := managed(t, 2)
		rollout(t, store)
		away(store, catalogtest.OpSave, catalog.ModelKey("m"))
		r := start(t, store, trying(func() error { return errors.New("broken") }))
		pass(6 * time.Second)
		same(t, "log lines", r.log.count("could not be rolled back: that is tried again"), 1)
		store.Fail(nil)
		pass(2 * time.Second)
		same(t, "actions", actions(document(t, store)), []string{catalog.ActionRollback})
	})
}

// TestCandidateThatIsGoneAgain: a replica that has no room for it says nothing about a version.
func TestCandidateThatIsGoneAgain(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		store := managed(t, 2)
		rollout(t, store)
		r := start(t, store, func(c *follow.Config, r *runtime) { c.Runtime = forgetting{r} })
		pass(time.Minute)
		same(t, "actions", actions(document(t, store)), []string{})
		r.inSync(t, false, "gone again")
	})
}

// forgetting never keeps what it loaded.
type forgetting struct{ *runtime }

func (forgetting) Ensure(context.Context, string, int64) error { return nil }
