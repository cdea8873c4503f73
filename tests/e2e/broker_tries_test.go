package e2e_test

import (
	"context"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	dapr "github.com/dapr/go-sdk/client"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/onda-serving/onda/tests/internal/ondatest"
)

// TestKafkaTries wants as many tries of an event that is always given back as components/kafka
// says, and then a dead letter.
func TestKafkaTries(t *testing.T) {
	group(t)
	tries(t, ondatest.Kafka(t), 1+1)
}

// TestRabbitMQTries wants those of components/rabbitmq.
func TestRabbitMQTries(t *testing.T) {
	group(t)
	tries(t, ondatest.RabbitMQ(t), 1+8)
}

// tries counts the deliveries of an event to an app that subscribes as Onda does, and gives every
// event back at once, where Onda would try for forty seconds before.
func tries(t *testing.T, server *ondatest.BrokerServer, want int) {
	t.Helper()
	appID := "tries-" + unique()
	components := ondatest.Components(t, appID, server.Backend(stateFile(t)))
	addListener(t, components)
	sidecar := ondatest.StartSidecar(t, ondatest.SidecarOptions{AppID: appID, Components: components})
	b := &broker{publishURL: sidecar.URL("publish/" + pubsub + "/" + requestsTopic), letters: listen(t, sidecar.GRPCPort, listenerComponent, deadLetterTopic)}
	deliveries := giveBack(t, sidecar.GRPCPort)
	id := b.publish(t, number(1))
	if got := b.letters.wait(t, id); got.ID != id {
		t.Errorf("the dead letter is %s, want the event as it was", got.text)
	}
	time.Sleep(2 * time.Second) // one more would have come by then
	if n := deliveries.Load(); n != int64(want) {
		t.Errorf("%d deliveries before the dead letter, want %d", n, want)
	}
	if letters := b.letters.about(t, id); len(letters) != 1 {
		t.Errorf("%d dead letters, want 1", len(letters))
	}
}

// giveBack subscribes to requests, and counts those that it gives back: all.
func giveBack(t *testing.T, port int) *atomic.Int64 {
	t.Helper()
	conn, err := grpc.NewClient(local(port), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	letters := deadLetterTopic
	stream, err := dapr.NewClientWithConnection(conn).Subscribe(ctx, dapr.SubscriptionOptions{
		PubsubName: pubsub, Topic: requestsTopic, DeadLetterTopic: &letters, Metadata: map[string]string{"rawPayload": "true"},
	})
	if err != nil {
		cancel()
		t.Fatalf("subscribe to %s: %s", requestsTopic, err)
	}
	var count atomic.Int64
	var done sync.WaitGroup
	done.Go(func() {
		for {
			message, err := stream.Receive()
			if err != nil {
				return
			}
			count.Add(1)
			if message.Retry() != nil {
				return
			}
		}
	})
	t.Cleanup(func() {
		cancel()
		_ = conn.Close()
		done.Wait()
	})
	return &count
}
