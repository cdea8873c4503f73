package e2e_test

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/onda-serving/onda/tests/internal/ondatest"
)

// The suite below says what every broker must give: it runs on the one inside the sidecar, and on
// a real Redis, Kafka and RabbitMQ, event by event and in bulk.

// TestBrokerInMemory runs the suite on the broker that users begin with.
func TestBrokerInMemory(t *testing.T) {
	group(t)
	backend := ondatest.SQLite(filepath.Join(t.TempDir(), "state.db"))
	startBroker(t, backend, nil, pubsub).suite(t)
}

// TestBrokerRedis runs it on Redis streams, to which Onda subscribes itself.
func TestBrokerRedis(t *testing.T) {
	group(t)
	startBroker(t, ondatest.Redis(t).Backend(), addListener, listenerComponent).suite(t)
}

// TestBrokerRedisInBulk runs it with a subscription in the components, in bulk and over HTTP.
func TestBrokerRedisInBulk(t *testing.T) {
	group(t)
	startBroker(t, ondatest.Redis(t).Backend(), func(t *testing.T, components string) {
		t.Helper()
		addListener(t, components)
		declare(t, components)
	}, listenerComponent).suite(t)
}

// resources reads a file of resources, and gives them with what writes them back to a file.
func resources(t *testing.T, path string) (all []map[string]any, write func(to string, all ...map[string]any)) {
	t.Helper()
	for documents := yaml.NewDecoder(bytes.NewReader(read(t, path))); ; {
		var one map[string]any
		if err := documents.Decode(&one); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		all = append(all, one)
	}
	return all, func(to string, all ...map[string]any) {
		var text bytes.Buffer
		encoder := yaml.NewEncoder(&text)
		for _, one := range all {
			if err := encoder.Encode(one); err != nil {
				t.Fatal(err)
			}
		}
		if err := os.WriteFile(to, text.Bytes(), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// declare adds a subscription to scoring requests to a folder of components.
func declare(t *testing.T, components string) {
	t.Helper()
	own, _ := resources(t, filepath.Join(components, "subscription.yaml"))
	all, write := resources(t, filepath.Join(root, "components", "local", "subscription.yaml"))
	spec, _ := all[0]["spec"].(map[string]any)
	if spec["topic"] != requestsTopic {
		t.Fatalf("components/local/subscription.yaml begins with topic %v", spec["topic"])
	}
	spec["metadata"] = map[string]any{"rawPayload": "true"} // as components/azure-eventhubs has it
	spec["bulkSubscribe"] = map[string]any{"enabled": true, "maxMessagesCount": 32, "maxAwaitDurationMs": 50}
	all[0]["scopes"] = own[0]["scopes"]
	write(filepath.Join(components, "requests.yaml"), all[0])
}

// listenerComponent is the broker as another app sees it.
const listenerComponent = "listener"

// addListener adds it to a folder of components: whoever listens under Onda's own consumer id
// shares the dead letters with Onda, which keeps them.
func addListener(t *testing.T, components string) {
	t.Helper()
	all, write := resources(t, filepath.Join(components, "pubsub.yaml"))
	metadata, _ := all[0]["metadata"].(map[string]any)
	spec, _ := all[0]["spec"].(map[string]any)
	settings, _ := spec["metadata"].([]any)
	// Kafka's has a name of its own.
	i := slices.IndexFunc(settings, func(s any) bool {
		return slices.Contains([]any{"consumerID", "consumerGroup"}, s.(map[string]any)["name"])
	})
	if metadata["name"] != pubsub || i < 0 {
		t.Fatalf("the first component of %s is %v, with settings %v", components, metadata["name"], settings)
	}
	metadata["name"] = listenerComponent
	settings[i] = map[string]any{"name": settings[i].(map[string]any)["name"], "value": listenerComponent}
	write(filepath.Join(components, listenerComponent+".yaml"), all[0])
}

// brittleModel fails for numbers above [limit].
const brittleModel = "brittle"

// broker is Onda behind its sidecar, and listeners to what it publishes.
type broker struct {
	url, publishURL  string
	metricsPort      int
	results, letters *listener
	// raw says that Onda, and not its sidecar, reads the events first: over a stream, or as raw
	// messages.
	raw bool
}

// startBroker starts Onda on a backend, and listens to the named component. change may change
// the components.
func startBroker(t *testing.T, backend ondatest.Backend, change func(t *testing.T, components string), heardBy string) *broker {
	t.Helper()
	models := t.TempDir()
	linkModel(t, models, faqModel)
	linkModel(t, models, imageModel)
	addFiles(t, models, brittleModel, 1, modelFiles(brittle()))
	return startOn(t, models, nil, backend, change, heardBy)
}

// startOn is startBroker with the models of a folder, of which brittle is one, and with settings.
func startOn(t *testing.T, models string, settings map[string]string, backend ondatest.Backend, change func(t *testing.T, components string), heardBy string) *broker {
	t.Helper()
	appID := "broker-" + unique()
	components := ondatest.Components(t, appID, backend)
	if change != nil {
		change(t, components)
	}
	metrics := freePort(t)
	all := map[string]string{"ONDA_METRICS_LISTEN": local(metrics)}
	maps.Copy(all, settings)
	r := ondatest.StartReplica(t, ondatest.ReplicaOptions{Binary: ondaBinary, AppID: appID, Models: models, Components: components, Settings: all})
	b := &broker{
		raw: heardBy == listenerComponent,
		url: r.Onda.URL, publishURL: r.Sidecar.URL("publish/" + pubsub + "/" + requestsTopic), metricsPort: metrics,
		results: listen(t, r.Sidecar.GRPCPort, heardBy, resultsTopic), letters: listen(t, r.Sidecar.GRPCPort, heardBy, deadLetterTopic),
	}
	b.flows(t)
	return b
}

// source of the suite's events.
const brokerSource = "broker/suite"

// cloudEvent makes a request; attributes that are not given get their usual value.
func cloudEvent(attributes map[string]any) map[string]any {
	e := map[string]any{
		"specversion": "1.0", "id": "request-" + unique(), "source": brokerSource, "type": "onda.score.request.v1", "datacontenttype": "application/json",
	}
	maps.Copy(e, attributes)
	return e
}

// publish sends an event and gives its id.
func (b *broker) publish(t *testing.T, attributes map[string]any) string {
	t.Helper()
	e := cloudEvent(attributes)
	got := request{contentType: "application/cloudevents+json", body: asJSON(t, e)}.to(t, way{"to the topic", b.publishURL})
	if err := wants(http.StatusNoContent, got); err != nil {
		t.Fatalf("publish: %s", err)
	}
	return e["id"].(string)
}

// flows waits until events arrive: a topic in the sidecar keeps nothing for later.
func (b *broker) flows(t *testing.T) {
	t.Helper()
	var sent []string
	var last time.Time
	eventually(t, "the first event is answered", func() error {
		if time.Since(last) > 300*time.Millisecond {
			sent = append(sent, b.publish(t, number(1)))
			last = time.Now()
		}
		if slices.ContainsFunc(sent, func(id string) bool { return len(b.results.about(t, id)) > 0 }) {
			return nil
		}
		return fmt.Errorf("none of %d", len(sent))
	})
}

// number asks the brittle model about a number.
func number(x float64) map[string]any {
	return map[string]any{
		"subject": brittleModel,
		"data":    map[string]any{"inputs": []tensor{{Name: "INPUT", Datatype: "FP32", Shape: []int64{1, 1}, Data: []float64{x}}}},
	}
}

func (b *broker) suite(t *testing.T) {
	t.Helper()
	t.Run("results", b.resultsOnce)
	t.Run("trace", b.traceGoesOn)
	t.Run("dead letters", b.typedLetters)
	t.Run("long numbers", b.longNumbers)
	t.Run("spent budget", b.spentBudget)
	t.Run("poison", b.poison)
	t.Run("the same event twice", b.twice)
	t.Run("bulk", b.bulk)
}

// checkAnswered holds a result against its request.
func checkAnswered(t *testing.T, got event, id, subject string) {
	t.Helper()
	if got.ID != brokerSource+"#"+id+"/result" || got.Type != "onda.score.result.v1" || got.Source != "onda" || got.Subject != subject ||
		got.RequestID != id || got.RequestSource != brokerSource {
		t.Errorf("request %s about %s is answered by %s", id, subject, got.text)
	}
	if got.ModelVersion != "1" || !strings.HasPrefix(got.ModelDigest, "sha256:") {
		t.Errorf("the result does not say which version gave it: %s", got.text)
	}
}

// resultsOnce sends every form of data: each is answered once.
func (b *broker) resultsOnce(t *testing.T) {
	picture, question := golden(t, imageModel).cases[0], golden(t, faqModel).cases[0]
	encoded := base64.StdEncoding.EncodeToString(picture.picture)
	ids := map[string]string{}
	for name, attributes := range map[string]map[string]any{
		"JSON":               {"subject": faqModel, "data": map[string]any{"instances": []string{question.text}}},
		"text":               {"subject": faqModel + "/versions/1", "datacontenttype": "text/plain", "data": question.text},
		"a picture":          {"subject": imageModel + "/labels/live", "datacontenttype": "image/png", "data_base64": encoded},
		"a picture in JSON":  {"subject": imageModel, "data": map[string]any{"instances": []any{map[string]string{"b64": encoded}}}},
		"tensors":            number(3),
		"a budget to be met": {"subject": faqModel, "expiration": time.Now().Add(time.Hour).UTC().Format(time.RFC3339), "data": map[string]any{"instances": []string{question.text}}},
	} {
		id := b.publish(t, attributes)
		ids[name] = id
		got := b.results.wait(t, id)
		checkAnswered(t, got, id, attributes["subject"].(string))
		switch {
		case name == "tensors":
			if s, err := readScored(got.Data); err != nil || s.y != 3 {
				t.Errorf("%s: got %s (%v), want 3", name, got.Data, err)
			}
		default:
			want := golden(t, faqModel)
			expected := question
			if strings.HasPrefix(name, "a picture") {
				want, expected = golden(t, imageModel), picture
			}
			var a answer
			if err := json.Unmarshal(got.Data, &a); err != nil || len(a.Predictions) != 1 {
				t.Fatalf("%s: the result's data is %s (%v)", name, clip(string(got.Data)), err)
			}
			want.check(t, a.Predictions[0], expected)
		}
	}
	b.answeredOnce(t, slices.Collect(maps.Values(ids)), b.results)
}

// answeredOnce looks, after an event that was sent later is answered, that none of the
// requests has a second answer, and no dead letter.
func (b *broker) answeredOnce(t *testing.T, ids []string, on *listener) {
	t.Helper()
	b.results.wait(t, b.publish(t, number(1)))
	time.Sleep(100 * time.Millisecond)
	for _, id := range ids {
		for _, l := range []*listener{b.results, b.letters} {
			want := 0
			if l == on {
				want = 1
			}
			if got := l.about(t, id); len(got) != want {
				t.Errorf("%s: %d events on %s, want %d", id, len(got), l.topic, want)
			}
		}
	}
}

// traceGoesOn from the request to its result and to its dead letter.
func (b *broker) traceGoesOn(t *testing.T) {
	const trace = "4bf92f3577b34da6a3ce929d0e0e4736"
	const parent = "00-" + trace + "-00f067aa0ba902b7-01"
	for subject, l := range map[string]*listener{brittleModel: b.results, "none": b.letters} {
		attributes := number(2)
		maps.Copy(attributes, map[string]any{"subject": subject, "traceparent": parent, "traceid": parent})
		if got := l.wait(t, b.publish(t, attributes)); !strings.HasPrefix(got.TraceParent, "00-"+trace+"-") {
			t.Errorf("on %s: traceparent %q, want trace %s: %s", l.topic, got.TraceParent, trace, got.text)
		}
	}
}

// checkTyped holds a dead letter against the request.
func checkTyped(t *testing.T, got event, id, code, text string) {
	t.Helper()
	var data letter
	var original event
	if err := json.Unmarshal(got.Data, &data); err != nil {
		t.Fatalf("the dead letter %s: %s", got.text, err)
	}
	if !strings.HasPrefix(got.ID, brokerSource+"#"+id+"/error") || got.Type != "onda.score.error.v1" || got.RequestID != id || data.Code != code || !strings.Contains(data.Error, text) {
		t.Errorf("request %s: %s\nwant code %s and %q", id, got.text, code, text)
	}
	if err := json.Unmarshal(data.Original, &original); err != nil || original.ID != id {
		t.Errorf("the original is %s (%v)", clip(string(data.Original)), err)
	}
}

// typedLetters sends what no retry can mend.
func (b *broker) typedLetters(t *testing.T) {
	var ids []string
	for _, c := range []struct {
		attributes map[string]any
		code, text string
	}{
		{map[string]any{"subject": "none", "data": map[string]any{"instances": []string{"How?"}}}, "NotFound", "unknown model"},
		{map[string]any{"subject": faqModel + "/versions/99", "data": map[string]any{"instances": []string{"How?"}}}, "NotFound", "no version 99"},
		{map[string]any{"subject": faqModel, "data": map[string]any{"instance": "x"}}, "Invalid", "unknown key"},
		{map[string]any{"subject": faqModel}, "Invalid", "neither data nor data_base64"},
		{map[string]any{"subject": imageModel, "datacontenttype": "image/png", "data_base64": "bm8gcGljdHVyZQ=="}, "Invalid", "not a picture"},
		{number(limit + 1), "Invalid", "rejects"},
	} {
		id := b.publish(t, c.attributes)
		checkTyped(t, b.letters.wait(t, id), id, c.code, c.text)
		ids = append(ids, id)
	}
	b.answeredOnce(t, ids, b.letters)
}

// longNumbers come as they were sent: a sidecar that reads an event may write those beyond 2^53
// anew, as floating-point ones.
func (b *broker) longNumbers(t *testing.T) {
	const long = "9007199254740993"
	id := b.publish(t, map[string]any{"subject": faqModel, "data": map[string]any{"instance": json.Number(long)}})
	got := b.letters.wait(t, id)
	checkTyped(t, got, id, "Invalid", "unknown key")
	if !strings.Contains(string(got.text), long) {
		t.Errorf("got %s, want the number %s in it", got.text, long)
	}
}

// spentBudget sends events whose time is over: none is scored. Where the sidecar reads them it puts what
// it sees in time on the dead-letter topic as it is; what Onda sees is counted there and gets its
// reason.
func (b *broker) spentBudget(t *testing.T) {
	attributes := number(4)
	attributes["expiration"] = "2020-01-01T00:00:00Z"
	spent := func() float64 {
		return metric(t, b.metricsPort, "onda_events_total", `outcome="dead_letter"`, `code="Expired"`)
	}
	want := spent() + 1
	id := b.publish(t, attributes)
	if b.raw {
		want++
		checkTyped(t, b.letters.wait(t, id), id, "Expired", "time budget was spent")
	} else if got := b.letters.wait(t, id); got.ID != id || got.Type != "onda.score.request.v1" {
		t.Errorf("the sidecar passed on %s, want the event as it was", got.text)
	}
	late := cloudEvent(attributes)
	got := request{path: "/events/scoring", contentType: "application/cloudevents+json", body: asJSON(t, late)}.to(t, way{"directly", b.url})
	if got.status != http.StatusOK || got.body != `{"status":"SUCCESS"}` {
		t.Errorf("the delivery is answered by %d %s", got.status, got.body)
	}
	checkTyped(t, b.letters.wait(t, late["id"].(string)), late["id"].(string), "Expired", "time budget was spent")
	// An event is counted after its dead letter went out, which may have come here by then.
	eventually(t, "the events of spent budgets are counted", func() error {
		if got := spent(); got != want {
			return fmt.Errorf("%v are counted, want %v", got, want)
		}
		return nil
	})
	b.answeredOnce(t, []string{id, late["id"].(string)}, b.letters)
}

func (b *broker) poison(t *testing.T) { b.poisoned(t) }

// poisoned sends 64 events of which one makes the model fail, and gives the id of that one: the
// others do not suffer.
func (b *broker) poisoned(t *testing.T) (id string) {
	t.Helper()
	const count, bad = 64, 17
	ids := make([]string, count)
	var all sync.WaitGroup
	for i := range ids {
		attributes := number(float64(i % limit))
		if i == bad {
			attributes = number(limit + 5)
		}
		ids[i] = "poison-" + strconv.Itoa(i) + "-" + unique()
		attributes["id"] = ids[i]
		all.Go(func() { b.publish(t, attributes) })
	}
	all.Wait()
	for i, id := range ids {
		if i == bad {
			checkTyped(t, b.letters.wait(t, id), id, "Invalid", "rejects")
			continue
		}
		got := b.results.wait(t, id)
		if s, err := readScored(got.Data); err != nil || s.y != float64(i%limit) {
			t.Errorf("event %d: got %s (%v), want %d", i, got.Data, err, i%limit)
		}
	}
	b.answeredOnce(t, slices.Delete(slices.Clone(ids), bad, bad+1), b.results)
	return ids[bad]
}

// asPublished is an event without what the sidecar adds to it on its way.
func asPublished(t *testing.T, h event) string {
	t.Helper()
	var e map[string]json.RawMessage
	if err := json.Unmarshal(h.text, &e); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"traceid", "traceparent", "tracestate", "topic", "pubsubname"} {
		delete(e, name)
	}
	return string(asJSON(t, e))
}

// twice sends the same event twice, with time between and without: whoever hears both answers
// hears one. Another source's event of the same id is another event.
func (b *broker) twice(t *testing.T) {
	for name, between := range map[string]func(id string){
		"one after the other": func(id string) { b.results.wait(t, id) },
		"at once":             func(string) {},
	} {
		t.Run(name, func(t *testing.T) {
			attributes := number(5)
			attributes["id"] = "twice-" + unique()
			id := b.publish(t, attributes)
			between(id)
			b.publish(t, attributes)
			got := b.results.waitFor(t, id, 2)
			if first, second := asPublished(t, got[0]), asPublished(t, got[1]); first != second {
				t.Errorf("the same event is answered by\n%s\nand by\n%s", first, second)
			}
			attributes["source"] = "another/source"
			b.publish(t, attributes)
			third := b.results.waitFor(t, id, 3)[2]
			if third.ID == got[0].ID || third.RequestSource != "another/source" {
				t.Errorf("another source's event is answered by %s", third.text)
			}
		})
	}
}

// bulk delivers as Dapr does for a bulk subscription: each entry has a status of its own.
func (b *broker) bulk(t *testing.T) {
	type entry struct {
		ID          string         `json:"entryId"`
		Event       map[string]any `json:"event"`
		ContentType string         `json:"contentType"`
	}
	const count, bad = 16, 3
	var delivery struct {
		ID      string  `json:"id"`
		Entries []entry `json:"entries"`
		PubSub  string  `json:"pubsubname"`
		Topic   string  `json:"topic"`
		Type    string  `json:"type"`
	}
	delivery.ID, delivery.PubSub, delivery.Topic, delivery.Type = unique(), pubsub, requestsTopic, "com.dapr.event.sent.bulk"
	ids := make([]string, count)
	for i := range count {
		attributes := number(float64(i % limit))
		if i == bad {
			attributes["subject"] = "none"
		}
		e := cloudEvent(attributes)
		ids[i] = e["id"].(string)
		delivery.Entries = append(delivery.Entries, entry{strconv.Itoa(i), e, "application/cloudevents+json"})
	}
	got := request{path: "/events/scoring", contentType: "application/json", body: asJSON(t, delivery)}.to(t, way{"directly", b.url})
	var statuses struct {
		Statuses []struct {
			ID     string `json:"entryId"`
			Status string `json:"status"`
		} `json:"statuses"`
	}
	if err := errors.Join(wants(http.StatusOK, got), json.Unmarshal([]byte(got.body), &statuses)); err != nil || len(statuses.Statuses) != count {
		t.Fatalf("the delivery is answered by %d %s (%v)", got.status, got.body, err)
	}
	for i, s := range statuses.Statuses {
		if s.ID != strconv.Itoa(i) || s.Status != "SUCCESS" {
			t.Errorf("entry %d: %+v, want SUCCESS", i, s)
		}
	}
	for i, id := range ids {
		if i == bad {
			checkTyped(t, b.letters.wait(t, id), id, "NotFound", "unknown model")
			continue
		}
		answer := b.results.wait(t, id)
		if s, err := readScored(answer.Data); err != nil || s.y != float64(i%limit) {
			t.Errorf("entry %d: got %s (%v), want %d", i, answer.Data, err, i%limit)
		}
	}
	b.answeredOnce(t, slices.Delete(slices.Clone(ids), bad, bad+1), b.results)
}
