package grpcapi

import (
	"reflect"
	"slices"
	"testing"

	"google.golang.org/grpc/mem"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"

	"github.com/onda-serving/onda/app/ingress/inferencepb"
	"github.com/onda-serving/onda/app/scoring"
)

// TestPlainAnswers: what is written by hand is what the generated code would write.
func TestPlainAnswers(t *testing.T) {
	t.Parallel()
	large := make([]byte, 3*apart)
	for i := range large {
		large[i] = byte(i)
	}
	for _, c := range []struct {
		name    string
		outputs []scoring.Tensor
	}{
		{"none", nil},
		{"small", []scoring.Tensor{{Name: "y", Datatype: scoring.FP32, Shape: []int64{1, 2}, Data: make([]byte, 8)}}},
		{"scalar", []scoring.Tensor{{Name: "y", Datatype: scoring.Int8, Shape: []int64{}, Data: []byte{1}}}},
		{"empty", []scoring.Tensor{{Name: "y", Datatype: scoring.FP16, Shape: []int64{0, 3}}}},
		{"large", []scoring.Tensor{{Name: "y", Datatype: scoring.Uint8, Shape: []int64{int64(len(large))}, Data: large}}},
		{"many", []scoring.Tensor{
			{Name: "a", Datatype: scoring.Uint8, Shape: []int64{int64(len(large))}, Data: large},
			{Name: "b", Datatype: scoring.Bytes, Shape: []int64{2}, Strings: [][]byte{[]byte("hé"), {}}},
			{Name: "c", Datatype: scoring.BF16, Shape: []int64{1, 1, 1, 1, 1, 1}, Data: []byte{1, 2}},
			{Name: "d", Datatype: scoring.Uint8, Shape: []int64{int64(len(large))}, Data: large},
		}},
		{"no text", []scoring.Tensor{{Name: "\xff", Datatype: scoring.Bool, Shape: []int64{1}, Data: []byte{1}}}},
	} {
		for _, streamed := range []bool{false, true} {
			a := &inferAnswer{resp: &scoring.InferResponse{Model: scoring.ModelID{Name: "iris", Version: 7, Digest: "sha256:0"}, ID: "id", Outputs: c.outputs}, raw: true, streamed: streamed}
			parts, ok := a.plain()
			if want := c.name != "no text"; ok != want {
				t.Errorf("%s: got %v, want %v", c.name, ok, want)
			}
			if !ok {
				continue
			}
			got := proto.Message(&inferencepb.ModelInferResponse{})
			if streamed {
				got = &inferencepb.ModelStreamInferResponse{}
			}
			if err := proto.Unmarshal(parts.Materialize(), got); err != nil || !proto.Equal(got, a.message()) {
				t.Errorf("%s: got %v, %v, want %v", c.name, got, err, a.message())
			}
		}
	}
	if _, ok := (&inferAnswer{resp: &scoring.InferResponse{Outputs: []scoring.Tensor{{Datatype: scoring.FP32}}}}).plain(); ok {
		t.Error("an answer of typed contents was written raw")
	}
}

// samePlain fails where [inferMessage.plain] reads another request of data than the
// generated code does. It says whether it read one at all.
func samePlain(t *testing.T, data []byte) bool {
	t.Helper()
	var plain, usual inferMessage
	if !plain.plain(data) {
		return false
	}
	in := new(inferencepb.ModelInferRequest)
	if err := unmarshal(data, in); err != nil {
		t.Fatalf("%x is read although it is wrong: %v", data, err)
	}
	usual.raw, usual.id = len(in.GetRawInputContents()) > 0, in.GetId()
	if usual.req, usual.options, usual.err = decodeInfer(in, false); usual.err != nil {
		t.Fatalf("%x is read although it is wrong: %v", data, usual.err)
	}
	for i := range usual.req.Inputs { // empty and nil are the same here, but for a shape
		for _, in := range []*scoring.Tensor{&usual.req.Inputs[i], &plain.req.Inputs[i]} {
			in.Data, in.Strings = slices.Concat([]byte{0}, in.Data), slices.Concat([][]byte{{0}}, in.Strings)
			for s := range in.Strings {
				in.Strings[s] = slices.Concat([]byte{0}, in.Strings[s])
			}
		}
	}
	if !reflect.DeepEqual(plain.req, usual.req) || plain.options != usual.options || plain.raw != usual.raw || plain.id != usual.id || plain.err != nil {
		t.Fatalf("%x: got %+v, want %+v", data, plain, usual)
	}
	return true
}

func TestPlainRequests(t *testing.T) {
	t.Parallel()
	several := request(&input{Name: "x", Datatype: "FP32", Shape: []int64{1, 2}}, make([]byte, 8))
	several.Inputs = append(several.Inputs, &input{Name: "y", Datatype: "BYTES", Shape: []int64{2}})
	several.RawInputContents = append(several.RawInputContents, []byte("\x01\x00\x00\x00a\x00\x00\x00\x00"))
	several.Id, several.ModelVersion, several.Outputs = "id", "canary", []*output{{Name: "b"}, {Name: "a"}}
	scalar := request(&input{Name: "x", Datatype: "INT64"}, make([]byte, 8))
	twice := append(marshalled(t, scalar), fieldOf(requestModel, []byte("rose"))...)
	divided := slices.Concat(fieldOf(requestRaw, []byte{1, 2}), fieldOf(requestInputs, slices.Concat(
		fieldOf(inputShape, []byte{1}), fieldOf(inputName, []byte("a")), fieldOf(inputShape, []byte{2}), fieldOf(inputName, []byte("b")), fieldOf(inputDatatype, []byte("INT8")),
	)), fieldOf(requestModel, []byte("iris")))
	for _, c := range []struct {
		name string
		data []byte
		want bool
	}{
		{"several", marshalled(t, several), true},
		{"scalar", marshalled(t, scalar), true},
		{"a field twice", twice, true},
		{"in another order, with a shape in two", divided, true},
		{"typed", marshalled(t, floats()), false},
		{"parameters", marshalled(t, withParams(params{"priority": intParam(1)})), false},
		{"unknown field", append(marshalled(t, scalar), fieldOf(99, nil)...), false},
		{"unknown field without length", append(marshalled(t, scalar), protowire.AppendVarint(protowire.AppendTag(nil, 99, protowire.VarintType), 1)...), false},
		{"cut off", marshalled(t, scalar)[:10], false},
		{"wrong size", marshalled(t, request(&input{Name: "x", Datatype: "INT64"}, make([]byte, 7))), false},
		{"nothing", nil, false},
	} {
		if got := samePlain(t, c.data); got != c.want {
			t.Errorf("%s: got %v, want %v", c.name, got, c.want)
		}
	}
}

func marshalled(t testing.TB, m proto.Message) []byte {
	t.Helper()
	data, err := proto.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// TestOwned: what is read of a message stays when gRPC has its memory back.
func TestOwned(t *testing.T) {
	t.Parallel()
	pool := &countingPool{BufferPool: mem.DefaultBufferPool()}
	buffer := pool.Get(2000)
	copy(*buffer, "hello")
	data := mem.BufferSlice{mem.NewBuffer(buffer, pool)}
	got := owned(data)
	data.Free()
	if string(got[:5]) != "hello" || pool.put != 0 {
		t.Errorf("got %q, and the memory was given back %d times", got[:5], pool.put)
	}
}

type countingPool struct {
	mem.BufferPool

	put int
}

func (p *countingPool) Put(*[]byte) { p.put++ }
