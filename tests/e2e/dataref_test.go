package e2e_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/onda-serving/onda/app/onnx/onnxtest"
	"github.com/onda-serving/onda/app/scoring"
	"github.com/onda-serving/onda/tests/internal/ondatest"
)

// sumModel adds up the numbers of each row, however many those are: its question can be large,
// and its answer is small.
const sumModel = "sum"

// sameModel gives rows back as they are: its answer is as large as its question.
const sameModel = "same"

func sum() []byte {
	return onnxtest.Graph{
		Nodes:   []onnxtest.Node{{Op: "ReduceSum", Inputs: []string{"INPUT", "axes"}, Outputs: []string{"OUTPUT"}, Attributes: []onnxtest.Attribute{onnxtest.Int("keepdims", 1)}}},
		Inputs:  []scoring.TensorSpec{{Name: "INPUT", Datatype: scoring.FP32, Shape: []int64{-1, -1}}},
		Outputs: []scoring.TensorSpec{{Name: "OUTPUT", Datatype: scoring.FP32, Shape: []int64{-1, 1}}},
		Weights: []scoring.Tensor{onnxtest.Tensor("axes", []int64{1}, int64(1))},
	}.Model()
}

const (
	// smallBody is what the sidecar takes at once, as much as brokers of cloud providers do.
	smallBody = 256 << 10
	// largeInput is what an event refers to.
	largeInput = 100_000_000
	// mostGrowth is what Onda may grow by while it answers that: its text, which is held twice
	// while it is read, its numbers, and what the garbage collector leaves for a moment.
	mostGrowth = 5 * largeInput
	// atOnce is how many of them there is room for.
	atOnce = 2
)

// rowOf gives the JSON of an infer request about a row of numbers, and their sum. It is as long
// as size or some bytes longer.
func rowOf(size int) (body []byte, total float64) {
	const zero = "0.0000000,"
	count := size / len(zero)
	head := fmt.Sprintf(`{"inputs":[{"name":"INPUT","datatype":"FP32","shape":[1,%d],"data":[`, count)
	body = make([]byte, 0, len(head)+count*len(zero)+8)
	body = append(body, head...)
	body = append(body, bytes.Repeat([]byte(zero), count)...)
	for i, at := 0, len(head); i < count; i, at = i+1, at+len(zero) {
		// Sums of these are whole and below 2^24: exact in FP32, in whatever order.
		digit := i * i % 7 % 3
		body[at] += byte(digit)
		total += float64(digit)
	}
	return append(body[:len(body)-1], "]}]}"...), total
}

// references is Onda that takes the data of events from a folder, behind a sidecar and a Redis
// that take no large ones.
type references struct {
	*mending

	inputs string
}

func startReferences(t *testing.T) *references {
	t.Helper()
	models, inputs := t.TempDir(), filepath.Join(t.TempDir(), "inputs")
	makeDir(t, inputs)
	addFiles(t, models, sumModel, 1, modelFiles(sum()))
	addFiles(t, models, brittleModel, 1, modelFiles(brittle()))
	addFiles(t, models, sameModel, 1, modelFiles(onnxtest.Identity(scoring.FP32, []int64{-1, -1})))
	appID := "references-" + unique()
	components := ondatest.Components(t, appID, ondatest.Redis(t, "--proto-max-bulk-len", "1mb").Backend())
	addListener(t, components)
	m := mendable(t, ondatest.ReplicaOptions{
		AppID: appID, Models: models, Components: components, MaxBody: strconv.Itoa(smallBody), Settings: map[string]string{"ONDA_EVENT_SOURCES": inputs},
	}, listenerComponent)
	return &references{m, inputs}
}

// TestDataRef answers events that say where their data is, which is larger than the broker
// takes.
func TestDataRef(t *testing.T) {
	group(t)
	r := startReferences(t)
	t.Run("inline", r.inline)
	t.Run("large", r.large)
	t.Run("refused", r.refused)
	t.Run("too large to keep", r.tooLargeToKeep)
}

// put writes an object and gives its URL.
func (r *references) put(t *testing.T, name string, data []byte) string {
	t.Helper()
	path := filepath.Join(r.inputs, name)
	makeDir(t, filepath.Dir(path))
	write(t, path, data)
	return "file://" + path
}

// refers makes the attributes of an event about an object.
func refers(ref, sum string) map[string]any {
	return map[string]any{"subject": sumModel, "dataref": ref, "datarefsha256": sum}
}

// checkSum holds the result of a request against the sum of its numbers.
func (r *references) checkSum(t *testing.T, id string, total float64) {
	t.Helper()
	got := r.results.wait(t, id)
	checkAnswered(t, got, id, sumModel)
	if s, err := readScored(got.Data); err != nil || s.y != total {
		t.Errorf("the sum is %v (%v), want %v: %s", s.y, err, total, clip(string(got.text)))
	}
}

// inline sends data in the event, as far as the sidecar takes it, and by reference what it does
// not take.
func (r *references) inline(t *testing.T) {
	fits, total := rowOf(smallBody - 4<<10)
	r.checkSum(t, r.publish(t, map[string]any{"subject": sumModel, "data": json.RawMessage(fits)}), total)
	large, total := rowOf(smallBody + 4<<10)
	r.tooLarge(t, large)
	r.checkSum(t, r.publish(t, refers(r.put(t, "a little too large.json", large), sumOfFile(large))), total)
}

// tooLarge looks that the sidecar does not take an event with this data. It may close the
// connection before all of it is sent.
func (r *references) tooLarge(t *testing.T, data []byte) {
	t.Helper()
	e := cloudEvent(map[string]any{"subject": sumModel, "data": json.RawMessage(data)})
	got := request{contentType: "application/cloudevents+json", body: asJSON(t, e)}.send(way{"to the topic", r.publishURL})
	if got.err == nil && (got.status < http.StatusBadRequest || !strings.Contains(got.body, "too large")) {
		t.Errorf("an event of %d bytes is taken with %d %s, want that it is too large", len(data), got.status, got.body)
	}
}

// large sends 100 MB by reference, once and then thrice at once, and looks at the memory that it
// takes: no more of them are held than there is room for (ONDA_MAX_EVENT_DATA).
func (r *references) large(t *testing.T) {
	data, total := rowOf(largeInput)
	if len(data) < largeInput {
		t.Fatalf("the input has %d bytes", len(data))
	}
	r.tooLarge(t, data)
	attributes := refers(r.put(t, "2026/large.json", data), sumOfFile(data))
	before := r.peak(t)
	var all []string
	for _, count := range []int{1, 3} {
		var ids []string
		start := time.Now()
		for range count {
			ids = append(ids, r.publish(t, attributes))
		}
		for _, id := range ids {
			r.checkSum(t, id, total)
		}
		grown := r.peak(t) - before
		t.Logf("%d of %d bytes took %s, and %d MiB of memory", count, len(data), since(start), grown>>20)
		if most := int64(min(count, atOnce) * mostGrowth); grown > most {
			t.Errorf("%d inputs of %d bytes took %d bytes of memory, want at most %d", count, len(data), grown, most)
		}
		all = append(all, ids...)
	}
	r.answeredOnce(t, all, r.results)
}

// peak is the most memory that Onda had so far, in bytes.
func (r *references) peak(t *testing.T) (most int64) {
	t.Helper()
	const field = "VmHWM:"
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", r.replica.Onda.PID()))
	if err != nil {
		return 0 // this system has no /proc
	}
	_, after, _ := strings.Cut(string(status), field)
	if _, err := fmt.Sscanf(after, "%d kB", &most); err != nil {
		t.Fatalf("%s in the status of the process: %s", field, err)
	}
	return most << 10
}

// refused sends references that are not followed: each is a dead letter with its reason, on the
// topic and among those that Onda keeps.
func (r *references) refused(t *testing.T) {
	data, total := rowOf(1 << 10)
	good, digest := r.put(t, "good.json", data), sumOfFile(data)
	r.checkSum(t, r.publish(t, refers(good, digest)), total)
	outside := filepath.Join(t.TempDir(), "outside.json")
	write(t, outside, data)
	if err := os.Symlink(outside, filepath.Join(r.inputs, "link.json")); err != nil {
		t.Fatal(err)
	}
	sparse := r.put(t, "sparse.json", nil)
	if err := os.Truncate(strings.TrimPrefix(sparse, "file://"), 129<<20); err != nil {
		t.Fatal(err)
	}
	both := refers(good, digest)
	both["data"] = json.RawMessage(data)
	unnamed := refers(good, digest)
	delete(unnamed, "datarefsha256")
	wanted := map[string]string{}
	for name, c := range map[string]struct {
		attributes map[string]any
		code, text string
	}{
		"another digest":     {refers(good, sumOfFile([]byte("another"))), "Invalid", "the SHA-256 of the object is " + digest},
		"no digest":          {unnamed, "Invalid", "dataref without datarefsha256"},
		"short digest":       {refers(good, digest[:63]), "Invalid", "datarefsha256 has 63 characters"},
		"another folder":     {refers("file://"+outside, digest), "Denied", "not below a folder that is allowed"},
		"a folder beside":    {refers("file://"+r.inputs+"-private/a.json", digest), "Denied", "not below a folder that is allowed"},
		"the way up":         {refers("file://"+r.inputs+"/../"+filepath.Base(outside), digest), "Invalid", "want a path below the folder"},
		"a link to outside":  {refers("file://"+filepath.Join(r.inputs, "link.json"), digest), "Denied", "the storage denies it"},
		"another host":       {refers("http://127.0.0.1:1/a.json", digest), "Invalid", "the scheme \"http\" is not known"},
		"another storage":    {refers("s3://inputs/a.json", digest), "Denied", "not below a folder that is allowed"},
		"nothing there":      {refers("file://"+filepath.Join(r.inputs, "none.json"), digest), "NotFound", "not found"},
		"a folder":           {refers("file://"+r.inputs+"/", digest), "Invalid", "want the URL of one object"},
		"more than allowed":  {refers(sparse, digest), "TooLarge", "at most 134217728 are allowed"},
		"data and reference": {both, "Invalid", "both data and dataref"},
	} {
		t.Run(name, func(t *testing.T) {
			id := r.publish(t, c.attributes)
			checkTyped(t, r.letters.wait(t, id), id, c.code, c.text)
			wanted[id] = c.code
		})
	}
	for _, l := range r.listed(t, len(wanted)) {
		if code, ours := wanted[l.RequestID]; !ours || l.Code != code || l.By != "onda" || l.Model != sumModel {
			t.Errorf("a letter that was kept is %+v, want code %s", l, code)
		}
		delete(wanted, l.RequestID)
	}
	if len(wanted) > 0 {
		t.Errorf("letters that were not kept: %v", wanted)
	}
}

// tooLargeToKeep asks for an answer that is larger than what the state store's sidecar takes, and
// sends an event that fails and is as large as an event can be, which the sidecar wraps once more for
// the stream: neither is tried again and again,
// which would hold up the events behind it, and each is a letter.
func (r *references) tooLargeToKeep(t *testing.T) {
	large, _ := rowOf(8 * smallBody)
	attributes := refers(r.put(t, "same.json", large), sumOfFile(large))
	attributes["subject"] = sameModel
	id := r.publish(t, attributes)
	checkTyped(t, r.letters.wait(t, id), id, "TooLarge", "the answer cannot be kept")
	l := r.listed(t, 1, "--model", sameModel)[0]
	if l.Code != "TooLarge" || l.RequestID != id || l.By != "onda" || l.State != "waiting" {
		t.Errorf("the letter is %+v", l)
	}
	r.answeredOnce(t, []string{id}, r.letters)

	const missing = "missing"
	frame := len(asJSON(t, cloudEvent(map[string]any{"subject": missing, "data": ""})))
	id = r.publish(t, map[string]any{"subject": missing, "data": strings.Repeat("x", smallBody-frame-400)})
	l = r.listed(t, 1, "--model", missing)[0]
	if l.RequestID != id || !strings.Contains(l.Error, "the event itself was not kept") {
		t.Errorf("the letter is %+v", l)
	}
	if got := r.runs(t, r.operator, "replay", l.ID); got.code != 1 || !strings.Contains(got.stderr, "its original was not kept") {
		t.Errorf("putting it back: exit code %d\n%s%s", got.code, got.stdout, got.stderr)
	}
}
