package asyncapi_test

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/rs/zerolog"
	"github.com/santhosh-tekuri/jsonschema/v6"
	"go.yaml.in/yaml/v3"

	"github.com/onda-serving/onda/app/ingress/events"
	"github.com/onda-serving/onda/app/ingress/events/asyncapi"
	"github.com/onda-serving/onda/app/scoring"
)

// document reads the file as JSON, which is what schemas and examples are about.
func document(t *testing.T) map[string]any {
	t.Helper()
	text, err := os.ReadFile(asyncapi.File)
	if err != nil {
		t.Fatal(err)
	}
	var doc map[string]any
	if err := yaml.Unmarshal(text, &doc); err != nil {
		t.Fatal(err)
	}
	asJSON, err := json.Marshal(doc)
	if err != nil {
		t.Fatal(err)
	}
	doc = nil
	if err := json.Unmarshal(asJSON, &doc); err != nil {
		t.Fatal(err)
	}
	return doc
}

// at walks down a document.
func at(t *testing.T, doc any, path ...string) any {
	t.Helper()
	for i, key := range path {
		object, ok := doc.(map[string]any)
		if !ok || object[key] == nil {
			t.Fatalf("the document has no %s", strings.Join(path[:i+1], "/"))
		}
		doc = object[key]
	}
	return doc
}

// schema compiles one of the document's, with those that it refers to.
func schema(t *testing.T, name string) *jsonschema.Schema {
	t.Helper()
	compiler := jsonschema.NewCompiler()
	compiler.DefaultDraft(jsonschema.Draft7)
	compiler.AssertFormat()
	compiler.AssertContent()
	if err := compiler.AddResource("asyncapi.json", document(t)); err != nil {
		t.Fatal(err)
	}
	s, err := compiler.Compile("asyncapi.json#/components/schemas/" + name)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// parsed reads an event as the validator wants it.
func parsed(t *testing.T, text []byte) any {
	t.Helper()
	event, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	if err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	return event
}

// examples of a message, by their names.
func examples(t *testing.T, message string) map[string][]byte {
	t.Helper()
	all := map[string][]byte{}
	for _, e := range at(t, document(t), "components", "messages", message, "examples").([]any) {
		text, err := json.Marshal(at(t, e, "payload"))
		if err != nil {
			t.Fatal(err)
		}
		all[at(t, e, "name").(string)] = text
	}
	if len(all) < 3 {
		t.Fatalf("message %s has %d examples, want 3 or more", message, len(all))
	}
	return all
}

func TestFileIsWhatTheGeneratorMakes(t *testing.T) {
	t.Parallel()
	want, err := asyncapi.Document()
	if err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile(asyncapi.File)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("%s is not what the generator makes: go run ./app/ingress/events/asyncapi/gen", asyncapi.File)
	}
}

// TestReferences finds pointers to nothing.
func TestReferences(t *testing.T) {
	t.Parallel()
	doc, seen := document(t), 0
	var walk func(node any)
	walk = func(node any) {
		switch node := node.(type) {
		case map[string]any:
			if to, ok := node["$ref"].(string); ok {
				seen++
				at(t, doc, strings.Split(strings.TrimPrefix(to, "#/"), "/")...)
			}
			for _, child := range node {
				walk(child)
			}
		case []any:
			for _, child := range node {
				walk(child)
			}
		}
	}
	walk(doc)
	if seen < 20 {
		t.Errorf("%d references were seen, want 20 or more", seen)
	}
}

func TestTopics(t *testing.T) {
	t.Parallel()
	var addresses []string
	for _, channel := range at(t, document(t), "channels").(map[string]any) {
		addresses = append(addresses, at(t, channel, "address").(string))
	}
	slices.Sort(addresses)
	if want := []string{"scoring.deadletter", "scoring.requests", "scoring.results"}; !slices.Equal(addresses, want) {
		t.Errorf("the channels are %q, want %q", addresses, want)
	}
	// The subscriptions that users run with.
	text, err := os.ReadFile(filepath.Join("..", "..", "..", "..", "components", "local", "subscription.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	for _, line := range []string{"topic: " + asyncapi.RequestsTopic, "deadLetterTopic: " + asyncapi.DeadLetterTopic} {
		if !strings.Contains(string(text), line+"\n") {
			t.Errorf("components/local/subscription.yaml has no line %q", line)
		}
	}
}

// door is a consumer with fakes that accept everything.
type door struct {
	topic string
	event []byte
	seen  int
}

func (d *door) Publish(_ context.Context, topic string, event []byte) error {
	d.topic, d.event = topic, bytes.Clone(event)
	return nil
}

func (*door) Event(string, error) {}

// Panicked implements [events.Observer].
func (*door) Panicked() {}

func (d *door) Predict(_ context.Context, req *scoring.PredictRequest) (*scoring.PredictResponse, error) {
	d.seen++
	classes := scoring.Classes{Classes: []scoring.Class{{Index: 1, Label: "one", Score: .5}}}
	return &scoring.PredictResponse{Model: scoring.ModelID{Name: req.Model.Name, Version: 4, Digest: "sha256:d"}, ID: req.ID, Predictions: []scoring.Prediction{classes}}, nil
}

func (d *door) Infer(_ context.Context, req *scoring.InferRequest) (*scoring.InferResponse, error) {
	d.seen++
	return &scoring.InferResponse{Model: scoring.ModelID{Name: req.Model.Name, Version: 4, Digest: "sha256:d"}, ID: req.ID, Outputs: req.Inputs}, nil
}

func (*door) Fetch(context.Context, string, string) (body []byte, release func(), err error) {
	return []byte("x"), func() {}, nil
}

// deliver gives what the door publishes for an event.
func deliver(t *testing.T, event []byte) *door {
	t.Helper()
	d := &door{}
	c := events.New(events.Config{ResultsTopic: asyncapi.ResultsTopic, DeadLetterTopic: asyncapi.DeadLetterTopic, Timeout: time.Minute, MaxInstances: 8},
		events.Parts{Scorer: d, Publisher: d, Fetcher: d, Observer: d, Log: zerolog.Nop()})
	if got := c.Deliver(t.Context(), event, ""); got.Status != "SUCCESS" {
		t.Fatalf("%s: the door answers %q", event, got.Status)
	}
	return d
}

// TestRequestExamples are accepted by the schema and by the door, whose answer the schema of
// results accepts.
func TestRequestExamples(t *testing.T) {
	t.Parallel()
	for name, event := range examples(t, "request") {
		if err := schema(t, "request").Validate(parsed(t, event)); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		d := deliver(t, event)
		if d.topic != asyncapi.ResultsTopic || d.seen != 1 {
			t.Errorf("%s: the door does not accept it: %s", name, d.event)
			continue
		}
		if err := schema(t, "result").Validate(parsed(t, d.event)); err != nil {
			t.Errorf("%s: the result %s: %v", name, d.event, err)
		}
	}
}

// TestAnswerExamples satisfy their schemas, and an error's original is a request.
func TestAnswerExamples(t *testing.T) {
	t.Parallel()
	for _, message := range []string{"result", "error"} {
		for name, event := range examples(t, message) {
			if err := schema(t, message).Validate(parsed(t, event)); err != nil {
				t.Errorf("%s: %v", name, err)
			}
			if strings.Contains(string(event), exampleWithoutRequest) {
				continue
			}
			if message == "error" {
				var e struct {
					Data struct{ Original json.RawMessage }
				}
				if err := json.Unmarshal(event, &e); err != nil {
					t.Fatal(err)
				}
				if err := schema(t, "request").Validate(parsed(t, e.Data.Original)); err != nil {
					t.Errorf("%s: the original: %v", name, err)
				}
			}
		}
	}
}

// exampleWithoutRequest is in the id of an answer to what is no request.
const exampleWithoutRequest = `"id":"unreadable-`

// TestGoldenFiles holds the schemas against what the door is known to publish.
func TestGoldenFiles(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob(filepath.Join("..", "testdata", "*.json"))
	if err != nil || len(files) < 4 {
		t.Fatalf("%d golden files (%v), want 4 or more", len(files), err)
	}
	kinds := map[string]string{events.ResultType: "result", events.ErrorType: "error"}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		var e struct{ Type string }
		if err := json.Unmarshal(text, &e); err != nil || kinds[e.Type] == "" {
			t.Errorf("%s is no event that the document knows (%v)", file, err)
			continue
		}
		if err := schema(t, kinds[e.Type]).Validate(parsed(t, text)); err != nil {
			t.Errorf("%s: %v", file, err)
		}
	}
}

// TestSchemasRefuse what the door refuses.
func TestSchemasRefuse(t *testing.T) {
	t.Parallel()
	const whole = `"specversion":"1.0","id":"1","source":"s","type":"onda.score.request.v1","subject":"m"`
	const data = `,"data":{"instances":["x"]}`
	request := schema(t, "request")
	if err := request.Validate(parsed(t, []byte("{"+whole+data+"}"))); err != nil {
		t.Fatalf("the request that the others are made of: %v", err)
	}
	for name, event := range map[string]string{
		"no id":                     strings.Replace(whole+data, `"id":"1",`, "", 1),
		"no source":                 strings.Replace(whole+data, `"source":"s",`, "", 1),
		"another version":           strings.Replace(whole+data, `"1.0"`, `"2.0"`, 1),
		"another type":              strings.Replace(whole+data, "request.v1", "request.v2", 1),
		"a bad subject":             strings.Replace(whole+data, `"m"`, `"m/99"`, 1),
		"no data":                   whole,
		"data twice":                whole + data + `,"data_base64":"eA=="`,
		"data and a reference":      whole + data + `,"dataref":"https://x.example/1","datarefsha256":"` + strings.Repeat("0", 64) + `"`,
		"a reference without a sum": whole + `,"dataref":"https://x.example/1"`,
		"no instances":              whole + `,"data":{"instances":[]}`,
		"a bad expiration":          whole + data + `,"expiration":"tomorrow"`,
		"replay of nothing":         whole + data + `,"ondareplay":"0"`,
	} {
		if err := request.Validate(parsed(t, []byte("{"+event+"}"))); err == nil {
			t.Errorf("%s: the schema accepts %s", name, event)
		}
		if d := deliver(t, []byte("{"+event+"}")); d.topic != asyncapi.DeadLetterTopic {
			t.Errorf("%s: the door accepts %s", name, event)
		}
	}
	result, text := schema(t, "result"), string(examples(t, "result")["matches"])
	for name, event := range map[string]string{
		"no version":       strings.Replace(text, `"modelversion":"1",`, "", 1),
		"no request":       strings.Replace(text, `"requestid":"1042",`, "", 1),
		"no trace context": strings.Replace(text, `"traceparent":"00-`, `"traceparent":"zz-`, 1),
		"a word for score": strings.Replace(text, `"score":0.93`, `"score":"much"`, 1),
		"no answer":        strings.Replace(text, `"answer":`, `"reply":`, 1),
	} {
		if event == text {
			t.Errorf("%s: the example has nothing to replace: %s", name, text)
		}
		if err := result.Validate(parsed(t, []byte(event))); err == nil {
			t.Errorf("%s: the schema accepts %s", name, event)
		}
	}
	failure, letter := schema(t, "error"), string(examples(t, "error")["unknown model"])
	for name, event := range map[string]string{
		"unknown code": strings.Replace(letter, `"NotFound"`, `"Lost"`, 1),
		"no original":  strings.Replace(letter, `"original":`, `"was":`, 1),
		"another type": strings.Replace(letter, "error.v1", "error.v2", 1),
	} {
		if event == letter {
			t.Errorf("%s: the example has nothing to replace: %s", name, letter)
		}
		if err := failure.Validate(parsed(t, []byte(event))); err == nil {
			t.Errorf("%s: the schema accepts %s", name, event)
		}
	}
}
