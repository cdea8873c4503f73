package pipeline

import (
	"context"
	"fmt"
	"io/fs"

	"github.com/onda-serving/onda/app/scoring"
)

// imagePipeline is the [Pipeline] of an [ImageSpec].
type imagePipeline struct {
	input  string
	size   int
	crop   float64
	filter filter
	writer tensorWriter
	output scoreOutput
	labels []string // in the order of the output
	rows   int
	limits Limits
}

func newImagePipeline(spec ImageSpec, sig scoring.Signature, files fs.FS, limits Limits) (*imagePipeline, error) {
	input, err := findInput(sig, "pipeline.image.input", spec.Input)
	if err != nil {
		return nil, err
	}
	if err := checkImageInput(spec, input); err != nil {
		return nil, err
	}
	writer, err := newTensorWriter(spec, input.Datatype)
	if err != nil {
		return nil, err
	}
	result, err := findOutput(sig, "pipeline.image.output", spec.Output)
	if err != nil {
		return nil, err
	}
	labels, err := readLabels(files, "pipeline.image.labels", spec.Labels)
	if err != nil {
		return nil, err
	}
	output, err := newScoreOutput(result, "pipeline.image.output", spec.Labels, len(labels))
	if err != nil {
		return nil, err
	}
	output.topK = orDefault(spec.TopK)
	output.softmax = spec.Activation == "softmax"
	rows, err := maxRows("pipeline.image", input, result)
	if err != nil {
		return nil, err
	}
	return &imagePipeline{
		input: input.Name, size: spec.Size, crop: spec.Crop, filter: filters[spec.Resize], writer: writer,
		output: output, labels: labels, rows: rows, limits: limits,
	}, nil
}

// checkImageInput holds the size, layout and datatype against the model's input.
func checkImageInput(spec ImageSpec, input scoring.TensorSpec) error {
	if input.Datatype != scoring.FP32 && input.Datatype != scoring.FP16 {
		return fmt.Errorf("pipeline.image.input: input %q is %s: it must be FP32 or FP16", input.Name, input.Datatype)
	}
	want := imageShape(spec.Layout, -1, spec.Size)
	if !fits(input.Shape, want) {
		return fmt.Errorf("pipeline.image.input: input %q has the shape %v: size %d and layout %s make it %v",
			input.Name, input.Shape, spec.Size, spec.Layout, want)
	}
	return nil
}

// imageShape is the shape of a tensor of n pictures.
func imageShape(layout string, n int64, size int) []int64 {
	s := int64(size)
	if layout == "nhwc" {
		return []int64{n, s, s, 3}
	}
	return []int64{n, 3, s, s}
}

func (p *imagePipeline) Kind() scoring.InstanceKind { return scoring.Binary }
func (p *imagePipeline) MaxRows() int               { return p.rows }
func (p *imagePipeline) Outputs() []string          { return []string{p.output.name} }

// Preprocess gives one tensor with n pictures, in the layout and datatype of the model.
// Pictures are prepared one after another: requests run beside each other anyway, and two
// decoded photos at once would double the memory that a request can claim.
func (p *imagePipeline) Preprocess(ctx context.Context, instances []scoring.Instance) ([]scoring.Tensor, error) {
	bytesEach := p.writer.bytes(p.size)
	var data []byte
	for i, instance := range instances {
		if err := ctx.Err(); err != nil {
			return nil, scoring.AsError(err)
		}
		w := workspaces.Get().(*workspace)
		rgb, orientation, err := p.prepare(ctx, instance, w)
		if err != nil {
			w.release()
			return nil, at(i, err)
		}
		if data == nil { // not before one picture was good: a claim is cheap, memory is not
			data = p.limits.Buffers.Get(len(instances) * bytesEach) // all of it is written
		}
		p.writer.write(data[i*bytesEach:(i+1)*bytesEach], rgb, orientation, p.size)
		w.release()
	}
	shape := imageShape(p.writer.layout, int64(len(instances)), p.size)
	return []scoring.Tensor{{Name: p.input, Datatype: p.writer.datatype, Shape: shape, Data: data}}, nil
}

// prepare decodes one picture and gives its centre square as three planes of size*size
// bytes, red, green and blue, not turned yet. They may lie in the memory of w.
func (p *imagePipeline) prepare(
	ctx context.Context, instance scoring.Instance, w *workspace,
) ([3][]byte, orientation, *scoring.Error) {
	var none [3][]byte
	if instance.Kind != scoring.Binary {
		return none, 0, scoring.Errorf(scoring.Invalid,
			`this model takes pictures: send {"b64": "..."} or the picture itself as image/jpeg, image/png, image/webp or image/gif`)
	}
	h, err := examine(ctx, instance.Data, p.limits.MaxPixels)
	if err != nil {
		return none, 0, err
	}
	square := centreSquare(h.width, h.height, p.crop, h.orientation)
	if h.format.name == "JPEG" {
		if rgb, ok := quick(ctx, instance.Data, h, square, p.filter, p.size, w); ok {
			return rgb, h.orientation, nil
		}
	}
	pic, err := h.decode(ctx, instance.Data)
	if err != nil {
		return none, 0, err
	}
	return pic.channels(square).resizeRGB(p.filter, p.size), h.orientation, nil
}

// Postprocess gives a [scoring.Classes] for each row.
func (p *imagePipeline) Postprocess(outputs []scoring.Tensor, n int, params scoring.Parameters) ([]scoring.Prediction, error) {
	predictions := make([]scoring.Prediction, 0, n)
	err := p.output.best(outputs, n, params, func(best []scored) {
		classes := make([]scoring.Class, len(best))
		for i, s := range best {
			classes[i] = scoring.Class{Index: s.index, Label: p.labels[s.index], Score: s.score}
		}
		predictions = append(predictions, scoring.Classes{Classes: classes})
	})
	if err != nil {
		return nil, err
	}
	return predictions, nil
}
