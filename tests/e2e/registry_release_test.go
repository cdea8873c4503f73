package e2e_test

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"net/http"
	"path/filepath"
	"slices"
	"strconv"
	"testing"

	"google.golang.org/grpc/metadata"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/types/known/emptypb"

	"github.com/onda-serving/onda/app/catalog"
)

const token = "a token of the tests"

// registryStack is a stack that takes uploads, and changes from who shows the token. Its
// models are those of a folder, and in the registry.
func registryStack(t *testing.T, models string) *stack {
	t.Helper()
	s := startStack(t, map[string]string{
		"ONDA_MODELS_DIR": models, "ONDA_ARTIFACT_STORE": filepath.Join(t.TempDir(), "store"), "ONDA_ARTIFACT_CACHE": filepath.Join(t.TempDir(), "cache"),
		"ONDA_REGISTRY_TOKEN": token, "ONDA_DRAIN_DELAY": "0s",
	})
	s.operators()[0].registers(t, models)
	return s
}

// operators are the ways to change the registry, the one without a sidecar first.
func (s *stack) operators() []operator {
	var all []operator
	for _, w := range s.ways() {
		all = append(all, operator{w, token})
	}
	return all
}

// TestRelease takes a version from a folder to the callers and back, with the command line and
// through the sidecar of another app.
func TestRelease(t *testing.T) {
	group(t)
	models := t.TempDir()
	linkModel(t, models, imageModel)
	for version := range int64(2) {
		addFiles(t, models, "times", version+1, modelFiles(times(float32(version+1))))
	}
	s := registryStack(t, models)
	t.Run("command line", func(t *testing.T) { releaseByCommand(t, s) })
	t.Run("shadow", func(t *testing.T) { shadowed(t, s) })
	t.Run("sticky", func(t *testing.T) { sticky(t, s) })
}

// answeredBy wants a version to answer pictures by every way, by path and by label.
func (s *stack) answeredBy(t *testing.T, version string) {
	t.Helper()
	picture := golden(t, imageModel).cases[0].picture
	for _, path := range []string{imageModel, imageModel + "/labels/live"} {
		got := s.everyWay(t, request{path: "/v1/models/" + path + ":predict", contentType: "image/png", body: picture})
		var a answer
		got.into(t, &a)
		if want := imageModel + "@" + version; a.Model.Version != version || got.header.Get("Onda-Model") != want {
			t.Errorf("%s is answered by version %s, and says %q in its header: want %s", path, a.Model.Version, got.header.Get("Onda-Model"), want)
		}
	}
}

func releaseByCommand(t *testing.T, s *stack) {
	o := s.operators()[2]
	second := copyVersion(t, t.TempDir(), 2)
	o.says(t, `image-classification version 2 is registered, digest b265288dbe6c
  17\.7 MiB of files, [\d.]+ MiB of memory, loads in [\d.]+ m?s, runs in [\d.]+ m?s
  4 golden answers: the largest difference is [\d.e-]+
`, "register", "--from", second, "--reason", "trained again")
	o.says(t, `image-classification version 2 was registered before, by tests via caller-of-onda-\w+ (just now|\d+ s ago): nothing to change
`, "register", "--from", second)
	s.answeredBy(t, "1") // to register it is not to release it

	o.says(t, `image-classification: live none -> 1 \(revision 3\)
version 1 answered \d+ of \d+ recent requests, [\d.]+ ms in the median
`, "label", imageModel, "live", "1")
	s.answeredBy(t, "1")
	o.says(t, `image-classification: live 1 -> 2 \(revision 4\)
version 2 disagrees with version 1 on 0 of \d+ recent requests and failed on 0; largest difference [\d.e-]+; median [\d.]+ ms, before [\d.]+ ms
`, "label", imageModel, "live", "2", "--reason", "the photos of October")
	s.answeredBy(t, "2")
	o.says(t, `image-classification  revision 4: live 2 \(before: 1\)

VERSION +STATE +LABELS +SHARE +SIZE +MEMORY +REGISTERED +BY +DIGEST
1 +available +- +- +17\.7 MiB +[\d.]+ MiB +(?:just now|\d+ s ago) +onda +b265288dbe6c
2 +available +live +100 % +17\.7 MiB +[\d.]+ MiB +(?:just now|\d+ s ago) +tests via caller-of-onda-\w+ +b265288dbe6c

Signature of version 2, pipeline image
 +NAME +DATATYPE +SHAPE
 +input +images +FP32 +\[-1, 3, 224, 224\]
 +output +probabilities +FP32 +\[-1, 1000\]
`, "show", imageModel)
	o.says(t, `image-classification: live 2 -> 1, version 2 fine -> rolled back \(revision 5\)
`, "rollback", imageModel, "--reason", "it was October's")
	s.answeredBy(t, "1")
	released(t, s)
}

// released compares the history of the release, by every way, and with the command's.
func released(t *testing.T, s *stack) {
	t.Helper()
	o := s.operators()[2]
	var entries struct{ Entries []catalog.Entry }
	text := o.says(t, ".*", "history", imageModel, "-o", "json")
	if err := json.Unmarshal([]byte(text), &entries); err != nil {
		t.Fatalf("%s: %s", err, text)
	}
	want := []struct{ action, actor, reason string }{
		{"register", "onda", "found in the models folder"},
		{"register", "tests via .*", "trained again"},
		{"label", "tests via .*", ".*"},
		{"label", "tests via .*", `the photos of October; version 2 disagrees with version 1 on 0 of \d+ recent requests.*`},
		{"rollback", "tests via .*", "it was October's"},
	}
	for _, o := range s.operators() {
		history := o.history(t, imageModel)
		slices.Reverse(entries.Entries)
		if !sameJSON(t, history, entries.Entries) {
			t.Errorf("%s the history is %s\nthe command gives %s", o.name, asJSON(t, history), asJSON(t, entries.Entries))
		}
		slices.Reverse(entries.Entries)
		for i, e := range history {
			if i >= len(want) || e.Action != want[i].action || !matches(want[i].actor, e.Actor) || !matches(want[i].reason, e.Reason) {
				t.Errorf("entry %d is %s by %s: %s", i+1, e.Action, e.Actor, e.Reason)
			}
		}
	}
	o.says(t, `REVISION +WHEN +ACTOR +ACTION +CHANGE +REASON
5 .* rollback +live 2 -> 1, version 2 fine -> rolled back +it was October's
4 .* label +live 1 -> 2 +the photos of October; .*
3 .* label +live none -> 1 +.*
2 .* register +version 2 added +trained again
1 .* onda +register +version 1 added +found in the models folder
`, "history", imageModel)
}

// shadowed copies requests to a version that answers otherwise: callers hear nothing of it.
func shadowed(t *testing.T, s *stack) {
	o := s.operators()[2]
	o.label(t, "times", "live", 1)
	o.says(t, `times: shadow none -> 2 at 100 % \(revision \d+\)
.*`, "shadow", "times", "2", "--share", "1")
	const calls = 20
	ways := s.ways()
	for i := range calls {
		if got := asked(t, ways[i%len(ways)], "times", 3); got != (scored{1, 3}) {
			t.Errorf("under a shadow %s: version %d answers %v, want 1 and 3", ways[i%len(ways)].name, got.version, got.y)
		}
		// One after the other: copies make way for all that the machine does, and are dropped
		// where too many wait.
		eventually(t, "the copy is counted", func() error {
			if got := metric(t, s.onda.metricsPort, "onda_mirrored_total", `model="times"`, `version="1"`, `outcome="disagreed"`); got != float64(i+1) {
				return fmt.Errorf("%v copies, want %d", got, i+1)
			}
			return nil
		})
	}
	if dropped := metric(t, s.onda.metricsPort, "onda_mirrors_dropped_total", `model="times"`, `reason="busy"`); dropped != 0 {
		t.Errorf("%v copies were dropped", dropped)
	}
	o.says(t, `times: shadow 2 at 100 % -> none \(revision \d+\)
`, "shadow", "times", "--clear")
}

// sticky splits the traffic: a key leads to the same version through every door, each time,
// and both versions answer.
func sticky(t *testing.T, s *stack) {
	o := s.operators()[2]
	o.says(t, `times: traffic none -> 1:50 2:50 \(revision \d+\)
.*`, "traffic", "times", "1=50", "2=50", "--accept", "divergence,slower")
	letters, results := listen(t, s.own.grpcPort, pubsub, deadLetterTopic), listen(t, s.own.grpcPort, pubsub, resultsTopic)
	s.eventsFlow(t, letters)
	rpc := s.rpcWays(t)[2]
	seen := map[int64]int{}
	for i := range 12 {
		key := "customer-" + strconv.Itoa(i)
		first := asked(t, s.throughOther(), "times", 3, "X-Onda-Key", key)
		if first.y != multiplied(first.version, 3) {
			t.Errorf("version %d answers %v about 3", first.version, first.y)
		}
		seen[first.version]++
		for _, w := range s.ways() {
			if got := asked(t, w, "times", 3, "X-Onda-Key", key); got != first {
				t.Errorf("key %s %s: %+v, before %+v", key, w.name, got, first)
			}
		}
		if got := inferByRPC(t, rpc, "times", 3, key); got != first {
			t.Errorf("key %s over gRPC: %+v, over HTTP %+v", key, got, first)
		}
		id := s.publishEvent(t, map[string]any{"subject": "times", "partitionkey": key, "data": map[string]any{
			"inputs": []tensor{{Name: "INPUT", Datatype: "FP32", Shape: []int64{1, 1}, Data: []float64{3}}},
		}})
		e := results.wait(t, id)
		if got, err := readScored(e.Data); err != nil || got != first || e.ModelVersion != strconv.FormatInt(first.version, 10) {
			t.Errorf("key %s by an event: %+v (modelversion %s, %v), over HTTP %+v", key, got, e.ModelVersion, err, first)
		}
	}
	if seen[1] < 2 || seen[2] < 2 || seen[1]+seen[2] != 12 {
		t.Errorf("12 keys are dealt out as %v", seen)
	}
	if got := s.everyWay(t, request{path: "/v2/models/times/labels/live/ready"}); got.status != http.StatusOK {
		t.Errorf("the label under a split: %d %s", got.status, got.body)
	}
	o.says(t, `times: traffic 1:50 2:50 -> none \(revision \d+\)
`, "traffic", "times", "--clear")
	for i := range 12 {
		if got := asked(t, s.throughOther(), "times", 3, "X-Onda-Key", "customer-"+strconv.Itoa(i)); got.version != 1 {
			t.Errorf("without a split version %d answers", got.version)
		}
	}
}

// The fields of the protocol's messages that are used here, and of their tensors.
const (
	inferModel, inferInputs, inferRawInputs             = 1, 5, 7
	inferredVersion, inferredOutputs, inferredRawOutput = 2, 5, 6
)

// inferByRPC asks about a number over gRPC.
func inferByRPC(t *testing.T, w rpcWay, model string, x float64, key string) (s scored) {
	t.Helper()
	text := func(b []byte, number protowire.Number, text string) []byte {
		return protowire.AppendString(protowire.AppendTag(b, number, protowire.BytesType), text)
	}
	var input []byte
	input = text(text(input, 1, "INPUT"), 2, "FP32")
	input = protowire.AppendBytes(protowire.AppendTag(input, 3, protowire.BytesType), []byte{1, 1})
	body := text(text(nil, inferModel, model), inferInputs, string(input))
	body = text(body, inferRawInputs, string(binary.LittleEndian.AppendUint32(nil, math.Float32bits(float32(x)))))
	ask, got := &emptypb.Empty{}, &emptypb.Empty{}
	ask.ProtoReflect().SetUnknown(body)
	if err := w.conn.Invoke(metadata.AppendToOutgoingContext(w.ctx, "x-onda-key", key), inference+"ModelInfer", ask, got); err != nil {
		t.Fatalf("infer over gRPC %s: %s", w.name, err)
	}
	version, err := strconv.ParseInt(textOf(got, inferredVersion), 10, 64)
	raw := textOf(got, inferredRawOutput)
	if err != nil || len(raw) != 4 {
		t.Fatal(errors.Join(err, fmt.Errorf("the answer over gRPC is %v", got)))
	}
	return scored{version, float64(math.Float32frombits(binary.LittleEndian.Uint32(bytes.Clone([]byte(raw)))))}
}
