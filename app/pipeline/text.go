package pipeline

import (
	"context"
	"fmt"
	"io/fs"
	"strings"
	"unicode/utf8"

	"github.com/onda-serving/onda/app/scoring"
)

// textPipeline is the [Pipeline] of a [TextSpec].
type textPipeline struct {
	input  string
	axes   int // 1 for [N], 2 for [N, 1]
	steps  []func(string) string
	output scoreOutput
	table  []scoring.Match // in the order of the output
	rows   int
	limits Limits
}

func newTextPipeline(spec TextSpec, sig scoring.Signature, files fs.FS, limits Limits) (*textPipeline, error) {
	input, err := findInput(sig, "pipeline.text.input", spec.Input)
	if err != nil {
		return nil, err
	}
	if input.Datatype != scoring.Bytes {
		return nil, fmt.Errorf("pipeline.text.input: input %q is %s: it must be BYTES (strings)", input.Name, input.Datatype)
	}
	if !fits(input.Shape, []int64{-1}) && !fits(input.Shape, []int64{-1, 1}) {
		return nil, fmt.Errorf("pipeline.text.input: input %q has the shape %v: it must be [rows] or [rows, 1]", input.Name, input.Shape)
	}
	spec2, err := findOutput(sig, "pipeline.text.output", spec.Output)
	if err != nil {
		return nil, err
	}
	table, err := readTable(files, "pipeline.text.table", spec.Table)
	if err != nil {
		return nil, err
	}
	output, err := newScoreOutput(spec2, "pipeline.text.output", spec.Table, len(table))
	if err != nil {
		return nil, err
	}
	output.topK = orDefault(spec.TopK)
	rows, err := maxRows("pipeline.text", input, spec2)
	if err != nil {
		return nil, err
	}
	p := &textPipeline{input: input.Name, axes: len(input.Shape), output: output, table: table, rows: rows, limits: limits}
	for _, name := range spec.Normalise {
		p.steps = append(p.steps, normalisations[name])
	}
	return p, nil
}

func orDefault(topK int) int {
	if topK == 0 {
		return DefaultTopK
	}
	return topK
}

func (p *textPipeline) Kind() scoring.InstanceKind { return scoring.Text }
func (p *textPipeline) MaxRows() int               { return p.rows }
func (p *textPipeline) Outputs() []string          { return []string{p.output.name} }

// Preprocess gives a BYTES tensor of the shape [N] or [N, 1], as the model has it.
func (p *textPipeline) Preprocess(ctx context.Context, instances []scoring.Instance) ([]scoring.Tensor, error) {
	texts := make([][]byte, len(instances))
	for i, instance := range instances {
		if err := ctx.Err(); err != nil {
			return nil, scoring.AsError(err)
		}
		text, err := p.normalise(instance)
		if err != nil {
			return nil, at(i, err)
		}
		texts[i] = text
	}
	shape := []int64{int64(len(texts)), 1}[:p.axes]
	return []scoring.Tensor{{Name: p.input, Datatype: scoring.Bytes, Shape: shape, Strings: texts}}, nil
}

// normalise checks one text and gives what the model reads.
func (p *textPipeline) normalise(instance scoring.Instance) ([]byte, *scoring.Error) {
	switch data := instance.Data; {
	case instance.Kind != scoring.Text:
		return nil, scoring.Errorf(scoring.Invalid,
			`this model takes text: send a string, {"text": "..."} or the text itself as text/plain`)
	case len(data) > p.limits.MaxTextBytes:
		return nil, scoring.Errorf(scoring.TooLarge,
			"the text is %d bytes long: at most %d are allowed", len(data), p.limits.MaxTextBytes)
	case !utf8.Valid(data):
		return nil, scoring.Errorf(scoring.Invalid, "the text is not UTF-8: send it in UTF-8")
	}
	text := string(instance.Data)
	if strings.ContainsRune(text, 0) {
		// ONNX Runtime takes strings that end at the first NUL: the rest would be lost in
		// silence.
		return nil, scoring.Errorf(scoring.Invalid, "the text holds the character U+0000: leave it out")
	}
	for _, step := range p.steps {
		text = step(text)
	}
	if collapseSpace(text) == "" {
		return nil, scoring.Errorf(scoring.Invalid, "the text is empty")
	}
	return []byte(text), nil
}

// Postprocess gives a [scoring.Matches] for each row.
func (p *textPipeline) Postprocess(outputs []scoring.Tensor, n int, params scoring.Parameters) ([]scoring.Prediction, error) {
	predictions := make([]scoring.Prediction, 0, n)
	err := p.output.best(outputs, n, params, func(best []scored) {
		matches := make([]scoring.Match, len(best))
		for i, s := range best {
			matches[i] = p.table[s.index]
			matches[i].Score = s.score
		}
		predictions = append(predictions, scoring.Matches{Matches: matches})
	})
	if err != nil {
		return nil, err
	}
	return predictions, nil
}

// at puts the position of the instance in front of a message, unless it is the request as
// a whole that ended.
func at(i int, err *scoring.Error) *scoring.Error {
	if err.Code == scoring.Canceled || err.Code == scoring.Expired {
		return err
	}
	err.Message = fmt.Sprintf("instances[%d]: %s", i, err.Message)
	return err
}
