package triton

import (
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"

	"github.com/onda-serving/onda/app/scoring"
	"github.com/onda-serving/onda/app/triton/configpb"
)

// WarmUpFolder is the folder, beside the versions, of the files that warm-up inputs name.
const WarmUpFolder = "warmup"

// maxWarmUpBytes bounds the inputs of a warm-up request.
const maxWarmUpBytes = 512 << 20

// WarmUp is a request that is run before a version is served.
type WarmUp struct {
	// Name of the request, for errors and logs.
	Name string
	// Rows of the request; 0 where the model has no batch axis.
	Rows int
	// Count is how often it is run, 1 or more.
	Count int
	// Inputs of the request, by name.
	Inputs []WarmUpInput
}

// WarmUpInput is an input of a warm-up request.
type WarmUpInput struct {
	// Name of the input.
	Name string
	// Datatype of its elements.
	Datatype scoring.Datatype
	// Shape of a row, or of the whole tensor where the model has no batch axis.
	Shape []int64
	// Random fills it with random numbers, or with empty strings.
	Random bool
	// File holds its content, for one row, in [WarmUpFolder]; "" for zeros, or random
	// numbers.
	File string
}

// warmUp reads model_warmup.
func (c *checks) warmUp(cfg *configpb.ModelConfig) []WarmUp {
	var all []WarmUp
	for i, sample := range cfg.GetModelWarmup() {
		field := fmt.Sprintf("model_warmup[%d]", i)
		w := WarmUp{Name: sample.GetName(), Count: int(max(sample.GetCount(), 1))}
		rows := max(sample.GetBatchSize(), 1)
		switch batch := cfg.GetMaxBatchSize(); {
		case batch > 0 && rows > uint32(batch):
			c.add(field+".batch_size", "%d: want at most %d, the max_batch_size", rows, batch)
		case batch > 0:
			w.Rows = int(rows)
		case rows > 1:
			c.add(field+".batch_size", "%d: want 1: max_batch_size is 0", rows)
		}
		if w.Count > 1000 {
			c.add(field+".count", "%d: want at most 1000", w.Count)
		}
		for _, name := range slices.Sorted(maps.Keys(sample.GetInputs())) {
			w.Inputs = append(w.Inputs, c.warmUpInput(field+".inputs."+name, name, sample.GetInputs()[name]))
		}
		all = append(all, w)
	}
	return all
}

func (c *checks) warmUpInput(field, name string, in *configpb.ModelWarmup_Input) WarmUpInput {
	w := WarmUpInput{Name: name, Datatype: datatypes[in.GetDataType()], Shape: in.GetDims()}
	if w.Datatype == 0 {
		c.add(field+".data_type", "is missing: give one such as TYPE_FP32")
	}
	if _, ok := scoring.Elements(w.Shape); !ok {
		c.add(field+".dims", "%v: want the sizes of all axes", w.Shape)
	}
	switch from := in.GetInputDataType().(type) {
	case *configpb.ModelWarmup_Input_RandomData:
		w.Random = true
	case *configpb.ModelWarmup_Input_InputDataFile:
		c.file(field+".input_data_file", from.InputDataFile)
		w.File = from.InputDataFile
	case *configpb.ModelWarmup_Input_ZeroData:
	default:
		c.add(field, "want one of zero_data, random_data and input_data_file")
	}
	return w
}

// Tensors makes the inputs of the request. read gives a file of [WarmUpFolder]: the content
// of one row in the binary form of the protocol.
func (w WarmUp) Tensors(read func(name string) ([]byte, error)) ([]scoring.Tensor, error) {
	var (
		tensors []scoring.Tensor
		total   int64
	)
	for _, in := range w.Inputs {
		n, ok := scoring.Elements(append([]int64{int64(max(w.Rows, 1))}, in.Shape...))
		size := int64(max(in.Datatype.Size(), stringHeader))
		if ok = ok && n <= maxWarmUpBytes/size; ok {
			total += n * size
		}
		if !ok || total > maxWarmUpBytes {
			return nil, fmt.Errorf("warm-up %q: its inputs are larger than %d bytes", w.Name, maxWarmUpBytes)
		}
		t, err := in.tensor(w.Rows, n, read)
		if err != nil {
			return nil, fmt.Errorf("warm-up %q: input %q: %w", w.Name, in.Name, err)
		}
		tensors = append(tensors, t)
	}
	return tensors, nil
}

// tensor makes an input of n elements.
func (in WarmUpInput) tensor(rows int, n int64, read func(string) ([]byte, error)) (scoring.Tensor, error) {
	t := scoring.Tensor{Name: in.Name, Datatype: in.Datatype, Shape: slices.Clone(in.Shape)}
	if rows > 0 {
		t.Shape = append([]int64{int64(rows)}, t.Shape...)
	}
	row := n / int64(max(rows, 1))
	var data []byte
	if in.File != "" {
		var err error
		if data, err = read(in.File); err != nil {
			return t, err
		}
	}
	if in.Datatype == scoring.Bytes {
		texts, err := warmUpStrings(in.File, data, row)
		t.Strings = slices.Repeat(texts, max(rows, 1))
		return t, err
	}
	size := row * int64(in.Datatype.Size())
	switch {
	case in.File == "":
		data = make([]byte, size)
		if in.Random {
			in.fill(data)
		}
	case int64(len(data)) < size:
		return t, fmt.Errorf("%s has %d bytes: want %d for one row", in.File, len(data), size)
	}
	t.Data = slices.Repeat(data[:size], max(rows, 1))
	return t, nil
}

// fill writes small positive numbers: any bits would be a number too, but seldom one that a
// model can do anything with, and never a legal BOOL. The same every time, so that a model
// which cannot be warmed up never can.
func (in WarmUpInput) fill(data []byte) {
	size := in.Datatype.Size()
	source := rand.New(rand.NewPCG(1, 2)) //nolint:gosec // nothing depends on the numbers being secret
	for at := 0; at < len(data); at += size {
		n := source.IntN(2)
		switch in.Datatype {
		case scoring.FP16:
			binary.LittleEndian.PutUint16(data[at:], uint16(n)*0x3c00) // 1
		case scoring.BF16:
			binary.LittleEndian.PutUint16(data[at:], uint16(n)*0x3f80) // 1
		case scoring.FP32:
			binary.LittleEndian.PutUint32(data[at:], uint32(n)*0x3f800000) // 1
		case scoring.FP64:
			binary.LittleEndian.PutUint64(data[at:], uint64(n)*0x3ff0000000000000) // 1
		default:
			data[at] = byte(n) // little-endian, whatever the size
		}
	}
}

// stringHeader is the size of the length before a string in the binary form.
const stringHeader = 4

// warmUpStrings reads n strings; empty ones without a file.
func warmUpStrings(file string, data []byte, n int64) ([][]byte, error) {
	texts := make([][]byte, n)
	if file == "" {
		return texts, nil
	}
	for i := range texts {
		if len(data) < stringHeader {
			return nil, errors.New(file + " ends before its last string: want a length of 4 bytes and the bytes of each")
		}
		size := uint64(binary.LittleEndian.Uint32(data))
		data = data[stringHeader:]
		if uint64(len(data)) < size {
			return nil, fmt.Errorf("%s: string %d has %d bytes, and %d are left", file, i, size, len(data))
		}
		texts[i], data = data[:size], data[size:]
	}
	return texts, nil
}
