package e2e_test

import (
	"fmt"
	"math"
	"net/http"
	"slices"
	"strings"
	"testing"
)

// tensor is a tensor of the Open Inference Protocol in JSON.
type tensor struct {
	Name     string  `json:"name"`
	Datatype string  `json:"datatype"`
	Shape    []int64 `json:"shape"`
	Data     any     `json:"data,omitempty"`
}

// inferAnswer is what infer answers.
type inferAnswer struct {
	ModelName    string            `json:"model_name"`
	ModelVersion string            `json:"model_version"`
	ID           string            `json:"id"`
	Parameters   map[string]string `json:"parameters"`
	Outputs      []tensor          `json:"outputs"`
}

// modelMetadata is what GET /v2/models/M answers.
type modelMetadata struct {
	Name     string   `json:"name"`
	Versions []string `json:"versions"`
	Platform string   `json:"platform"`
	Inputs   []tensor `json:"inputs"`
	Outputs  []tensor `json:"outputs"`
}

// TestOpenInference speaks the Open Inference Protocol by every way, to models of which
// one has several versions.
func TestOpenInference(t *testing.T) {
	group(t)
	s := startStack(t, map[string]string{"ONDA_MODELS_DIR": severalVersions(t)})
	t.Run("server", func(t *testing.T) { serverMetadata(t, s) })
	t.Run("model metadata", func(t *testing.T) { metadataOfModels(t, s) })
	t.Run("infer a picture", func(t *testing.T) { inferPicture(t, s) })
	t.Run("infer a question", func(t *testing.T) { inferQuestion(t, s) })
	t.Run("status", func(t *testing.T) { statusOfModels(t, s) })
	t.Run("versions", func(t *testing.T) { versionsAnswer(t, s) })
}

func serverMetadata(t *testing.T, s *stack) {
	for path, want := range map[string]string{
		"/v2/health/live":                       `{"live":true,"ready":true}`,
		"/v2/health/ready":                      `{"live":true,"ready":true}`,
		"/v2/models":                            `{"models":["faq-matching","image-classification"]}`,
		"/v2/models/image-classification/ready": `{"name":"image-classification","ready":true}`,
		"/v2/models/image-classification/versions/1/ready": `{"name":"image-classification","ready":true}`,
		"/v2/models/faq-matching/ready":                    `{"name":"faq-matching","ready":true}`,
	} {
		if got := s.everyWay(t, request{path: path}); got.status != http.StatusOK || got.body != want {
			t.Errorf("GET %s: %d %s, want %s", path, got.status, got.body, want)
		}
	}
	if got := s.everyWay(t, request{path: "/v2/models/image-classification/versions/3/ready"}); got.status != http.StatusServiceUnavailable {
		t.Errorf("a version that could not be loaded is ready: %d %s", got.status, got.body)
	}
	var server struct {
		Name       string   `json:"name"`
		Version    string   `json:"version"`
		Extensions []string `json:"extensions"`
	}
	s.everyWay(t, request{path: "/v2"}).into(t, &server)
	if server.Name != "onda" || server.Version == "" || server.Extensions == nil {
		t.Errorf("GET /v2 answers %+v", server)
	}
}

func metadataOfModels(t *testing.T, s *stack) {
	var image, faq modelMetadata
	s.everyWay(t, request{path: "/v2/models/image-classification"}).into(t, &image)
	if !slices.Equal(image.Versions, []string{"1", "2", "3"}) {
		t.Errorf("versions are %v, want 1, 2 and 3", image.Versions)
	}
	if image.Platform == "" || len(image.Inputs) != 1 || len(image.Outputs) != 1 ||
		image.Inputs[0].Datatype != "FP32" || !slices.Equal(image.Inputs[0].Shape, []int64{-1, 3, 224, 224}) ||
		image.Outputs[0].Datatype != "FP32" || !slices.Equal(image.Outputs[0].Shape, []int64{-1, 1000}) {
		t.Errorf("the image model is described as %+v", image)
	}
	s.everyWay(t, request{path: "/v2/models/faq-matching"}).into(t, &faq)
	if len(faq.Inputs) != 1 || faq.Inputs[0].Datatype != "BYTES" || len(faq.Outputs) == 0 {
		t.Errorf("the FAQ model is described as %+v", faq)
	}
	var second modelMetadata
	s.everyWay(t, request{path: "/v2/models/image-classification/versions/2"}).into(t, &second)
	if !sameJSON(t, second, image) {
		t.Errorf("version 2 is described as %+v, want %+v", second, image)
	}
}

// infer sends tensors by every way and reads the answer.
func (s *stack) infer(t *testing.T, path string, body any) inferAnswer {
	t.Helper()
	var a inferAnswer
	s.everyWay(t, request{path: "/v2/models/" + path + "/infer", contentType: "application/json", body: asJSON(t, body)}).into(t, &a)
	return a
}

func inferPicture(t *testing.T, s *stack) {
	zeros := tensor{Name: "images", Datatype: "FP32", Shape: []int64{1, 3, 224, 224}, Data: make([]int, 3*224*224)}
	for _, path := range []string{imageModel, imageModel + "/versions/1", imageModel + "/versions/2"} {
		a := s.infer(t, path, map[string]any{"id": "zeros", "inputs": []tensor{zeros}})
		if a.ModelName != imageModel || a.ID != "zeros" || !strings.HasPrefix(a.Parameters["digest"], "sha256:") {
			t.Errorf("%s: the answer is from %s version %s, id %q", path, a.ModelName, a.ModelVersion, a.ID)
		}
		if len(a.Outputs) != 1 || a.Outputs[0].Name != "probabilities" || !slices.Equal(a.Outputs[0].Shape, []int64{1, 1000}) {
			t.Fatalf("%s: outputs are %+v", path, a.Outputs)
		}
		if sum := sumOf(t, a.Outputs[0]); math.Abs(sum-1) > 1e-3 {
			t.Errorf("%s: the probabilities add up to %v", path, sum)
		}
	}
}

func sumOf(t *testing.T, out tensor) (sum float64) {
	t.Helper()
	values, ok := out.Data.([]any)
	if !ok {
		t.Fatalf("output %s: data is %T", out.Name, out.Data)
	}
	for _, v := range values {
		f, _ := v.(float64)
		sum += f
	}
	return sum
}

// inferQuestion gives the same scores as the pipeline does, which adds the FAQ's entries.
func inferQuestion(t *testing.T, s *stack) {
	var faq modelMetadata
	s.everyWay(t, request{path: "/v2/models/faq-matching"}).into(t, &faq)
	question := golden(t, faqModel).cases[0].text
	shape := slices.Repeat([]int64{1}, len(faq.Inputs[0].Shape))
	input := tensor{Name: faq.Inputs[0].Name, Datatype: "BYTES", Shape: shape, Data: []string{question}}
	a := s.infer(t, faqModel, map[string]any{"inputs": []tensor{input}})
	if a.ID == "" || len(a.Outputs) != len(faq.Outputs) {
		t.Fatalf("got id %q and %d outputs, want %d", a.ID, len(a.Outputs), len(faq.Outputs))
	}
	asked := s.infer(t, faqModel, map[string]any{"inputs": []tensor{input}, "outputs": []map[string]string{{"name": faq.Outputs[0].Name}}})
	if len(asked.Outputs) != 1 || !sameJSON(t, asked.Outputs[0], a.Outputs[0]) {
		t.Errorf("asked for one output, got %+v", asked.Outputs)
	}
}

// status is what GET /v1/models/M answers.
type status struct {
	Name     string            `json:"name"`
	Ready    bool              `json:"ready"`
	Labels   map[string]string `json:"labels"`
	Versions []struct {
		Version string `json:"version"`
		State   string `json:"state"`
		Digest  string `json:"digest"`
		Status  struct {
			Code    string `json:"error_code"`
			Message string `json:"error_message"`
		} `json:"status"`
	} `json:"model_version_status"`
}

// states writes the versions with their states.
func (s status) states() string {
	var all []string
	for _, v := range s.Versions {
		all = append(all, fmt.Sprintf("%s %s %s", v.Version, v.State, v.Status.Code))
	}
	return strings.Join(all, ", ")
}

func statusOfModels(t *testing.T, s *stack) {
	if got := s.everyWay(t, request{path: "/v1/models"}); got.body != `{"models":["faq-matching","image-classification"]}` {
		t.Errorf("GET /v1/models: %s", got.body)
	}
	for path, want := range map[string]string{
		imageModel:                 "1 AVAILABLE OK, 2 AVAILABLE OK, 3 FAILED INTERNAL",
		imageModel + "/versions/1": "1 AVAILABLE OK",
		imageModel + "/versions/3": "3 FAILED INTERNAL",
		// The newest that can answer.
		imageModel + "/labels/live": "2 AVAILABLE OK",
		faqModel:                    "1 AVAILABLE OK",
	} {
		var got status
		s.everyWay(t, request{path: "/v1/models/" + path}).into(t, &got)
		if got.states() != want || got.Ready == strings.HasPrefix(want, "3") {
			t.Errorf("GET /v1/models/%s: ready %t, %s, want %s", path, got.Ready, got.states(), want)
		}
		for _, v := range got.Versions {
			if (v.State == "AVAILABLE") != strings.HasPrefix(v.Digest, "sha256:") || (v.State == "FAILED") == (v.Status.Message == "") {
				t.Errorf("GET /v1/models/%s: version %+v", path, v)
			}
		}
	}
	var image status
	s.everyWay(t, request{path: "/v1/models/image-classification"}).into(t, &image)
	if image.Labels["live"] != "2" {
		t.Errorf("labels are %v, want live on 2", image.Labels)
	}
}

// versionsAnswer asks for versions and the label: the answer says which one gave it.
func versionsAnswer(t *testing.T, s *stack) {
	picture := golden(t, imageModel).cases[0].picture
	for path, version := range map[string]string{"": "2", "/labels/live": "2", "/versions/1": "1", "/versions/2": "2"} {
		if got := s.predict(t, imageModel+path+":predict", "image/png", picture); got.Model.Version != version {
			t.Errorf("%s%s is answered by version %s, want %s", imageModel, path, got.Model.Version, version)
		}
	}
	got := s.everyWay(t, request{path: "/v1/models/image-classification/versions/3:predict", contentType: "image/png", body: picture})
	const want = `{"error":"model image-classification@3 could not be loaded: GET /v1/models/image-classification/versions/3 or the server's log says why"}`
	if got.status != http.StatusServiceUnavailable || got.body != want {
		t.Errorf("version 3: %d %s, want 503 %s", got.status, got.body, want)
	}
}
