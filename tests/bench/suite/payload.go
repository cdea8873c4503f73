package suite

import (
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"image"
	"image/color"
	"image/jpeg"
	"math"
	"os"
	"path/filepath"
	"strconv"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/onda-serving/onda/tests/bench/load"
	"github.com/onda-serving/onda/tests/bench/testmodel"
)

// The method of the Open Inference Protocol that everything is about.
const (
	GRPCService = "inference.GRPCInferenceService"
	GRPCMethod  = "ModelInfer"
)

// question is what is asked of the FAQ: a wording that its training did not have.
const question = "how do i get rid of duplicate entries in my list"

// numbers are the inputs of a synthetic model.
func numbers(n int) []float32 {
	all := make([]float32, n)
	for i := range all {
		all[i] = float32(math.Round(math.Sin(float64(i))*1e4) / 1e4)
	}
	return all
}

// oipJSON asks a synthetic model about one row, in JSON.
func oipJSON(address string, s testmodel.Synthetic) load.Request {
	body, err := json.Marshal(map[string]any{"inputs": []any{map[string]any{
		"name": testmodel.Input, "shape": []int{1, s.Width}, "datatype": "FP32", "data": numbers(s.Width),
	}}})
	if err != nil {
		body = []byte(err.Error()) // numbers always marshal
	}
	return load.Request{
		Protocol: load.HTTP, Address: address, Path: "/v2/models/" + s.Name + "/infer",
		Headers: map[string]string{"content-type": "application/json"}, Body: body,
	}
}

// oipBinary asks a synthetic model by the binary extension, and wants binary back.
func oipBinary(address string, s testmodel.Synthetic, rows int) load.Request {
	blob := little(numbers(rows * s.Width))
	head := fmt.Appendf(nil, `{"parameters":{"binary_data_output":true},"inputs":[{"name":"%s","shape":[%d,%d],"datatype":"FP32","parameters":{"binary_data_size":%d}}]}`,
		testmodel.Input, rows, s.Width, len(blob))
	return load.Request{
		Protocol: load.HTTP, Address: address, Path: "/v2/models/" + s.Name + "/infer",
		Headers: map[string]string{"content-type": "application/octet-stream", "inference-header-content-length": strconv.Itoa(len(head))},
		Body:    append(head, blob...),
	}
}

// oipGRPC asks a synthetic model over gRPC, with raw contents: a ModelInferRequest with
// model_name 1, inputs 5 (name 1, datatype 2, shape 3) and raw_input_contents 7.
func oipGRPC(address string, s testmodel.Synthetic, rows int) load.Request {
	text := func(b []byte, field protowire.Number, value string) []byte {
		return protowire.AppendString(protowire.AppendTag(b, field, protowire.BytesType), value)
	}
	shape := protowire.AppendVarint(protowire.AppendVarint(nil, uint64(rows)), uint64(s.Width))
	input := text(text(text(nil, 1, testmodel.Input), 2, "FP32"), 3, string(shape))
	body := text(text(text(nil, 1, s.Name), 5, string(input)), 7, string(little(numbers(rows*s.Width))))
	return load.Request{Protocol: load.GRPC, Address: address, Path: "/" + GRPCService + "/" + GRPCMethod, Body: body}
}

// little writes numbers as the protocol has them.
func little(values []float32) []byte {
	var b []byte
	for _, v := range values {
		b = binary.LittleEndian.AppendUint32(b, math.Float32bits(v))
	}
	return b
}

// predict asks a model's pipeline with the instance as the body.
func predict(address, model, contentType string, body []byte) load.Request {
	return load.Request{
		Protocol: load.HTTP, Address: address, Path: "/v1/models/" + model + ":predict",
		Headers: map[string]string{"content-type": contentType}, Body: body,
	}
}

// predictBase64 asks with a picture in JSON, for servers that take no other.
func predictBase64(address, model string, picture []byte) load.Request {
	return predict(address, model, "application/json", []byte(`{"instances":[{"b64":"`+base64.StdEncoding.EncodeToString(picture)+`"}]}`))
}

// ask is the usual request to a model: JSON for rows, the encoded input for the others.
func (b *Bench) ask(address, model string) load.Request {
	switch model {
	case testmodel.Image:
		return predict(address, model, "image/jpeg", b.photo)
	case testmodel.FAQ:
		return predict(address, model, "text/plain", []byte(question))
	default:
		s, _ := testmodel.ByName(model)
		return oipJSON(address, s)
	}
}

// photos is a folder of real photos beside the repository, which not everybody has.
const photos = "../shared/data/photos"

// photo is the picture that is scored: a real photo where there is one beside the
// repository, else one that is made, of the same size and of similar detail.
func photo() ([]byte, error) {
	if data, err := os.ReadFile(filepath.Join(photos, "cat_720p.jpg")); err == nil {
		return data, nil
	}
	picture := image.NewRGBA(image.Rect(0, 0, 1280, 720))
	for y := range 720 {
		for x := range 1280 {
			wave := 127 + 60*math.Sin(float64(x)/9) + 60*math.Cos(float64(y)/7)
			picture.Set(x, y, color.RGBA{R: uint8(wave), G: uint8(x * y >> 9), B: uint8(x ^ y), A: 255})
		}
	}
	var b bytes.Buffer
	err := jpeg.Encode(&b, picture, &jpeg.Options{Quality: 75})
	return b.Bytes(), err
}
