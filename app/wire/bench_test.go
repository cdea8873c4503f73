package wire_test

import (
	"encoding/base64"
	le "encoding/binary"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"strconv"
	"testing"

	"github.com/onda-serving/onda/app/scoring"
	"github.com/onda-serving/onda/app/wire"
)

// benchSizes are a row of features and a picture of 3 x 224 x 224.
var benchSizes = []int{128, 150_528}

// floatsOf makes values as they come out of a picture: fractions of 255, normalised.
func floatsOf(n int) []float32 {
	r := rand.New(rand.NewPCG(1, 2))
	values := make([]float32, n)
	for i := range values {
		values[i] = (float32(r.IntN(256))/255 - 0.485) / 0.229
	}
	return values
}

// textOf writes values as clients do: "short" as few digits as tell float32 apart, "long"
// as Python's tolist and json.dumps, which make float64 of them first.
func textOf(values []float32, form string) []byte {
	text := []byte{'['}
	for i, v := range values {
		if i > 0 {
			text = append(text, ',')
			if form == "long" {
				text = append(text, ' ')
			}
		}
		bits := 32
		if form == "long" {
			bits = 64
		}
		text = strconv.AppendFloat(text, float64(v), 'f', -1, bits)
	}
	return append(text, ']')
}

func BenchmarkDecodeInfer(b *testing.B) {
	for _, n := range benchSizes {
		for _, form := range []string{"short", "long"} {
			body := input("FP32", fmt.Sprintf("[1,%d]", n), string(textOf(floatsOf(n), form)))
			b.Run(fmt.Sprintf("%d-%s", n, form), func(b *testing.B) {
				b.SetBytes(int64(len(body)))
				b.ReportAllocs()
				for b.Loop() {
					if _, _, err := wire.DecodeInfer(body); err != nil {
						b.Fatal(err)
					}
				}
			})
			b.Run(fmt.Sprintf("%d-%s-encoding-json", n, form), func(b *testing.B) {
				nested := fmt.Appendf(nil, `{"inputs": [{"name": "x", "datatype": "FP32", "shape": [1,%d], "data": [%s]}]}`, n, textOf(floatsOf(n), form))
				b.SetBytes(int64(len(nested)))
				b.ReportAllocs()
				for b.Loop() {
					var plain struct {
						Inputs []struct {
							Name, Datatype string
							Shape          []int64
							Data           [][]float32
						}
					}
					if err := json.Unmarshal(nested, &plain); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
}

// benchResponse makes an answer of n floats.
func benchResponse(n int) (*scoring.InferResponse, []float32) {
	values := floatsOf(n)
	var data []byte
	for _, v := range values {
		data, _ = le.Append(data, le.LittleEndian, v)
	}
	return response(scoring.Tensor{Name: "y", Datatype: scoring.FP32, Shape: []int64{1, int64(n)}, Data: data}), values
}

func BenchmarkEncodeInfer(b *testing.B) {
	for _, n := range benchSizes {
		resp, values := benchResponse(n)
		b.Run(strconv.Itoa(n), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				text, err := wire.EncodeInfer(resp)
				if err != nil {
					b.Fatal(err)
				}
				b.SetBytes(int64(len(text)))
			}
		})
		b.Run(fmt.Sprintf("%d-encoding-json", n), func(b *testing.B) {
			b.ReportAllocs()
			type output struct {
				Name, Datatype string
				Shape          []int64
				Data           [][]float32
			}
			for b.Loop() {
				text, err := json.Marshal(map[string]any{"model_name": "m", "id": "q-1", "outputs": []output{{"y", "FP32", []int64{1, int64(n)}, [][]float32{values}}}})
				if err != nil {
					b.Fatal(err)
				}
				b.SetBytes(int64(len(text)))
			}
		})
	}
}

// BenchmarkDecodePredict reads a picture of 150 kB, as `:predict` gets it in JSON.
func BenchmarkDecodePredict(b *testing.B) {
	body := []byte(`{"instances": [{"b64": "` + base64.StdEncoding.EncodeToString(make([]byte, 150_000)) + `"}]}`)
	b.SetBytes(int64(len(body)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := wire.DecodePredict("application/json", body, limits); err != nil {
			b.Fatal(err)
		}
	}
}
