package grpcapi

import (
	"testing"

	"google.golang.org/protobuf/proto"

	"github.com/onda-serving/onda/app/ingress/inferencepb"
	"github.com/onda-serving/onda/app/scoring"
)

// FuzzModelInfer: whatever bytes arrive, reading them ends in a request whose tensors
// agree with their shapes, or in an error for the caller.
func FuzzModelInfer(f *testing.F) {
	for _, form := range forms {
		head := &input{Name: "x", Datatype: form.datatype, Shape: []int64{2}}
		seed(f, request(head, form.raw))
		if form.typed != nil {
			head.Contents = form.typed
			seed(f, request(head))
		}
	}
	seed(f, withParams(params{"timeout": {ParameterChoice: &inferencepb.InferParameter_Uint64Param{Uint64Param: 1 << 63}}}))
	f.Fuzz(func(t *testing.T, data []byte) {
		samePlain(t, data)
		var message inferencepb.ModelInferRequest
		if unmarshal(data, &message) != nil {
			return
		}
		req, options, err := decodeInfer(&message, true)
		if err != nil {
			if code := scoring.CodeOf(err); code != scoring.Invalid && code != scoring.Unimplemented {
				t.Fatalf("got %v, want a failure of the caller", err)
			}
			return
		}
		if options.timeout < 0 {
			t.Fatalf("timeout %v", options.timeout)
		}
		for i := range req.Inputs {
			agrees(t, &req.Inputs[i])
		}
		encoded := encodeInfer(&scoring.InferResponse{Outputs: req.Inputs}, len(message.GetRawInputContents()) > 0)
		if len(encoded.GetOutputs()) != len(req.Inputs) {
			t.Fatalf("%d inputs came back as %d outputs", len(req.Inputs), len(encoded.GetOutputs()))
		}
	})
}

func seed(f *testing.F, req *inferencepb.ModelInferRequest) {
	f.Helper()
	data, err := proto.Marshal(req)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(data)
}

// agrees fails unless t holds as many elements as its shape says.
func agrees(t *testing.T, tensor *scoring.Tensor) {
	t.Helper()
	want, ok := scoring.Elements(tensor.Shape)
	got := int64(len(tensor.Strings))
	if size := tensor.Datatype.Size(); size > 0 {
		got = int64(len(tensor.Data) / size)
	}
	if !ok || got != want {
		t.Fatalf("%s of shape %v holds %d elements", tensor.Datatype, tensor.Shape, got)
	}
}
