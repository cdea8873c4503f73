package conformance_test

import (
	"encoding/binary"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"unsafe"

	ort "github.com/yalue/onnxruntime_go" //nolint:depguard // what ONNX Runtime does by itself is proved without Onda's own code

	"github.com/onda-serving/onda/tests/internal/ondatest"
)

// openRuntime loads ONNX Runtime into the test.
func openRuntime(t *testing.T) {
	t.Helper()
	library, err := ondatest.Library()
	if err != nil {
		ondatest.Missing(t, err.Error())
	}
	t.Setenv("ORT_DISABLE_TELEMETRY", "1") // it is read while the library loads
	ort.SetSharedLibraryPath(library)
	if err := ort.InitializeEnvironment(ort.WithLogLevelFatal()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := ort.DestroyEnvironment(); err != nil {
			t.Error(err)
		}
	})
}

// rawRuns is how often a model runs when its numbers are in question: enough to tell a
// model that gives random numbers from one that does not.
const rawRuns = 10

// alignment is what ONNX Runtime gives its own tensors.
const alignment = 64

// runRaw runs a model in ONNX Runtime itself, through nothing but the binding, and gives
// the outputs of each run. Each finds its inputs so many bytes further from an aligned
// place than the one before, for the last bits of sums can depend on that. The error is the runtime's where it is an *ortError, and any
// other says that this proof cannot be given. wanted says how large the outputs are.
func runRaw(e *example, inputs, wanted []tensor, further int) ([][]tensor, error) {
	model, err := os.ReadFile(filepath.Join(e.folder, "model.onnx"))
	if err != nil {
		return nil, err
	}
	session, err := ort.NewDynamicAdvancedSessionWithONNXData(model, namesOf(e.inputs), namesOf(e.outputs), nil)
	if err != nil {
		return nil, &ortError{text: clean(err)}
	}
	defer session.Destroy()
	all := make([][]tensor, rawRuns)
	for i := range all {
		if all[i], err = runRawOnce(session, inputs, wanted, i*further); err != nil {
			return nil, err
		}
	}
	return all, nil
}

// runRawOnce gives the runtime room for the outputs: the binding cannot make all of them.
func runRawOnce(session *ort.DynamicAdvancedSession, inputs, wanted []tensor, off int) ([]tensor, error) {
	fed, free, err := rawValues(inputs, off)
	defer free()
	if err != nil {
		return nil, err
	}
	fetched, free, err := rawValues(wanted, 0)
	defer free()
	if err != nil {
		return nil, err
	}
	if err := session.Run(fed, fetched); err != nil {
		return nil, &ortError{text: clean(err)}
	}
	return readRaw(fetched, wanted)
}

// ortError is a refusal of ONNX Runtime.
type ortError struct{ text string }

// Error implements error.
func (e *ortError) Error() string { return e.text }

// clean gives a text of ONNX Runtime without the binding's words and the places in the
// runtime's source, and short enough for a table.
func clean(err error) string {
	words := strings.Fields(strings.ReplaceAll(err.Error(), "|", "/"))
	words = slices.DeleteFunc(words, func(word string) bool { return strings.Contains(word, "/onnxruntime/") })
	text := strings.Join(words, " ")
	for _, prefix := range []string{"Error creating C session: ", "Error running network: ", "Exception during initialization: ", "Fatal error: "} {
		text = strings.TrimPrefix(text, prefix)
	}
	const most = 160
	if len(text) > most {
		text = strings.ToValidUTF8(text[:most], "") + "..."
	}
	return text
}

func namesOf(ports []port) []string {
	names := make([]string, len(ports))
	for i, p := range ports {
		names[i] = p.name
	}
	return names
}

// rawValues makes ONNX Runtime's values of tensors, whose data it copies. free is never nil.
func rawValues(tensors []tensor, off int) (values []ort.Value, free func(), err error) {
	free = func() {
		for _, v := range values {
			_ = v.Destroy()
		}
	}
	for _, t := range tensors {
		v, err := rawValue(t, off)
		if err != nil {
			return values, free, fmt.Errorf("%q: %w", t.name, err)
		}
		values = append(values, v)
	}
	return values, free, nil
}

func rawValue(t tensor, off int) (ort.Value, error) {
	switch {
	case t.datatype == "BYTES":
		return rawStrings(t)
	case len(t.shape) == 0:
		return rawScalar(t)
	}
	data := place(t.data, off)
	if len(data) == 0 {
		data = []byte{0} // the binding wants a byte even for a tensor without elements
	}
	return ort.NewCustomDataTensor(t.shape, data, elementNumber(t.datatype))
}

// place copies data to so many bytes off an aligned address.
func place(data []byte, off int) []byte {
	room := make([]byte, len(data)+2*alignment)
	start := uintptr(unsafe.Pointer(unsafe.SliceData(room))) % alignment
	at := (alignment-int(start))%alignment + off%alignment
	return append(room[at:at:at+len(data)], data...)
}

func rawStrings(t tensor) (ort.Value, error) {
	texts, err := t.strings()
	if err != nil {
		return nil, err
	}
	v, err := ort.NewStringTensor(t.shape)
	if err != nil {
		return nil, err
	}
	contents := make([]string, len(texts))
	for i, text := range texts {
		contents[i] = string(text)
	}
	return v, v.SetContents(contents)
}

// elementNumber is the way back from elementTypes.
func elementNumber(datatype string) ort.TensorElementDataType {
	for number, e := range elementTypes {
		if e.datatype == datatype {
			return ort.TensorElementDataType(number)
		}
	}
	return 0
}

// rawScalar makes a value without dimensions.
func rawScalar(t tensor) (ort.Value, error) {
	var wide [8]byte
	copy(wide[:], t.data)
	bits := binary.LittleEndian.Uint64(wide[:])
	switch t.datatype {
	case "BOOL":
		return ort.NewScalar(bits != 0)
	case "INT8":
		return ort.NewScalar(int8(bits))
	case "INT16":
		return ort.NewScalar(int16(bits))
	case "INT32":
		return ort.NewScalar(int32(bits))
	case "INT64":
		return ort.NewScalar(int64(bits))
	case "UINT8":
		return ort.NewScalar(uint8(bits))
	case "UINT16":
		return ort.NewScalar(uint16(bits))
	case "UINT32":
		return ort.NewScalar(uint32(bits))
	case "UINT64":
		return ort.NewScalar(bits)
	case "FP32":
		return ort.NewScalar(math.Float32frombits(uint32(bits)))
	case "FP64":
		return ort.NewScalar(math.Float64frombits(bits))
	default:
		return nil, fmt.Errorf("the binding makes no scalar of %s", t.datatype)
	}
}

// readRaw reads what a run wrote.
func readRaw(values []ort.Value, wanted []tensor) ([]tensor, error) {
	all := make([]tensor, len(wanted))
	for i, v := range values {
		all[i] = tensor{name: wanted[i].name, datatype: wanted[i].datatype, shape: wanted[i].shape}
		switch v := v.(type) {
		case *ort.CustomDataTensor:
			all[i].data = v.GetData()[:len(wanted[i].data)]
		case *ort.StringTensor:
			texts, err := v.GetContents()
			if err != nil {
				return nil, err
			}
			for _, text := range texts {
				all[i].data = append(all[i].data, join([][]byte{[]byte(text)})...)
			}
		default:
			if all[i].data = scalarData(v); all[i].data == nil {
				return nil, fmt.Errorf("the value is a %T", v)
			}
		}
	}
	return all, nil
}

// scalarData reads a value without dimensions; nil where it is none.
func scalarData(v ort.Value) []byte {
	switch v := v.(type) {
	case *ort.Scalar[bool]:
		return written(v.GetData())
	case *ort.Scalar[int8]:
		return written(v.GetData())
	case *ort.Scalar[int16]:
		return written(v.GetData())
	case *ort.Scalar[int32]:
		return written(v.GetData())
	case *ort.Scalar[int64]:
		return written(v.GetData())
	case *ort.Scalar[uint8]:
		return written(v.GetData())
	case *ort.Scalar[uint16]:
		return written(v.GetData())
	case *ort.Scalar[uint32]:
		return written(v.GetData())
	case *ort.Scalar[uint64]:
		return written(v.GetData())
	case *ort.Scalar[float32]:
		return written(v.GetData())
	case *ort.Scalar[float64]:
		return written(v.GetData())
	default:
		return nil
	}
}
