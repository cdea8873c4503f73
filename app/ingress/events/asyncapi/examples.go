package asyncapi

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"image"
	"image/color"
	"image/png"
	"time"

	"github.com/rs/zerolog"
	"go.yaml.in/yaml/v3"

	"github.com/onda-serving/onda/app/ingress/events"
	"github.com/onda-serving/onda/app/scoring"
)

// example is one of a message's.
type example struct {
	name, summary string
	payload       *yaml.Node
}

// examples are all of them.
type examples struct{ requests, results, errors []example }

// request is an example, and what becomes of it.
type request struct {
	name, summary string
	event         json.RawMessage
	// answered names the answer that the document shows; "" for one that is like another's.
	answered string
}

// exampleTime stands in the place of the moment at which the examples are made.
const exampleTime = "2026-11-23T20:00:00Z"

const exampleTrace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"

// requests are the examples that are answered, and those that are not.
func requests() ([]request, error) {
	picture, err := picture()
	if err != nil {
		return nil, err
	}
	return []request{
		{"question", "A question, on the version that is live", json.RawMessage(
			`{"specversion":"1.0","id":"1042","source":"shop","type":"onda.score.request.v1","subject":"faq-matching","traceparent":"` + exampleTrace + `","traceid":"` + exampleTrace + `",` +
				`"datacontenttype":"application/json","data":{"instances":["How do I copy an object?"],"parameters":{"top_k":1}}}`), "matches"},
		{"text", "The same as plain text, on a label, with a time budget", json.RawMessage(
			`{"specversion":"1.0","id":"1043","source":"shop","type":"onda.score.request.v1","subject":"faq-matching/labels/canary","expiration":"2099-01-01T00:00:00Z",` +
				`"datacontenttype":"text/plain","data":"How do I copy an object?"}`), ""},
		{"picture", "A picture, on a version", json.RawMessage(
			`{"specversion":"1.0","id":"1044","source":"shop","type":"onda.score.request.v1","subject":"image-classification/versions/1","partitionkey":"customer-7",` +
				`"datacontenttype":"image/png","data_base64":"` + picture + `"}`), "classes"},
		{"tensors", "Tensors, for a model's own inputs", json.RawMessage(
			`{"specversion":"1.0","id":"1045","source":"shop","type":"onda.score.request.v1","subject":"ranking","datacontenttype":"application/json",` +
				`"data":{"inputs":[{"name":"x","datatype":"FP32","shape":[1,2],"data":[0.5,1.5]}]}}`), "tensors"},
		{"reference", "Data that is elsewhere (the claim check)", json.RawMessage(
			`{"specversion":"1.0","id":"1046","source":"shop","type":"onda.score.request.v1","subject":"image-classification","datacontenttype":"image/png",` +
				`"dataref":"https://pictures.example/1046.png","datarefsha256":"9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"}`), ""},
		{"replay", "A request that an operator has put back for the second time", json.RawMessage(
			`{"specversion":"1.0","id":"1042","source":"shop","type":"onda.score.request.v1","subject":"faq-matching","ondareplay":"2",` +
				`"data":{"instances":["How do I copy an object?"]}}`), ""},
	}, nil
}

// refused are requests that end as dead letters.
func refused() []request {
	return []request{
		{"unknown model", "The model is not there", json.RawMessage(
			`{"specversion":"1.0","id":"1047","source":"shop","type":"onda.score.request.v1","subject":"none","data":{"instances":["How?"]}}`), "unknown model"},
		{"spent budget", "The time budget was spent before the request was delivered", json.RawMessage(
			`{"specversion":"1.0","id":"1048","source":"shop","type":"onda.score.request.v1","subject":"faq-matching","expiration":"2020-01-01T00:00:00Z","data":{"instances":["How?"]}}`), "spent budget"},
		{"unreadable", "What came is no event", json.RawMessage(`{"question":"How?"}`), "unreadable"},
	}
}

// picture is a small one, in base64.
func picture() (string, error) {
	img := image.NewGray(image.Rect(0, 0, 8, 8))
	for i := range 8 {
		img.SetGray(i, i, color.Gray{Y: 255})
	}
	var b bytes.Buffer
	if err := png.Encode(&b, img); err != nil {
		return "", err
	}
	return base64.StdEncoding.EncodeToString(b.Bytes()), nil
}

// makeExamples has the door answer the requests.
func makeExamples() (*examples, error) {
	asked, err := requests()
	if err != nil {
		return nil, err
	}
	var all examples
	for _, r := range append(asked, refused()...) {
		answer, failed, err := answered(r.event)
		if err != nil {
			return nil, fmt.Errorf("request %s: %w", r.name, err)
		}
		if !failed {
			payload, err := node(r.event)
			if err != nil {
				return nil, fmt.Errorf("request %s: %w", r.name, err)
			}
			all.requests = append(all.requests, example{r.name, r.summary, payload})
		}
		if r.answered == "" {
			continue
		}
		payload, err := node(answer)
		if err != nil {
			return nil, fmt.Errorf("answer to %s: %w", r.name, err)
		}
		if failed {
			all.errors = append(all.errors, example{r.answered, r.summary, payload})
		} else {
			all.results = append(all.results, example{r.answered, "Answer to the example " + r.name, payload})
		}
	}
	return &all, nil
}

// answered delivers an event to a door, and gives what it publishes.
func answered(event []byte) (answer []byte, failed bool, err error) {
	var out published
	door := events.New(events.Config{ResultsTopic: ResultsTopic, DeadLetterTopic: DeadLetterTopic, Timeout: time.Minute, MaxInstances: 16}, events.Parts{
		Scorer: scorer{}, Publisher: &out, Fetcher: fetcher{}, Observer: nobody{}, Log: zerolog.Nop(),
	})
	if d := door.Deliver(context.Background(), event, ""); d.Status != "SUCCESS" || out.event == nil {
		return nil, false, fmt.Errorf("the door answers %q", d.Status)
	}
	return out.event, out.topic == DeadLetterTopic, nil
}

// node turns JSON into YAML with the same order of its keys, and gives it the examples' time.
func node(text []byte) (*yaml.Node, error) {
	var document yaml.Node
	if err := yaml.Unmarshal(text, &document); err != nil {
		return nil, err
	}
	n := document.Content[0]
	plain(n)
	for i := 0; i < len(n.Content); i += 2 {
		if n.Content[i].Value == "time" {
			n.Content[i+1].Value = exampleTime
		}
	}
	return n, nil
}

// plain takes the style of JSON from a node.
func plain(n *yaml.Node) {
	n.Style = 0
	for _, child := range n.Content {
		plain(child)
	}
}

// published keeps what a door publishes.
type published struct {
	topic string
	event []byte
}

// Publish implements [events.Publisher].
func (p *published) Publish(_ context.Context, topic string, cloudEvent []byte) error {
	p.topic, p.event = topic, bytes.Clone(cloudEvent)
	return nil
}

// scorer gives answers as the shipped models do.
type scorer struct{}

const exampleDigest = "sha256:4d1f5f0f9b6f0b9e2c7d8a3e5b6c1d2e3f405162738495a6b7c8d9e0f1a2b3c4"

// Predict implements [events.Scorer].
func (scorer) Predict(ctx context.Context, req *scoring.PredictRequest) (*scoring.PredictResponse, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	var p scoring.Prediction
	switch req.Model.Name {
	case "faq-matching":
		p = scoring.Matches{Matches: []scoring.Match{{ID: "copy-object", Question: "How can I copy an object?", Answer: "Use copy.copy() or copy.deepcopy().", Score: 0.93}}}
	case "image-classification":
		p = scoring.Classes{Classes: []scoring.Class{{Index: 281, Label: "tabby", Score: 0.81}}}
	default:
		return nil, scoring.Errorf(scoring.NotFound, "Request for unknown model: '%s' is not found: GET /v1/models lists the models", req.Model.Name)
	}
	return &scoring.PredictResponse{Model: model(req.Model.Name), ID: req.ID, Predictions: []scoring.Prediction{p}}, nil
}

// Infer implements [events.Scorer].
func (scorer) Infer(_ context.Context, req *scoring.InferRequest) (*scoring.InferResponse, error) {
	return &scoring.InferResponse{Model: model(req.Model.Name), ID: req.ID, Outputs: req.Inputs}, nil
}

func model(name string) scoring.ModelID {
	return scoring.ModelID{Name: name, Version: 1, Digest: exampleDigest}
}

// fetcher has a picture everywhere.
type fetcher struct{}

// Fetch implements [events.Fetcher].
func (fetcher) Fetch(context.Context, string, string) (body []byte, release func(), err error) {
	return []byte("\x89PNG"), func() {}, nil
}

// nobody counts.
type nobody struct{}

// Event implements [events.Observer].
func (nobody) Event(string, error) {}

// Panicked implements [events.Observer].
func (nobody) Panicked() {}
