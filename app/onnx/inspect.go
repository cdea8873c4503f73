package onnx

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"github.com/onda-serving/onda/app/onnx/internal/pb"
	"github.com/onda-serving/onda/app/scoring"
)

// Info is what an ONNX file says about itself.
type Info struct {
	// Signature lists inputs and outputs. The shape of a tensor whose rank is not
	// known is nil; that of a scalar is empty, but not nil.
	Signature scoring.Signature
	// Producer is the tool that wrote the file, such as "pytorch 2.9.0".
	Producer string
	// Graph is the name of the main graph.
	Graph string
	// IRVersion is the version of the file format.
	IRVersion int64
	// Opsets gives the version of each operator set; the key of ONNX's own is "".
	Opsets map[string]int64
	// Custom is the file's own metadata.
	Custom map[string]string
	// ExternalFiles are the files, beside this one, that hold weights: sorted paths
	// relative to the model's folder. Most models have none.
	ExternalFiles []string

	// branches says that which operators run may depend on values: the model has an If,
	// a Loop, a Scan, or functions of its own, which may have them.
	branches bool
}

// The field numbers of onnx.proto that are read here and in graft.go.
const (
	modelIRVersion       = 1
	modelProducer        = 2
	modelProducerVersion = 3
	modelGraph           = 7
	modelOpset           = 8
	modelMetadata        = 14
	modelFunctions       = 25

	graphNode        = 1
	graphName        = 2
	graphInitializer = 5
	graphInput       = 11
	graphOutput      = 12
	graphSparse      = 15

	nodeOp     = 4
	nodeDomain = 7

	tensorName     = 8
	tensorExternal = 13

	typeTensor = 1
)

// Inspect reads what an ONNX file says about itself. It needs no ONNX Runtime, takes
// time in proportion to the number of weights and not to their size, and copies none
// of them. A file that is no ONNX model, and one with inputs or outputs that Onda cannot
// serve, give a [scoring.Error] with code Invalid that says what to do.
func Inspect(model []byte) (*Info, error) {
	if len(model) == 0 {
		return nil, scoring.Errorf(scoring.Invalid, "the model is empty: want an ONNX file")
	}
	info := &Info{Opsets: map[string]int64{}, Custom: map[string]string{}}
	g := graph{constants: map[string]bool{}}
	if err := info.read(model, &g); err != nil {
		return nil, scoring.Errorf(scoring.Invalid, "the model is not an ONNX file, or is cut short").WithCause(err)
	}
	if !g.seen {
		return nil, scoring.Errorf(scoring.Invalid, "the model has no graph: want an ONNX file")
	}
	// Old files list the weights among the inputs, as defaults that a caller may replace.
	g.inputs = slices.DeleteFunc(g.inputs, func(v value) bool { return g.constants[v.name] })
	var err error
	if info.Signature.Inputs, err = specs("input", g.inputs); err != nil {
		return nil, err
	}
	if info.Signature.Outputs, err = specs("output", g.outputs); err != nil {
		return nil, err
	}
	info.ExternalFiles, err = externalFiles(g.external)
	return info, err
}

// graph gathers what matters of the main graph.
type graph struct {
	seen            bool
	inputs, outputs []value
	constants       map[string]bool
	external        []string
}

// read walks the fields of a ModelProto.
func (info *Info) read(model []byte, g *graph) error {
	var version string
	for f, err := range pb.Fields(model) {
		if err != nil {
			return err
		}
		switch f.Number {
		case modelIRVersion:
			info.IRVersion = int64(f.Uint)
		case modelProducer:
			info.Producer = string(f.Bytes)
		case modelProducerVersion:
			version = string(f.Bytes)
		case modelGraph:
			g.seen = true
			err = g.read(f.Bytes, info)
		case modelFunctions:
			info.branches = true
		case modelOpset:
			err = readOpset(f.Bytes, info.Opsets)
		case modelMetadata:
			var key, v string
			if key, v, err = readPair(f.Bytes); err == nil {
				info.Custom[key] = v
			}
		}
		if err != nil {
			return err
		}
	}
	info.Producer = strings.TrimSpace(info.Producer + " " + version)
	return nil
}

// read walks the fields of a GraphProto.
func (g *graph) read(b []byte, info *Info) error {
	for f, err := range pb.Fields(b) {
		if err != nil {
			return err
		}
		switch f.Number {
		case graphName:
			info.Graph = string(f.Bytes)
		case graphNode:
			err = info.readNode(f.Bytes)
		case graphInput:
			err = appendValue(&g.inputs, f.Bytes)
		case graphOutput:
			err = appendValue(&g.outputs, f.Bytes)
		case graphInitializer:
			err = g.readWeights(f.Bytes)
		case graphSparse:
			err = g.readSparse(f.Bytes)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// readNode looks at the operator of a NodeProto.
func (info *Info) readNode(b []byte) error {
	var op, domain []byte
	for f, err := range pb.Fields(b) {
		if err != nil {
			return err
		}
		switch f.Number {
		case nodeOp:
			op = f.Bytes
		case nodeDomain:
			domain = f.Bytes
		}
	}
	switch string(op) {
	case "If", "Loop", "Scan":
		info.branches = true
	}
	switch string(domain) {
	case "", "ai.onnx", "ai.onnx.ml":
	default:
		info.branches = true
	}
	return nil
}

// readWeights walks the fields of a TensorProto.
func (g *graph) readWeights(b []byte) error {
	for f, err := range pb.Fields(b) {
		if err != nil {
			return err
		}
		switch f.Number {
		case tensorName:
			g.constants[string(f.Bytes)] = true
		case tensorExternal:
			key, v, err := readPair(f.Bytes)
			if err != nil {
				return err
			}
			if key == "location" {
				g.external = append(g.external, v)
			}
		}
	}
	return nil
}

// readSparse walks the fields of a SparseTensorProto, whose first is a named TensorProto.
func (g *graph) readSparse(b []byte) error {
	const values = 1
	for f, err := range pb.Fields(b) {
		if err != nil {
			return err
		}
		if f.Number == values {
			return g.readWeights(f.Bytes)
		}
	}
	return nil
}

// readOpset walks an OperatorSetIdProto: domain and version.
func readOpset(b []byte, into map[string]int64) error {
	var domain string
	var version int64
	for f, err := range pb.Fields(b) {
		if err != nil {
			return err
		}
		switch f.Number {
		case 1:
			domain = string(f.Bytes)
		case 2:
			version = int64(f.Uint)
		}
	}
	if domain == "ai.onnx" {
		domain = ""
	}
	into[domain] = version
	return nil
}

// readPair walks a StringStringEntryProto: key and value.
func readPair(b []byte) (key, v string, err error) {
	for f, err := range pb.Fields(b) {
		if err != nil {
			return "", "", err
		}
		switch f.Number {
		case 1:
			key = string(f.Bytes)
		case 2:
			v = string(f.Bytes)
		}
	}
	return key, v, nil
}

// externalFiles makes a sorted set of the locations. A location outside the model's
// folder would let a model read any file of the machine.
func externalFiles(locations []string) ([]string, error) {
	slices.Sort(locations)
	locations = slices.Compact(locations)
	for _, l := range locations {
		if !filepath.IsLocal(l) {
			return nil, scoring.Errorf(scoring.Invalid, "the model keeps weights in %q: want a path inside the model's folder", clip(l))
		}
	}
	return locations, nil
}

// specs turns the values of a graph into specs; what is "input" or "output".
func specs(what string, values []value) ([]scoring.TensorSpec, error) {
	if len(values) == 0 {
		return nil, scoring.Errorf(scoring.Invalid, "the model has no %s: want at least one", what)
	}
	all := make([]scoring.TensorSpec, 0, len(values))
	seen := make(map[string]bool, len(values))
	for _, v := range values {
		s, problem := v.spec()
		if problem != "" {
			return nil, scoring.Errorf(scoring.Invalid, "%s %q of the model %s", what, clip(v.name), problem)
		}
		if seen[s.Name] {
			return nil, scoring.Errorf(scoring.Invalid, "the model has two %ss with the name %q", what, clip(v.name))
		}
		seen[s.Name] = true
		all = append(all, s)
	}
	return all, nil
}

// String gives one line, for logs.
func (info *Info) String() string {
	return fmt.Sprintf("%s by %s, IR %d, opset %d", info.Graph, info.Producer, info.IRVersion, info.Opsets[""])
}
