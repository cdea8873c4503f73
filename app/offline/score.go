package offline

import (
	"context"
	"slices"
	"strings"

	"github.com/onda-serving/onda/app/scoring"
)

// requestID is that of all requests: one that the engine makes would be another each time.
const requestID = "offline"

// result is what became of a row.
type result struct {
	item

	predictions []scoring.Prediction
	outputs     []scoring.Tensor
}

// score scores a group. Rows that share a request are scored together, all others one by one.
// The error is one that is not about the rows: none of them would do better alone.
func (d decoder) score(ctx context.Context, scorer Scorer, rows []raw) ([]result, error) {
	results := make([]result, len(rows))
	var together []*result
	for i := range rows {
		results[i].item = d.decode(rows[i])
		r := &results[i]
		switch {
		case r.err != nil:
		case r.single && (len(together) == 0 || alike(together[0], r)):
			together = append(together, r)
		default:
			if err := d.ask(ctx, scorer, []*result{r}); err != nil {
				return nil, err
			}
		}
	}
	if len(together) == 0 {
		return results, ctx.Err()
	}
	return results, d.ask(ctx, scorer, together)
}

// alike says whether two rows can share a request.
func alike(a, b *result) bool {
	if a.predict != nil || b.predict != nil {
		return a.predict != nil && b.predict != nil && a.predict.Parameters == b.predict.Parameters
	}
	x, y := a.infer.Inputs, b.infer.Inputs
	if len(x) != len(y) {
		return false
	}
	for i := range x {
		if x[i].Name != y[i].Name || x[i].Datatype != y[i].Datatype || !slices.Equal(x[i].Shape, y[i].Shape) {
			return false
		}
	}
	return true
}

// ask scores rows with one request. Where that fails, the rows are asked for in halves, so that
// only those fail that fail alone.
func (d decoder) ask(ctx context.Context, scorer Scorer, rows []*result) error {
	err := d.request(ctx, scorer, rows)
	if err == nil {
		return nil
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	failure := scoring.AsError(err)
	switch {
	case hopeless(failure.Code):
		return err
	case len(rows) == 1:
		failure.Message = strings.TrimPrefix(failure.Message, "instances[0]: ") // there is but one
		*rows[0] = result{item: item{file: rows[0].file, id: rows[0].id, err: failure}}
		return nil
	}
	half := len(rows) / 2
	if err := d.ask(ctx, scorer, rows[:half]); err != nil {
		return err
	}
	return d.ask(ctx, scorer, rows[half:])
}

// hopeless says that a failure is not about the rows.
func hopeless(code scoring.Code) bool {
	switch code {
	case scoring.Overloaded, scoring.Unavailable, scoring.Expired, scoring.Canceled, scoring.NotFound:
		return true
	default:
		return false
	}
}

func (d decoder) request(ctx context.Context, scorer Scorer, rows []*result) error {
	first := rows[0]
	schedule := scoring.Schedule{Lane: scoring.Bulk}
	ref := scoring.ModelRef{Name: d.model.ID.Name, Version: d.model.ID.Version}
	if first.infer != nil {
		req := *first.infer
		req.Model, req.ID, req.Schedule = ref, requestID, schedule
		if len(rows) > 1 {
			req.Inputs = join(rows)
		}
		resp, err := scorer.Infer(ctx, &req)
		if err != nil {
			return err
		}
		return share(rows, resp.Outputs)
	}
	req := *first.predict
	req.Model, req.ID, req.Schedule = ref, requestID, schedule
	for _, r := range rows[1:] {
		req.Instances = append(slices.Clip(req.Instances), r.predict.Instances...)
	}
	resp, err := scorer.Predict(ctx, &req)
	if err != nil {
		return err
	}
	if len(rows) == 1 {
		first.predictions = resp.Predictions
		return nil
	}
	for i, r := range rows {
		r.predictions = resp.Predictions[i : i+1]
	}
	return nil
}

// join puts the tensors of rows together, along the first axis.
func join(rows []*result) []scoring.Tensor {
	var all []scoring.Tensor
	for i, t := range rows[0].infer.Inputs {
		t.Shape = append([]int64{int64(len(rows))}, t.Shape[1:]...)
		t.Data, t.Strings = nil, nil
		for _, r := range rows {
			t.Data = append(t.Data, r.infer.Inputs[i].Data...)
			t.Strings = append(t.Strings, r.infer.Inputs[i].Strings...)
		}
		all = append(all, t)
	}
	return all
}

// share gives each row its part of the outputs. The error says that they have none.
func share(rows []*result, outputs []scoring.Tensor) error {
	if len(rows) == 1 {
		rows[0].outputs = outputs
		return nil
	}
	n := len(rows)
	for _, t := range outputs {
		if len(t.Shape) == 0 || t.Shape[0] != int64(n) {
			return scoring.Errorf(scoring.Internal, "output %q does not have a row for each row of the input: use --batch 1", t.Name)
		}
		size, texts := len(t.Data)/n, len(t.Strings)/n
		for i, r := range rows {
			part := t
			part.Shape = append([]int64{1}, t.Shape[1:]...)
			part.Data = t.Data[i*size : (i+1)*size]
			part.Strings = t.Strings[i*texts : (i+1)*texts]
			r.outputs = append(r.outputs, part)
		}
	}
	return nil
}
