package sidecartest

import (
	"context"
	"errors"
	"io"

	runtime "github.com/dapr/dapr/pkg/proto/runtime/v1"
)

// Subscription is a stream that an app opened.
type Subscription struct {
	// PubSub, Topic and DeadLetterTopic that it is to, and its Metadata.
	PubSub, Topic, DeadLetterTopic string
	Metadata                       map[string]string

	deliver  chan delivery
	answered chan answered
	ended    chan struct{}
}

type delivery struct {
	id   string
	data []byte
}

type answered struct{ id, status string }

// Deliver brings an event to the app, which answers when it wants.
func (s *Subscription) Deliver(id string, data []byte) { s.deliver <- delivery{id, data} }

// Answer waits for the next answer: which event, and SUCCESS, RETRY or DROP.
func (s *Subscription) Answer() (id, status string) {
	a := <-s.answered
	return a.id, a.status
}

// Ended is closed when the app has closed the stream.
func (s *Subscription) Ended() <-chan struct{} { return s.ended }

// SetComponents says what the sidecar's components are: pub/sub components by name, and whether
// they declare a subscription to a topic of each; "" declares none.
func (s *Sidecar) SetComponents(declared map[string]string) {
	s.api.mu.Lock()
	defer s.api.mu.Unlock()
	s.api.declared = declared
}

// FormerStream has the sidecar list a stream to a topic that a former life of the app left behind,
// the next times that it is asked.
func (s *Sidecar) FormerStream(pubsub, topic string, times int) {
	s.api.mu.Lock()
	defer s.api.mu.Unlock()
	s.api.former = &runtime.PubsubSubscription{PubsubName: pubsub, Topic: topic, Type: runtime.PubsubSubscriptionType_STREAMING}
	s.api.formerTimes = times
}

// FormerTimes is how often that stream is to be listed yet.
func (s *Sidecar) FormerTimes() int {
	s.api.mu.Lock()
	defer s.api.mu.Unlock()
	return s.api.formerTimes
}

// Subscribed waits for the next stream that is opened.
func (s *Sidecar) Subscribed() *Subscription { return <-s.api.subscribed }

// Silence has the sidecar take the next stream and answer nothing on it; asked is closed when
// it came.
func (s *Sidecar) Silence() (asked <-chan struct{}) {
	s.api.mu.Lock()
	defer s.api.mu.Unlock()
	s.api.silent = make(chan struct{})
	return s.api.silent
}

// EndStreams ends the streams as a sidecar does that stops.
func (s *Sidecar) EndStreams() {
	s.api.mu.Lock()
	defer s.api.mu.Unlock()
	close(s.api.endStreams)
	s.api.endStreams = make(chan struct{})
}

func (a *api) GetMetadata(context.Context, *runtime.GetMetadataRequest) (*runtime.GetMetadataResponse, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	found := &runtime.GetMetadataResponse{}
	for name, topic := range a.declared {
		found.RegisteredComponents = append(found.RegisteredComponents, &runtime.RegisteredComponents{Name: name, Type: "pubsub.fake"})
		if topic != "" {
			found.Subscriptions = append(found.Subscriptions, &runtime.PubsubSubscription{PubsubName: name, Topic: topic, Type: runtime.PubsubSubscriptionType_DECLARATIVE})
		}
	}
	if a.formerTimes > 0 {
		a.formerTimes--
		found.Subscriptions = append(found.Subscriptions, a.former)
	}
	return found, a.fault
}

func (a *api) SubscribeTopicEventsAlpha1(stream runtime.Dapr_SubscribeTopicEventsAlpha1Server) error {
	first, err := stream.Recv()
	if err != nil {
		return err
	}
	a.mu.Lock()
	err = a.enter(stream.Context())
	ending, silent := a.endStreams, a.silent
	a.mu.Unlock()
	if err != nil {
		return err
	}
	if silent != nil {
		close(silent)
		<-stream.Context().Done()
		return stream.Context().Err()
	}
	r := first.GetInitialRequest()
	s := &Subscription{
		PubSub: r.GetPubsubName(), Topic: r.GetTopic(), DeadLetterTopic: r.GetDeadLetterTopic(), Metadata: r.GetMetadata(),
		deliver: make(chan delivery, 64), answered: make(chan answered, 64), ended: make(chan struct{}),
	}
	if err := stream.Send(&runtime.SubscribeTopicEventsResponseAlpha1{
		SubscribeTopicEventsResponseType: &runtime.SubscribeTopicEventsResponseAlpha1_InitialResponse{InitialResponse: &runtime.SubscribeTopicEventsResponseInitialAlpha1{}},
	}); err != nil {
		return err
	}
	a.subscribed <- s
	go s.hear(stream)
	for {
		select {
		case d := <-s.deliver:
			if err := stream.Send(&runtime.SubscribeTopicEventsResponseAlpha1{
				SubscribeTopicEventsResponseType: &runtime.SubscribeTopicEventsResponseAlpha1_EventMessage{EventMessage: &runtime.TopicEventRequest{Id: d.id, Data: d.data}},
			}); err != nil {
				return err
			}
		case <-s.ended:
			return io.EOF
		case <-ending:
			return errors.New("the sidecar stops")
		case <-stream.Context().Done():
			return stream.Context().Err()
		}
	}
}

// hear takes answers until the app closes the stream.
func (s *Subscription) hear(stream runtime.Dapr_SubscribeTopicEventsAlpha1Server) {
	defer close(s.ended)
	for {
		m, err := stream.Recv()
		if err != nil {
			return
		}
		p := m.GetEventProcessed()
		s.answered <- answered{p.GetId(), p.GetStatus().GetStatus().String()}
	}
}
