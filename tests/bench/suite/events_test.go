package suite

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/onda-serving/onda/tests/bench/load"
	"github.com/onda-serving/onda/tests/bench/proc"
	"github.com/onda-serving/onda/tests/bench/testmodel"
	"github.com/onda-serving/onda/tests/internal/ondatest"
)

// TestLossEndsAll wants no results where an event was lost.
func TestLossEndsAll(t *testing.T) {
	t.Parallel()
	ctx, fail := context.WithCancelCause(t.Context())
	measured := 0
	variants := []variant{
		guarded(variant{keys: keys("model", "m", "path", EventsRedis), measure: func(context.Context) (values, error) {
			v := values{"rps": 7}
			return v, deliveries(v, load.Result{Events: &load.Delivery{Published: 10, Lost: 2}, Error: "nothing came"})
		}}, fail),
		{keys: keys("model", "m", "path", EventsDirect), measure: func(context.Context) (values, error) {
			measured++
			return values{}, nil
		}},
	}
	cells, err := (&Bench{}).rounds(ctx, 3, variants)
	if !errors.Is(err, context.Canceled) || cells != nil || measured != 0 {
		t.Errorf("after the loss, %d were measured, with cells %v and %v", measured, cells, err)
	}
	if cause := context.Cause(ctx); cause == nil || !strings.Contains(cause.Error(), "m events, Redis: 2 of 10 events were not answered: nothing came") {
		t.Errorf("the cause is %v", cause)
	}
}

func TestDeliveries(t *testing.T) {
	t.Parallel()
	v := values{}
	if err := deliveries(v, load.Result{}); err != nil || len(v) != 0 {
		t.Errorf("requests that are no events give %v, %v", v, err)
	}
	if err := deliveries(v, load.Result{Events: &load.Delivery{Published: 9, Duplicates: 2, DeadLetters: 1}}); err != nil {
		t.Error(err)
	}
	if v["published"] != 9 || v["duplicates"] != 2 || v["dead_letters"] != 1 || v["lost"] != 0 {
		t.Errorf("got %v", v)
	}
}

// TestSameData wants a call's body as an event's data, byte for byte.
func TestSameData(t *testing.T) {
	t.Parallel()
	for _, model := range eventModels {
		call, err := eventCall("127.0.0.1:1", model)
		if err != nil {
			t.Fatal(err)
		}
		ways, err := publishing(EventsRedis, model, call.Body, &sidecar{http: 2, grpc: 3}, []int{4})
		if err != nil {
			t.Fatal(err)
		}
		if len(ways) != 2 || ways[0].request.Bulk || !ways[1].request.Bulk || ways[1].name != EventsRedis+InBulk {
			t.Fatalf("the ways are %+v", ways)
		}
		for _, w := range ways {
			if !bytes.Contains(w.request.Body, append([]byte(`"data":`), call.Body...)) || !bytes.Contains(w.request.Body, []byte(`"subject":"`+model+`"`)) {
				t.Errorf("%s: the event is %s, and the call %s", w.name, w.request.Body, call.Body)
			}
			if w.request.Answers.Sidecar != "127.0.0.1:3" || w.request.Address != "127.0.0.1:2" {
				t.Errorf("%s: goes to %s and comes from %+v", w.name, w.request.Address, w.request.Answers)
			}
		}
	}
}

func TestSameLoad(t *testing.T) {
	t.Parallel()
	var all []variant
	for _, name := range []string{"a", "b"} {
		all = append(all, variant{keys: keys("path", name, "load", latency)}, variant{keys: keys("path", name, "load", throughput)})
	}
	var got []string
	for _, v := range sameLoad(all) {
		got = append(got, label(v.keys))
	}
	if want := "a latency, b latency, a throughput, b throughput"; strings.Join(got, ", ") != want {
		t.Errorf("got %v, want %s", got, want)
	}
}

// TestEventWays wants all brokers beside the same calls, each published and heard through the
// sidecar of another app.
func TestEventWays(t *testing.T) {
	t.Parallel()
	mesh := func(port int) *mesh {
		return &mesh{onda: &server{address: "127.0.0.1:1"}, own: &sidecar{Process: self(t), http: 2, grpc: 3}, other: &sidecar{Process: self(t), http: port, grpc: port}}
	}
	ways, err := eventWays(testmodel.FAQ, mesh(7), []eventBroker{{way: EventsKafka, mesh: mesh(8)}, {way: EventsRabbitMQ, mesh: mesh(9)}})
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, w := range ways {
		got = append(got, w.name+" "+w.request.Address+" "+w.request.Answers.Sidecar)
	}
	want := []string{
		"HTTP, direct 127.0.0.1:1 ", "HTTP, two sidecars 127.0.0.1:7 ",
		"events, in memory 127.0.0.1:2 127.0.0.1:3", "events, in memory, in bulk 127.0.0.1:2 127.0.0.1:3",
		"events, Kafka 127.0.0.1:8 127.0.0.1:8", "events, Kafka, in bulk 127.0.0.1:8 127.0.0.1:8",
		"events, RabbitMQ 127.0.0.1:9 127.0.0.1:9", "events, RabbitMQ, in bulk 127.0.0.1:9 127.0.0.1:9",
	}
	if !slices.Equal(got, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

// self is a process that ends at once.
func self(t *testing.T) *proc.Process {
	t.Helper()
	p, err := proc.Start(proc.Command{Name: "true", Args: []string{"true"}, Logs: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Stop)
	return p
}

// TestEventComponents wants two apps that do not share messages.
func TestEventComponents(t *testing.T) {
	t.Parallel()
	onda, callers := filepath.Join(t.TempDir(), "onda"), filepath.Join(t.TempDir(), "callers")
	if err := eventComponents(onda, callers, "onda-7", "caller-7", ondatest.RedisAt("127.0.0.1:7")); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		folder, name, want string
	}{
		{onda, "subscription.yaml", "onda-7"},
		{onda, "statestore.yaml", "127.0.0.1:7"},
		{onda, "pubsub.yaml", "127.0.0.1:7"},
		{callers, "pubsub.yaml", "caller-7"},
		{callers, "resiliency.yaml", "caller-7"},
	} {
		text, err := os.ReadFile(filepath.Join(tt.folder, tt.name))
		if err != nil || !strings.Contains(string(text), tt.want) {
			t.Errorf("%s lacks %s: %s (%v)", tt.name, tt.want, text, err)
		}
	}
	for _, name := range []string{"subscription.yaml", "statestore.yaml"} {
		if _, err := os.Stat(filepath.Join(callers, name)); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("the caller has %s, too: %v", name, err)
		}
	}
}
