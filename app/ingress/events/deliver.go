package events

import (
	"context"
	"time"

	"github.com/onda-serving/onda/app/answers"
	"github.com/onda-serving/onda/app/scoring"
	"github.com/onda-serving/onda/app/wire"
)

// deliver scores one event.
func (c *Consumer) deliver(ctx context.Context, body []byte, subject string) (status string) {
	event, body, err := parse(body, subject)
	if c.parts.Tracer != nil {
		ctx = c.trace(ctx, &event)
		defer func() { event.span.End(nil) }()
	}
	if err != nil {
		return c.deadLetter(ctx, event, body, err)
	}
	leave, err := c.enter(ctx)
	if err != nil {
		return c.retry(event, err)
	}
	defer leave()
	lookup := c.lookUp(ctx, event)
	result, err := c.scoreWithRoom(ctx, event)
	before := <-lookup
	switch {
	case before.err != nil:
		return c.retry(event, before.err)
	case before.record != nil && !event.asked(before.record):
		return c.conflict(ctx, event, body)
	case before.record != nil && before.record.Status != answers.Pending:
		return c.repeat(ctx, event, body, before.record)
	case err != nil && scoring.AsError(err).EventOutcome() == scoring.Retry:
		return c.retry(event, err)
	}
	return c.settle(ctx, event, body, before.record, result, err)
}

// enter waits for room. A delivery that waits is what tells a broker to send no more.
func (c *Consumer) enter(ctx context.Context) (leave func(), err error) {
	bounded, cancel := context.WithTimeout(ctx, c.config.Timeout)
	defer cancel()
	leave, err = c.room.Enter(bounded)
	switch {
	case err == nil:
		return leave, nil
	case ctx.Err() != nil:
		return nil, ctx.Err()
	default:
		return nil, scoring.Errorf(scoring.Overloaded, "%d events are being scored, and none of them was done within ONDA_TIMEOUT=%s", c.config.AtOnce, c.config.Timeout).WithCause(err).WithReason(scoring.ReasonEvents)
	}
}

// found is what is known of an event.
type found struct {
	record *answers.Record
	err    error
}

// lookUp asks for the record of an event, which most do not have: meanwhile it is scored.
func (c *Consumer) lookUp(ctx context.Context, event cloudEvent) <-chan found {
	answer := make(chan found, 1)
	if c.parts.Answers == nil {
		answer <- found{}
		return answer
	}
	go func() {
		ctx, cancel := context.WithTimeout(ctx, storeTimeout)
		defer cancel()
		record, err := c.parts.Answers.Find(ctx, event.key())
		answer <- found{record, err}
	}()
	return answer
}

// storeTimeout is longer than what the sidecar takes for its own tries.
const storeTimeout = 10 * time.Second

// settle keeps an answer and publishes the one that stands, which is another's if somebody was
// faster. expected is the record of a request that was accepted before; nil for none. failure
// is why there is no result.
func (c *Consumer) settle(ctx context.Context, event cloudEvent, body []byte, expected *answers.Record, result []byte, failure error) (status string) {
	record := answers.Record{Status: answers.Done, Request: event.fingerprint(), Event: result}
	if expected != nil {
		record.Request = expected.Request // of the request itself: the sidecar wrote its event anew
	}
	if failure != nil {
		letter, err := c.errorEvent(event, body, scoring.AsError(failure))
		if err != nil {
			return c.retry(event, err)
		}
		record.Status, record.Event = answers.Failed, letter
	}
	if c.parts.Answers == nil {
		return c.publishRecord(ctx, event, body, &record, failure)
	}
	stands, err := c.keep(ctx, event, record)
	switch {
	case scoring.CodeOf(err) == scoring.TooLarge && failure == nil:
		// What is kept instead says that, and why.
		return c.settle(ctx, event, body, expected, nil, scoring.Errorf(scoring.TooLarge, "the answer cannot be kept: %s", scoring.AsError(err).Message).WithCause(err))
	case scoring.CodeOf(err) == scoring.TooLarge:
		return c.drop(event, err) // the original alone is smaller, and the sidecar has it
	case err != nil:
		return c.retry(event, err)
	case string(stands.Event) == string(record.Event):
		return c.publishRecord(ctx, event, body, stands, failure)
	default:
		return c.repeat(ctx, event, body, stands)
	}
}

func (c *Consumer) keep(ctx context.Context, event cloudEvent, record answers.Record) (*answers.Record, error) {
	ctx, cancel := context.WithTimeout(ctx, storeTimeout)
	defer cancel()
	return c.parts.Answers.Keep(ctx, event.key(), record)
}

// repeat answers an event as it was answered before.
func (c *Consumer) repeat(ctx context.Context, event cloudEvent, body []byte, record *answers.Record) (status string) {
	if !event.asked(record) {
		return c.conflict(ctx, event, body)
	}
	if status, ok := c.send(ctx, event, body, record); !ok {
		return status
	}
	c.parts.Observer.Event("repeated", nil)
	return statusSuccess
}

// conflict ends an event whose id and source stand for another one.
func (c *Consumer) conflict(ctx context.Context, event cloudEvent, body []byte) (status string) {
	return c.deadLetter(ctx, event, body, scoring.Errorf(scoring.Conflict,
		"another event with this id and source came before, with another subject or other data: want an id that is new for each event of a source"))
}

// publishRecord publishes an answer for the first time. failure is what it is of.
func (c *Consumer) publishRecord(ctx context.Context, event cloudEvent, body []byte, record *answers.Record, failure error) (status string) {
	if status, ok := c.send(ctx, event, body, record); !ok {
		return status
	}
	if failure == nil {
		c.parts.Observer.Event("scored", nil)
		return statusSuccess
	}
	c.buried(event, failure)
	return statusSuccess
}

// send publishes the event of a record. ok is false where that failed, and status then says
// what becomes of the delivery.
func (c *Consumer) send(ctx context.Context, event cloudEvent, body []byte, record *answers.Record) (status string, ok bool) {
	if event.Source == answers.AsyncSource {
		return c.lead(ctx, event, record)
	}
	topic, what := c.config.ResultsTopic, "result"
	if record.Status == answers.Failed {
		topic, what = c.config.DeadLetterTopic, "error event"
	}
	err := c.publish(ctx, topic, record.Event)
	switch {
	case err == nil:
		return "", true
	case scoring.CodeOf(err) != scoring.TooLarge:
		return c.retry(event, scoring.Errorf(scoring.Unavailable, "the %s could not be published", what).WithCause(err)), false
	case record.Status == answers.Failed:
		return c.drop(event, err), false // the original alone is smaller, and the sidecar has it
	default:
		return c.deadLetter(ctx, event, body, err), false
	}
}

// lead makes the answer of an asynchronous request the one that its caller finds, who does not
// know of replays. It is what the publishing is for all others.
func (c *Consumer) lead(ctx context.Context, event cloudEvent, record *answers.Record) (status string, ok bool) {
	if event.replay == 0 || c.parts.Answers == nil {
		return "", true
	}
	ctx, cancel := context.WithTimeout(ctx, storeTimeout)
	defer cancel()
	if err := c.parts.Answers.Answered(ctx, event.key(), record); err != nil {
		return c.retry(event, err), false
	}
	return "", true
}

// publish sends an event within a time of its own: the request's budget is spent on the
// scoring, and a sidecar that takes a call and does not answer must not hold the
// delivery, and with it the shutdown, for ever.
func (c *Consumer) publish(ctx context.Context, topic string, event []byte) error {
	ctx, cancel := context.WithTimeout(ctx, publishTimeout)
	defer cancel()
	return c.parts.Publisher.Publish(ctx, topic, event)
}

// publishTimeout is longer than what the sidecar takes for its own tries.
const publishTimeout = 20 * time.Second

// deadLetter publishes an error event that no record is kept of, and ends the original. It
// answers SUCCESS, not DROP: Dapr sends a dropped event to the subscription's dead-letter
// topic as well, and the same failure would be there twice, once without its reason.
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
	c.buried(event, e)
	return statusSuccess
}

// buried counts a dead letter.
func (c *Consumer) buried(event cloudEvent, err error) {
	text := "event sent to the dead-letter topic"
	if event.Source == answers.AsyncSource {
		text = "asynchronous request failed: its record says why"
	}
	c.parts.Observer.Event("dead_letter", err)
	event.span.Fail(err)
	event.span.Log(c.parts.Log.Warn()).Err(err).Str("event", clip(event.ID)).Str("source", clip(event.Source)).Str("subject", clip(event.Subject)).Msg(text)
}

// scoreWithRoom is score, and tries again while the model has too much to do: the event waits
// here as well as it would at the broker, and the broker notices.
func (c *Consumer) scoreWithRoom(ctx context.Context, event cloudEvent) (result []byte, err error) {
	const first, longest = 20 * time.Millisecond, time.Second
	until := time.Now().Add(c.config.Timeout)
	if deadline, ok, err := event.deadline(); err == nil && ok && deadline.Before(until) {
		until = deadline
	}
	var data payload
	defer func() { data.giveBack() }()
	for pause := first; ; pause = min(2*pause, longest) {
		result, err = c.score(ctx, event, &data)
		if scoring.CodeOf(err) != scoring.Overloaded || time.Until(until) < pause || !wait(ctx, pause) {
			return result, err
		}
	}
}

// score gives the result event for event. What an earlier try has read of its data is in data.
func (c *Consumer) score(ctx context.Context, event cloudEvent, data *payload) ([]byte, error) {
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
	req, err := event.request(ctx, wire.Limits{MaxInstances: c.config.MaxInstances}, c.parts.Fetcher, data)
	if err != nil {
		return nil, c.unlessOurs(err, bounded)
	}
	if req.timeout > 0 {
		bounded = bounded || req.timeout < c.config.Timeout
		ctx, cancel = context.WithTimeout(ctx, req.timeout)
		defer cancel()
	}
	model, answer, err := c.run(ctx, req)
	if err != nil {
		return nil, c.unlessOurs(err, bounded)
	}
	return c.result(event, model, answer)
}

// unlessOurs is err, but for a budget that was ours and not the event's: it is not too late for
// the event then, we, or the storage that its data is in, are too slow.
func (c *Consumer) unlessOurs(err error, bounded bool) error {
	if scoring.CodeOf(err) == scoring.Expired && !bounded {
		return scoring.Errorf(scoring.Overloaded, "the event waited longer than ONDA_TIMEOUT=%s", c.config.Timeout).WithCause(err)
	}
	return err
}

// run asks the scorer and encodes its answer.
func (c *Consumer) run(ctx context.Context, req request) (model scoring.ModelID, data []byte, err error) {
	if req.infer != nil {
		req.infer.Schedule.Lane = scoring.Bulk // nobody waits for an event's answer in person
		resp, err := c.parts.Scorer.Infer(ctx, req.infer)
		if err != nil {
			return model, nil, err
		}
		data, err = wire.EncodeInfer(resp)
		return resp.Model, data, err
	}
	req.predict.Schedule.Lane = scoring.Bulk
	resp, err := c.parts.Scorer.Predict(ctx, req.predict)
	if err != nil {
		return model, nil, err
	}
	data, err = wire.EncodePredict(resp)
	return resp.Model, data, err
}
