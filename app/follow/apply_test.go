package follow_test

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/onda-serving/onda/app/catalog"
	"github.com/onda-serving/onda/app/follow"
)

// slowly makes every load of a version take so long.
func slowly(took time.Duration) func(*follow.Config, *runtime) {
	return loading(func(ctx context.Context, _ int64) error {
		select {
		case <-time.After(took):
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	})
}

// loading makes versions load like this.
func loading(ensure func(ctx context.Context, version int64) error) func(*follow.Config, *runtime) {
	return func(_ *follow.Config, r *runtime) { r.ensure = ensure }
}

func TestRouteWaitsForWhatItNeeds(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		store := managed(t, 2)
		label(t, store, "live", 2)
		r := start(t, store, slowly(10*time.Second))
		pass(9 * time.Second)
		same(t, "routes before anything is loaded", applied(r.runtime), []string{})
		r.inSync(t, false, "is being loaded")
		if r.Settled() {
			t.Error("it is settled before all was tried")
		}
		pass(2 * time.Second)
		same(t, "routes", applied(r.runtime), []string{"10s [live:2]"})
		r.inSync(t, true, "")
		if !r.Settled() || !r.State().InSync() {
			t.Errorf("settled %t, %+v, want all in sync", r.Settled(), r.State())
		}
	})
}

func TestOldRouteGoesOnUntilTheNewOneIsReady(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		store := managed(t, 3)
		r := start(t, store, slowly(20*time.Second))
		pass(500 * time.Millisecond)
		label(t, store, "live", 2)
		label(t, store, "canary", 3)
		pass(time.Minute)
		same(t, "routes", applied(r.runtime), []string{
			"0s [live:1]",
			"1s [live:1]", // with a label that is not ready
			"21s [live:2]",
			"41s [canary:3 live:2]",
		})
		r.inSync(t, true, "")
	})
}

func TestWhatIsReadyIsDealtOutFirst(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		store := managed(t, 3)
		change(t, store, catalog.ActionTraffic, func(m *catalog.Model) error {
			return m.SetTraffic(&catalog.Traffic{Weights: map[int64]int{1: 90, 2: 10}, Sticky: catalog.StickyCaller})
		})
		change(t, store, catalog.ActionShadow, func(m *catalog.Model) error {
			return m.SetShadow(&catalog.Shadow{Version: 3, Share: 0.5})
		})
		r := start(t, store, slowly(10*time.Second))
		pass(30 * time.Second)
		same(t, "routes", applied(r.runtime), []string{
			"0s [live:1] 1:90 by caller",
			"10s [live:1] 1:90 2:10 by caller",
			"20s [live:1] 1:90 2:10 by caller shadow 3",
		})
	})
}

// TestLiveComesFirst: a version that callers wait for is not loaded after one that gets copies.
func TestLiveComesFirst(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		store := managed(t, 5)
		label(t, store, "live", 5)
		label(t, store, "stable", 2)
		change(t, store, catalog.ActionShadow, func(m *catalog.Model) error { return m.SetShadow(&catalog.Shadow{Version: 1, Share: 1}) })
		change(t, store, catalog.ActionTraffic, func(m *catalog.Model) error {
			return m.SetTraffic(&catalog.Traffic{Weights: map[int64]int{4: 1, 5: 1}})
		})
		r := start(t, store, slowly(time.Second), func(_ *follow.Config, r *runtime) { r.ready[1] = false })
		pass(10 * time.Second)
		same(t, "loads", ensured(r.runtime), []string{"0s 5", "1s 4", "2s 2", "3s 1"})
	})
}

func TestLoadsThatFailAreTriedAgain(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		store := managed(t, 2)
		label(t, store, "live", 2)
		var mended atomic.Bool
		r := start(t, store, loading(func(context.Context, int64) error {
			if !mended.Load() {
				return errors.New("no such file")
			}
			return nil
		}))
		pass(130 * time.Second)
		same(t, "tries", ensured(r.runtime), []string{"0s 2", "1s 2", "3s 2", "7s 2", "15s 2", "31s 2", "1m3s 2", "2m3s 2"})
		r.inSync(t, false, "version 2: no such file")
		if r.Settled() || r.State().InSync() {
			t.Errorf("settled %t, in sync %t, want neither: the live version answers nobody", r.Settled(), r.State().InSync())
		}
		mended.Store(true)
		pass(time.Minute)
		same(t, "routes", applied(r.runtime), []string{"3m3s [live:2]"})
		r.inSync(t, true, "")
		if !r.Settled() {
			t.Error("not settled, and all is in force")
		}
	})
}

// TestANewModelDoesNotMakeAReplicaUnready: it answers for all others, whatever the new one needs.
func TestANewModelDoesNotMakeAReplicaUnready(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		store := managed(t, 3)
		label(t, store, "live", 3)
		other := document(t, store) // whose version 3 nothing needs before
		label(t, store, "live", 2)
		r := start(t, store, slowly(10*time.Second))
		pass(11 * time.Second)
		if !r.Settled() {
			t.Fatal("not settled, and all is in force")
		}
		other.Name = "another"
		r.Follow(other)
		synctest.Wait()
		if !r.Settled() || r.State().Models["another"].InSync() {
			t.Errorf("settled %t, in sync %t: want a ready replica that does not serve the new model yet", r.Settled(), r.State().Models["another"].InSync())
		}
		pass(11 * time.Second)
		r.inSync(t, true, "")
	})
}

// TestOneModelDoesNotKeepAllOthersFromServing for ever: after a while a replica is ready
// although a live version cannot be loaded.
func TestOneModelDoesNotKeepAllOthersFromServing(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		store := managed(t, 2)
		label(t, store, "live", 2)
		r := start(t, store, loading(func(context.Context, int64) error { return errors.New("broken") }))
		pass(4 * time.Minute)
		if r.Settled() {
			t.Error("settled after 4 minutes")
		}
		pass(3 * time.Minute)
		if !r.Settled() {
			t.Error("not settled after 7 minutes")
		}
	})
}

func TestOneFailedVersionHoldsUpNoOther(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		store := managed(t, 3)
		label(t, store, "a", 2)
		label(t, store, "b", 3)
		r := start(t, store, loading(func(_ context.Context, version int64) error {
			if version == 2 {
				return errors.New("broken")
			}
			return nil
		}))
		pass(500 * time.Millisecond)
		same(t, "routes", applied(r.runtime), []string{"0s [live:1]", "0s [b:3 live:1]"})
		r.inSync(t, false, "version 2: broken")
	})
}

// TestVersionThatIsGoneAgain is loaded, and put out of memory before it is dealt out.
func TestVersionThatIsGoneAgain(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		store := managed(t, 2)
		label(t, store, "live", 2)
		var r *replica
		tries := 0
		r = start(t, store, func(c *follow.Config, r *runtime) { c.Runtime = fleeting{r, &tries} })
		pass(500 * time.Millisecond)
		same(t, "routes", applied(r.runtime), []string{})
		r.inSync(t, false, "gone again")
		pass(time.Second)
		same(t, "routes", applied(r.runtime), []string{"1s [live:2]"})
		r.inSync(t, true, "")
	})
}

// fleeting loses what it loaded first.
type fleeting struct {
	*runtime

	tries *int
}

func (f fleeting) Ensure(ctx context.Context, name string, version int64) error {
	if *f.tries++; *f.tries == 1 {
		return nil
	}
	return f.runtime.Ensure(ctx, name, version)
}

func TestNewerDocumentEndsTheWorkOnAnOlderOne(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		store := managed(t, 4)
		label(t, store, "live", 2)
		label(t, store, "a", 3)
		r := start(t, store, loading(func(ctx context.Context, version int64) error {
			if version != 2 {
				return nil
			}
			<-ctx.Done()
			return ctx.Err()
		}))
		pass(5500 * time.Millisecond)
		label(t, store, "live", 4)
		pass(10 * time.Second)
		same(t, "loads", ensured(r.runtime), []string{"0s 2", "6s 4", "6s 3"})
		same(t, "routes", applied(r.runtime), []string{"6s [live:4]", "6s [a:3 live:4]"})
	})
}

// TestLoadThatEndsTooLateChangesNothing: it does not listen, and its document is an old one.
func TestLoadThatEndsTooLateChangesNothing(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		store := managed(t, 3)
		r := start(t, store, loading(func(_ context.Context, version int64) error {
			if version == 2 {
				time.Sleep(10 * time.Second)
			}
			return nil
		}))
		pass(500 * time.Millisecond)
		label(t, store, "live", 2)
		pass(2 * time.Second)
		label(t, store, "live", 3)
		pass(20 * time.Second)
		same(t, "routes", applied(r.runtime), []string{"0s [live:1]", "1s [live:1]", "3s [live:1]", "3s [live:3]"})
		r.inSync(t, true, "")
	})
}

func TestOlderDocumentIsNotFollowed(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		store := managed(t, 2)
		older := document(t, store)
		newer := label(t, store, "live", 2)
		r := newReplica(t, store)
		r.Follow(newer)
		r.Follow(older)
		r.Follow(newer)
		r.run(t)
		pass(3 * time.Second)
		same(t, "revisions", taken(r.runtime), []int64{4})
		same(t, "routes", applied(r.runtime), []string{"0s [live:2]"})
	})
}

func TestModelWithoutLiveIsNotDealtOut(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		store := managed(t, 1)
		store.Put(catalog.ModelKey("m"), nil)
		store.Put(catalog.IndexKey, nil)
		change(t, store, catalog.ActionRegister, func(m *catalog.Model) error { return m.Register(version(1), nil) })
		r := start(t, store)
		pass(time.Second)
		same(t, "routes", applied(r.runtime), []string{})
		same(t, "loads", ensured(r.runtime), []string{})
		r.inSync(t, true, "")
	})
}

func TestOtherFilesAreSaid(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := start(t, managed(t, 2), func(_ *follow.Config, r *runtime) { r.other = []int64{2} })
		pass(time.Second)
		same(t, "routes", applied(r.runtime), []string{"0s [live:1]"})
		r.inSync(t, false, "other files for version [2] than the registry")
	})
}

// TestWhatIsNeededStays: what answers, what is to answer, and what answered before.
func TestWhatIsNeededStays(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		store := managed(t, 4)
		r := start(t, store, slowly(5*time.Second))
		pass(500 * time.Millisecond)
		label(t, store, "live", 2)
		label(t, store, "a", 3)
		pass(2 * time.Second)
		kept := func() []int64 {
			all := get(r.runtime, func(r *runtime) [][]int64 { return r.kept })
			return all[len(all)-1]
		}
		same(t, "kept while the new route is not ready", kept(), []int64{1, 2, 3})
		pass(20 * time.Second)
		label(t, store, "live", 4)
		pass(20 * time.Second)
		same(t, "kept afterwards", kept(), []int64{2, 3, 4})
	})
}

func TestStoppedFollowerFollowsNothing(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		store := managed(t, 2)
		r := start(t, store)
		pass(time.Second)
		r.stop()
		r.Follow(label(t, store, "live", 2))
		pass(time.Second)
		same(t, "routes", applied(r.runtime), []string{"0s [live:1]"})
	})
}

// TestVersionThatIsLostIsSaid: it answered, and cannot any more.
func TestVersionThatIsLostIsSaid(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := start(t, managed(t, 1))
		pass(time.Second)
		r.inSync(t, true, "")
		r.runtime.mu.Lock()
		delete(r.runtime.ready, 1)
		r.runtime.mu.Unlock()
		r.inSync(t, false, "version 1 cannot be loaded any more")
		if r.State().InSync() {
			t.Error("the replica is in sync")
		}
	})
}
