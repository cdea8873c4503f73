// Package events is the door for scoring events. Dapr delivers a CloudEvent from a
// broker's topic; the answer is a result event, and a failure that no retry can mend is
// an error event on the dead-letter topic.
//
// Brokers deliver at least once. What was answered is kept in the state store before it is
// published (see package answers), so a repeated event gets the answer that the first one
// got, and never another. An event is acknowledged after its answer was published. What a
// crash leaves behind, by the moment in which it comes:
//
//	before the answer is kept         nothing: the broker delivers again, and it is scored
//	kept, and not yet published       the record: the next delivery publishes it
//	published, and not acknowledged   the record: the next delivery publishes the same event
//	                                  again, with the same id
//	acknowledged                      the record, until the store forgets it
//
// Each row is a test: see TestCrashWindows.
package events

import (
	"context"
	"time"

	"github.com/rs/zerolog"

	"github.com/onda-serving/onda/app/admit"
	"github.com/onda-serving/onda/app/answers"
	"github.com/onda-serving/onda/app/scoring"
	"github.com/onda-serving/onda/app/telemetry/spans"
	"github.com/onda-serving/onda/app/wire"
)

// Scorer scores requests: see engine.Engine, which implements it.
type Scorer interface {
	// Predict scores instances with a model's pipeline.
	Predict(ctx context.Context, req *scoring.PredictRequest) (*scoring.PredictResponse, error)
	// Infer runs a model on tensors.
	Infer(ctx context.Context, req *scoring.InferRequest) (*scoring.InferResponse, error)
}

// Publisher publishes events: see sidecar.Client, which implements it.
type Publisher interface {
	// Publish sends a CloudEvent in structured JSON to a topic.
	Publish(ctx context.Context, topic string, cloudEvent []byte) error
}

// Answers are what was answered: see answers.Book, which implements it.
type Answers interface {
	// Find gives the record under key; nil if there is none.
	Find(ctx context.Context, key answers.Key) (*answers.Record, error)
	// Keep records an answer, and gives the record that stands.
	Keep(ctx context.Context, key answers.Key, r answers.Record) (*answers.Record, error)
	// Answered notes that a request was answered anew, for its caller to find.
	Answered(ctx context.Context, key answers.Key, r *answers.Record) error
}

// Fetcher gets data that an event only refers to: see dataref.Fetcher, which implements it.
type Fetcher interface {
	// Fetch reads what is at uri and proves its SHA-256, in hexadecimal digits. The body is
	// valid until release is called.
	Fetch(ctx context.Context, uri, sha256 string) (body []byte, release func(), err error)
}

// Observer counts events: see telemetry.Metrics, which implements it.
type Observer interface {
	// Event is called once for every delivered event. outcome is "scored", "repeated",
	// "dead_letter" or "retry".
	Event(outcome string, err error)
	// Panicked is called for each panic that was caught.
	Panicked()
}

// Config says how the door behaves.
type Config struct {
	// ResultsTopic and DeadLetterTopic are where answers and errors go.
	ResultsTopic, DeadLetterTopic string
	// Timeout is the budget of an event that brings none.
	Timeout time.Duration
	// MaxInstances bounds the instances of an event.
	MaxInstances int
	// AtOnce is how many events are scored at a time; the others wait, and with them the
	// broker. 0 means [defaultAtOnce].
	AtOnce int
}

// defaultAtOnce is enough to fill the batches of some models.
const defaultAtOnce = 256

// Parts are what the door works with.
type Parts struct {
	// Scorer of requests.
	Scorer Scorer
	// Publisher of answers.
	Publisher Publisher
	// Answers that were given; nil scores a repeated event again.
	Answers Answers
	// Fetcher of data by reference; nil refuses such events.
	Fetcher Fetcher
	// Observer of outcomes.
	Observer Observer
	// Tracer of events; nil where nothing is traced.
	Tracer *spans.Tracer
	// Log of what was given back, and of dead letters.
	Log zerolog.Logger
}

// Consumer takes deliveries. It is safe for concurrent use.
type Consumer struct {
	config Config
	parts  Parts
	room   *admit.Gate
	// postponed hears of an event that is to be tried again, and why; nil gives it back to the
	// broker.
	postponed func(event cloudEvent, err error)
}

// New makes a consumer of its parts.
func New(config Config, parts Parts) *Consumer {
	if config.AtOnce < 1 {
		config.AtOnce = defaultAtOnce
	}
	return &Consumer{config: config, parts: parts, room: admit.New(config.AtOnce)}
}

// The answers that Dapr understands.
const (
	statusSuccess = "SUCCESS"
	statusRetry   = "RETRY"
	statusDrop    = "DROP"
)

// Refuse says what Dapr should do with a delivery whose body could not be read, and why
// is err, an [scoring.Error]. One that is too large will be too large for ever, and
// there is nothing of it to put into an error event: Dapr sends the original itself to
// the subscription's dead-letter topic. Anything else may be whole the next time.
func (c *Consumer) Refuse(err error) wire.Delivery {
	if scoring.CodeOf(err) == scoring.TooLarge {
		return wire.Delivery{Status: c.drop(cloudEvent{}, err)}
	}
	return wire.Delivery{Status: c.retry(cloudEvent{}, err)}
}

// Deliver scores a delivery, a CloudEvent in structured JSON or a list of them as Dapr's bulk
// subscriptions have it, and says what Dapr should do with it. subject is the model where
// the path says it, for messages that are no CloudEvents and cannot. It keeps nothing of body.
func (c *Consumer) Deliver(ctx context.Context, body []byte, subject string) wire.Delivery {
	if entries, ok := bulk(body); ok {
		return wire.Delivery{Statuses: c.deliverAll(ctx, entries, subject)}
	}
	return wire.Delivery{Status: c.deliver(ctx, body, subject)}
}

// retry has the event tried again.
func (c *Consumer) retry(event cloudEvent, err error) string {
	event.span.Fail(err)
	if c.postponed != nil {
		c.postponed(event, err)
	} else {
		c.givenBack(event, err)
	}
	return statusRetry
}

// givenBack counts an event that the broker delivers again.
func (c *Consumer) givenBack(event cloudEvent, err error) {
	c.parts.Observer.Event("retry", err)
	event.span.Log(c.parts.Log.Warn()).Err(err).Str("event", clip(event.ID)).Str("source", clip(event.Source)).Msg("event given back to the broker")
}

// drop leaves the dead letter to Dapr, which has the original.
func (c *Consumer) drop(event cloudEvent, err error) string {
	c.parts.Observer.Event("dead_letter", err)
	event.span.Fail(err)
	event.span.Log(c.parts.Log.Warn()).Err(err).Str("event", clip(event.ID)).Str("source", clip(event.Source)).Msg("event dropped: the sidecar sends the original to the dead-letter topic")
	return statusDrop
}
