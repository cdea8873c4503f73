package e2e_test

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"io"
	"mime/multipart"
	"net/textproto"
	"strings"
	"testing"
)

// TestPredict sends every kind of body by every way.
func TestPredict(t *testing.T) {
	group(t)
	s := startStack(t, nil)
	t.Run("pictures", func(t *testing.T) { predictPictures(t, s) })
	t.Run("encodings of a picture", func(t *testing.T) { predictEncodings(t, s) })
	t.Run("questions", func(t *testing.T) { predictQuestions(t, s) })
	t.Run("several instances", func(t *testing.T) { predictSeveral(t, s) })
	t.Run("top_k", func(t *testing.T) { predictTopK(t, s) })
	t.Run("paths", func(t *testing.T) { predictPaths(t, s) })
	t.Run("headers", func(t *testing.T) { predictHeaders(t, s) })
}

// predict sends a body by every way and reads the answer.
func (s *stack) predict(t *testing.T, path, contentType string, body []byte) answer {
	t.Helper()
	var a answer
	s.everyWay(t, request{path: "/v1/models/" + path, contentType: contentType, body: body}).into(t, &a)
	if a.ID == "" || a.Model.Version == "" || !strings.HasPrefix(a.Model.Digest, "sha256:") {
		t.Errorf("the answer does not say who gave it: %+v", a)
	}
	return a
}

func predictPictures(t *testing.T, s *stack) {
	g := golden(t, imageModel)
	for i, c := range g.cases {
		encoded := base64.StdEncoding.EncodeToString(c.picture)
		for _, body := range []struct {
			contentType string
			body        []byte
		}{
			{"image/png", c.picture},
			{"application/octet-stream", c.picture},
			{"application/json", fmt.Appendf(nil, `{"instances":[{"b64":%q}]}`, encoded)},
			{"application/json; charset=utf-8", fmt.Appendf(nil, `{"signature_name":"serving_default","instances":[{"b64":%q}],"parameters":{}}`, encoded)},
		} {
			t.Run(fmt.Sprintf("%d as %s", i+1, body.contentType), func(t *testing.T) {
				a := s.predict(t, imageModel+":predict", body.contentType, body.body)
				if len(a.Predictions) != 1 || a.Predictions[0].scored() != 5 {
					t.Fatalf("got %+v, want one prediction with 5 classes", a.Predictions)
				}
				g.check(t, a.Predictions[0], c)
			})
		}
	}
}

// predictEncodings sends other formats. What was declared does not matter: the first
// bytes of a picture tell its format.
func predictEncodings(t *testing.T, s *stack) {
	jpeg := jpegPicture(t, 640, 480)
	want := s.predict(t, imageModel+":predict", "image/jpeg", jpeg).Predictions
	if got := s.predict(t, imageModel+":predict", "image/png", jpeg).Predictions; !sameJSON(t, got, want) {
		t.Errorf("a JPEG sent as image/png gives %+v, as image/jpeg %+v", got, want)
	}
	for contentType, picture := range map[string][]byte{"image/gif": gifPicture(t), "image/webp": webpPicture(t)} {
		if got := s.predict(t, imageModel+":predict", contentType, picture).Predictions; len(got) != 1 || got[0].scored() != 5 {
			t.Errorf("%s gives %+v, want one prediction with 5 classes", contentType, got)
		}
	}
}

func predictQuestions(t *testing.T, s *stack) {
	g := golden(t, faqModel)
	for i, c := range g.cases {
		for _, body := range []struct {
			name, contentType string
			body              []byte
		}{
			{"text/plain", "text/plain", []byte(c.text)},
			{"text/plain in UTF-8", "text/plain; charset=utf-8", []byte(c.text)},
			{"a string", "application/json", asJSON(t, map[string]any{"instances": []string{c.text}})},
			{"an object", "application/json", asJSON(t, map[string]any{"instances": []map[string]string{{"text": c.text}}})},
		} {
			t.Run(fmt.Sprintf("%d as %s", i+1, body.name), func(t *testing.T) {
				a := s.predict(t, faqModel+":predict", body.contentType, body.body)
				if len(a.Predictions) != 1 || a.Predictions[0].scored() == 0 {
					t.Fatalf("got %+v, want one prediction with matches", a.Predictions)
				}
				g.check(t, a.Predictions[0], c)
			})
		}
	}
}

// predictSeveral sends several instances in one request: each gets the prediction that
// it gets alone, in its place.
func predictSeveral(t *testing.T, s *stack) {
	pictures, questions := golden(t, imageModel), golden(t, faqModel)
	var instances []map[string]string
	for _, c := range pictures.cases {
		instances = append(instances, map[string]string{"b64": base64.StdEncoding.EncodeToString(c.picture)})
	}
	a := s.predict(t, imageModel+":predict", "application/json", asJSON(t, map[string]any{"instances": instances}))
	checkAll(t, pictures, a)

	form, contentType := formOf(t, pictures.cases)
	checkAll(t, pictures, s.predict(t, imageModel+":predict", contentType, form))

	var texts []any
	for i, c := range questions.cases {
		if i%2 == 0 {
			texts = append(texts, c.text)
		} else {
			texts = append(texts, map[string]string{"text": c.text})
		}
	}
	texts = texts[:min(len(texts), 64)]
	questions.cases = questions.cases[:len(texts)]
	checkAll(t, questions, s.predict(t, faqModel+":predict", "application/json", asJSON(t, map[string]any{"instances": texts})))

	questions.cases = questions.cases[:2]
	form, contentType = formOf(t, questions.cases)
	checkAll(t, questions, s.predict(t, faqModel+":predict", contentType, form))
}

func checkAll(t *testing.T, g goldens, a answer) {
	t.Helper()
	if len(a.Predictions) != len(g.cases) {
		t.Fatalf("got %d predictions for %d instances", len(a.Predictions), len(g.cases))
	}
	for i, c := range g.cases {
		g.check(t, a.Predictions[i], c)
	}
}

// formOf makes a form of cases, as a browser or curl sends it: pictures as files with
// their type, texts as fields.
func formOf(t *testing.T, cases []goldenCase) (body []byte, contentType string) {
	t.Helper()
	var b bytes.Buffer
	form := multipart.NewWriter(&b)
	for i, c := range cases {
		header := textproto.MIMEHeader{"Content-Disposition": {fmt.Sprintf(`form-data; name="instance%d"`, i)}}
		content := []byte(c.text)
		if c.picture != nil {
			header.Set("Content-Disposition", fmt.Sprintf(`form-data; name="picture%d"; filename="%d.png"`, i, i))
			header.Set("Content-Type", "image/png")
			content = c.picture
		}
		part, err := form.CreatePart(header)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.Copy(part, bytes.NewReader(content)); err != nil {
			t.Fatal(err)
		}
	}
	if err := form.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes(), form.FormDataContentType()
}

func predictTopK(t *testing.T, s *stack) {
	picture, question := golden(t, imageModel).cases[0].picture, golden(t, faqModel).cases[0].text
	for _, k := range []int{1, 3, 1000} {
		body := fmt.Appendf(nil, `{"instances":[{"b64":%q}],"parameters":{"top_k":%d}}`, base64.StdEncoding.EncodeToString(picture), k)
		byParameter := s.predict(t, imageModel+":predict", "application/json", body).Predictions
		byQuery := s.predict(t, fmt.Sprintf("%s:predict?top_k=%d", imageModel, k), "image/png", picture).Predictions
		if len(byParameter) != 1 || len(byParameter[0].Classes) != k {
			t.Errorf("top_k %d gives %d classes", k, len(byParameter[0].Classes))
		}
		if !sameJSON(t, byParameter, byQuery) {
			t.Errorf("top_k %d gives one answer as a parameter and another in the query", k)
		}
	}
	got := s.predict(t, faqModel+":predict?top_k=2", "text/plain", []byte(question)).Predictions
	if len(got) != 1 || len(got[0].Matches) != 2 {
		t.Errorf("top_k 2 gives %+v", got)
	}
}

// predictPaths names the version and the label.
func predictPaths(t *testing.T, s *stack) {
	picture, question := golden(t, imageModel).cases[0].picture, golden(t, faqModel).cases[0].text
	for model, body := range map[string]struct {
		contentType string
		body        []byte
	}{imageModel: {"image/png", picture}, faqModel: {"text/plain", []byte(question)}} {
		want := s.predict(t, model+":predict", body.contentType, body.body)
		for _, path := range []string{model + "/versions/1:predict", model + "/labels/live:predict"} {
			got := s.predict(t, path, body.contentType, body.body)
			if got.Model != want.Model || !sameJSON(t, got.Predictions, want.Predictions) {
				t.Errorf("%s answers %+v, %s:predict %+v", path, got, model, want)
			}
		}
	}
}

// predictHeaders looks at what comes beside the body, by every way.
func predictHeaders(t *testing.T, s *stack) {
	picture := golden(t, imageModel).cases[0].picture
	for _, w := range s.ways() {
		r := request{path: "/v1/models/image-classification:predict", contentType: "image/png", body: picture}
		r.header = map[string]string{"X-Request-Id": "of-the-header"}
		got := r.to(t, w)
		var a answer
		got.into(t, &a)
		if a.ID != "of-the-header" || got.header.Get("X-Request-Id") != "of-the-header" {
			t.Errorf("%s: the id is %q in the body and %q in the header", w.name, a.ID, got.header.Get("X-Request-Id"))
		}
		if model := got.header.Get("Onda-Model"); model != "image-classification@1" {
			t.Errorf("%s: Onda-Model is %q", w.name, model)
		}
		for _, phase := range []string{"decode", "queue", "preprocess", "run", "postprocess"} {
			if timing := got.header.Get("Server-Timing"); !strings.Contains(timing, phase+";dur=") {
				t.Errorf("%s: Server-Timing %q does not say %s", w.name, timing, phase)
			}
		}
		r.header = nil
		if made := r.to(t, w).header.Get("X-Request-Id"); made == "" {
			t.Errorf("%s: a request without an id gets none", w.name)
		}
	}
	// The id of the body comes before that of the header.
	r := request{path: "/v1/models/image-classification:predict", contentType: "application/json", header: map[string]string{"X-Request-Id": "of-the-header"}}
	r.body = fmt.Appendf(nil, `{"id":"of-the-body","instances":[{"b64":%q}]}`, base64.StdEncoding.EncodeToString(picture))
	if got := s.everyWay(t, r).header.Get("X-Request-Id"); got != "of-the-body" {
		t.Errorf("the id is %q, want that of the body", got)
	}
}

func sameJSON(t *testing.T, a, b any) bool {
	t.Helper()
	return bytes.Equal(asJSON(t, a), asJSON(t, b))
}
