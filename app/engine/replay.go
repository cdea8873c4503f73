package engine

import (
	"context"
	"slices"
	"time"

	"github.com/onda-serving/onda/app/registry"
	"github.com/onda-serving/onda/app/scoring"
)

// Replayed is what came of asking two versions the same requests.
type Replayed struct {
	// Samples counts the requests that say something: those that the baseline answered, and
	// that the candidate was not too busy for.
	Samples int
	// Failed counts the samples that the candidate did not answer.
	Failed int
	// Failure is the text of the first failure, for operators; "" where there was none.
	Failure string
	// Disagreed counts the samples whose answers are not the same to a caller.
	Disagreed int
	// MaxDifference is the greatest between two answers: see compare.Difference.
	MaxDifference float64
	// BaselineP50 and CandidateP50 are the medians of the time inside the runtime, over the
	// samples that the version answered; 0 where there are none.
	BaselineP50 time.Duration
	// CandidateP50 is that of the candidate.
	CandidateP50 time.Duration
}

// Replay asks two versions of a model its recent requests, one after the other and behind
// what callers ask, and compares the answers. baseline may be nil: then the candidate must
// only answer. Both must stay loaded until Replay returns. progress, if it is not nil, is
// called after each request.
//
// The error, a [scoring.Error], is that of a ctx that ended, with what was seen until then.
func (e *Engine) Replay(ctx context.Context, model string, baseline, candidate *registry.Version, progress func(done, total int64)) (Replayed, error) {
	var r replay
	questions := e.recent.of(model)
	for i, q := range questions {
		var was, is replied
		// Who comes second finds what both need in the processor's caches.
		if i%2 == 0 {
			was = e.reply(ctx, baseline, q)
			is = e.reply(ctx, candidate, q)
		} else {
			is = e.reply(ctx, candidate, q)
			was = e.reply(ctx, baseline, q)
		}
		if err := ctx.Err(); err != nil {
			return r.sum(), scoring.AsError(err)
		}
		r.add(was, is)
		if progress != nil {
			progress(int64(i+1), int64(len(questions)))
		}
	}
	return r.sum(), nil
}

// replied is what a version said to a question.
type replied struct {
	asked  bool // false where there is no version
	answer answer
	run    time.Duration
	err    error
}

// reply asks a version; nil says nothing.
func (e *Engine) reply(ctx context.Context, v *registry.Version, q question) replied {
	if v == nil {
		return replied{}
	}
	var timing scoring.Timing
	a, err := e.askAlone(ctx, v, q, nil, &timing)
	return replied{asked: true, answer: a, run: timing.Run, err: err}
}

// replay adds up what two versions replied.
type replay struct {
	Replayed

	baseline, candidate []time.Duration
}

func (r *replay) add(was, is replied) {
	if was.err != nil || scoring.CodeOf(is.err) == scoring.Overloaded {
		return
	}
	r.Samples++
	if was.asked {
		r.baseline = append(r.baseline, was.run)
	}
	if is.err != nil {
		r.Failed++
		if r.Failure == "" {
			r.Failure = scoring.AsError(is.err).Message
		}
		return
	}
	r.candidate = append(r.candidate, is.run)
	if !was.asked {
		return
	}
	d := difference(was.answer, is.answer)
	r.MaxDifference = max(r.MaxDifference, d.Max)
	if d.Disagrees {
		r.Disagreed++
	}
}

func (r *replay) sum() Replayed {
	r.BaselineP50, r.CandidateP50 = median(r.baseline), median(r.candidate)
	return r.Replayed
}

// median is the middle one, or 0 of none.
func median(all []time.Duration) time.Duration {
	if len(all) == 0 {
		return 0
	}
	slices.Sort(all)
	return all[len(all)/2]
}
