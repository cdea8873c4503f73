// Package replica is this process's side of changes to the registry: it inspects and
// prepares versions here before a document says that they answer, and tells how this replica
// stands.
package replica

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/onda-serving/onda/app/admin"
	"github.com/onda-serving/onda/app/artifact"
	"github.com/onda-serving/onda/app/catalog"
	"github.com/onda-serving/onda/app/engine"
	"github.com/onda-serving/onda/app/follow"
	"github.com/onda-serving/onda/app/registry"
	"github.com/onda-serving/onda/app/scoring"
	"github.com/onda-serving/onda/app/verify"
)

// Supply is where versions come from: see supply.Supply, which implements it.
type Supply interface {
	registry.Files
	// Inspect checks a version in a process of its own and says what it is.
	Inspect(ctx context.Context, ref artifact.Ref, v catalog.Version) (verify.Report, error)
}

// Replica implements admin.Replica.
type Replica struct {
	// Name of this replica.
	Name string
	// Serving is what serves here.
	Serves follow.Serving
	// Follower keeps it in line.
	Follower *follow.Follower
	// Supply of versions.
	Supply Supply
	// Engine asks versions recent requests.
	Engine *engine.Engine
}

var _ admin.Replica = Replica{}

// Inspect implements admin.Replica.
func (r Replica) Inspect(ctx context.Context, model string, v catalog.Version, progress func(admin.Progress)) (verify.Report, error) {
	tell, hush := telling(progress)
	defer hush()
	tell("fetch", 0, v.SizeBytes)
	ref, release, err := r.Supply.Fetch(ctx, model, v, func(done, total int64) { tell("fetch", done, total) })
	if err != nil {
		return verify.Report{}, err
	}
	defer release()
	tell("check", 0, 0)
	return r.Supply.Inspect(ctx, ref, v)
}

// Prepare implements admin.Replica.
func (r Replica) Prepare(ctx context.Context, model *catalog.Model, version, baseline int64, progress func(admin.Progress)) (admin.Comparison, error) {
	r.Follower.Follow(model) //nolint:contextcheck // what a document needs outlasts who brought it
	tell, hush := telling(progress)
	defer hush()
	err := r.Serves.Prove(ctx, model.Name, version, tell)
	if err == nil {
		err = r.Serves.Bring(ctx, model.Name, version, tell)
	}
	if err != nil {
		return admin.Comparison{}, cannotAnswer(ctx, model.Name, version, err)
	}
	c := admin.Comparison{Candidate: version}
	err = r.Serves.Hold(ctx, model.Name, version, func(candidate *registry.Version) error {
		if baseline == 0 || baseline == version {
			return r.compare(ctx, model.Name, nil, candidate, &c, tell)
		}
		err := r.Serves.Hold(ctx, model.Name, baseline, func(old *registry.Version) error {
			c.Baseline = baseline
			return r.compare(ctx, model.Name, old, candidate, &c, tell)
		})
		if err != nil && c.Baseline == 0 && ctx.Err() == nil {
			// There is no room for both, or the old one is past loading: the new one must do alone.
			return r.compare(ctx, model.Name, nil, candidate, &c, tell)
		}
		return err
	})
	return c, err
}

// cannotAnswer says why a version was not made ready. What comes without a code of its own is
// for operators, who are the ones who ask.
func cannotAnswer(ctx context.Context, model string, version int64, err error) error {
	if ctx.Err() != nil {
		return scoring.AsError(ctx.Err())
	}
	code, text := scoring.Conflict, err.Error()
	if e, ok := errors.AsType[*scoring.Error](err); ok {
		text = e.Message
		if e.Code == scoring.Unavailable {
			code = scoring.Unavailable
		}
	}
	return scoring.Errorf(code, "version %d of %q cannot answer: %s", version, model, text).WithCause(err)
}

// compare asks both versions the recent requests.
func (r Replica) compare(ctx context.Context, model string, old, candidate *registry.Version, c *admin.Comparison, tell registry.Progress) error {
	tell("compare", 0, 0)
	replayed, err := r.Engine.Replay(ctx, model, old, candidate, func(done, total int64) { tell("compare", done, total) })
	if err != nil {
		return err
	}
	c.Samples, c.Failed, c.Disagreed, c.MaxDifference = replayed.Samples, replayed.Failed, replayed.Disagreed, replayed.MaxDifference
	c.BaselineP50, c.CandidateP50 = milliseconds(replayed.BaselineP50), milliseconds(replayed.CandidateP50)
	c.Text = sentence(c)
	return nil
}

func milliseconds(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

// sentence says what was compared.
func sentence(c *admin.Comparison) string {
	switch {
	case c.Samples == 0:
		return "no recent request was answered: there was nothing to compare, but golden inputs where the version has any"
	case c.Baseline == 0:
		return fmt.Sprintf("version %d answered %d of %d recent requests, %.2f ms in the median", c.Candidate, c.Samples-c.Failed, c.Samples, c.CandidateP50)
	default:
		return fmt.Sprintf("version %d disagrees with version %d on %d of %d recent requests and failed on %d; largest difference %.3g; median %.2f ms, before %.2f ms",
			c.Candidate, c.Baseline, c.Disagreed, c.Samples, c.Failed, c.MaxDifference, c.CandidateP50, c.BaselineP50)
	}
}

// telling passes a load's progress on until hush is called: a load goes on when the one who
// asked for it has left.
func telling(progress func(admin.Progress)) (tell registry.Progress, hush func()) {
	var mu sync.Mutex
	tell = func(stage string, done, total int64) {
		mu.Lock()
		defer mu.Unlock()
		if progress != nil {
			progress(admin.Progress{Stage: stage, Done: done, Total: total})
		}
	}
	return tell, func() {
		mu.Lock()
		defer mu.Unlock()
		progress = nil
	}
}

// Follow implements admin.Replica.
func (r Replica) Follow(_ context.Context, model *catalog.Model) {
	r.Follower.Follow(model) //nolint:contextcheck // what a document needs outlasts who brought it
}
