package async_test

import (
	"bytes"
	"context"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"github.com/onda-serving/onda/app/answers"
	"github.com/onda-serving/onda/app/deadletters"
	"github.com/onda-serving/onda/app/ingress/events"
	"github.com/onda-serving/onda/app/scoring"
)

// topic is a broker that holds the last event.
type topic struct{ event []byte }

func (b *topic) Publish(_ context.Context, _ string, cloudEvent []byte) error {
	b.event = bytes.Clone(cloudEvent)
	return nil
}

// model scores, or fails.
type model struct {
	events.Scorer

	err error
}

func (m *model) Predict(context.Context, *scoring.PredictRequest) (*scoring.PredictResponse, error) {
	return &scoring.PredictResponse{Model: scoring.ModelID{Name: "faq", Version: 3, Digest: "sha256:d1"}, Predictions: []scoring.Prediction{scoring.Matches{}}}, m.err
}

// nobody is told of outcomes.
type nobody struct{}

func (nobody) Event(string, error) {}

func (nobody) Panicked() {}

// TestPutBack takes a request whose event the sidecar gave up on all the way: from the caller to
// the topic, to the dead letters, back by an operator, and to the answer that the caller polls
// for.
func TestPutBack(t *testing.T) {
	t.Parallel()
	r, broker, m := newRig(), &topic{}, &model{}
	r.Publisher = broker
	letters := deadletters.Book{Store: &r.store, Publisher: broker, RequestsTopic: "requests", TTL: time.Hour, Log: zerolog.Nop()}
	door := events.New(events.Config{Timeout: time.Second, MaxInstances: 4}, events.Parts{
		Scorer: m, Publisher: broker, Answers: r.Answers, Observer: nobody{}, Log: zerolog.Nop(),
	})
	status := func() answers.Status {
		t.Helper()
		state, err := r.Status(t.Context(), "7")
		if err != nil {
			t.Fatal(err)
		}
		return state.Status
	}
	if _, err := r.Accept(t.Context(), question("7")); err != nil {
		t.Fatal(err)
	}
	letter := deadletters.Read(broker.event)
	if got := letters.Deliver(t.Context(), broker.event); got != "SUCCESS" || status() != answers.Pending {
		t.Fatalf("got %s, and the request is %s", got, status())
	}
	for _, step := range []struct {
		err  error
		want answers.Status
	}{
		{scoring.Errorf(scoring.NotFound, "model \"faq\" is not here"), answers.Failed},
		{nil, answers.Done},
	} {
		before := status()
		if _, err := letters.Replay(t.Context(), letter.ID, true, "ann"); err != nil {
			t.Fatal(err)
		}
		if got := status(); got != before {
			t.Errorf("the request is %s while it is replayed, want it as before: %s", got, before)
		}
		m.err = step.err
		if got := door.Deliver(t.Context(), broker.event, ""); got.Status != "SUCCESS" || status() != step.want {
			t.Errorf("got %s, and the request is %s, want %s", got.Status, status(), step.want)
		}
	}
	// What the broker still had of the first event changes nothing.
	m.err = scoring.Errorf(scoring.Invalid, "no")
	if got := door.Deliver(t.Context(), letter.Original, ""); got.Status != "SUCCESS" || status() != answers.Done {
		t.Errorf("got %s, and the request is %s", got.Status, status())
	}
}
