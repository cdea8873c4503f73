package e2e_test

import (
	"path/filepath"
	"testing"

	"github.com/onda-serving/onda/tests/internal/ondatest"
)

// TestKafka runs the suite on Kafka, to which Onda subscribes itself.
func TestKafka(t *testing.T) {
	group(t)
	startBroker(t, ondatest.Kafka(t).Backend(stateFile(t)), addListener, listenerComponent).suite(t)
}

// TestKafkaInBulk runs it with a subscription in the components, in bulk and over HTTP.
func TestKafkaInBulk(t *testing.T) {
	group(t)
	startBroker(t, ondatest.Kafka(t).Backend(stateFile(t)), inBulk, listenerComponent).suite(t)
}

// TestRabbitMQ runs the suite on RabbitMQ, to which Onda subscribes itself.
func TestRabbitMQ(t *testing.T) {
	group(t)
	startBroker(t, ondatest.RabbitMQ(t).Backend(stateFile(t)), addListener, listenerComponent).suite(t)
}

// TestRabbitMQInBulk runs it with a subscription in the components, in bulk and over HTTP.
func TestRabbitMQInBulk(t *testing.T) {
	group(t)
	startBroker(t, ondatest.RabbitMQ(t).Backend(stateFile(t)), inBulk, listenerComponent).suite(t)
}

// stateFile is where the state is kept of whoever keeps it nowhere else.
func stateFile(t *testing.T) string {
	t.Helper()
	return filepath.Join(t.TempDir(), "state.db")
}

// inBulk adds a listener, and a subscription in bulk.
func inBulk(t *testing.T, components string) {
	t.Helper()
	addListener(t, components)
	declare(t, components)
}
