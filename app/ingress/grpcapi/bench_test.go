package grpcapi

import (
	"encoding/json"
	"fmt"
	"testing"

	"google.golang.org/protobuf/proto"

	"github.com/onda-serving/onda/app/ingress/inferencepb"
	"github.com/onda-serving/onda/app/wire"
)

// picture is the tensor of one picture of 224 x 224, in both forms.
func picture() (raw, typed *inferencepb.ModelInferRequest) {
	shape := []int64{1, 3, 224, 224}
	values := make([]float32, 3*224*224)
	for i := range values {
		values[i] = float32(i%255) / 255
	}
	typed = request(&input{Name: "x", Datatype: "FP32", Shape: shape, Contents: &contents{Fp32Contents: values}})
	decoded, _, err := decodeInfer(typed, false)
	if err != nil {
		panic(err)
	}
	return request(&input{Name: "x", Datatype: "FP32", Shape: shape}, decoded.Inputs[0].Data), typed
}

// BenchmarkDecode compares the forms in which the tensor of a picture can arrive.
func BenchmarkDecode(b *testing.B) {
	raw, typed := picture()
	for _, form := range []struct {
		name string
		req  *inferencepb.ModelInferRequest
	}{{"raw", raw}, {"typed", typed}} {
		b.Run(form.name, func(b *testing.B) {
			data, err := proto.Marshal(form.req)
			if err != nil {
				b.Fatal(err)
			}
			b.SetBytes(int64(len(data)))
			b.ReportAllocs()
			for b.Loop() {
				var message inferencepb.ModelInferRequest
				if err := unmarshal(data, &message); err != nil {
					b.Fatal(err)
				}
				if _, _, err := decodeInfer(&message, false); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
	b.Run("json", func(b *testing.B) {
		values, err := json.Marshal(typed.GetInputs()[0].GetContents().GetFp32Contents())
		if err != nil {
			b.Fatal(err)
		}
		body := fmt.Appendf(nil, `{"inputs":[{"name":"x","datatype":"FP32","shape":[1,3,224,224],"data":%s}]}`, values)
		b.SetBytes(int64(len(body)))
		b.ReportAllocs()
		for b.Loop() {
			if _, _, err := wire.DecodeInfer(body); err != nil {
				b.Fatal(err)
			}
		}
	})
}

// BenchmarkCall is a whole call over a connection, without a model.
func BenchmarkCall(b *testing.B) {
	raw, _ := picture()
	for _, size := range []struct {
		name string
		req  *inferencepb.ModelInferRequest
	}{{"small", floats()}, {"picture", raw}} {
		f := open(b, echo)
		b.Run(size.name+"-sequential", func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := f.client.ModelInfer(b.Context(), size.req); err != nil {
					b.Fatal(err)
				}
			}
		})
		b.Run(size.name+"-parallel", func(b *testing.B) {
			b.ReportAllocs()
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					if _, err := f.client.ModelInfer(b.Context(), size.req); err != nil {
						b.Error(err)
					}
				}
			})
		})
	}
}
