// Package offline scores files: rows in, a line for each of them out, in their order. It is a
// door without a network, over the same engine as the others.
//
// # The same bytes
//
// A run that was killed and went on gives the same bytes as one that ran through. For that,
// nothing that differs between runs is in an answer, and rows are scored in groups that the
// input alone decides: the n-th group is the same rows whenever it is scored, it runs by
// itself, and the journal only ever stops between two groups. (The last bits of a model's
// output can depend on how many rows ran together.) A group that fails is scored again in
// halves, which its rows alone decide as well. What else could change a bit, such as the
// version of ONNX Runtime and its number of threads, is in the journal, and a run does not go
// on with another.
//
// # Files
//
// Beside the output, OUTPUT.part is what is written so far and OUTPUT.progress the journal. The
// part is on disk before the journal that counts it. Parquet cannot be appended to, because its
// index stands at the end: its part is CSV, and becomes Parquet in one pass when all is scored.
package offline

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/onda-serving/onda/app/scoring"
)

// Scorer scores requests: see engine.Engine, which implements it.
type Scorer interface {
	// Predict scores instances.
	Predict(ctx context.Context, req *scoring.PredictRequest) (*scoring.PredictResponse, error)
	// Infer runs a model on tensors.
	Infer(ctx context.Context, req *scoring.InferRequest) (*scoring.InferResponse, error)
}

// Model is the version that scores.
type Model struct {
	// ID says which it is.
	ID scoring.ModelID
	// Signature of the model.
	Signature scoring.Signature
	// Pipeline is "image", "text", or "none" for a model that takes tensors.
	Pipeline string
	// MaxRows is the most rows of a run; below 2 each row runs by itself.
	MaxRows int
	// Engine says what else decides the last bits of an answer: library, device, threads.
	Engine string
}

// Options say what to score, and how.
type Options struct {
	// Input is a file, or a folder of pictures.
	Input string
	// InputFormat is one of the formats; "" tells it from the input's name.
	InputFormat string
	// Output is the file to write. Its name tells the format.
	Output string
	// Batch is how many rows run together, at most as many as the model takes; 0 takes that.
	Batch int
	// Concurrency is how many groups are scored at once; 0 means 2.
	Concurrency int
	// TopK is how many classes or matches an answer has; 0 leaves it to the model.
	TopK int
	// Restart forgets what an earlier run did.
	Restart bool
	// MaxErrors is how many rows may fail before the run ends; below 0 any number.
	MaxErrors int64
	// MaxRow is the longest row and the largest picture, in bytes; 0 means 32 MiB.
	MaxRow int
	// MaxInstances bounds the instances of a row that is a whole body; 0 means 64.
	MaxInstances int
	// SaveEvery is the time between two journals; 0 means 2 seconds.
	SaveEvery time.Duration
	// Progress is told after every group; nil if nobody wants to know.
	Progress func(Progress)
}

// Progress is how far a run is.
type Progress struct {
	// Rows that are scored, those of earlier runs among them, and those among them that failed.
	Rows, Errors int64
	// Resumed is how many of the rows an earlier run scored.
	Resumed int64
	// Done and Total are bytes of the input, or files of a folder.
	Done, Total int64
}

// ErrTooManyErrors ends a run in which more rows failed than may.
var ErrTooManyErrors = errors.New("more rows failed than --max-errors allows")

func (o Options) withDefaults(m Model) Options {
	most := max(m.MaxRows, 1)
	if o.Batch <= 0 || o.Batch > most {
		o.Batch = most
	}
	if o.Concurrency <= 0 {
		o.Concurrency = 2
	}
	if o.MaxRow <= 0 {
		o.MaxRow = 32 << 20
	}
	if o.MaxInstances <= 0 {
		o.MaxInstances = 64
	}
	if o.SaveEvery <= 0 {
		o.SaveEvery = 2 * time.Second
	}
	return o
}

// Run scores the input into the output, from where an earlier run stopped. The error says what
// ended the run before all rows were scored, after which the same call goes on; rows that failed
// are none. Where ctx ended, the error is its.
func Run(ctx context.Context, scorer Scorer, model Model, options Options) (Progress, error) {
	o := options.withDefaults(model)
	in, err := openSource(o, model)
	if err != nil {
		return Progress{}, err
	}
	defer in.close()
	out, err := openSink(o, model, in.print())
	if err != nil {
		return Progress{}, err
	}
	defer out.close()
	r := &run{scorer: scorer, decoder: decoder{model: model, options: o}, in: in, out: out}
	r.progress = Progress{Rows: out.journal.Rows, Errors: out.journal.Errors, Resumed: out.journal.Rows}
	if err := in.skip(out.journal.Rows); err != nil {
		return r.progress, fmt.Errorf("find row %d of the input: %w", out.journal.Rows+1, err)
	}
	if err := r.all(ctx); err != nil {
		return r.progress, errors.Join(err, out.save())
	}
	return r.progress, out.finish()
}
