package load

import (
	"context"
	"fmt"
	"sync"

	dapr "github.com/dapr/go-sdk/client"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
)

// listen has the mailbox hear what arrives on the topics, by streaming subscriptions with
// Dapr's SDK, as an app has that is behind no listener of its own. hangUp ends them.
func (m *mailbox) listen(ctx context.Context, a Answers) (hangUp func(), err error) {
	conn, err := grpc.NewClient(a.Sidecar, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		return nil, err
	}
	// The subscriptions end in order also when the run is cut short.
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	var (
		topics []*topic
		done   sync.WaitGroup
	)
	hangUp = func() {
		for _, t := range topics {
			t.close()
		}
		cancel()
		_ = conn.Close()
		done.Wait()
	}
	client := dapr.NewClientWithConnection(conn)
	for _, name := range []string{a.Results, a.DeadLetters} {
		// Raw payloads bring the whole CloudEvent: otherwise the SDK gives only its data.
		stream, err := client.Subscribe(ctx, dapr.SubscriptionOptions{
			PubsubName: a.PubSub, Topic: name, Metadata: map[string]string{"rawPayload": "true"},
		})
		if err != nil {
			hangUp()
			return nil, fmt.Errorf("subscribe to %s: %w", name, err)
		}
		t := &topic{stream: stream, deadLetters: name == a.DeadLetters}
		topics = append(topics, t)
		done.Go(func() { t.receive(m) })
	}
	return hangUp, nil
}

// topic is a subscription.
type topic struct {
	deadLetters bool

	// writing is held while the stream is written to: the SDK does not order the end of a
	// subscription after what it acknowledges.
	writing sync.Mutex
	stream  *dapr.Subscription
}

// close ends the subscription.
func (t *topic) close() {
	t.writing.Lock()
	defer t.writing.Unlock()
	_ = t.stream.Close() // it fails for a sidecar that is gone
}

// receive takes events until the subscription ends. What was heard is acknowledged.
func (t *topic) receive(m *mailbox) {
	for {
		message, err := t.stream.Receive()
		if err != nil {
			return
		}
		m.hear(message.RawData, t.deadLetters)
		t.writing.Lock()
		err = message.Success()
		t.writing.Unlock()
		if err != nil {
			return
		}
	}
}
