package golden

import (
	"context"
	"errors"
	"fmt"
	"math"

	"github.com/onda-serving/onda/app/scoring"
)

// Asker answers for a loaded version. Each method is that of the engine for a request of its
// own, with the version's pipeline or without.
type Asker interface {
	// Predict scores instances with the pipeline.
	Predict(ctx context.Context, instances []scoring.Instance, parameters scoring.Parameters) ([]scoring.Prediction, error)
	// Infer runs the model on tensors and gives all of its outputs.
	Infer(ctx context.Context, inputs []scoring.Tensor) ([]scoring.Tensor, error)
}

// Result says how a version compares with its golden inputs.
type Result struct {
	// Cases that were asked and answered as expected.
	Cases int `json:"cases"`
	// MaxDifference is the largest difference from an expected score or number. Numbers
	// beyond 1 are taken by their own size: it is never above the file's tolerance.
	MaxDifference float64 `json:"max_difference"`
}

// Replay asks all cases, one after the other, and compares the answers. The error is an
// [scoring.Error] that names the first case whose answer is not as expected, what was
// expected and what came: Invalid for a wrong answer, and the asker's own code where there is
// none. Result counts the cases before it.
func (s *Set) Replay(ctx context.Context, asker Asker) (Result, error) {
	var r Result
	for i := range s.cases {
		c := checker{tolerance: s.tolerance}
		err := c.ask(ctx, asker, &s.cases[i])
		var failed *scoring.Error
		switch {
		case errors.As(err, &failed):
			return r, scoring.Errorf(failed.Code, "%s: cases[%d]: %s", File, i, failed.Message).WithCause(failed.Unwrap())
		case err != nil && ctx.Err() != nil:
			return r, err
		case err != nil:
			return r, scoring.Errorf(scoring.Invalid, "%s: cases[%d]: %s", File, i, err)
		}
		r.Cases++
		r.MaxDifference = max(r.MaxDifference, c.worst)
	}
	return r, nil
}

// checker holds an answer against a case.
type checker struct {
	tolerance float64
	// worst is the largest difference so far.
	worst float64
}

func (c *checker) ask(ctx context.Context, asker Asker, g *golden) error {
	if g.kind == "" {
		outputs, err := asker.Infer(ctx, g.inputs)
		if err != nil {
			return err
		}
		return c.outputs(outputs, g.outputs)
	}
	predictions, err := asker.Predict(ctx, []scoring.Instance{g.instance}, scoring.Parameters{TopK: len(g.entries)})
	if err != nil {
		return err
	}
	if len(predictions) != 1 {
		return fmt.Errorf("%d predictions came, want one", len(predictions))
	}
	kind, entries := answered(predictions[0])
	if kind != g.kind {
		return fmt.Errorf("a prediction of another kind came, a %s: want a %s", kind, g.kind)
	}
	return c.entries(kind, entries, g.entries)
}

// answered takes a prediction apart.
func answered(p scoring.Prediction) (kind string, entries []entry) {
	switch p := p.(type) {
	case scoring.Classes:
		for _, class := range p.Classes {
			e, _ := rawClass{Index: &class.Index, Label: class.Label, Score: widen(class.Score)}.entry() // it has all that it wants
			entries = append(entries, e)
		}
		return "class", entries
	case scoring.Matches:
		for _, match := range p.Matches {
			e, _ := rawMatch{ID: &match.ID, Question: match.Question, Answer: match.Answer, Score: widen(match.Score)}.entry() // as above
			entries = append(entries, e)
		}
		return "match", entries
	default:
		return fmt.Sprintf("%T", p), nil
	}
}

func widen(score float32) *float64 {
	wide := float64(score)
	return &wide
}

// entries compares the classes or matches of an answer. Scores may be off by the tolerance,
// so entries whose scores are that close may change places, also with those that are cut off
// at the end of a list: of these it is known that their scores are at most the last one.
func (c *checker) entries(kind string, got, want []entry) error {
	if len(got) < len(want) {
		return fmt.Errorf("the answer has %d entries, want %d", len(got), len(want))
	}
	for i := range got {
		if !finite(got[i].score) {
			return fmt.Errorf("%s %s has the score %v: want a finite number", kind, got[i].name, got[i].score)
		}
	}
	if best := find(want, got[0].name); best == nil || want[0].score-best.score > c.tolerance {
		return fmt.Errorf("best %s is %s with %v, want %s with %v (tolerance %v)", kind, got[0].name, float32(got[0].score), want[0].name, want[0].score, c.tolerance)
	}
	for i := range want {
		if err := c.expected(kind, got, &want[i]); err != nil {
			return err
		}
	}
	lowest := want[len(want)-1].score
	for i := range got {
		if g := &got[i]; find(want, g.name) == nil && !c.near(g.score, min(g.score, lowest)) {
			return fmt.Errorf("%s %s has %v, want at most %v, the last of those expected (tolerance %v)", kind, g.name, float32(g.score), lowest, c.tolerance)
		}
	}
	return nil
}

// expected looks for an expected entry in an answer.
func (c *checker) expected(kind string, got []entry, want *entry) error {
	g := find(got, want.name)
	if g == nil {
		lowest := got[len(got)-1].score
		if !c.near(min(want.score, lowest), want.score) {
			return fmt.Errorf("%s %s is not in the answer, whose last has %v: want it with %v (tolerance %v)", kind, want.name, float32(lowest), want.score, c.tolerance)
		}
		return nil
	}
	if !c.near(g.score, want.score) {
		return fmt.Errorf("%s %s has %v, want %v (tolerance %v)", kind, want.name, float32(g.score), want.score, c.tolerance)
	}
	for i, text := range want.texts {
		if text != "" && g.texts[i] != text {
			return fmt.Errorf("%s %s has the %s %q, want %q", kind, want.name, textNames[i], clip(g.texts[i]), clip(text))
		}
	}
	return nil
}

// near compares a number with the expected one, which may be off by the tolerance; one
// beyond 1 by that share of it.
func (c *checker) near(got, want float64) bool {
	difference := math.Abs(got-want) / max(1, math.Abs(want))
	if !(difference <= c.tolerance) { // NaN is not near anything
		return false
	}
	c.worst = max(c.worst, difference)
	return true
}

func find(all []entry, name string) *entry {
	for i := range all {
		if all[i].name == name {
			return &all[i]
		}
	}
	return nil
}

// finite is false for NaN and the infinities.
func finite(x float64) bool { return x-x == 0 }

// clip shortens a text for an error.
func clip[T string | []byte](text T) string {
	const most = 64
	if len(text) <= most {
		return string(text)
	}
	return string(text[:most]) + "..."
}
