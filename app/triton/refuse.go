package triton

import (
	"cmp"
	"fmt"
	"io/fs"

	"github.com/onda-serving/onda/app/triton/configpb"
)

// Names of the backend that Onda is, and of its platform.
const (
	// Platform is the platform of ONNX models.
	Platform = "onnxruntime_onnx"
	// Backend is the backend of ONNX models.
	Backend = "onnxruntime"
)

// refuse notes what must not be passed over: the model is no ONNX model, or its answers
// would not be those that the file asks for.
func (c *checks) refuse(cfg *configpb.ModelConfig) {
	if p := cmp.Or(cfg.GetPlatform(), Platform); p != Platform {
		c.add("platform", "%q: only ONNX models are served: want %q", p, Platform)
	}
	if b := cmp.Or(cfg.GetBackend(), Backend); b != Backend {
		c.add("backend", "%q: only ONNX models are served: want %q", b, Backend)
	}
	if cfg.GetEnsembleScheduling() != nil {
		c.add("ensemble_scheduling", "several models as one are not offered: ask them one after the other")
	}
	if cfg.GetModelTransactionPolicy().GetDecoupled() {
		c.add("model_transaction_policy.decoupled", "every request gets exactly one answer")
	}
	c.refuseSequences(cfg.GetSequenceBatching())
	for i := range cfg.GetBatchInput() {
		c.add(fmt.Sprintf("batch_input[%d]", i), "inputs are not computed from a batch: callers give every input of the model")
	}
	for i := range cfg.GetBatchOutput() {
		c.add(fmt.Sprintf("batch_output[%d]", i), "outputs are shared out by rows alone")
	}
	for i, in := range cfg.GetInput() {
		c.tensor(fmt.Sprintf("input[%d]", i), in)
		if in.GetAllowRaggedBatch() {
			c.add(fmt.Sprintf("input[%d].allow_ragged_batch", i), "tensors without a batch axis are not put together; batching.pad in model.yaml puts rows of different lengths together")
		}
	}
	for i, out := range cfg.GetOutput() {
		c.tensor(fmt.Sprintf("output[%d]", i), out)
		if name := out.GetLabelFilename(); name != "" {
			c.file(fmt.Sprintf("output[%d].label_filename", i), name)
		}
	}
}

// refuseSequences lets a model with sequences pass that only wants the requests of each on
// one instance: there is one. A model that is told of sequences, or keeps a state, is none
// that single requests can use.
func (c *checks) refuseSequences(sequences *configpb.ModelSequenceBatching) {
	for i := range sequences.GetControlInput() {
		c.add(fmt.Sprintf("sequence_batching.control_input[%d]", i), "sequences are not offered: nothing would fill this input")
	}
	for i := range sequences.GetState() {
		c.add(fmt.Sprintf("sequence_batching.state[%d]", i), "sequences are not offered: the state would be lost between requests")
	}
}

// tensorConfig is what inputs and outputs have in common.
type tensorConfig interface {
	GetName() string
	GetDataType() configpb.DataType
	GetDims() []int64
	GetReshape() *configpb.ModelTensorReshape
	GetIsShapeTensor() bool
	GetIsNonLinearFormatIo() bool
}

func (c *checks) tensor(field string, t tensorConfig) {
	if t.GetName() == "" {
		c.add(field+".name", "is missing: give the name in the model's file")
	}
	if _, ok := datatypes[t.GetDataType()]; !ok {
		c.add(field+".data_type", "is missing: give one such as TYPE_FP32")
	}
	if len(t.GetDims()) == 0 {
		c.add(field+".dims", "is missing: give the shape without the batch axis, such as [ 16 ]")
	}
	for _, d := range t.GetDims() {
		if d < 1 && d != -1 {
			c.add(field+".dims", "%d: want sizes of 1 or more, or -1 for any", d)
		}
	}
	if r := t.GetReshape(); r != nil && !reshapeable(t.GetDims(), r.GetShape()) {
		c.add(field+".reshape", "%v: want as many elements as dims %v has, also between one -1 and the next", r.GetShape(), t.GetDims())
	}
	if t.GetIsShapeTensor() {
		c.add(field+".is_shape_tensor", "shape tensors are TensorRT's: ONNX models have none")
	}
	if t.GetIsNonLinearFormatIo() {
		c.add(field+".is_non_linear_format_io", "non-linear formats are TensorRT's: ONNX models have none")
	}
}

// file allows only a path inside a folder.
func (c *checks) file(field, name string) {
	if name == "." || !fs.ValidPath(name) {
		c.add(field, "%q: want the name of a file in the folder", name)
	}
}
