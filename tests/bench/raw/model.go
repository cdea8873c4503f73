package raw

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	ort "github.com/yalue/onnxruntime_go" //nolint:depguard // the bare binding is what is measured

	"github.com/onda-serving/onda/app/artifact"
	"github.com/onda-serving/onda/app/pipeline"
	"github.com/onda-serving/onda/app/scoring"
)

// model is a session and what it takes to feed it.
type model struct {
	job       Job
	signature scoring.Signature
	session   *ort.DynamicAdvancedSession
	steps     pipeline.Pipeline // nil for models of plain numbers
}

// load opens the model with the session options of a server: threads that do not spin,
// and a memory plan.
func load(_ context.Context, job Job) (*model, error) {
	data, err := os.ReadFile(filepath.Join(job.Folder, "model.onnx"))
	if err != nil {
		return nil, err
	}
	m := &model{job: job}
	if m.signature, err = signature(data); err != nil {
		return nil, err
	}
	if len(job.Instance) > 0 {
		if m.steps, err = steps(job.Folder, m.signature); err != nil {
			return nil, err
		}
	}
	options, err := ort.NewSessionOptions()
	if err != nil {
		return nil, err
	}
	defer options.Destroy() //nolint:errcheck // it has none to give
	for _, set := range []error{
		options.SetIntraOpNumThreads(job.Threads), options.SetInterOpNumThreads(1),
		options.AddSessionConfigEntry("session.intra_op.allow_spinning", "0"),
		options.SetMemPattern(true),
	} {
		if set != nil {
			return nil, set
		}
	}
	in, out := []string{m.signature.Inputs[0].Name}, []string{m.signature.Outputs[0].Name}
	if m.steps != nil {
		out = m.steps.Outputs()[:1]
	}
	m.session, err = ort.NewDynamicAdvancedSessionWithONNXData(data, in, out, options)
	return m, err
}

// signature asks ONNX Runtime for the inputs and outputs.
func signature(data []byte) (s scoring.Signature, err error) {
	inputs, outputs, err := ort.GetInputOutputInfoWithONNXData(data)
	if err != nil {
		return s, err
	}
	return scoring.Signature{Inputs: specs(inputs), Outputs: specs(outputs)}, nil
}

// specs knows the datatypes of the bench's models.
func specs(infos []ort.InputOutputInfo) []scoring.TensorSpec {
	known := map[ort.TensorElementDataType]scoring.Datatype{
		ort.TensorElementDataTypeFloat: scoring.FP32, ort.TensorElementDataTypeString: scoring.Bytes, ort.TensorElementDataTypeInt64: scoring.Int64,
	}
	all := make([]scoring.TensorSpec, len(infos))
	for i, info := range infos {
		all[i] = scoring.TensorSpec{Name: info.Name, Datatype: known[info.DataType], Shape: info.Dimensions}
	}
	return all
}

// steps is the model's own pipeline: the pre-processing of the server, called directly.
func steps(folder string, signature scoring.Signature) (pipeline.Pipeline, error) {
	text, err := os.ReadFile(filepath.Join(folder, "model.yaml")) //nolint:gosec // the bench names its files
	if err != nil {
		return nil, err
	}
	manifest, err := artifact.ParseManifest(text)
	if err != nil {
		return nil, err
	}
	return pipeline.New(manifest.Pipeline, signature, os.DirFS(folder), pipeline.Limits{})
}

// lane is one of the runs that go on at once. Its tensors are its own.
type lane struct {
	m         *model
	in, out   []ort.Value
	numbers   []byte // the input's memory, unless it holds strings
	instances []scoring.Instance
}

// lane makes tensors, and fills the input.
func (m *model) lane(ctx context.Context) (*lane, error) {
	l := &lane{m: m}
	for range m.job.Batch {
		l.instances = append(l.instances, instance(m.steps, m.job.Instance))
	}
	in, err := l.input(ctx)
	if err != nil {
		return nil, err
	}
	l.in = []ort.Value{in}
	// The first run shows the shape of the output, which then is bound like the input.
	l.out = []ort.Value{nil}
	if err := m.session.Run(l.in, l.out); err != nil {
		return nil, fmt.Errorf("first run: %w", err)
	}
	return l, nil
}

// instance is what the pipeline takes.
func instance(p pipeline.Pipeline, data []byte) scoring.Instance {
	i := scoring.Instance{Kind: scoring.Binary, Data: data}
	if p != nil {
		i.Kind = p.Kind()
	}
	return i
}

// input makes the input tensor of a batch.
func (l *lane) input(ctx context.Context) (ort.Value, error) {
	if l.m.steps == nil {
		width := l.m.signature.Inputs[0].Shape[1]
		values := make([]float32, int64(l.m.job.Batch)*width)
		for i := range values {
			values[i] = float32(i%17) / 17
		}
		return ort.NewTensor(ort.NewShape(int64(l.m.job.Batch), width), values)
	}
	tensors, err := l.m.steps.Preprocess(ctx, l.instances)
	if err != nil {
		return nil, err
	}
	t := tensors[0]
	if t.Datatype == scoring.Bytes {
		v, err := ort.NewStringTensor(t.Shape)
		if err != nil {
			return nil, err
		}
		return v, v.SetContents(strings(t))
	}
	l.numbers = t.Data
	return ort.NewCustomDataTensor(t.Shape, l.numbers, ort.TensorElementDataTypeFloat)
}

func strings(t scoring.Tensor) []string {
	all := make([]string, len(t.Strings))
	for i, s := range t.Strings {
		all[i] = string(s)
	}
	return all
}

// run scores a batch, and makes its input before that if the job says so.
func (l *lane) run(ctx context.Context) error {
	if l.m.job.Preprocess {
		if err := l.preprocess(ctx); err != nil {
			return err
		}
	}
	return l.m.session.Run(l.in, l.out)
}

// preprocess writes a new input into the tensor that is bound.
func (l *lane) preprocess(ctx context.Context) error {
	tensors, err := l.m.steps.Preprocess(ctx, l.instances)
	if err != nil {
		return err
	}
	t := tensors[0]
	if t.Datatype == scoring.Bytes {
		return l.in[0].(*ort.StringTensor).SetContents(strings(t))
	}
	copy(l.numbers, t.Data)
	return nil
}
