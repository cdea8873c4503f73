package judge_test

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/onda-serving/onda/app/catalog"
	"github.com/onda-serving/onda/app/catalog/catalogtest"
	"github.com/onda-serving/onda/app/judge"
	"github.com/onda-serving/onda/app/scoring"
	"github.com/onda-serving/onda/app/statistics"
)

// replica is one that serves both versions of a rollout of the model "faq".
type replica struct {
	*judge.Reporter

	store               *catalogtest.Store
	candidate, baseline *statistics.Recorder
}

func newReplica(store *catalogtest.Store, name string) *replica {
	return &replica{Reporter: judge.NewReporter(name), store: store, candidate: &statistics.Recorder{}, baseline: &statistics.Recorder{}}
}

// serve counts so many requests to the candidate, and twice as many to the baseline.
func (r *replica) serve(requests int) {
	for range requests {
		r.candidate.Request(1, scoring.Timing{}, 10*ms, nil)
		r.baseline.Request(1, scoring.Timing{}, 10*ms, nil)
		r.baseline.Request(1, scoring.Timing{}, 10*ms, nil)
	}
}

func (r *replica) publish(t *testing.T, of catalog.Rollout) *judge.Evidence {
	t.Helper()
	e, err := r.Publish(t.Context(), r.store, "faq", of, r.candidate, r.baseline)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func TestPublishCountsFromTheBeginningOfTheStep(t *testing.T) {
	t.Parallel()
	r := newReplica(&catalogtest.Store{}, "a")
	r.serve(1000)
	holds(t, r.publish(t, rollout()), rollout(), 0)
	r.serve(10)
	holds(t, r.publish(t, rollout()), rollout(), 10)
	r.serve(5)
	holds(t, r.publish(t, rollout()), rollout(), 15)
	next := rollout()
	next.Step, next.StepSince = 2, noon.Add(time.Minute)
	holds(t, r.publish(t, next), next, 0)
	r.serve(7)
	e := r.publish(t, next)
	holds(t, e, next, 7)
	holds(t, e, rollout(), 0)
	stored := judge.Decode(r.store.Documents()[catalog.EvidenceKey("faq")])
	if written(t, stored) != written(t, e) {
		t.Errorf("the store has %s, want %s", written(t, stored), written(t, e))
	}
}

func TestPublishWritesOnlyWhatIsNew(t *testing.T) {
	t.Parallel()
	r := newReplica(&catalogtest.Store{}, "a")
	for range 3 {
		r.publish(t, rollout())
	}
	if got := r.store.Saves(); got != 0 {
		t.Errorf("nothing was seen, and written %d times", got)
	}
	r.serve(10)
	for range 3 {
		holds(t, r.publish(t, rollout()), rollout(), 10)
	}
	if got := r.store.Saves(); got != 1 {
		t.Errorf("the same was written %d times, want 1", got)
	}
}

func TestPublishOfModelsApart(t *testing.T) {
	t.Parallel()
	r := newReplica(&catalogtest.Store{}, "a")
	r.publish(t, rollout())
	other := &statistics.Recorder{}
	if _, err := r.Publish(t.Context(), r.store, "mobilenet", rollout(), other, &statistics.Recorder{}); err != nil {
		t.Fatal(err)
	}
	r.serve(10)
	other.Request(1, scoring.Timing{}, ms, errSimulated)
	holds(t, r.publish(t, rollout()), rollout(), 10)
	e, err := r.Publish(t.Context(), r.store, "mobilenet", rollout(), other, nil)
	if err != nil || e.Totals(rollout()).Candidate.Failed != 1 {
		t.Errorf("got %+v, %v, want 1 failure", e, err)
	}
}

func TestPublishOfAVersionThatIsLoadedAgain(t *testing.T) {
	t.Parallel()
	r := newReplica(&catalogtest.Store{}, "a")
	first := r.candidate
	publish := func(candidate *statistics.Recorder, want uint64) {
		t.Helper()
		e, err := r.Publish(t.Context(), r.store, "faq", rollout(), candidate, r.baseline)
		if err != nil {
			t.Fatal(err)
		}
		if got := e.Totals(rollout()).Candidate.Requests(); got != want {
			t.Errorf("got %d requests, want %d", got, want)
		}
	}
	publish(first, 0)
	r.serve(10)
	publish(first, 10)
	publish(nil, 10) // unloaded
	second := &statistics.Recorder{}
	publish(second, 10)
	r.candidate = second
	r.serve(3)
	publish(second, 13)
	publish(first, 13)
	first.Request(1, scoring.Timing{}, ms, nil) // a request that was under way
	publish(second, 14)
}

func TestPublishMergesWhatReplicasSaw(t *testing.T) {
	t.Parallel()
	store := &catalogtest.Store{}
	var replicas sync.WaitGroup
	for i := range 5 {
		replicas.Go(func() {
			r := newReplica(store, fmt.Sprint("replica-", i))
			for range 10 {
				// All write the same document at once, so some give up at times: later calls make up for it.
				r.Publish(t.Context(), store, "faq", rollout(), r.candidate, r.baseline)
				r.serve(10)
			}
			for {
				_, err := r.Publish(t.Context(), store, "faq", rollout(), r.candidate, r.baseline)
				if err == nil {
					return
				}
				if scoring.CodeOf(err) != scoring.Conflict {
					t.Error(err)
					return
				}
			}
		})
	}
	replicas.Wait()
	holds(t, newReplica(store, "late").publish(t, rollout()), rollout(), 5*10*10)
}

func TestPublishTriesAgainWhereOthersWereFaster(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		faster int
		want   scoring.Code
	}{{1, 0}, {4, 0}, {5, scoring.Conflict}} {
		t.Run(strconv.Itoa(test.faster), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				store := &catalogtest.Store{}
				r := newReplica(store, "a")
				r.publish(t, rollout())
				r.serve(10)
				left := test.faster
				store.Fail(func(op, _ string) error {
					if op == catalogtest.OpSave && left > 0 {
						left--
						e := judge.Decode(store.Documents()[catalog.EvidenceKey("faq")])
						e.Merge(rollout(), "b", part(100*(test.faster-left), 0))
						store.Put(catalog.EvidenceKey("faq"), []byte(written(t, e)))
					}
					return nil
				})
				e, err := r.Publish(t.Context(), store, "faq", rollout(), r.candidate, r.baseline)
				if got := scoring.CodeOf(err); got != test.want {
					t.Fatalf("got the error %v, want the code %d", err, test.want)
				}
				if err == nil {
					holds(t, e, rollout(), uint64(10+100*test.faster))
				}
				if e := r.publish(t, rollout()); e.Totals(rollout()).Candidate.Requests() != uint64(10+100*test.faster) {
					t.Errorf("the next call has %s", written(t, e))
				}
			})
		})
	}
}

func TestPublishToAStoreThatFails(t *testing.T) {
	t.Parallel()
	for _, op := range []string{catalogtest.OpGet, catalogtest.OpSave, catalogtest.OpSaved} {
		t.Run(op, func(t *testing.T) {
			t.Parallel()
			store := &catalogtest.Store{}
			r := newReplica(store, "a")
			down := errors.New("down")
			store.Fail(func(at, _ string) error {
				if at == op {
					return down
				}
				return nil
			})
			r.Publish(t.Context(), store, "faq", rollout(), r.candidate, r.baseline)
			r.serve(10)
			if _, err := r.Publish(t.Context(), store, "faq", rollout(), r.candidate, r.baseline); !errors.Is(err, down) {
				t.Errorf("got the error %v, want the store's", err)
			}
			store.Fail(nil)
			r.serve(1)
			// Counting began although the store was down, and what was written although it seemed
			// not to be is not written twice.
			holds(t, r.publish(t, rollout()), rollout(), 11)
		})
	}
}

func TestPublishEndsWithItsContext(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		store := &catalogtest.Store{}
		r := newReplica(store, "a")
		r.publish(t, rollout())
		r.serve(10)
		ctx, cancel := context.WithCancel(t.Context())
		store.Fail(func(op, _ string) error {
			if op == catalogtest.OpSave {
				cancel()
				return scoring.Errorf(scoring.Conflict, "changed")
			}
			return nil
		})
		if _, err := r.Publish(ctx, store, "faq", rollout(), r.candidate, r.baseline); scoring.CodeOf(err) != scoring.Canceled {
			t.Errorf("got the error %v, want it to say that the caller left", err)
		}
	})
}

func TestPublishAfterThePartWentToTheOthers(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		store := &catalogtest.Store{}
		idle := newReplica(store, "idle")
		idle.publish(t, rollout())
		idle.serve(10)
		idle.publish(t, rollout())
		for i := range 200 {
			time.Sleep(time.Second)
			r := newReplica(store, fmt.Sprint("replica-", i))
			r.publish(t, rollout())
			r.serve(1)
			r.publish(t, rollout())
		}
		e := idle.publish(t, rollout())
		if _, there := e.Replicas["idle"]; there || e.Others == nil {
			t.Fatalf("the replica that wrote longest ago is listed still")
		}
		holds(t, e, rollout(), 10+200)
		time.Sleep(time.Second)
		idle.serve(5)
		holds(t, idle.publish(t, rollout()), rollout(), 10+200+5)
		idle.serve(2)
		holds(t, idle.publish(t, rollout()), rollout(), 10+200+5+2)
	})
}

func TestPublishToADocumentThatWasLost(t *testing.T) {
	t.Parallel()
	r := newReplica(&catalogtest.Store{}, "a")
	r.publish(t, rollout())
	r.serve(10)
	r.publish(t, rollout())
	r.store.Put(catalog.EvidenceKey("faq"), []byte("rubbish"))
	holds(t, r.publish(t, rollout()), rollout(), 10)
	r.store.Put(catalog.EvidenceKey("faq"), nil)
	holds(t, r.publish(t, rollout()), rollout(), 10)
}
