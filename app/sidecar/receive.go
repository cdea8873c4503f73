package sidecar

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	runtime "github.com/dapr/dapr/pkg/proto/runtime/v1"
	"google.golang.org/grpc/metadata"
)

// The answers about a delivery.
const (
	statusSuccess = "SUCCESS"
	statusDrop    = "DROP"
)

// Broker says whether the sidecar has the pub/sub component, and whether its components declare
// a subscription of this app's to a topic.
func (c *Client) Broker(ctx context.Context, topic string) (there, declared bool, err error) {
	found, err := c.dapr.GrpcClient().GetMetadata(ctx, &runtime.GetMetadataRequest{})
	if err != nil {
		return false, false, fmt.Errorf("ask the sidecar for its components: %w", err)
	}
	for _, component := range found.GetRegisteredComponents() {
		there = there || component.GetName() == c.config.PubSub
	}
	for _, s := range found.GetSubscriptions() {
		// A stream may be what an app left behind that was killed.
		declared = declared || c.to(s, topic) && !streams(s)
	}
	return there, declared, nil
}

// Handle answers a delivery, an event as it was published: SUCCESS, RETRY or DROP, as over HTTP.
type Handle func(ctx context.Context, event []byte) (status string)

// Receive has the sidecar deliver the events of a topic over a stream, until ctx ends or the
// stream does. Those whose retries came to an end go to deadLetterTopic; settings are those that
// the broker has for a subscription. When ctx ends, the
// events in work are answered first; what comes then is answered no more, and the broker
// delivers it to somebody else.
//
// A stream rather than deliveries over HTTP: when the app is killed, the sidecar knows that its
// events were not answered, and over HTTP it does not always (in Dapr 1.18 concurrent calls of
// an app can get each other's errors, and an error that is lost that way is a success). And it
// brings the bytes that were published, where it writes JSON anew over HTTP in bulk, with whole
// numbers as floating-point ones.
func (c *Client) Receive(ctx context.Context, topic, deadLetterTopic string, settings map[string]string, handle Handle) error {
	if !c.formerEnded(ctx, topic) {
		return nil
	}
	call, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	r := receiver{handle: handle}
	// Until it is open there is nothing to drain: a sidecar that does not answer holds up nobody.
	opened := context.AfterFunc(ctx, cancel)
	err := r.open(c.tokened(call), c.dapr.GrpcClient(), &runtime.SubscribeTopicEventsRequestInitialAlpha1{
		PubsubName: c.config.PubSub, Topic: topic, DeadLetterTopic: &deadLetterTopic,
		Metadata: whole(settings),
	})
	switch {
	case !opened():
		return nil
	case err != nil:
		return fmt.Errorf("subscribe to %s: %w", topic, err)
	}
	defer context.AfterFunc(ctx, func() {
		r.drain()
		time.AfterFunc(closingPatience, cancel)
	})()
	err = r.receive(call)
	r.work.Wait()
	if ctx.Err() != nil {
		return nil
	}
	return fmt.Errorf("the sidecar ended the subscription to %s: %w", topic, err)
}

const (
	// formerPatience is longer than what the sidecar takes to end a stream: up to thirty seconds for
	// the events that were in work.
	formerPatience = 45 * time.Second
	// settling is what its component takes after that.
	settling = 500 * time.Millisecond
)

// formerEnded waits until the sidecar has ended the stream to a topic that this app left behind
// when it was killed; false says that ctx ended first.
//
// With Kafka, Dapr 1.18 ends the subscription of a stream by the name of its topic, and some time
// after the stream: a new one that begins in that moment is ended in place of the old one, without
// a word, and no event comes until the sidecar is started again.
func (c *Client) formerEnded(ctx context.Context, topic string) bool {
	const look = 50 * time.Millisecond
	for began, waited := time.Now(), false; time.Since(began) < formerPatience; waited = true {
		found, err := c.dapr.GrpcClient().GetMetadata(ctx, &runtime.GetMetadataRequest{})
		if err != nil || !slices.ContainsFunc(found.GetSubscriptions(), func(s *runtime.PubsubSubscription) bool { return c.to(s, topic) && streams(s) }) {
			return !waited || pause(ctx, settling)
		}
		if !pause(ctx, look) {
			return false
		}
	}
	return true // it is another's, or will not end: better two streams than none
}

// to says whether a subscription is to this topic.
func (c *Client) to(s *runtime.PubsubSubscription, topic string) bool {
	return s.GetPubsubName() == c.config.PubSub && s.GetTopic() == topic
}

func streams(s *runtime.PubsubSubscription) bool {
	return s.GetType() == runtime.PubsubSubscriptionType_STREAMING
}

// pause waits; false says that ctx ended first.
func pause(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// whole adds to the settings of a subscription that events come as they were published.
func whole(settings map[string]string) map[string]string {
	all := map[string]string{"rawPayload": "true"}
	maps.Copy(all, settings)
	return all
}

// closingPatience is how long the sidecar may take to end a stream that was closed.
const closingPatience = time.Second

// tokened adds the API token to a stream's metadata.
func (c *Client) tokened(ctx context.Context) context.Context {
	if c.config.APIToken == "" {
		return ctx
	}
	return metadata.AppendToOutgoingContext(ctx, "dapr-api-token", c.config.APIToken)
}

// receiver is a subscription.
type receiver struct {
	handle Handle
	stream runtime.Dapr_SubscribeTopicEventsAlpha1Client
	work   sync.WaitGroup

	mu       sync.Mutex // guards writing to the stream, and what follows
	draining bool
}

func (r *receiver) open(ctx context.Context, client runtime.DaprClient, request *runtime.SubscribeTopicEventsRequestInitialAlpha1) (err error) {
	if r.stream, err = client.SubscribeTopicEventsAlpha1(ctx); err != nil {
		return err
	}
	if err := r.stream.Send(&runtime.SubscribeTopicEventsRequestAlpha1{
		SubscribeTopicEventsRequestType: &runtime.SubscribeTopicEventsRequestAlpha1_InitialRequest{InitialRequest: request},
	}); err != nil {
		return err
	}
	first, err := r.stream.Recv()
	if err == nil && first.GetInitialResponse() == nil {
		err = errors.New("the sidecar began with an event")
	}
	return err
}

// receive answers events, each beside the others, until the stream ends.
func (r *receiver) receive(ctx context.Context) error {
	for {
		message, err := r.stream.Recv()
		if err != nil {
			return err
		}
		if event := message.GetEventMessage(); event != nil && r.begin() {
			go func() {
				defer r.work.Done()
				r.answer(event.GetId(), r.handle(ctx, event.GetData()))
			}()
		}
	}
}

// begin counts an event in, unless it comes too late.
func (r *receiver) begin() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.draining {
		return false
	}
	r.work.Add(1)
	return true
}

// answer tells the sidecar. Where that fails the stream has ended, and the event comes again.
func (r *receiver) answer(id, status string) {
	code := runtime.TopicEventResponse_RETRY
	switch status {
	case statusSuccess:
		code = runtime.TopicEventResponse_SUCCESS
	case statusDrop:
		code = runtime.TopicEventResponse_DROP
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	_ = r.stream.Send(&runtime.SubscribeTopicEventsRequestAlpha1{
		SubscribeTopicEventsRequestType: &runtime.SubscribeTopicEventsRequestAlpha1_EventProcessed{
			EventProcessed: &runtime.SubscribeTopicEventsRequestProcessedAlpha1{Id: id, Status: &runtime.TopicEventResponse{Status: code}},
		},
	})
}

// drain ends the stream after the events in work.
func (r *receiver) drain() {
	r.mu.Lock()
	r.draining = true
	r.mu.Unlock()
	r.work.Wait()
	r.mu.Lock()
	defer r.mu.Unlock()
	_ = r.stream.CloseSend()
}
