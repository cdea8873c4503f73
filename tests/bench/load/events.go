package load

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/onda-serving/onda/tests/bench/stats"
)

// blankID stands in an event for its id: each that is published has one of this length.
const blankID = "????????-0000000000"

// Event is the body of a request that publishes events: a CloudEvent for a model, with data
// that is JSON.
func Event(model string, data json.RawMessage) ([]byte, error) {
	return json.Marshal(map[string]any{
		"specversion": "1.0", "id": blankID, "source": "onda/bench", "type": "onda.score.request.v1", "subject": model,
		"datacontenttype": "application/json", "data": data,
	})
}

const (
	// flowsWithin is how long the first event may take to be answered, and askAgain when the
	// next is published: a topic in a sidecar keeps nothing for those who come later.
	flowsWithin, askAgain = 40 * time.Second, time.Second
	// quiet is how long it is listened after the last answer, for one that comes twice.
	quiet = 200 * time.Millisecond
)

// runEvents does a job whose requests are events.
func runEvents(ctx context.Context, job Job) (r Result, err error) {
	at := bytes.Index(job.Body, []byte(blankID))
	if at < 0 {
		return r, errors.New("the event has no place for an id: want what Event makes")
	}
	box := newMailbox()
	hangUp, err := box.listen(ctx, job.Answers)
	if err != nil {
		return r, err
	}
	defer hangUp()
	office := newOffice(job.Request, at)
	defer office.close()
	if err := flows(ctx, box, office); err != nil {
		return r, err
	}
	r, err = loop(ctx, job, func() (client, error) {
		return &eventClient{box: box, sender: office.sender(), patience: patience}, nil
	})
	pause(ctx, quiet)
	delivery := box.delivery()
	r.Events = &delivery
	return r, err
}

// flows waits until events are answered, and forgets those that it took to see that.
func flows(ctx context.Context, box *mailbox, office *office) (err error) {
	c := &eventClient{box: box, sender: office.sender(), patience: askAgain}
	defer c.close()
	for end := time.Now().Add(flowsWithin); time.Now().Before(end) && ctx.Err() == nil; {
		if _, err = c.do(); err == nil {
			box.forget()
			return nil
		}
		pause(ctx, askAgain/10)
	}
	return errors.Join(fmt.Errorf("no event was answered within %s: %w", flowsWithin, err), ctx.Err())
}

// sender publishes events: that of an id. What it gives says how that went, in its time.
type sender interface {
	send(id string) <-chan error
	close()
}

// eventClient publishes an event and waits for its answer, again and again.
type eventClient struct {
	box      *mailbox
	sender   sender
	patience time.Duration
}

func (c *eventClient) close() { c.sender.close() }

// do implements client.
func (c *eventClient) do() (stats.Outcome, error) {
	id, answer := c.box.expect()
	sent := c.sender.send(id)
	late := time.NewTimer(c.patience)
	defer late.Stop()
	for {
		select {
		case err := <-sent:
			if err != nil {
				c.box.refused(id)
				return stats.Failed, fmt.Errorf("publish: %w", err)
			}
			sent = nil // and on with the wait
		case err := <-answer:
			if err != nil {
				return stats.Failed, err
			}
			return stats.OK, nil
		case <-late.C:
			c.box.lose(id)
			return stats.Failed, fmt.Errorf("an event was published and not answered within %s", c.patience)
		}
	}
}
