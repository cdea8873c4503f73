package httpapi_test

import (
	"bytes"
	"compress/gzip"
	"compress/zlib"
	"io"
	"strconv"
	"strings"
	"testing"

	"github.com/onda-serving/onda/app/scoring"
)

// packed compresses text.
func packed(t *testing.T, encoding, text string) string {
	t.Helper()
	var b bytes.Buffer
	var w io.WriteCloser = gzip.NewWriter(&b)
	if encoding == "deflate" {
		w = zlib.NewWriter(&b)
	}
	if _, err := io.WriteString(w, text); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// unpacked undoes the encoding that an answer says it has.
func unpacked(t *testing.T, got answer) string {
	t.Helper()
	var r io.Reader = strings.NewReader(got.body)
	var err error
	switch got.header.Get("Content-Encoding") {
	case "gzip":
		r, err = gzip.NewReader(r)
	case "deflate":
		r, err = zlib.NewReader(r)
	}
	if err != nil {
		t.Fatal(err)
	}
	text, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func TestCompressedRequest(t *testing.T) {
	t.Parallel()
	r := start(t)
	const infer = `{"id":"i","inputs":[{"name":"x","shape":[1],"datatype":"FP32","data":[1]}]}`
	const answer = `{"model_name":"m","model_version":"2","id":"i","parameters":{"digest":"sha256:2"},"outputs":[{"name":"x","datatype":"FP32","shape":[1],"data":[1]}]}`
	for range 3 { // the readers are used again
		for _, encoding := range []string{"gzip", "GZIP", "x-gzip", "deflate", "identity"} {
			body := infer
			if encoding != "identity" {
				body = packed(t, encoding, infer)
			}
			expect(t, r.call(t, "POST", "/v2/models/m/infer", body, "Content-Encoding: "+encoding), 200, answer)
		}
		got := r.call(t, "POST", "/v1/models/m:predict", packed(t, "gzip", "why?"), "Content-Encoding: gzip", "Content-Type: text/plain")
		if got.status != 200 || string(r.scorer.predict.Instances[0].Data) != "why?" {
			t.Errorf("got %d %s", got.status, got.body)
		}
	}
	text := `{"inputs":[{"name":"x","shape":[1],"datatype":"FP32","parameters":{"binary_data_size":4}}]}`
	got := r.call(t, "POST", "/v2/models/m/infer", packed(t, "deflate", text+floats(1)), "Content-Encoding: deflate", "Inference-Header-Content-Length: "+strconv.Itoa(len(text)))
	if got.status != 200 {
		t.Errorf("binary: got %d %s; the header counts uncompressed bytes", got.status, got.body)
	}
}

func TestCompressedRequestRefuses(t *testing.T) {
	t.Parallel()
	whole := packed(t, "gzip", "why, and why not?")
	tests := []struct {
		name, encoding, body string
		status               int
		want                 string
	}{
		{"bomb", "gzip", packed(t, "gzip", strings.Repeat("a", 1<<24)), 413, "the body is too large: at most 65536 bytes are allowed (ONDA_MAX_BODY), got more than that, uncompressed"},
		{"bomb of zlib", "deflate", packed(t, "deflate", strings.Repeat("a", 1<<24)), 413, "the body is too large: at most 65536 bytes are allowed (ONDA_MAX_BODY), got more than that, uncompressed"},
		{"plain", "gzip", "why, and why not?", 400, "the body is not valid gzip, as its content-encoding says: it is damaged, or has another encoding"},
		{"plain, no zlib", "deflate", "why, and why not?", 400, "the body is not valid deflate, as its content-encoding says: it is damaged, or has another encoding"},
		{"empty", "gzip", "", 400, "the body is cut off: its gzip data ends too early"},
		{"cut off", "gzip", whole[:len(whole)-9], 400, "the body is cut off: its gzip data ends too early"},
		{"damaged", "gzip", whole[:len(whole)-8] + "12345678", 400, "the body is not valid gzip, as its content-encoding says: it is damaged, or has another encoding"},
		{"more behind it", "gzip", whole + "more", 400, "the body is cut off: its gzip data ends too early"},
		{"more behind zlib", "deflate", packed(t, "deflate", "why?") + "x", 400, "the body has bytes behind its deflate data: send nothing else"},
		{"two encodings", "gzip, deflate", whole, 415, `content-encoding "gzip, deflate" is not supported: send the body with gzip, deflate or uncompressed`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			r := start(t)
			expect(t, r.call(t, "POST", "/v1/models/m:predict", tt.body, "Content-Encoding: "+tt.encoding, "Content-Type: text/plain"), tt.status, failure(tt.want))
			if used := r.parts.Bodies.Used(); used != 0 {
				t.Errorf("%d bytes stay booked", used)
			}
		})
	}
}

func TestCompressedAnswer(t *testing.T) {
	t.Parallel()
	tests := []struct{ accept, want string }{
		{"", ""},
		{"gzip", "gzip"},
		{"deflate", "deflate"},
		{"x-gzip", "gzip"},
		{"gzip, deflate, br", "gzip"},
		{"deflate, gzip", "gzip"},
		{"gzip;q=0.5, deflate;q=0.6", "deflate"},
		{"GZIP ; Q=0.5", "gzip"},
		{"gzip;q=0", ""},
		{"gzip;q=0, *", "deflate"},
		{"*", "gzip"},
		{"*;q=0", ""},
		{"br", ""},
		{"identity, gzip;q=0.9", ""},
		{"identity;q=0.1, gzip;q=0.9", "gzip"},
		{"gzip;q=2", ""},
		{"gzip;level=9", ""},
		{",,;", ""},
	}
	r := start(t)
	data := []byte(floats(make([]float32, 2000)...))
	r.scorer.outputs = []scoring.Tensor{{Name: "y", Datatype: scoring.FP32, Shape: []int64{2000}, Data: data}, {Name: "z", Datatype: scoring.FP32, Shape: []int64{2000}, Data: data}}
	const body = `{"inputs":[{"name":"x","shape":[1],"datatype":"FP32","data":[1]}],"outputs":[{"name":"y","parameters":{"binary_data":true}}]}`
	plain := r.call(t, "POST", "/v2/models/m/infer", body, "Accept-Encoding: identity")
	for _, tt := range tests {
		t.Run(tt.accept, func(t *testing.T) {
			got := r.call(t, "POST", "/v2/models/m/infer", body, "Accept-Encoding: "+tt.accept)
			if got.header.Get("Content-Encoding") != tt.want || got.header.Get("Vary") != "Accept-Encoding" {
				t.Errorf("got %q, Vary %q, want %q", got.header.Get("Content-Encoding"), got.header.Get("Vary"), tt.want)
			}
			if unpacked(t, got) != plain.body || got.header.Get("Inference-Header-Content-Length") != plain.header.Get("Inference-Header-Content-Length") {
				t.Error("not the same answer, unpacked")
			}
			if (tt.want != "") != (len(got.body) < len(plain.body)) {
				t.Errorf("%d bytes of %d", len(got.body), len(plain.body))
			}
		})
	}
	small := r.call(t, "GET", "/v2", "", "Accept-Encoding: gzip")
	if small.header.Get("Content-Encoding") != "" {
		t.Error("a small answer was compressed")
	}
	sidecar := r.call(t, "POST", "/v2/models/m/infer", body, "Accept-Encoding: gzip", "Dapr-Caller-App-Id: portal")
	if sidecar.header.Get("Content-Encoding") != "" {
		t.Error("an answer was compressed for a sidecar that undoes it at once")
	}
}
