package events_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"flag"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rs/zerolog"
	"go.uber.org/goleak"

	"github.com/onda-serving/onda/app/ingress/events"
	"github.com/onda-serving/onda/app/scoring"
)

var update = flag.Bool("update", false, "write the golden files anew")

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// The topics of the tests.
const (
	results     = "results"
	deadLetters = "deadletters"
)

var model = scoring.ModelID{Name: "faq", Version: 3, Digest: "sha256:d1"}

// scorer is a fake that remembers what it was asked.
type scorer struct {
	err error

	mu        sync.Mutex
	predicted []*scoring.PredictRequest
	inferred  []*scoring.InferRequest
	// budgets are the times that were left.
	budgets []time.Duration
}

func (s *scorer) Predict(ctx context.Context, req *scoring.PredictRequest) (*scoring.PredictResponse, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.predicted = append(s.predicted, req)
	if err := s.asked(ctx); err != nil {
		return nil, err
	}
	matches := scoring.Matches{Matches: []scoring.Match{{ID: "a", Question: "How?", Answer: "So & so.", Score: .5}}}
	return &scoring.PredictResponse{Model: model, ID: req.ID, Predictions: slices.Repeat([]scoring.Prediction{matches}, len(req.Instances))}, nil
}

func (s *scorer) Infer(ctx context.Context, req *scoring.InferRequest) (*scoring.InferResponse, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.inferred = append(s.inferred, req)
	if err := s.asked(ctx); err != nil {
		return nil, err
	}
	return &scoring.InferResponse{Model: model, ID: req.ID, Outputs: req.Inputs}, nil
}

// asked notes the budget, and fails as the engine does.
func (s *scorer) asked(ctx context.Context) error {
	if deadline, ok := ctx.Deadline(); ok {
		s.budgets = append(s.budgets, time.Until(deadline))
	}
	if s.err != nil {
		return s.err
	}
	return ctx.Err()
}

// message is an event that was published.
type message struct {
	topic string
	body  []byte
}

// publisher is a fake that keeps what was published.
type publisher struct {
	err error

	mu       sync.Mutex
	messages []message
}

func (p *publisher) Publish(ctx context.Context, topic string, cloudEvent []byte) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.err != nil {
		return p.err
	}
	p.messages = append(p.messages, message{topic, bytes.Clone(cloudEvent)})
	return ctx.Err()
}

// observer is a fake that counts.
type observer struct {
	mu     sync.Mutex
	seen   []string
	panics int
}

func (o *observer) Event(outcome string, err error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	code := "OK"
	if err != nil {
		code = scoring.CodeOf(err).String()
	}
	o.seen = append(o.seen, outcome+" "+code)
}

func (o *observer) Panicked() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.panics++
}

// door is a consumer with its fakes.
type door struct {
	scorer    scorer
	publisher publisher
	observer  observer
	log       bytes.Buffer
	handler   *events.Consumer
}

func newDoor() *door {
	d := &door{}
	d.handler = d.with(&d.scorer)
	return d
}

// deliver hands a body to the door as the HTTP door does, and gives the status that Dapr
// reads.
func (d *door) deliver(t *testing.T, body string) string {
	t.Helper()
	return d.handler.Deliver(t.Context(), []byte(body), "").Status
}

// published checks that exactly one event went out, to topic, and gives its attributes.
func (d *door) published(t *testing.T, topic string) map[string]any {
	t.Helper()
	if len(d.publisher.messages) != 1 || d.publisher.messages[0].topic != topic {
		t.Fatalf("got %s published, want one event to %s", d.publisher.messages, topic)
	}
	var event map[string]any
	if err := json.Unmarshal(d.publisher.messages[0].body, &event); err != nil {
		t.Fatal(err)
	}
	return event
}

// observed checks what was counted.
func (d *door) observed(t *testing.T, want ...string) {
	t.Helper()
	if !slices.Equal(d.observer.seen, want) {
		t.Errorf("counted: got %q, want %q", d.observer.seen, want)
	}
}

// refused checks that the event became an error event with this code and text.
func (d *door) refused(t *testing.T, status string, code scoring.Code, text string) map[string]any {
	t.Helper()
	if status != "SUCCESS" {
		t.Errorf("got status %q, want SUCCESS: the dead letter was published", status)
	}
	event := d.published(t, deadLetters)
	data, ok := event["data"].(map[string]any)
	if !ok || data["code"] != code.String() || data["error"] != text {
		t.Errorf("got  %v: %v\nwant %s: %s", data["code"], data["error"], code, text)
	}
	d.observed(t, "dead_letter "+code.String())
	return event
}

// inBubble runs a parallel subtest whose time is virtual.
func inBubble(t *testing.T, name string, test func(t *testing.T)) {
	t.Helper()
	t.Run(name, func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, test)
	})
}

// golden compares got with a file of testdata.
func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, append(bytes.Clone(got), '\n'), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, bytes.TrimRight(want, "\n")) {
		t.Errorf("%s:\ngot  %s\nwant %s", path, got, want)
	}
}

// event makes a request for the model faq with more attributes, each with a comma before.
func event(more ...string) string {
	return `{"specversion": "1.0", "id": "7", "source": "shop", "type": "onda.score.request.v1", "subject": "faq"` + strings.Join(more, "") + `}`
}

// Data of the requests.
const (
	predictData = `, "data": {"instances": ["How?"]}`
	inferData   = `, "data": {"inputs": [{"name": "x", "shape": [2], "datatype": "INT8", "data": [1, 2]}]}`
)

var errBroker = errors.New("the broker is away")

// with makes a consumer around a scorer.
func (d *door) with(s events.Scorer) *events.Consumer { return d.made(events.Parts{Scorer: s}) }

// made makes a consumer of parts and the door's fakes.
func (d *door) made(parts events.Parts) *events.Consumer {
	parts.Observer, parts.Log = &d.observer, zerolog.New(zerolog.SyncWriter(&d.log))
	if parts.Publisher == nil {
		parts.Publisher = &d.publisher
	}
	return events.New(events.Config{ResultsTopic: results, DeadLetterTopic: deadLetters, Timeout: 30 * time.Second, MaxInstances: 4}, parts)
}

func base64Of(s string) string { return base64.StdEncoding.EncodeToString([]byte(s)) }

// mangler answers with bytes that are no text.
type mangler struct{ events.Scorer }

func (m mangler) Infer(ctx context.Context, req *scoring.InferRequest) (*scoring.InferResponse, error) {
	resp, err := m.Scorer.Infer(ctx, req)
	if err == nil {
		resp.Outputs[1].Strings[0] = []byte{0xff}
	}
	return resp, err
}

// sleeper answers when the budget is spent.
type sleeper struct{ events.Scorer }

func (s sleeper) Predict(ctx context.Context, req *scoring.PredictRequest) (*scoring.PredictResponse, error) {
	<-ctx.Done()
	return s.Scorer.Predict(ctx, req)
}
