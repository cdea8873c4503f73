package conformance_test

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"
)

// example is a model of the corpus. Its folder is a version's folder as Onda wants it.
type example struct {
	// group and name are its folders; both together name the model.
	group, name     string
	folder          string
	inputs, outputs []port
}

// port is an input or output as the model's file declares it.
type port struct {
	name string
	// datatype is the protocol's word for its elements.
	datatype string
	// unserved says what the protocol has no word for, or is empty.
	unserved string
}

// model is the name under which Onda serves it.
func (e *example) model() string { return e.group + "." + e.name }

// unserved says why the protocol cannot carry what the model takes or gives, if so.
func (e *example) unserved() string {
	if len(e.inputs) == 0 {
		return "has no input, of which the protocol's request has one at least"
	}
	for _, p := range slices.Concat(e.inputs, e.outputs) {
		if p.unserved != "" {
			return "has a value that is " + p.unserved
		}
	}
	return ""
}

// readCorpus lists the models by group and name.
func readCorpus(t *testing.T, folder string) []*example {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(folder, "*", "*", "model.onnx"))
	if err != nil || len(files) == 0 {
		t.Fatalf("%s holds no */*/model.onnx (%v)", folder, err)
	}
	all := make([]*example, 0, len(files))
	for _, file := range files {
		dir := filepath.Dir(file)
		e := &example{group: filepath.Base(filepath.Dir(dir)), name: filepath.Base(dir), folder: dir}
		if err := e.read(); err != nil {
			t.Fatalf("%s: %s", file, err)
		}
		all = append(all, e)
	}
	return all
}

// read reads the model's file.
func (e *example) read() error {
	model, err := os.ReadFile(filepath.Join(e.folder, "model.onnx"))
	if err != nil {
		return err
	}
	const graph = 7
	for f, err := range fields(model) {
		if err != nil {
			return err
		}
		if f.number == graph {
			if err := e.readGraph(f.bytes); err != nil {
				return err
			}
		}
	}
	return nil
}

// readGraph reads inputs and outputs. Inputs that have a value in the file already are
// none for a caller.
func (e *example) readGraph(message []byte) error {
	const initializer, input, output = 5, 11, 12
	fixed := map[string]bool{}
	for f, err := range fields(message) {
		if err != nil {
			return err
		}
		switch f.number {
		case initializer:
			for part, err := range fields(f.bytes) {
				if err != nil {
					return err
				}
				if part.number == tensorName {
					fixed[string(part.bytes)] = true
				}
			}
		case input, output:
			p, err := readPort(f.bytes)
			if err != nil {
				return err
			}
			if f.number == input {
				e.inputs = append(e.inputs, p)
			} else {
				e.outputs = append(e.outputs, p)
			}
		}
	}
	e.inputs = slices.DeleteFunc(e.inputs, func(p port) bool { return fixed[p.name] })
	return nil
}

// readPort reads a ValueInfoProto: its name, and its type as far as it says whether the
// protocol can carry it.
func readPort(message []byte) (p port, err error) {
	const name, kind, tensorKind, elem = 1, 2, 1, 1
	kinds := map[int]string{4: "a sequence", 5: "a map", 8: "a sparse tensor", 9: "optional"}
	for f, err := range fields(message) {
		if err != nil {
			return p, err
		}
		switch f.number {
		case name:
			p.name = string(f.bytes)
		case kind:
			for variant, err := range fields(f.bytes) {
				if err != nil {
					return p, err
				}
				if variant.number != tensorKind {
					p.unserved = kinds[variant.number]
					continue
				}
				for part, err := range fields(variant.bytes) {
					if err != nil {
						return p, err
					}
					if part.number != elem {
						continue
					}
					if p.datatype = elementTypes[int64(part.bits)].datatype; p.datatype == "" {
						p.unserved = "of " + elementNames[int64(part.bits)]
					}
				}
			}
		}
	}
	return p, nil
}

// tensors reads the values of "input" or "output" and names them as the model does: the
// corpus goes by their order.
func (e *example) tensors(kind string, ports []port) ([]tensor, error) {
	var all []tensor
	for i := range ports {
		file := filepath.Join(e.folder, "test_data_set_0", fmt.Sprintf("%s_%d.pb", kind, i))
		message, err := os.ReadFile(file)
		if err != nil {
			return nil, err
		}
		t, err := readTensor(message)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", file, err)
		}
		t.name = ports[i].name
		// NumPy has no BF16: the corpus keeps its bits as UINT16.
		if t.datatype == "UINT16" && ports[i].datatype == "BF16" {
			t.datatype = "BF16"
		}
		all = append(all, t)
	}
	return all, nil
}

// layOut makes a models folder of links to the corpus.
func layOut(t *testing.T, examples []*example) string {
	t.Helper()
	models := t.TempDir()
	for _, e := range examples {
		dir := filepath.Join(models, e.model())
		if err := os.Mkdir(dir, 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.Symlink(e.folder, filepath.Join(dir, "1")); err != nil {
			t.Fatal(err)
		}
	}
	return models
}
