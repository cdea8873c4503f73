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
	"github.com/onda-serving/onda/app/artifact"
	"github.com/onda-serving/onda/app/engine"
	"github.com/onda-serving/onda/app/registry"
	"github.com/onda-serving/onda/app/scoring"
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

func (s *fakeSession) Signature() scoring.Signature { return scoring.Signature{} }
func (s *fakeSession) Close() error                 { return nil }

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

// fakeGate admits everybody, or nobody.
type fakeGate struct {
	journal *journal
	err     error
}

func (g fakeGate) Enter(_ context.Context, rows int) (func(), error) {
	g.journal.note("enter %d", rows)
	if g.err != nil {
		return nil, g.err
	}
	return func() { g.journal.note("leave") }, nil
}

// fakeObserver remembers what it heard.
type fakeObserver struct {
	ids    []scoring.ModelID
	errs   []error
	panics int
}

func (o *fakeObserver) Scored(id scoring.ModelID, _ int, _ scoring.Timing, err error) {
	o.ids, o.errs = append(o.ids, id), append(o.errs, err)
}
func (o *fakeObserver) Panicked() { o.panics++ }

// rig is an engine with one model, "m" version 1, on fakes.
type rig struct {
	journal  journal
	session  fakeSession
	pipeline fakePipeline
	gate     fakeGate
	observer fakeObserver
	log      strings.Builder
	manifest artifact.Manifest
}

func (r *rig) engine(t *testing.T, withPipeline bool) *engine.Engine {
	t.Helper()
	r.session.journal, r.pipeline.journal, r.gate.journal = &r.journal, &r.journal, &r.journal
	models := registry.New()
	v := &registry.Version{ID: scoring.ModelID{Name: "m", Version: 1, Digest: "sha256:1"}, Session: &r.session, Manifest: r.manifest}
	if withPipeline {
		v.Pipeline = &r.pipeline
	}
	if err := models.Add(artifact.Ref{Name: "m", Version: 1}, v); err != nil {
		t.Fatal(err)
	}
	return engine.New(r.gate, models, &r.observer, zerolog.New(&r.log))
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

func TestPipelineRowsBeyondTheLimitAreRunInPieces(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name     string
		fixed    int
		manifest int
		rows     string
		want     []string
	}{
		{"any number", 0, 0, "abcde", []string{"run [5 1] [y]"}},
		{"fits", 0, 5, "abcde", []string{"run [5 1] [y]"}},
		{"manifest", 0, 2, "abcde", []string{"run [2 1] [y]", "run [2 1] [y]", "run [1 1] [y]"}},
		{"fixed axis beats the manifest", 1, 4, "abc", []string{"run [1 1] [y]", "run [1 1] [y]", "run [1 1] [y]"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var r rig
			r.pipeline.maxRows = tt.fixed
			r.manifest.Batching.MaxRows = tt.manifest
			resp, err := r.engine(t, true).Predict(t.Context(), texts(strings.Split(tt.rows, "")...))
			if err != nil {
				t.Fatal(err)
			}
			runs := slices.DeleteFunc(slices.Clone(r.journal.steps), func(s string) bool { return !strings.HasPrefix(s, "run") })
			if !slices.Equal(runs, tt.want) {
				t.Errorf("runs %q, want %q", runs, tt.want)
			}
			want := strings.Map(func(c rune) rune { return c + 1 }, tt.rows)
			if got := labels(resp); got != want {
				t.Errorf("labels %q, want %q: every row its own answer", got, want)
			}
		})
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
		{"refused by the gate", func(r *rig) { r.gate.err = scoring.Errorf(scoring.Overloaded, "full") }, "m", "full", scoring.Overloaded, ""},
		{"unknown model", func(*rig) {}, "x", `model "x" does not exist: GET /v1/models lists the models`, scoring.NotFound, ""},
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
			entered, left := slices.Contains(r.journal.steps, "enter 1"), slices.Contains(r.journal.steps, "leave")
			if refused := tt.code == scoring.Overloaded; left != (entered && !refused) {
				t.Errorf("steps %q: a place that was taken must be given back", r.journal.steps)
			}
			if unknown := tt.code == scoring.NotFound; unknown && entered {
				t.Errorf("steps %q: a request for an unknown model must not queue", r.journal.steps)
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
	r.session.journal, r.pipeline.journal = &r.journal, &r.journal
	models := registry.New()
	if err := models.Add(artifact.Ref{Name: "m", Version: 1}, &registry.Version{Session: &r.session, Pipeline: &r.pipeline}); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithDeadline(t.Context(), time.Now().Add(-time.Second))
	defer cancel()
	_, err := engine.New(admit.New(1, 1), models, &r.observer, zerolog.Nop()).Predict(ctx, texts("a"))
	if scoring.CodeOf(err) != scoring.Expired || len(r.journal.steps) != 0 {
		t.Errorf("got %v after steps %q, want Expired and no step", err, r.journal.steps)
	}
}
