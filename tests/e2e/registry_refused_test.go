package e2e_test

import (
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/onda-serving/onda/app/catalog"
	"github.com/onda-serving/onda/app/onnx/onnxtest"
)

// refusing is what the tests of versions that must not answer share: a stack under load.
type refusing struct {
	*stack
	operator

	// live are the callers of "times" by every way, whose version is 1.
	live *callers
}

// TestRefused tries to bring versions to callers that must not get there. Meanwhile every call
// of the live label is answered, rightly, by the live version, and by the same process.
func TestRefused(t *testing.T) {
	group(t)
	models := t.TempDir()
	addFiles(t, models, "times", 1, modelFiles(times(1)))
	addFiles(t, models, "slow", 1, modelFiles(onnxtest.Slow(1)))
	for _, model := range []string{"bent", "brittle", "tampered"} {
		addFiles(t, models, model, 1, modelFiles(times(1)))
	}
	s := registryStack(t, models)
	r := &refusing{stack: s, operator: s.operators()[2]}
	pid := s.onda.cmd.Process.Pid
	for _, model := range []string{"times", "slow", "bent", "brittle", "tampered"} {
		r.label(t, model, "live", 1)
	}
	r.live = call(t, "times/labels/live", unchanged, s.ways()...)
	r.live.more(t, 1, 400) // what is compared are the newest requests

	t.Run("other golden answers", func(t *testing.T) { r.otherGoldenAnswers(t) })
	t.Run("other answers", func(t *testing.T) { r.otherAnswers(t) })
	t.Run("slow", func(t *testing.T) { r.slow(t) })
	t.Run("crash", func(t *testing.T) { r.crash(t) })
	t.Run("another signature", func(t *testing.T) { r.anotherSignature(t) })
	t.Run("tampered in the store", func(t *testing.T) { r.tamperedInStore(t) })
	t.Run("rollouts", func(t *testing.T) { r.rollouts(t) })
	r.live.only(t, 1)
	t.Run("tampered in the cache", func(t *testing.T) { r.tamperedInCache(t) })
	if s.onda.gone() {
		t.Fatal("onda ended while versions were tried")
	}

	r.live.more(t, 1, 50)
	r.live.stop()
	r.live.only(t, 1)
	if s.onda.cmd.Process.Pid != pid {
		t.Error("another process answers")
	}
	for _, e := range r.history(t, "times") {
		if live := e.After.Labels["live"]; live > 1 {
			t.Errorf("revision %d made version %d live", e.Revision, live)
		}
	}
}

// refusedLive wants a label, a split and a rollout to be refused, each for the same reason.
func (r *refusing) refusedLive(t *testing.T, pattern, model string, version int64) {
	t.Helper()
	r.isRefused(t, http.StatusConflict, pattern, http.MethodPut, "models/"+model+"/labels/live", map[string]any{"version": version})
	r.isRefused(t, http.StatusConflict, pattern, http.MethodPut, "models/"+model+"/traffic", map[string]any{"weights": map[int64]int{1: 1, version: 1}})
	r.isRefused(t, http.StatusConflict, pattern, http.MethodPost, "models/"+model+"/rollout", map[string]any{"version": version})
	if got := r.document(t, model); got.Labels["live"] != 1 || got.Traffic != nil || got.Rollout != nil {
		t.Errorf("%s after refused changes: %+v", model, got.State)
	}
}

// notRegistered wants a registration to be refused, by the command line, too.
func (r *refusing) notRegistered(t *testing.T, status int, pattern, model string, version int64, files map[string][]byte) {
	t.Helper()
	r.isRefused(t, status, pattern, http.MethodPost, "models/"+model+"/versions", r.upload(t, version, files))
	dir := t.TempDir()
	addFiles(t, dir, model, version, files)
	got := r.runs(t, "register", model, "--from", filepath.Join(dir, model, strconv.FormatInt(version, 10)), "--version", strconv.FormatInt(version, 10))
	if got.code != 1 || got.stdout != "" || !matches(`.*\nonda: `+pattern+`\n.*`, got.stderr) {
		t.Errorf("onda models register: exit code %d, %q\n%s\nwant 1 and %s", got.code, got.stdout, got.stderr, pattern)
	}
	if _, there := r.document(t, model).Versions[version]; there {
		t.Errorf("%s@%d is registered", model, version)
	}
}

// otherGoldenAnswers brings a version that does not answer as its maker measured.
func (r *refusing) otherGoldenAnswers(t *testing.T) {
	r.notRegistered(t, http.StatusBadRequest, `times@2: golden\.json: cases\[0\]: output "OUTPUT" has 3 at \[0,0\], want 4 \(tolerance 0\.001\)`,
		"times", 2, goldenFiles(t, "times", 2, times(1.5), 2, 4))
}

// otherAnswers brings a version without golden inputs that answers recent requests otherwise.
func (r *refusing) otherAnswers(t *testing.T) {
	r.register(t, "times", 3, modelFiles(times(3)))
	r.refusedLive(t, `version 3 disagrees with version 1 on (\d+) of \d+ recent requests \(largest difference 2\): more than 10 % is refused unless it is meant; confirm with "divergence" in "accept"`,
		"times", 3)
	got := r.runs(t, "label", "times", "live", "3")
	if got.code != 1 || !strings.Contains(got.stderr, "\nIf that is meant, add --accept divergence.") {
		t.Errorf("onda models label: exit code %d, %s", got.code, got.stderr)
	}
}

// slow brings a version that is right and takes much longer.
func (r *refusing) slow(t *testing.T) {
	const width = 16
	row := slices.Repeat([]float64{1}, width)
	for end := time.Now().Add(700 * time.Millisecond); time.Now().Before(end); {
		if _, err := askRow(client, r.direct(), "slow", row); err != nil {
			t.Fatal(err)
		}
	}
	r.register(t, "slow", 2, modelFiles(onnxtest.Slow(2_000)))
	r.refusedLive(t, `version 2 takes [\d.]+ ms for the median of \d+ recent requests, version 1 takes [\d.]+ ms: more than 3 times is refused unless it is meant; confirm with "slower" in "accept"`,
		"slow", 2)
}

// crash brings a version that ends the process that loads it.
func (r *refusing) crash(t *testing.T) {
	r.notRegistered(t, http.StatusBadRequest, `times@4: loading it ended the process with signal: segmentation fault`, "times", 4, modelFiles(onnxtest.Crash()))
}

// anotherSignature brings a version that callers would trip over.
func (r *refusing) anotherSignature(t *testing.T) {
	r.notRegistered(t, http.StatusConflict, `version 5 of "times" breaks what callers of version 1 rely on: output "OUTPUT" \(FP32 \[-1 1\]\) is gone; if they know, confirm with accept "signature"`,
		"times", 5, modelFiles(renamed()))
	// Who confirms it may have it beside the live one, but not by accident in its place.
	r.register(t, "times", 5, modelFiles(renamed()))
	r.isRefused(t, http.StatusConflict, `version 5 of "times" breaks what callers of version 1 rely on: output "OUTPUT" \(FP32 \[-1 1\]\) is gone; if they know, confirm with accept "signature"`,
		http.MethodPut, "models/times/labels/live", map[string]any{"version": 5})
	r.isRefused(t, http.StatusConflict, `traffic: version 5 breaks what callers of version 1 rely on, and some of them would get it: output "OUTPUT" \(FP32 \[-1 1\]\) is gone`,
		http.MethodPut, "models/times/traffic", map[string]any{"weights": map[int64]int{1: 1, 5: 1}})
}

// blob is the place of a file in the artifact store.
func (s *stack) blob(data []byte) string {
	sum := sumOfFile(data)
	return filepath.Join(s.onda.env["ONDA_ARTIFACT_STORE"], "sha256", sum[:2], sum)
}

// tamper replaces a file that Onda wrote.
func tamper(t *testing.T, path string, data []byte) {
	t.Helper()
	if err := os.Chmod(path, 0o600); err != nil {
		t.Fatal(err)
	}
	write(t, path, data)
}

// tamperedInStore changes a file in the artifact store after it was uploaded.
func (r *refusing) tamperedInStore(t *testing.T) {
	model, other := times(1), times(2) // of the same size
	files := goldenFiles(t, "times", 6, model, 2, 2)
	body := r.upload(t, 6, files)
	tamper(t, r.blob(model), other)
	r.isRefused(t, http.StatusBadRequest, `file "model\.onnx": the SHA-256 of what was fetched is `+sumOfFile(other)+`, the version says `+sumOfFile(model)+`: it was changed or damaged where it is kept`,
		http.MethodPost, "models/times/versions", body)
	if _, there := r.document(t, "times").Versions[6]; there {
		t.Error("a version whose files were changed is registered")
	}
	wrong := request{method: http.MethodPut, path: "/registry/v1/blobs/" + sumOfFile([]byte("right")), body: []byte("wrong"), header: map[string]string{"Authorization": "Bearer " + token}}
	if got := wrong.to(t, r.way); got.status != http.StatusBadRequest || !strings.Contains(got.body, sumOfFile([]byte("right"))) || !strings.Contains(got.body, sumOfFile([]byte("wrong"))) {
		t.Errorf("an upload with another sum: %d %s, want 400 and both sums", got.status, got.body)
	}
	t.Run("uploaded again", func(t *testing.T) {
		r.changes(t, http.MethodPost, "models/times/versions", r.upload(t, 6, files))
	})
}

// tamperedInCache changes a file that this replica has fetched, checked and served before,
// while it is not in memory: to one of the same size that would end the process.
func (r *refusing) tamperedInCache(t *testing.T) {
	crash := onnxtest.Crash()
	good := padded(t, times(1), len(crash))
	r.register(t, "tampered", 2, modelFiles(good))
	r.register(t, "tampered", 3, modelFiles(bent(1)))
	for _, version := range []int64{2, 1, 3} { // 1 is what was live before then, and stays in memory
		r.label(t, "tampered", "live", version)
	}
	eventually(t, "version 2 is put out of memory", func() error {
		d := r.document(t, "tampered")
		for _, v := range d.Serving.Versions {
			if v.Version == 2 && v.State == "cold" {
				return nil
			}
		}
		return fmt.Errorf("%+v", d.Serving.Versions)
	})
	tamper(t, r.cached(t, good), crash)
	got := r.asks(http.MethodPut, "models/tampered/labels/live", map[string]any{"version": 2})
	if got.status != http.StatusOK && got.status != http.StatusConflict {
		select {
		case <-r.onda.ended:
			t.Fatalf("a file that was changed in the cache ended onda: %d %s (%v)", got.status, got.body, got.err)
		case <-time.After(time.Second):
		}
	}
	// Either the right file is fetched again, or the change is refused, and made when it is
	// tried again: the damage was noticed by then, and the store has the right file.
	if got.status != http.StatusOK {
		if text := `.*version 2 of \\"tampered\\" cannot answer: .*(digest|SHA-256).*`; got.status != http.StatusConflict || !matches(text, got.body) {
			t.Errorf("refused with %d %s, want 409 and %s", got.status, got.body, text)
		}
		if live := asked(t, r.direct(), "tampered", 7); live != (scored{3, 7}) {
			t.Errorf("after the refusal %+v answers", live)
		}
		r.changes(t, http.MethodPut, "models/tampered/labels/live", map[string]any{"version": 2})
	}
	if live := asked(t, r.direct(), "tampered", 7); live != (scored{2, 7}) {
		t.Errorf("after the change %+v answers", live)
	}
}

// cached finds a file in the cache of fetched files.
func (s *stack) cached(t *testing.T, data []byte) string {
	t.Helper()
	found, err := filepath.Glob(filepath.Join(s.onda.env["ONDA_ARTIFACT_CACHE"], "files", "*", ".files", "model.onnx"))
	if err != nil {
		t.Fatal(err)
	}
	found = slices.DeleteFunc(found, func(path string) bool { return string(read(t, path)) != string(data) })
	if len(found) != 1 {
		t.Fatalf("the file is in the cache as %v: want it once", found)
	}
	return found[0]
}

// rollout is one of a version that does as the live one on recent requests, and not on later
// ones.
type rollout struct {
	*refusing

	model string
	// all get either version, live the one that the label names.
	all, live *callers
}

// rollouts has the judge end two rollouts at once.
func (r *refusing) rollouts(t *testing.T) {
	fails := r.rollOut(t, "brittle", brittle(), unchanged, map[string]any{"min_samples": 20, "step_time": "100ms", "max_divergence": 1, "max_p99_ratio": 1000})
	diverges := r.rollOut(t, "bent", bent(2), func(version int64, x float64) float64 {
		if version == candidate && x > limit {
			return 2 * x
		}
		return x
	}, map[string]any{"min_samples": 20, "min_compared": 10, "step_time": "100ms", "compare": 1, "max_p99_ratio": 1000})
	t.Run("fails", func(t *testing.T) {
		fails.isRolledBack(t, `step 1 of 1 \(50 %\): \d+ requests, [\d.]+ % failed \(baseline 0 % of \d+\)(?:, p99 .*)?: with 99 % confidence at least [\d.]+ % more of its requests fail than of the baseline's, where at most 1 % may`)
	})
	t.Run("diverges", func(t *testing.T) {
		diverges.isRolledBack(t, `step 1 of 1 \(50 %\): \d+ requests, 0 % failed \(baseline 0 % of \d+\), p99 .*, [\d.]+ % of \d+ compared answers disagree: with 99 % confidence at least [\d.]+ % of the answers disagree, where at most 10 % may`)
		if diverges.all.count(candidate) == 0 {
			t.Error("the candidate answered nobody: the test tests nothing")
		}
		const again = `version 2 of "bent" was rolled back on \d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC: confirm with accept "rolled-back"`
		r.isRefused(t, http.StatusConflict, again, http.MethodPut, "models/bent/labels/live", map[string]any{"version": candidate})
		r.isRefused(t, http.StatusConflict, again, http.MethodPost, "models/bent/rollout", map[string]any{"version": candidate})
	})
}

// candidate of the rollouts.
const candidate = 2

// rollOut registers a version, which passes every check, and begins to roll it out under load.
func (r *refusing) rollOut(t *testing.T, model string, onnx []byte, right func(int64, float64) float64, rule map[string]any) *rollout {
	t.Helper()
	ways := r.ways()
	r.register(t, model, candidate, goldenFiles(t, model, candidate, onnx, 2, 2))
	o := &rollout{refusing: r, model: model, all: call(t, model, right, ways[0], ways[1], ways[0], ways[2]), live: call(t, model+"/labels/live", unchanged, ways[0])}
	o.all.more(t, 1, 300)
	r.changes(t, http.MethodPost, "models/"+model+"/rollout", map[string]any{"version": candidate, "steps": []int{50}, "rule": rule, "accept": []string{"slower"}})
	o.all.asks(3 * limit)
	o.live.asks(3 * limit)
	return o
}

// isRolledBack waits for the end of the rollout, for reasons that match.
func (o *rollout) isRolledBack(t *testing.T, pattern string) {
	t.Helper()
	var d document
	eventually(t, "the rollout ends", func() error {
		if d = o.document(t, o.model); d.Rollout == nil || d.Rollout.Status == catalog.Running {
			return errors.New("it runs")
		}
		return nil
	})
	eventually(t, "the live version gets all calls again", func() error { return o.follows(o.model, d.Revision) })
	for range 20 {
		if got := asked(t, o.throughOther(), o.model, 3*limit); got != (scored{1, 3 * limit}) {
			t.Errorf("after the rollout: %+v", got)
		}
	}
	o.live.stop()
	o.live.only(t, 1) // whatever became of the candidate
	o.all.stop()
	history := o.history(t, o.model)
	checkRolledBack(t, history[len(history)-1], history[len(history)-2], pattern)
}

// checkRolledBack wants the judge to have ended the rollout, for reasons that match.
func checkRolledBack(t *testing.T, rolledBack, begun catalog.Entry, pattern string) {
	t.Helper()
	if begun.Action != "rollout" || begun.After.Rollout.Status != catalog.Running {
		t.Errorf("before it: %s of %+v", begun.Action, begun.After.Rollout)
	}
	after := rolledBack.After
	if rolledBack.Action != "rollback" || rolledBack.Actor != "onda" || rolledBack.Version != 2 || after.Labels["live"] != 1 || after.Labels["canary"] != 0 ||
		after.Standing[2] != catalog.RolledBack || after.Rollout.Status != catalog.WasRolledBack || after.Rollout.Verdict != rolledBack.Reason {
		t.Errorf("%s of version %d by %s, and then %+v", rolledBack.Action, rolledBack.Version, rolledBack.Actor, after)
	}
	if !matches(pattern, rolledBack.Reason) {
		t.Errorf("rolled back because %q\nwant %s", rolledBack.Reason, pattern)
	}
}
