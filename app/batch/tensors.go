package batch

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"slices"
	"strconv"

	"golang.org/x/sync/errgroup"

	"github.com/onda-serving/onda/app/scoring"
)

// sharedRows is the first dimension that all inputs have in common.
func sharedRows(inputs []scoring.Tensor) (rows int64, ok bool) {
	for i := range inputs {
		shape := inputs[i].Shape
		if len(shape) == 0 || i > 0 && shape[0] != rows {
			return 0, false
		}
		rows = shape[0]
	}
	return rows, rows > 0
}

// cut gives the rows from..to of a tensor, without copying.
func cut(t scoring.Tensor, from, to int64) scoring.Tensor {
	rows := t.Shape[0]
	t.Shape = slices.Clone(t.Shape)
	t.Shape[0] = to - from
	if t.Datatype == scoring.Bytes {
		row := int64(len(t.Strings)) / rows
		t.Strings = t.Strings[from*row : to*row : to*row]
		return t
	}
	row := int64(len(t.Data)) / rows
	t.Data = t.Data[from*row : to*row : to*row]
	return t
}

// cutAll cuts each of tensors.
func cutAll(tensors []scoring.Tensor, from, to int64) []scoring.Tensor {
	parts := make([]scoring.Tensor, len(tensors))
	for i := range tensors {
		parts[i] = cut(tensors[i], from, to)
	}
	return parts
}

// maxPieces bounds the runs of one request.
const maxPieces = 1024

// runInPieces runs a request with more rows than a run takes, side by side where there are
// slots, and puts the answers together.
func (b *Batcher) runInPieces(whole context.Context, req Request, rows int64) (Result, error) {
	limit := int64(b.config.MaxRows)
	if rows > maxPieces*limit {
		return Result{}, scoring.Errorf(scoring.TooLarge, "the request has %d rows: at most %d are allowed, as the model takes %d at once", rows, maxPieces*limit, limit)
	}
	pieces := make([]Result, (rows+limit-1)/limit)
	group, ctx := errgroup.WithContext(whole)
	// No more than can run: others' turns come between, and their number is the caller's choice.
	group.SetLimit(b.parts.Scheduler.slots + 1)
	for i := range pieces {
		if ctx.Err() != nil {
			break
		}
		from := int64(i) * limit
		to := min(from+limit, rows)
		piece := Request{Inputs: cutAll(req.Inputs, from, to), Outputs: req.Outputs, Schedule: req.Schedule}
		group.Go(func() (err error) {
			if pieces[i], err = b.run(ctx, piece, to-from, true); err != nil {
				return err
			}
			return b.checkRows(to-from, pieces[i].Outputs)
		})
	}
	err := cmp.Or(group.Wait(), whole.Err())
	if errors.Is(err, errMisbatched) {
		return b.run(whole, req, rows, false)
	}
	if err != nil {
		return Result{Began: slices.ContainsFunc(pieces, func(r Result) bool { return r.Began })}, err
	}
	return joinResults(pieces)
}

// joinResults appends the rows of the pieces' outputs.
func joinResults(pieces []Result) (Result, error) {
	whole := Result{Began: true, Outputs: make([]scoring.Tensor, len(pieces[0].Outputs))}
	for i := range whole.Outputs {
		parts := make([]scoring.Tensor, len(pieces))
		for p := range pieces {
			parts[p] = pieces[p].Outputs[i]
		}
		var err error
		if whole.Outputs[i], err = concat(parts); err != nil {
			return Result{}, err
		}
	}
	for _, p := range pieces {
		// The pieces ran side by side: the longest wait and run are those of the request.
		whole.Queue, whole.Run = max(whole.Queue, p.Queue), max(whole.Run, p.Run)
		whole.Rows = max(whole.Rows, p.Rows)
		whole.Batch = p.Batch
	}
	return whole, nil
}

// concat appends the rows of tensors. A model whose outputs do not keep one row for each
// row of its inputs cannot be run in pieces.
func concat(parts []scoring.Tensor) (scoring.Tensor, error) {
	whole := parts[0]
	whole.Shape = slices.Clone(whole.Shape)
	whole.Data, whole.Strings = nil, nil
	for i := range parts {
		p := &parts[i]
		if len(whole.Shape) == 0 || len(p.Shape) != len(whole.Shape) || !slices.Equal(p.Shape[1:], whole.Shape[1:]) {
			return scoring.Tensor{}, scoring.Errorf(scoring.Internal, "output %q cannot be put together from several runs: its shapes differ", whole.Name)
		}
		if i > 0 {
			whole.Shape[0] += p.Shape[0]
		}
	}
	for i := range parts {
		whole.Data = append(whole.Data, parts[i].Data...)
		whole.Strings = append(whole.Strings, parts[i].Strings...)
	}
	return whole, nil
}

// keyOf makes the key of inputs: jobs with equal keys can run together. Paddable axes
// count by their bucket.
func (b *Batcher) keyOf(inputs []scoring.Tensor) string {
	key := make([]byte, 0, 64)
	for i := range inputs {
		t := &inputs[i]
		key = append(key, byte(t.Datatype), ':')
		for axis, d := range t.Shape {
			if axis == 0 {
				continue
			}
			if p := b.padOf(t.Name, axis); p != nil {
				d = p.bucket(d)
			}
			key = strconv.AppendInt(key, d, 10)
			key = append(key, ',')
		}
		key = append(key, ';')
	}
	return string(key)
}

// checkRows sees to it that outputs have a row for each of the rows of inputs.
func (b *Batcher) checkRows(rows int64, outputs []scoring.Tensor) error {
	for i := range outputs {
		if shape := outputs[i].Shape; len(shape) == 0 || shape[0] != rows {
			return b.misbatched("output " + strconv.Quote(outputs[i].Name) + " has shape " + scoring.FormatShape(shape) + " for " + strconv.FormatInt(rows, 10) + " rows of inputs")
		}
	}
	return nil
}

// share gives a job its rows, from row on, of a joined run's outputs.
func (b *Batcher) share(r *run, j *job, outputs []scoring.Tensor, row int64) ([]scoring.Tensor, error) {
	if len(j.wanted) == 0 {
		own := make([]scoring.Tensor, len(outputs))
		for i := range outputs {
			own[i] = b.own(r, j, cut(outputs[i], row, row+j.rows))
		}
		return own, nil
	}
	own := make([]scoring.Tensor, len(j.wanted))
	for i, name := range j.wanted {
		at := slices.IndexFunc(outputs, func(t scoring.Tensor) bool { return t.Name == name })
		if at < 0 {
			return nil, scoring.Errorf(scoring.Invalid, "the model has no output %q", name)
		}
		own[i] = b.own(r, j, cut(outputs[at], row, row+j.rows))
	}
	return own, nil
}

// own makes a job's part of an output its own: cut back where it was padded, and copied
// where the model wants the memory back.
func (b *Batcher) own(r *run, j *job, part scoring.Tensor) scoring.Tensor {
	small := b.unpad(r, j, part)
	if b.release != nil && len(small.Data) > 0 && &small.Data[0] == &part.Data[0] {
		small.Data = bytes.Clone(small.Data)
	}
	return small
}
