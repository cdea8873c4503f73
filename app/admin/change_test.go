package admin_test

import (
	"context"
	"errors"
	"math"
	"testing"
	"time"

	"github.com/onda-serving/onda/app/admin"
	"github.com/onda-serving/onda/app/catalog"
	"github.com/onda-serving/onda/app/scoring"
)

// changes are all that can be asked for of model "m" with 1 live, and what the replica does
// for each before the document is written.
var changes = []struct {
	name   string
	change func(ctx context.Context, a *admin.Admin, ask admin.Ask) (*admin.Document, error)
	calls  []string
	action string
	// version of the history entry.
	version int64
}{
	{"label", func(ctx context.Context, a *admin.Admin, ask admin.Ask) (*admin.Document, error) {
		return a.SetLabel(ctx, "m", "live", 2, ask)
	}, []string{"prepare m@2 with 1"}, catalog.ActionLabel, 2},
	{"new label", func(ctx context.Context, a *admin.Admin, ask admin.Ask) (*admin.Document, error) {
		return a.SetLabel(ctx, "m", "stable", 3, ask)
	}, []string{"prepare m@3 with 1"}, catalog.ActionLabel, 3},
	{"label of the live version", func(ctx context.Context, a *admin.Admin, ask admin.Ask) (*admin.Document, error) {
		return a.SetLabel(ctx, "m", "stable", 1, ask)
	}, []string{"prepare m@1 with 0"}, catalog.ActionLabel, 1},
	{"traffic", func(ctx context.Context, a *admin.Admin, ask admin.Ask) (*admin.Document, error) {
		return a.SetTraffic(ctx, "m", &catalog.Traffic{Weights: map[int64]int{1: 80, 3: 10, 2: 10}}, ask)
	}, []string{"prepare m@2 with 1", "prepare m@3 with 1"}, catalog.ActionTraffic, 0},
	{"shadow", func(ctx context.Context, a *admin.Admin, ask admin.Ask) (*admin.Document, error) {
		return a.SetShadow(ctx, "m", &catalog.Shadow{Version: 2, Share: 0.1}, ask)
	}, []string{"prepare m@2 with 0"}, catalog.ActionShadow, 2},
	{"rollout", func(ctx context.Context, a *admin.Admin, ask admin.Ask) (*admin.Document, error) {
		return a.Rollout(ctx, "m", admin.RolloutPlan{Version: 2, Steps: []int{10}}, ask)
	}, []string{"prepare m@2 with 1"}, catalog.ActionRollout, 2},
	{"promote", func(ctx context.Context, a *admin.Admin, ask admin.Ask) (*admin.Document, error) {
		return a.Promote(ctx, "m", 2, ask)
	}, []string{"prepare m@2 with 1"}, catalog.ActionPromote, 2},
	{"retire", func(ctx context.Context, a *admin.Admin, ask admin.Ask) (*admin.Document, error) {
		return a.Retire(ctx, "m", 3, ask)
	}, nil, catalog.ActionRetire, 3},
	{"pin", func(ctx context.Context, a *admin.Admin, ask admin.Ask) (*admin.Document, error) {
		return a.Pin(ctx, "m", true, ask)
	}, nil, catalog.ActionPin, 0},
}

func TestChangesAreProvedThenWrittenThenFollowed(t *testing.T) {
	t.Parallel()
	for _, test := range changes {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			r := managed(t)
			document, err := test.change(t.Context(), r.Admin, admin.Ask{Actor: "ann via shop", Reason: "because"})
			if err != nil {
				t.Fatal(err)
			}
			same(t, "asked of the replica", r.replica.asked(), append(test.calls, "follow m at 5"))
			entry := r.newest(t)
			if entry.Action != test.action || entry.Actor != "ann via shop" || entry.Version != test.version || entry.Revision != 5 || document.Revision != 5 {
				t.Errorf("got the entry %+v of the document at %d, want %s of version %d at 5", entry, document.Revision, test.action, test.version)
			}
		})
	}
}

func TestChangeAtAnotherRevisionIsRefused(t *testing.T) {
	t.Parallel()
	for _, test := range changes {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			r := managed(t)
			_, err := test.change(t.Context(), r.Admin, admin.Ask{Actor: "ann", Revision: 3})
			var conflict *catalog.ConflictError
			if !errors.As(err, &conflict) {
				t.Fatalf("got %v, want a conflict", err)
			}
			refused(t, err, scoring.Conflict, "is at revision 4", "made for revision 3", "label of version 1 by ann")
			if yours := conflict.Yours; yours.Revision != 3 || yours.Labels["live"] != 0 || conflict.Current.Labels["live"] != 1 {
				t.Errorf("got yours %+v and current %+v, want no live version and version 1", yours, conflict.Current)
			}
			same(t, "asked of the replica", r.replica.asked(), nil)
			if got := r.model(t).Revision; got != 4 {
				t.Errorf("the document is at %d, want 4", got)
			}
		})
	}
}

// TestWhatCannotBeIsRefusedWithoutWork has a refusal of each kind of change: the replica is
// asked for nothing.
func TestWhatCannotBeIsRefusedWithoutWork(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	tests := []struct {
		name   string
		change func(a *admin.Admin) (*admin.Document, error)
		code   scoring.Code
		text   string
	}{
		{"name", func(a *admin.Admin) (*admin.Document, error) { return a.SetLabel(ctx, "a/b", "live", 1, by) }, scoring.Invalid, `model name "a/b"`},
		{"label", func(a *admin.Admin) (*admin.Document, error) { return a.SetLabel(ctx, "m", "a b", 1, by) }, scoring.Invalid, `label "a b"`},
		{"version", func(a *admin.Admin) (*admin.Document, error) { return a.SetLabel(ctx, "m", "live", 0, by) }, scoring.Invalid, "version is 0"},
		{"unknown model", func(a *admin.Admin) (*admin.Document, error) { return a.SetLabel(ctx, "x", "live", 1, by) }, scoring.NotFound, `model "x" is not in the registry`},
		{"unknown version", func(a *admin.Admin) (*admin.Document, error) { return a.SetLabel(ctx, "m", "live", 9, by) }, scoring.NotFound, "9"},
		{"label that is not there", func(a *admin.Admin) (*admin.Document, error) { return a.RemoveLabel(ctx, "m", "canary", by) }, scoring.NotFound, `no label "canary"`},
		{"label to remove", func(a *admin.Admin) (*admin.Document, error) { return a.RemoveLabel(ctx, "m", "", by) }, scoring.Invalid, "label is empty"},
		{"live stays", func(a *admin.Admin) (*admin.Document, error) { return a.RemoveLabel(ctx, "m", "live", by) }, scoring.Conflict, "cannot be removed"},
		{"traffic", func(a *admin.Admin) (*admin.Document, error) {
			return a.SetTraffic(ctx, "m", &catalog.Traffic{Weights: map[int64]int{9: 1}}, by)
		}, scoring.NotFound, "9"},
		{"shadow", func(a *admin.Admin) (*admin.Document, error) {
			return a.SetShadow(ctx, "m", &catalog.Shadow{Version: 2, Share: 2}, by)
		}, scoring.Invalid, "share 2"},
		{"rollout of nothing", func(a *admin.Admin) (*admin.Document, error) { return a.Rollout(ctx, "m", admin.RolloutPlan{}, by) }, scoring.Invalid, "version is 0"},
		{"rollout of what is live", func(a *admin.Admin) (*admin.Document, error) {
			return a.Rollout(ctx, "m", admin.RolloutPlan{Version: 1}, by)
		}, scoring.Conflict, "is live already"},
		{"promote nothing", func(a *admin.Admin) (*admin.Document, error) { return a.Promote(ctx, "m", 0, by) }, scoring.Conflict, "say which version"},
		{"promote a negative version", func(a *admin.Admin) (*admin.Document, error) { return a.Promote(ctx, "m", -1, by) }, scoring.Invalid, "version is -1"},
		{"roll back to nothing", func(a *admin.Admin) (*admin.Document, error) { return a.RollBack(ctx, "m", by) }, scoring.Conflict, "no version before it"},
		{"roll back an unknown model", func(a *admin.Admin) (*admin.Document, error) { return a.RollBack(ctx, "x", by) }, scoring.NotFound, `model "x" is not in the registry`},
		{"roll back a bad name", func(a *admin.Admin) (*admin.Document, error) { return a.RollBack(ctx, "", by) }, scoring.Invalid, "model name is empty"},
		{"retire what is live", func(a *admin.Admin) (*admin.Document, error) { return a.Retire(ctx, "m", 1, by) }, scoring.Conflict, "in use by"},
		{"retire nothing", func(a *admin.Admin) (*admin.Document, error) { return a.Retire(ctx, "m", 0, by) }, scoring.Invalid, "version is 0"},
		{"accept", func(a *admin.Admin) (*admin.Document, error) {
			return a.Pin(ctx, "m", true, admin.Ask{Accept: catalog.Accept{"signature", "all"}})
		}, scoring.Invalid, `"all" is nothing that can be confirmed: want ["divergence" "rolled-back" "signature" "slower"]`},
		{"reason", func(a *admin.Admin) (*admin.Document, error) {
			return a.Pin(ctx, "m", true, admin.Ask{Reason: string(make([]byte, 301))})
		}, scoring.Invalid, "reason is 301 bytes long: at most 300"},
	}
	r := managed(t)
	for _, test := range tests {
		_, err := test.change(r.Admin)
		if err == nil {
			t.Errorf("%s: got no error, want %s", test.name, test.text)
			continue
		}
		refused(t, err, test.code, test.text)
	}
	same(t, "asked of the replica", r.replica.asked(), nil)
	if got := r.model(t).Revision; got != 4 {
		t.Errorf("the document is at %d, want 4", got)
	}
}

func TestChangeThatChangesNothingIsNotProved(t *testing.T) {
	t.Parallel()
	r := managed(t)
	document, err := r.SetLabel(t.Context(), "m", "live", 1, by)
	if err != nil || document.Revision != 4 || document.Labels["live"] != 1 {
		t.Errorf("got %+v, %v, want the document at 4", document, err)
	}
	same(t, "asked of the replica", r.replica.asked(), []string{"follow m at 4"})
}

func TestComparison(t *testing.T) {
	t.Parallel()
	good := admin.Comparison{Samples: 100, BaselineP50: 10, CandidateP50: 10, Text: "100 requests agree"}
	with := func(edit func(*admin.Comparison)) admin.Comparison {
		c := good
		edit(&c)
		return c
	}
	tests := []struct {
		name   string
		report admin.Comparison
		accept catalog.Accept
		texts  []string // of the refusal; none for success
	}{
		{"agrees", good, nil, nil},
		{"nothing to compare", admin.Comparison{}, nil, nil},
		{"10 % disagree", with(func(c *admin.Comparison) { c.Disagreed = 10 }), nil, nil},
		{"11 % disagree", with(func(c *admin.Comparison) { c.Disagreed, c.MaxDifference = 11, 0.25 }), nil, []string{"disagrees with version 1 on 11 of 100", "0.25", `confirm with "divergence"`}},
		{"all of too few disagree", with(func(c *admin.Comparison) { c.Samples, c.Disagreed = 9, 9 }), nil, nil},
		{"all of enough disagree", with(func(c *admin.Comparison) { c.Samples, c.Disagreed = 10, 10 }), nil, []string{"10 of 10"}},
		{"divergence is meant", with(func(c *admin.Comparison) { c.Disagreed = 90 }), catalog.Accept{"divergence"}, nil},
		{"another thing is meant", with(func(c *admin.Comparison) { c.Disagreed = 90 }), catalog.Accept{"slower"}, []string{"90 of 100"}},
		{"one fails", with(func(c *admin.Comparison) { c.Failed = 1 }), nil, []string{"failed on 1 of 100 recent requests that version 1 answered"}},
		{"failure cannot be meant", with(func(c *admin.Comparison) { c.Failed = 1 }), catalog.Accept{"divergence", "slower", "signature", "rolled-back"}, []string{"failed on 1"}},
		{"three times", with(func(c *admin.Comparison) { c.CandidateP50 = 30 }), nil, nil},
		{"slower", with(func(c *admin.Comparison) { c.CandidateP50 = 31 }), nil, []string{"takes 31 ms", "version 1 takes 10 ms", `confirm with "slower"`}},
		{"slower is meant", with(func(c *admin.Comparison) { c.CandidateP50 = 31 }), catalog.Accept{"slower"}, nil},
		{"slower by little", with(func(c *admin.Comparison) { c.BaselineP50, c.CandidateP50 = 0.1, 1.1 }), nil, nil},
		{"slower by enough", with(func(c *admin.Comparison) { c.BaselineP50, c.CandidateP50 = 0.1, 1.2 }), nil, []string{"1.2 ms"}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			r := managed(t)
			r.replica.prepare = func(context.Context, *catalog.Model, int64, int64) (admin.Comparison, error) { return test.report, nil }
			document, err := r.SetLabel(t.Context(), "m", "live", 2, admin.Ask{Actor: "ann", Reason: "new data", Accept: test.accept})
			if len(test.texts) > 0 {
				refused(t, err, scoring.Conflict, test.texts...)
				if got := r.model(t); got.Revision != 4 || got.Labels["live"] != 1 {
					t.Errorf("the document is at %d with live %d, want it untouched", got.Revision, got.Labels["live"])
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			want := "new data"
			if test.report.Text != "" {
				want = "new data; " + test.report.Text
			}
			if got := r.newest(t).Reason; got != want {
				t.Errorf("the reason is %q, want %q", got, want)
			}
			if document.Report == nil || document.Report.Candidate != 2 || document.Report.Baseline != 1 || document.Report.Samples != test.report.Samples {
				t.Errorf("got the report %+v, want that of 2 with 1", document.Report)
			}
		})
	}
}

// TestNothingToCompareWith has a version that is asked alone: it is told how it did, and judged
// by nothing.
func TestNothingToCompareWith(t *testing.T) {
	t.Parallel()
	r := managed(t)
	r.replica.prepare = func(context.Context, *catalog.Model, int64, int64) (admin.Comparison, error) {
		return admin.Comparison{Samples: 20, Failed: 2, CandidateP50: 50, Text: "answered 18 of 20"}, nil
	}
	document, err := r.SetShadow(t.Context(), "m", &catalog.Shadow{Version: 2, Share: 1}, admin.Ask{Actor: "ann"})
	if err != nil || document.Report == nil || document.Report.Failed != 2 || document.Report.Baseline != 0 {
		t.Errorf("got %+v, %v, want the report", document, err)
	}
	if got := r.newest(t).Reason; got != "answered 18 of 20" {
		t.Errorf("the reason is %q, want what was measured", got)
	}
}

func TestReportCanBeWritten(t *testing.T) {
	t.Parallel()
	for _, value := range []float64{math.NaN(), math.Inf(1), math.Inf(-1)} {
		r := managed(t)
		r.replica.prepare = func(context.Context, *catalog.Model, int64, int64) (admin.Comparison, error) {
			return admin.Comparison{MaxDifference: value}, nil
		}
		document, err := r.SetLabel(t.Context(), "m", "live", 2, by)
		if err != nil || document.Report.MaxDifference != math.MaxFloat64 {
			t.Errorf("%v: got %+v, %v, want the largest number", value, document, err)
		}
	}
}

func TestVersionThatIsNotReadyIsRefused(t *testing.T) {
	t.Parallel()
	r := managed(t)
	r.replica.prepare = func(context.Context, *catalog.Model, int64, int64) (admin.Comparison, error) {
		return admin.Comparison{}, scoring.Errorf(scoring.Invalid, "golden input 3 gives another answer")
	}
	_, err := r.SetLabel(t.Context(), "m", "live", 2, by)
	refused(t, err, scoring.Invalid, "golden input 3 gives another answer")
	if got := r.model(t).Revision; got != 4 {
		t.Errorf("the document is at %d, want 4", got)
	}
}

// TestConcurrentChangeIsAConflict lets another replica change the model while this one proves
// a version.
func TestConcurrentChangeIsAConflict(t *testing.T) {
	t.Parallel()
	r := managed(t)
	r.replica.prepare = func(ctx context.Context, _ *catalog.Model, _, _ int64) (admin.Comparison, error) {
		_, err := r.Book.Commit(ctx, "m", catalog.Change{Actor: "bob", Action: catalog.ActionLabel, Version: 3, Apply: func(m *catalog.Model) error {
			return m.SetLabel("live", 3, nil)
		}})
		return admin.Comparison{}, err
	}
	_, err := r.SetLabel(t.Context(), "m", "live", 2, by)
	var conflict *catalog.ConflictError
	if !errors.As(err, &conflict) {
		t.Fatalf("got %v, want a conflict", err)
	}
	if conflict.Yours.Labels["live"] != 1 || conflict.Current.Labels["live"] != 3 {
		t.Errorf("got live %d and %d, want 1 and 3", conflict.Yours.Labels["live"], conflict.Current.Labels["live"])
	}
	refused(t, err, scoring.Conflict, "label of version 3 by bob")
}

func TestRegistrationElsewhereIsNoConflict(t *testing.T) {
	t.Parallel()
	r := managed(t)
	r.replica.prepare = func(ctx context.Context, _ *catalog.Model, _, _ int64) (admin.Comparison, error) {
		_, err := r.Book.Commit(ctx, "m", catalog.Change{Actor: "bob", Action: catalog.ActionRegister, Apply: func(m *catalog.Model) error {
			return m.Register(catalog.Version{Version: 4, Digest: "sha256:4", Location: "models:"}, nil)
		}})
		return admin.Comparison{}, err
	}
	document, err := r.SetLabel(t.Context(), "m", "live", 2, by)
	if err != nil || document.Labels["live"] != 2 || len(document.Versions) != 4 {
		t.Errorf("got %+v, %v, want version 2 live of four", document, err)
	}
}

// TestChangeThatBeganGoesOn lets the caller leave while a version is proved.
func TestChangeThatBeganGoesOn(t *testing.T) {
	t.Parallel()
	r := managed(t)
	ctx, leave := context.WithCancel(t.Context())
	r.replica.prepare = func(ctx context.Context, _ *catalog.Model, _, _ int64) (admin.Comparison, error) {
		leave()
		return admin.Comparison{}, ctx.Err()
	}
	if _, err := r.SetLabel(ctx, "m", "live", 2, by); err != nil {
		t.Fatal(err)
	}
	if got := r.model(t).Labels["live"]; got != 2 {
		t.Errorf("live is %d, want 2", got)
	}
}

func TestChangeOfACallerWhoLeftDoesNotBegin(t *testing.T) {
	t.Parallel()
	r := managed(t)
	ctx, leave := context.WithCancel(t.Context())
	leave()
	_, err := r.SetLabel(ctx, "m", "live", 2, by)
	refused(t, err, scoring.Canceled)
	same(t, "asked of the replica", r.replica.asked(), nil)
}

func TestDeadlineEndsTheProofAndNotTheWriting(t *testing.T) {
	t.Parallel()
	r := managed(t)
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	r.replica.prepare = func(ctx context.Context, _ *catalog.Model, _, _ int64) (admin.Comparison, error) {
		<-ctx.Done()
		return admin.Comparison{}, ctx.Err()
	}
	_, err := r.SetLabel(ctx, "m", "live", 2, by)
	refused(t, err, scoring.Expired)
	if got := r.model(t).Revision; got != 4 {
		t.Errorf("the document is at %d, want 4", got)
	}
	ctx, cancel = context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	r.replica.prepare = func(ctx context.Context, _ *catalog.Model, _, _ int64) (admin.Comparison, error) {
		<-ctx.Done()
		return admin.Comparison{}, nil
	}
	if document, err := r.SetLabel(ctx, "m", "live", 2, by); err != nil || document.Labels["live"] != 2 {
		t.Errorf("got %+v, %v, want version 2 live: it was proved in time", document, err)
	}
}

func TestStoreThatIsAway(t *testing.T) {
	t.Parallel()
	r := managed(t)
	r.book.Fail(func(op, _ string) error {
		if op == "save" {
			return errors.New("redis://secret: refused")
		}
		return nil
	})
	_, err := r.SetLabel(t.Context(), "m", "live", 2, by)
	refused(t, err, scoring.Unavailable, "state store")
	r.book.Fail(func(string, string) error { return errors.New("redis://secret: refused") })
	_, err = r.SetLabel(t.Context(), "m", "live", 2, by)
	refused(t, err, scoring.Unavailable, "state store")
	r.book.Fail(func(string, string) error { return context.DeadlineExceeded })
	_, err = r.SetLabel(t.Context(), "m", "live", 2, by)
	refused(t, err, scoring.Unavailable, "state store")
}

func TestWithoutABook(t *testing.T) {
	t.Parallel()
	r := newRig()
	r.Admin = &admin.Admin{Store: r.store}
	_, err := r.Model(t.Context(), "m")
	refused(t, err, scoring.Unimplemented, "needs a Dapr sidecar")
	_, err = r.Models(t.Context())
	refused(t, err, scoring.Unimplemented, "needs a Dapr sidecar")
	_, err = r.History(t.Context(), "m", 1)
	refused(t, err, scoring.Unimplemented, "needs a Dapr sidecar")
	_, err = r.RollBack(t.Context(), "m", by)
	refused(t, err, scoring.Unimplemented, "needs a Dapr sidecar")
	_, err = r.Register(t.Context(), "m", admin.Registration{Location: "file:///m"}, by)
	refused(t, err, scoring.Unimplemented, "needs a Dapr sidecar")
	_, err = r.Status()
	refused(t, err, scoring.Unimplemented, "needs a Dapr sidecar")
}
