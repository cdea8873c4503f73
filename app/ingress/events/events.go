// Package events is the door for scoring events. Dapr delivers a CloudEvent from a
// broker's topic; the answer is a result event, and a failure that no retry can mend is
// an error event on the dead-letter topic. An event is acknowledged only after the
// event that answers it was published, so a crash in between repeats work and loses
// nothing.
package events

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"time"
	"unicode/utf8"

	"github.com/google/uuid"
	"github.com/rs/zerolog"

	"github.com/onda-serving/onda/app/scoring"
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

// Observer counts events: see telemetry.Metrics, which implements it.
type Observer interface {
	// Event is called once for every delivery. outcome is "scored", "dead_letter" or "retry".
	Event(outcome string, err error)
}

// Config says how the door behaves.
type Config struct {
	// ResultsTopic and DeadLetterTopic are where answers and errors go.
	ResultsTopic, DeadLetterTopic string
	// Timeout is the budget of an event that brings none.
	Timeout time.Duration
	// MaxInstances bounds the instances of an event.
	MaxInstances int
}

// Consumer takes deliveries. It is safe for concurrent use.
type Consumer struct {
	config    Config
	scorer    Scorer
	publisher Publisher
	observer  Observer
	log       zerolog.Logger
}

// New makes a consumer of its parts.
func New(config Config, scorer Scorer, publisher Publisher, observer Observer, log zerolog.Logger) *Consumer {
	return &Consumer{config: config, scorer: scorer, publisher: publisher, observer: observer, log: log}
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
func (c *Consumer) Refuse(err error) (status string) {
	if scoring.CodeOf(err) == scoring.TooLarge {
		return c.drop(cloudEvent{}, err)
	}
	return c.retry(cloudEvent{}, err)
}

// Deliver scores one event, a CloudEvent in structured JSON, and says what Dapr should
// do with it. It keeps nothing of body.
func (c *Consumer) Deliver(ctx context.Context, body []byte) (status string) {
	event, err := parse(body)
	if err != nil {
		return c.deadLetter(ctx, event, body, err)
	}
	result, err := c.score(ctx, event)
	switch {
	case err == nil:
	case scoring.AsError(err).EventOutcome() == scoring.Retry:
		return c.retry(event, err)
	default:
		return c.deadLetter(ctx, event, body, err)
	}
	err = c.publish(ctx, c.config.ResultsTopic, result)
	switch {
	case err == nil:
		c.observer.Event("scored", nil)
		return statusSuccess
	case scoring.CodeOf(err) == scoring.TooLarge:
		return c.deadLetter(ctx, event, body, err)
	default:
		return c.retry(event, scoring.Errorf(scoring.Unavailable, "the result could not be published").WithCause(err))
	}
}

// publish sends an event within a time of its own: the request's budget is spent on the
// scoring, and a sidecar that takes a call and does not answer must not hold the
// delivery, and with it the shutdown, for ever.
func (c *Consumer) publish(ctx context.Context, topic string, event []byte) error {
	ctx, cancel := context.WithTimeout(ctx, publishTimeout)
	defer cancel()
	return c.publisher.Publish(ctx, topic, event)
}

// publishTimeout is longer than what the sidecar takes for its own tries.
const publishTimeout = 20 * time.Second

// score gives the result event for event.
func (c *Consumer) score(ctx context.Context, event cloudEvent) ([]byte, error) {
	deadline, ok, err := event.deadline()
	if err != nil {
		return nil, scoring.Errorf(scoring.Invalid, "%s", err)
	}
	ours := time.Now().Add(c.config.Timeout)
	bounded := ok && deadline.Before(ours)
	if !bounded {
		deadline = ours
	}
	ctx, cancel := context.WithDeadline(ctx, deadline)
	defer cancel()
	if err := ctx.Err(); err != nil {
		return nil, err // not worth reading
	}
	req, err := event.request(wire.Limits{MaxInstances: c.config.MaxInstances})
	if err != nil {
		return nil, err
	}
	if req.timeout > 0 {
		bounded = bounded || req.timeout < c.config.Timeout
		ctx, cancel = context.WithTimeout(ctx, req.timeout)
		defer cancel()
	}
	model, data, err := c.run(ctx, req)
	if scoring.CodeOf(err) == scoring.Expired && !bounded {
		// The event set no limit, we did: it is not too late for it, we are too slow.
		return nil, scoring.Errorf(scoring.Overloaded, "the event waited longer than ONDA_TIMEOUT=%s", c.config.Timeout).WithCause(err)
	}
	if err != nil {
		return nil, err
	}
	return c.result(event, model, data)
}

// run asks the scorer and encodes its answer.
func (c *Consumer) run(ctx context.Context, req request) (model scoring.ModelID, data []byte, err error) {
	if req.infer != nil {
		req.infer.Schedule.Lane = scoring.Bulk // nobody waits for an event's answer in person
		resp, err := c.scorer.Infer(ctx, req.infer)
		if err != nil {
			return model, nil, err
		}
		data, err = wire.EncodeInfer(resp)
		return resp.Model, data, err
	}
	req.predict.Schedule.Lane = scoring.Bulk
	resp, err := c.scorer.Predict(ctx, req.predict)
	if err != nil {
		return model, nil, err
	}
	data, err = wire.EncodePredict(resp)
	return resp.Model, data, err
}

// retry gives the event back to the broker.
func (c *Consumer) retry(event cloudEvent, err error) string {
	c.observer.Event("retry", err)
	c.log.Warn().Err(err).Str("event", event.ID).Str("source", event.Source).Msg("event given back to the broker")
	return statusRetry
}

// deadLetter publishes an error event and ends the original. It answers SUCCESS, not
// DROP: Dapr sends a dropped event to the subscription's dead-letter topic as well, and
// the same failure would be there twice, once without its reason.
func (c *Consumer) deadLetter(ctx context.Context, event cloudEvent, original []byte, err error) string {
	e := scoring.AsError(err)
	letter, encodeErr := c.errorEvent(event, original, e)
	if encodeErr != nil {
		return c.retry(event, encodeErr)
	}
	publishErr := c.publish(ctx, c.config.DeadLetterTopic, letter)
	switch {
	case publishErr == nil:
	case scoring.CodeOf(publishErr) == scoring.TooLarge:
		return c.drop(event, e) // the original alone is smaller, and the sidecar has it
	default:
		return c.retry(event, scoring.Errorf(scoring.Unavailable, "the error event could not be published").WithCause(publishErr))
	}
	c.observer.Event("dead_letter", e)
	c.log.Warn().Err(e).Str("event", event.ID).Str("source", event.Source).Str("subject", clip(event.Subject)).Msg("event sent to the dead-letter topic")
	return statusSuccess
}

// drop leaves the dead letter to Dapr, which has the original.
func (c *Consumer) drop(event cloudEvent, err error) string {
	c.observer.Event("dead_letter", err)
	c.log.Warn().Err(err).Str("event", clip(event.ID)).Str("source", clip(event.Source)).Msg("event dropped: the sidecar sends the original to the dead-letter topic")
	return statusDrop
}

// outgoing is a CloudEvent that Onda publishes. The extension attributes name the event
// that it answers.
type outgoing struct {
	SpecVersion     string          `json:"specversion"`
	ID              string          `json:"id"`
	Source          string          `json:"source"`
	Type            string          `json:"type"`
	Subject         string          `json:"subject,omitempty"`
	Time            string          `json:"time"`
	DataContentType string          `json:"datacontenttype"`
	RequestID       string          `json:"requestid,omitempty"`
	RequestSource   string          `json:"requestsource,omitempty"`
	ModelVersion    string          `json:"modelversion,omitempty"`
	ModelDigest     string          `json:"modeldigest,omitempty"`
	TraceParent     string          `json:"traceparent,omitempty"`
	TraceState      string          `json:"tracestate,omitempty"`
	Data            json.RawMessage `json:"data"`
}

// source of the events that Onda publishes.
const source = "onda"

// answer makes the parts that result and error events share. The id follows from the
// request's source and id, which only together tell one event from all others: a
// repeated delivery gives an event with the same id, so that receivers can tell that
// they have seen it, and two senders that both count from 1 do not give the same.
func answer(event cloudEvent, kind, suffix string, data []byte) outgoing {
	return outgoing{
		SpecVersion: "1.0", ID: event.Source + "#" + event.ID + suffix, Source: source, Type: kind, Subject: event.Subject,
		Time: time.Now().UTC().Format(time.RFC3339Nano), DataContentType: "application/json",
		RequestID: event.ID, RequestSource: event.Source,
		TraceParent: event.TraceParent, TraceState: event.TraceState, Data: data,
	}
}

func (c *Consumer) result(event cloudEvent, model scoring.ModelID, data []byte) ([]byte, error) {
	out := answer(event, ResultType, "/result", data)
	out.ModelVersion = wire.ModelOf(model).Version
	out.ModelDigest = model.Digest
	return wire.Marshal(out)
}

// errorData is the data of an error event.
type errorData struct {
	// Code is the name of the scoring code.
	Code string `json:"code"`
	// Error says what was wrong and what would be right.
	Error string `json:"error"`
	// Original is the event as it came, where it was JSON.
	Original json.RawMessage `json:"original,omitempty"`
	// OriginalBytes is the event as it came, where it was no JSON.
	OriginalBytes []byte `json:"original_base64,omitempty"`
}

func (c *Consumer) errorEvent(event cloudEvent, original []byte, e *scoring.Error) ([]byte, error) {
	event.ID, event.Source, event.Subject = short(event.ID), short(event.Source), short(event.Subject)
	data := errorData{Code: e.Code.String(), Error: e.Message}
	if json.Valid(original) && utf8.Valid(original) {
		data.Original = original
		letter, err := c.encodeError(event, original, data)
		if err == nil {
			return letter, nil
		}
		// An original nested as deeply as encoding/json reads can be no part of anything.
		data.Original = nil
	}
	data.OriginalBytes = original
	return c.encodeError(event, original, data)
}

func (c *Consumer) encodeError(event cloudEvent, original []byte, data errorData) ([]byte, error) {
	encoded, err := wire.Marshal(data)
	if err != nil {
		return nil, fmt.Errorf("encode error event: %w", err)
	}
	out := answer(event, ErrorType, "/error", encoded)
	switch {
	case event.ID != "" && event.Source != "":
	case original != nil:
		// Nothing tells this event from others but its bytes.
		out.ID = fmt.Sprintf("unreadable-%x/error", sha256.Sum256(original))
	default:
		out.ID = "unreadable-" + uuid.NewString() + "/error"
	}
	return wire.Marshal(out)
}

// short bounds an attribute that was refused for its length, and still says what it was.
func short(attribute string) string {
	if len(attribute) <= maxAttribute {
		return attribute
	}
	return clip(attribute)
}
