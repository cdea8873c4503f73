package engine_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rs/zerolog"
	"go.uber.org/goleak"

	"github.com/onda-serving/onda/app/admit"
	"github.com/onda-serving/onda/app/batch"
	"github.com/onda-serving/onda/app/cache"
	"github.com/onda-serving/onda/app/compare"
	"github.com/onda-serving/onda/app/engine"
	"github.com/onda-serving/onda/app/registry"
	"github.com/onda-serving/onda/app/scoring"
	"github.com/onda-serving/onda/app/statistics"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// step is what the fakes write into a journal, to see the order of the path.
type journal struct{ steps []string }

func (j *journal) note(format string, args ...any) {
	j.steps = append(j.steps, fmt.Sprintf(format, args...))
}

// fakeSession adds 1 to every byte of its first input and gives it back as "y".
type fakeSession struct {
	journal *journal
	run     func(ctx context.Context) error
}

func (s *fakeSession) Signature() scoring.Signature {
	return scoring.Signature{
		Inputs:  []scoring.TensorSpec{{Name: "x", Datatype: scoring.Uint8, Shape: []int64{-1, -1}}},
		Outputs: []scoring.TensorSpec{{Name: "y", Datatype: scoring.Uint8, Shape: []int64{-1, -1}}},
	}
}
func (s *fakeSession) Close() error { return nil }

func (s *fakeSession) Check([]scoring.Tensor, []string) error { return nil }

func (s *fakeSession) Run(ctx context.Context, inputs []scoring.Tensor, outputs []string) ([]scoring.Tensor, error) {
	s.journal.note("run %v %v", inputs[0].Shape, outputs)
	if s.run != nil {
		if err := s.run(ctx); err != nil {
			return nil, err
		}
	}
	out := scoring.Tensor{Name: "y", Datatype: scoring.Uint8, Shape: slices.Clone(inputs[0].Shape)}
	for _, b := range inputs[0].Data {
		out.Data = append(out.Data, b+1)
	}
	return []scoring.Tensor{out}, nil
}

// fakePipeline makes a row of each instance's first byte, and a label of each output.
type fakePipeline struct {
	journal *journal
	maxRows int
	before  func() error
}

func (p *fakePipeline) Kind() scoring.InstanceKind { return scoring.Text }
func (p *fakePipeline) MaxRows() int               { return p.maxRows }
func (p *fakePipeline) Outputs() []string          { return []string{"y"} }

func (p *fakePipeline) Preprocess(_ context.Context, instances []scoring.Instance) ([]scoring.Tensor, error) {
	p.journal.note("preprocess %d", len(instances))
	if p.before != nil {
		if err := p.before(); err != nil {
			return nil, err
		}
	}
	t := scoring.Tensor{Name: "x", Datatype: scoring.Uint8, Shape: []int64{int64(len(instances)), 1}}
	for _, instance := range instances {
		t.Data = append(t.Data, instance.Data[0])
	}
	return []scoring.Tensor{t}, nil
}

func (p *fakePipeline) Postprocess(outputs []scoring.Tensor, n int, params scoring.Parameters) ([]scoring.Prediction, error) {
	p.journal.note("postprocess %v top_k=%d", outputs[0].Shape, params.TopK)
	var predictions []scoring.Prediction
	for i := range n {
		predictions = append(predictions, scoring.Classes{Classes: []scoring.Class{{Label: string(outputs[0].Data[i])}}})
	}
	return predictions, nil
}

// fakeFlights lets everybody in, or nobody.
type fakeFlights struct {
	journal *journal
	err     error
}

func (g fakeFlights) Enter(rows int) (func(), error) {
	g.journal.note("enter %d", rows)
	if g.err != nil {
		return nil, g.err
	}
	return func() { g.journal.note("leave") }, nil
}

// fakeObserver remembers what it heard.
type fakeObserver struct {
	ids     []scoring.ModelID
	errs    []error
	panics  int
	mirrors []string
}

func (o *fakeObserver) Scored(s scoring.Scored) {
	o.ids, o.errs = append(o.ids, s.Model), append(o.errs, s.Err)
}
func (o *fakeObserver) Panicked() { o.panics++ }

func (o *fakeObserver) Mirrored(answered, mirror scoring.ModelID, _ compare.Difference, _ time.Duration, _ error) {
	o.mirrors = append(o.mirrors, answered.String()+" by "+mirror.String())
}

func (o *fakeObserver) MirrorDropped(answered scoring.ModelID, reason string) {
	o.mirrors = append(o.mirrors, answered.String()+" "+reason)
}

// fakeModels lends one version, with its mirror, to whoever names its model.
type fakeModels struct {
	lease registry.Lease
	wants []registry.Want
}

func (m *fakeModels) Use(_ context.Context, want registry.Want, fn func(registry.Lease) error) error {
	m.wants = append(m.wants, want)
	if want.Ref.Name != m.lease.ID.Name {
		return scoring.Errorf(scoring.NotFound, "there is no model %q", want.Ref.Name)
	}
	return fn(m.lease)
}

// rig is an engine with one model, "m" version 1, on fakes.
type rig struct {
	journal  journal
	session  fakeSession
	pipeline fakePipeline
	gate     fakeFlights
	cache    *cache.Cache
	ttl      time.Duration
	labels   map[string][]string
	maxRows  int
	mirror   *registry.Version
	observer fakeObserver
	log      strings.Builder
	models   fakeModels
}

func (r *rig) engine(t *testing.T, withPipeline bool) *engine.Engine {
	t.Helper()
	r.session.journal, r.pipeline.journal, r.gate.journal = &r.journal, &r.journal, &r.journal
	v := &registry.Version{
		ID: scoring.ModelID{Name: "m", Version: 1, Digest: "sha256:1"}, Session: &r.session,
		Statistics: &statistics.Recorder{}, CacheTTL: r.ttl, Labels: r.labels,
		Batcher: batch.New(&r.session, batch.Config{MaxRows: r.maxRows, MaxQueue: 8}, batch.Parts{Scheduler: batch.NewScheduler(1, 0)}),
	}
	if withPipeline {
		v.Pipeline = &r.pipeline
	}
	r.models.lease = registry.Lease{Version: v, Mirror: r.mirror}
	return engine.New(engine.Parts{
		Flights: r.gate, Preprocess: admit.NewLanes(1), Models: &r.models, Cache: r.cache, Observer: &r.observer, Log: zerolog.New(&r.log),
	})
}

func texts(words ...string) *scoring.PredictRequest {
	req := &scoring.PredictRequest{Model: scoring.ModelRef{Name: "m"}, ID: "id-1"}
	for _, w := range words {
		req.Instances = append(req.Instances, scoring.Instance{Kind: scoring.Text, Data: []byte(w)})
	}
	return req
}

func labels(resp *scoring.PredictResponse) string {
	var b strings.Builder
	for _, p := range resp.Predictions {
		classes, _ := p.(scoring.Classes)
		b.WriteString(classes.Classes[0].Label)
	}
	return b.String()
}

func TestPredictWalksThePathInOrder(t *testing.T) {
	t.Parallel()
	var r rig
	req := texts("a", "b")
	req.Parameters.TopK = 3
	resp, err := r.engine(t, true).Predict(t.Context(), req)
	if err != nil {
		t.Fatal(err)
	}
	want := []string{"enter 2", "preprocess 2", "run [2 1] [y]", "postprocess [2 1] top_k=3", "leave"}
	if !slices.Equal(r.journal.steps, want) {
		t.Errorf("steps %q, want %q", r.journal.steps, want)
	}
	if got := labels(resp); got != "bc" {
		t.Errorf("labels %q, want bc", got)
	}
	if resp.ID != "id-1" || resp.Model != (scoring.ModelID{Name: "m", Version: 1, Digest: "sha256:1"}) {
		t.Errorf("answered as %q by %+v", resp.ID, resp.Model)
	}
	if len(r.observer.ids) != 1 || r.observer.ids[0] != resp.Model || r.observer.errs[0] != nil {
		t.Errorf("observed %+v %v", r.observer.ids, r.observer.errs)
	}
}

func TestInferWalksThePathInOrder(t *testing.T) {
	t.Parallel()
	var r rig
	resp, err := r.engine(t, false).Infer(t.Context(), &scoring.InferRequest{
		Model:   scoring.ModelRef{Name: "m"},
		Inputs:  []scoring.Tensor{{Name: "x", Datatype: scoring.Uint8, Shape: []int64{3}, Data: []byte{1, 2, 3}}},
		Outputs: []scoring.Output{{Name: "y"}},
	})
	if err != nil {
		t.Fatal(err)
	}
	if want := []string{"enter 3", "run [3] [y]", "leave"}; !slices.Equal(r.journal.steps, want) {
		t.Errorf("steps %q, want %q", r.journal.steps, want)
	}
	if string(resp.Outputs[0].Data) != "\x02\x03\x04" {
		t.Errorf("outputs %v", resp.Outputs)
	}
	if len(resp.ID) != 36 {
		t.Errorf("made id %q, want a UUID", resp.ID)
	}
}

func TestFailures(t *testing.T) {
	t.Parallel()
	secret := errors.New("/srv/secret: broken")
	tests := []struct {
		name  string
		setup func(r *rig)
		model string
		want  string
		code  scoring.Code
		id    string
	}{
		{"refused because of a shutdown", func(r *rig) { r.gate.err = scoring.Errorf(scoring.Overloaded, "full") }, "m", "full", scoring.Overloaded, ""},
		{"unknown model", func(*rig) {}, "x", `there is no model "x"`, scoring.NotFound, ""},
		{"bad instance", func(r *rig) {
			r.pipeline.before = func() error { return scoring.Errorf(scoring.Invalid, "instances[0]: bad") }
		}, "m", "instances[0]: bad", scoring.Invalid, "m"},
		{
			"failure of the runtime", func(r *rig) { r.session.run = func(context.Context) error { return secret } }, "m",
			"internal error: the request was not answered; the server's log has the details", scoring.Internal, "m",
		},
		{
			"panic", func(r *rig) { r.pipeline.before = func() error { panic("oops") } }, "m",
			"internal error: the request was not answered; the server's log has the details", scoring.Internal, "m",
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var r rig
			tt.setup(&r)
			req := texts("a")
			req.Model.Name = tt.model
			resp, err := r.engine(t, true).Predict(t.Context(), req)
			var e *scoring.Error
			if resp != nil || !errors.As(err, &e) || e.Code != tt.code || e.Message != tt.want {
				t.Fatalf("got %v, want %v: %s", err, tt.code, tt.want)
			}
			if got := r.observer.ids[0].Name; got != tt.id {
				t.Errorf("observed model %q, want %q", got, tt.id)
			}
			left := slices.Contains(r.journal.steps, "leave")
			if refused := tt.code == scoring.Overloaded; left == refused {
				t.Errorf("steps %q: a request that was counted must be counted out", r.journal.steps)
			}
		})
	}
}

func TestPanicIsCountedAndLoggedWithItsStack(t *testing.T) {
	t.Parallel()
	var r rig
	r.pipeline.before = func() error { panic("oops") }
	_, _ = r.engine(t, true).Predict(t.Context(), texts("a"))
	if r.observer.panics != 1 {
		t.Errorf("%d panics counted, want 1", r.observer.panics)
	}
	if log := r.log.String(); !strings.Contains(log, `"panic":"oops"`) || !strings.Contains(log, "engine_test.go") {
		t.Errorf("log %s: want the panic and where it was", log)
	}
}

func TestModelWithoutPipelineTakesTensorsOnly(t *testing.T) {
	t.Parallel()
	var r rig
	_, err := r.engine(t, false).Predict(t.Context(), texts("a"))
	if want := "Invalid: model m@1 has no pipeline: send tensors to /v2/models/m/infer"; err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
}

func TestBudgetEndsARun(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var r rig
		r.session.run = func(ctx context.Context) error {
			<-ctx.Done()
			return ctx.Err()
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := r.engine(t, true).Predict(ctx, texts("a")); scoring.CodeOf(err) != scoring.Expired {
			t.Errorf("got %v, want Expired", err)
		}
	})
}

func TestExpiredWorkNeverRuns(t *testing.T) {
	t.Parallel()
	var r rig
	ctx, cancel := context.WithDeadline(t.Context(), time.Now().Add(-time.Second))
	defer cancel()
	_, err := r.engine(t, true).Predict(ctx, texts("a"))
	if want := []string{"enter 1", "leave"}; scoring.CodeOf(err) != scoring.Expired || !slices.Equal(r.journal.steps, want) {
		t.Errorf("got %v after steps %q, want Expired after %q", err, r.journal.steps, want)
	}
}

func TestAdmitRefusesWithoutRoom(t *testing.T) {
	t.Parallel()
	r := rig{maxRows: 1}
	e := r.engine(t, true)
	want := registry.Want{Ref: scoring.ModelRef{Name: "m"}, Caller: scoring.Caller{Key: "k", App: "shop"}}
	if err := e.Admit(t.Context(), want, scoring.Schedule{}); err != nil {
		t.Errorf("an idle model: %v", err)
	}
	if _, err := r.models.lease.Batcher.Admit(t.Context(), scoring.Schedule{}, 9); err != nil {
		t.Fatal(err)
	}
	if err := e.Admit(t.Context(), want, scoring.Schedule{}); scoring.CodeOf(err) != scoring.Overloaded {
		t.Errorf("a full model: %v, want Overloaded", err)
	}
	if err := e.Admit(t.Context(), registry.Want{Ref: scoring.ModelRef{Name: "x"}}, scoring.Schedule{}); scoring.CodeOf(err) != scoring.NotFound {
		t.Errorf("no model: %v, want NotFound", err)
	}
	if r.models.wants[0] != want {
		t.Errorf("asked for %+v, want %+v", r.models.wants[0], want)
	}
}

// TestTheCallerDecidesTheVersion keeps Admit and the request itself from being dealt
// differently.
func TestTheCallerDecidesTheVersion(t *testing.T) {
	t.Parallel()
	var r rig
	e := r.engine(t, true)
	want := registry.Want{Ref: scoring.ModelRef{Name: "m", Label: "canary"}, Caller: scoring.Caller{Key: "k", App: "shop"}}
	predict := texts("a")
	predict.Model, predict.Caller = want.Ref, want.Caller
	if _, err := e.Predict(t.Context(), predict); err != nil {
		t.Fatal(err)
	}
	infer := &scoring.InferRequest{Model: want.Ref, Caller: want.Caller, Inputs: []scoring.Tensor{{Name: "x", Datatype: scoring.Uint8, Shape: []int64{1}, Data: []byte{1}}}}
	if _, err := e.Infer(t.Context(), infer); err != nil {
		t.Fatal(err)
	}
	if err := e.Admit(t.Context(), want, scoring.Schedule{}); err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(r.models.wants, []registry.Want{want, want, want}) {
		t.Errorf("asked for %+v, want three times %+v", r.models.wants, want)
	}
}

func TestStatisticsCountRequests(t *testing.T) {
	t.Parallel()
	var r rig
	e := r.engine(t, true)
	for range 2 {
		if _, err := e.Predict(t.Context(), texts("a", "b", "c")); err != nil {
			t.Fatal(err)
		}
	}
	r.pipeline.before = func() error { return scoring.Errorf(scoring.Invalid, "bad") }
	_, _ = e.Predict(t.Context(), texts("a"))
	got := r.models.lease.Statistics.Snapshot()
	if got.Inferences != 6 || got.Success.Count != 2 || got.Fail.Count != 1 || got.LastInference.IsZero() {
		t.Errorf("got %+v, want 6 rows in 2 requests and 1 failure", got)
	}
}

func TestAnswersAreKept(t *testing.T) {
	t.Parallel()
	r := rig{cache: cache.New(1 << 20), ttl: time.Minute}
	e := r.engine(t, true)
	for i, words := range [][]string{{"a"}, {"a"}, {"b"}} {
		resp, err := e.Predict(t.Context(), texts(words...))
		if err != nil {
			t.Fatal(err)
		}
		if want := string(words[0][0] + 1); labels(resp) != want || resp.Timing.Cached != (i == 1) {
			t.Errorf("answer %d: %q, cached %t, want %q", i, labels(resp), resp.Timing.Cached, want)
		}
	}
	other := texts("a")
	other.Parameters.TopK = 2
	if resp, err := e.Predict(t.Context(), other); err != nil || resp.Timing.Cached {
		t.Errorf("another top_k is another question: %+v, %v", resp, err)
	}
	got := r.models.lease.Statistics.Snapshot()
	if got.CacheHit.Count != 1 || got.CacheMiss.Count != 3 {
		t.Errorf("%d hits and %d misses, want 1 and 3", got.CacheHit.Count, got.CacheMiss.Count)
	}
	r.cache.Wait()
}

func TestKeptOutputsAreNotPartsOfABatch(t *testing.T) {
	t.Parallel()
	r := rig{cache: cache.New(1 << 20), ttl: time.Minute}
	e := r.engine(t, false)
	req := &scoring.InferRequest{
		Model:  scoring.ModelRef{Name: "m"},
		Inputs: []scoring.Tensor{{Name: "x", Datatype: scoring.Uint8, Shape: []int64{3}, Data: []byte{1, 2, 3}}},
	}
	for range 2 {
		resp, err := e.Infer(t.Context(), req)
		if err != nil || string(resp.Outputs[0].Data) != "\x02\x03\x04" {
			t.Fatalf("got %+v, %v", resp, err)
		}
	}
	r.cache.Wait()
}

func TestClassification(t *testing.T) {
	t.Parallel()
	r := rig{labels: map[string][]string{"y": {"zero", "one", "two"}}}
	resp, err := r.engine(t, false).Infer(t.Context(), &scoring.InferRequest{
		Model:   scoring.ModelRef{Name: "m"},
		Inputs:  []scoring.Tensor{{Name: "x", Datatype: scoring.Uint8, Shape: []int64{2, 4}, Data: []byte{1, 9, 3, 5, 8, 8, 0, 1}}},
		Outputs: []scoring.Output{{Name: "y", Classes: 2}},
	})
	if err != nil {
		t.Fatal(err)
	}
	got := resp.Outputs[0]
	if want := []string{"10:1:one", "6:3", "9:0:zero", "9:1:one"}; got.Datatype != scoring.Bytes || !slices.Equal(got.Shape, []int64{2, 2}) || !slices.EqualFunc(got.Strings, want, func(a []byte, b string) bool { return string(a) == b }) {
		t.Errorf("got %s %v %q, want %q", got.Datatype, got.Shape, got.Strings, want)
	}
}
