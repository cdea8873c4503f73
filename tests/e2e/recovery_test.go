package e2e_test

import (
	"encoding/base64"
	"errors"
	"net/http"
	"strconv"
	"testing"
)

// TestRecovery ends Onda and its sidecar, one after the other, and starts them again on
// the same ports: what was left alone goes on, and all comes together again.
func TestRecovery(t *testing.T) {
	group(t)
	s := startStack(t, nil)
	letters := listen(t, s.own.grpcPort, pubsub, deadLetterTopic)
	s.eventsFlow(t, letters)
	t.Run("onda is killed", func(t *testing.T) {
		s.onda.kill(t)
		for _, w := range s.ways()[1:] {
			if got := (request{path: "/v1/models"}).to(t, w); got.status != http.StatusInternalServerError {
				t.Errorf("%s: %d %s, want the sidecar's 500", w.name, got.status, clip(got.body))
			}
		}
		s.onda.start(t)
		s.together(t)
	})
	t.Run("the sidecar is stopped", func(t *testing.T) {
		s.own.end(t)
		if got := (request{path: "/v2/health/ready"}).to(t, s.direct()); got.status != http.StatusOK {
			t.Errorf("without its sidecar onda answers %d %s", got.status, got.body)
		}
		s.own.start(t)
		s.together(t)
	})
}

// together waits until calls arrive by every way, and then scores a picture by every way
// and by an event.
func (s *stack) together(t *testing.T) {
	t.Helper()
	s.ready(t)
	picture := golden(t, imageModel).cases[0].picture
	s.predict(t, imageModel+":predict", "image/png", picture)

	// New subscriptions: those to a sidecar that was stopped went with it.
	results, letters := listen(t, s.own.grpcPort, pubsub, resultsTopic), listen(t, s.own.grpcPort, pubsub, deadLetterTopic)
	s.eventsFlow(t, letters)
	results.wait(t, s.publishEvent(t, map[string]any{
		"subject": imageModel, "datacontenttype": "image/png", "data_base64": base64.StdEncoding.EncodeToString(picture),
	}))
}

// TestWithoutSidecar runs Onda alone.
func TestWithoutSidecar(t *testing.T) {
	group(t)
	t.Run("switched off", func(t *testing.T) {
		o := newOnda(t, t.TempDir(), map[string]string{"ONDA_DAPR": "off"})
		o.start(t)
		o.ready(t)
		o.scores(t)
		const want = `{"error":"the registry needs a Dapr sidecar, and Onda runs without one"}`
		if got := get(o.url() + "/registry/v1/models"); got.status != http.StatusNotImplemented || got.body != want {
			t.Errorf("registry: %d %s, want 501 %s", got.status, got.body, want)
		}
		delivery := request{path: "/events/scoring", contentType: "application/cloudevents+json", body: []byte(`{}`)}
		// A sidecar that delivers all the same gets its event back: it would lose it for a 404.
		if got := delivery.to(t, way{"directly", o.url()}); got.status != http.StatusOK || got.body != `{"status":"RETRY"}` {
			t.Errorf("an event that nobody could answer: %d %s, want 200 and RETRY", got.status, got.body)
		}
	})
	t.Run("nobody there", func(t *testing.T) {
		nobody := freePort(t)
		o := newOnda(t, t.TempDir(), map[string]string{"DAPR_GRPC_PORT": strconv.Itoa(nobody), "DAPR_HTTP_PORT": strconv.Itoa(nobody)})
		o.start(t)
		o.logs(t, "the Dapr sidecar's components cannot be called yet")
		// Which version is live is not known, and another one than that would be a wrong answer.
		if got := get(o.url() + "/v2/health/ready"); got.status != http.StatusServiceUnavailable {
			t.Errorf("ready without having read the registry: %d %s", got.status, got.body)
		}
		o.end(t)
		if code := o.exitCode(t); code != 0 {
			t.Errorf("exit code %d after SIGTERM, want 0", code)
		}
	})
	t.Run("nobody there, and told not to wait", func(t *testing.T) {
		nobody := freePort(t)
		o := newOnda(t, t.TempDir(), map[string]string{
			"DAPR_GRPC_PORT": strconv.Itoa(nobody), "DAPR_HTTP_PORT": strconv.Itoa(nobody), "ONDA_REGISTRY_WAIT": "100ms",
		})
		o.start(t)
		o.ready(t)
		o.scores(t)
		o.logs(t, "ONDA_REGISTRY_WAIT")
		o.scores(t)
		o.end(t)
	})
}

// scores asks for a picture, directly.
func (o *onda) scores(t *testing.T) {
	t.Helper()
	g := golden(t, imageModel)
	var a answer
	predictOf(imageModel, "image/png", g.cases[0].picture).to(t, way{"directly", o.url()}).into(t, &a)
	if len(a.Predictions) != 1 {
		t.Fatal(errors.New("want one prediction"))
	}
	g.check(t, a.Predictions[0], g.cases[0])
}
