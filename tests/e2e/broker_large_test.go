package e2e_test

import (
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/onda-serving/onda/app/onnx/onnxtest"
	"github.com/onda-serving/onda/tests/internal/ondatest"
)

// wideModels give rows of so many numbers, of four bytes each in JSON.
var wideModels = map[string]int{"wide": 10_000, "wider": 300_000}

// smallMessage is what the brokers below take, in bytes: less than what the wide model gives, and
// more than all else.
const smallMessage = "20000"

// startWide starts Onda with these models.
func startWide(t *testing.T, backend ondatest.Backend, settings map[string]string) *broker {
	t.Helper()
	models := t.TempDir()
	addFiles(t, models, brittleModel, 1, modelFiles(brittle()))
	for name, columns := range wideModels {
		addFiles(t, models, name, 1, modelFiles(onnxtest.MatMul(1, int64(columns), slices.Repeat([]float32{0.5}, columns))))
	}
	return startOn(t, models, settings, backend, addListener, listenerComponent)
}

// TestKafkaTooLarge sends events whose results Kafka does not take, by its own limit and by that
// of components/kafka: each is a dead letter that says so, at once and once. A request that it
// does not take is refused to its sender.
func TestKafkaTooLarge(t *testing.T) {
	group(t)
	b := startWide(t, ondatest.Kafka(t, "message.max.bytes="+smallMessage).Backend(stateFile(t)), nil)
	b.tooLarge(t, "wide", "larger than the component behind the sidecar takes")
	b.tooLarge(t, "wider", "larger than the component behind the sidecar takes")
	got := b.send(t, large())
	if got.status != http.StatusInternalServerError || !strings.Contains(got.body, "Message was too large") {
		t.Errorf("a request that is too large is answered by %d %s", got.status, clip(got.body))
	}
}

// TestRabbitMQTooLarge is the same with RabbitMQ, where Onda has to be told the limit: the
// component of Dapr 1.18 says of a message that was refused that it was published.
func TestRabbitMQTooLarge(t *testing.T) {
	group(t)
	b := startWide(t, ondatest.RabbitMQ(t, "max_message_size = "+smallMessage).Backend(stateFile(t)), map[string]string{"ONDA_MAX_PUBLISHED": "18Ki"})
	b.tooLarge(t, "wide", "larger than ONDA_MAX_PUBLISHED=18432")
}

// tooLarge sends an event to a model whose result is too large.
func (b *broker) tooLarge(t *testing.T, model, says string) {
	t.Helper()
	attributes := number(1)
	attributes["subject"] = model
	id := b.publish(t, attributes)
	checkTyped(t, b.letters.wait(t, id), id, "TooLarge", says)
	b.answeredOnce(t, []string{id}, b.letters)
	if tries := metric(t, b.metricsPort, "onda_events_total", `outcome="retry"`); tries > 0 {
		t.Errorf("%v events were given back to the broker", tries)
	}
}

// large is a request of more than smallMessage.
func large() map[string]any {
	return cloudEvent(map[string]any{"subject": brittleModel, "data": map[string]any{"instances": []string{strings.Repeat("long ", 10_000)}}})
}

// send publishes an event, and gives what the sidecar says.
func (b *broker) send(t *testing.T, event map[string]any) reply {
	t.Helper()
	return request{contentType: "application/cloudevents+json", body: asJSON(t, maps.Clone(event))}.to(t, way{"to the topic", b.publishURL})
}
