package engine_test

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/onda-serving/onda/app/admit"
	"github.com/onda-serving/onda/app/artifact"
	"github.com/onda-serving/onda/app/cache"
	"github.com/onda-serving/onda/app/compare"
	"github.com/onda-serving/onda/app/engine"
	"github.com/onda-serving/onda/app/registry"
	"github.com/onda-serving/onda/app/scoring"
)

func TestDifferencesAreReported(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name     string
		answered int64
		first    run
		second   run
		ask      func(*testing.T, mirrors)
		want     compare.Difference
	}{
		{"same outputs", 1, plus(1), plus(1), askTensor, compare.Difference{}},
		{"other outputs", 1, plus(1), plus(3), askTensor, compare.Difference{Disagrees: true, Max: 2}},
		{"the candidate answered", 2, plus(1), plus(3), askTensor, compare.Difference{Disagrees: true, Max: 2}},
		{"same predictions", 1, plus(1), plus(1), askText, compare.Difference{}},
		{"other predictions", 1, plus(1), plus(3), askText, compare.Difference{Disagrees: true, Max: 2. / 256}},
		{"same classes", 1, plus(1), plus(1), askClasses, compare.Difference{}},
		// The tensors differ by 2, and their classes are texts, which have no distance.
		{"other classes", 1, plus(1), plus(3), askClasses, compare.Difference{Disagrees: true, Max: 2}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			versions := map[int64]*registry.Version{1: version(1, tt.first), 2: version(2, tt.second)}
			mirror := 3 - tt.answered
			m := mirroring(t, versions[tt.answered], versions[mirror])
			tt.ask(t, m)
			if got, want := <-m.listener.heard, (mirrored{answered: tt.answered, mirror: mirror, difference: tt.want}); got != want {
				t.Errorf("got %+v, want %+v", got, want)
			}
			if err := m.Close(t.Context()); err != nil {
				t.Fatal(err)
			}
			if got := versions[mirror].Statistics.Snapshot(); got.Success.Count != 1 || got.Inferences != 1 || got.Fail.Count != 0 {
				t.Errorf("the mirror's statistics are %+v, want one success of one row", got)
			}
			if m.listener.scored != 1 {
				t.Errorf("%d requests in the metrics, want the caller's alone", m.listener.scored)
			}
		})
	}
}

func askTensor(t *testing.T, m mirrors) {
	t.Helper()
	if _, err := m.Infer(t.Context(), tensor(1, 2, 3)); err != nil {
		t.Fatal(err)
	}
}

func askText(t *testing.T, m mirrors) {
	t.Helper()
	if _, err := m.Predict(t.Context(), texts("a")); err != nil {
		t.Fatal(err)
	}
}

func askClasses(t *testing.T, m mirrors) {
	t.Helper()
	req := tensor(7, 2)
	req.Outputs = []scoring.Output{{Name: "y", Classes: 1}}
	resp, err := m.Infer(t.Context(), req)
	if err != nil {
		t.Fatal(err)
	}
	if got := resp.Outputs[0]; got.Datatype != scoring.Bytes || !bytes.HasSuffix(got.Strings[0], []byte(":0")) {
		t.Errorf("the caller got %+v, want classes", got)
	}
}

// TestMirrorsDelayNobody holds answers against a mirror that never has one.
func TestMirrorsDelayNobody(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := mirroring(t, version(1, plus(1)), version(2, stuck))
		began := time.Now()
		for range 2 {
			resp, err := m.Infer(t.Context(), tensor(1))
			if err != nil || resp.Outputs[0].Data[0] != 2 {
				t.Fatalf("got %+v, %v", resp, err)
			}
		}
		if took := time.Since(began); took != 0 {
			t.Errorf("the answers took %s, want no wait", took)
		}
		synctest.Wait()
		if len(m.listener.heard) != 0 {
			t.Errorf("heard %+v before the mirrors had ended", <-m.listener.heard)
		}
		if err := m.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
		for range 2 {
			if got := <-m.listener.heard; got != (mirrored{answered: 1, dropped: engine.DroppedStopping}) {
				t.Errorf("got %+v, want stopping", got)
			}
		}
		askTensor(t, m) // callers are answered to the end
		if got := <-m.listener.heard; got != (mirrored{answered: 1, dropped: engine.DroppedStopping}) {
			t.Errorf("got %+v, want stopping", got)
		}
	})
}

func TestMirrorHasATimeOfItsOwn(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := mirroring(t, version(1, plus(1)), version(2, stuck))
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		if _, err := m.Infer(ctx, tensor(1)); err != nil {
			t.Fatal(err)
		}
		cancel() // the caller's budget is not the mirror's
		if got := <-m.listener.heard; got != (mirrored{answered: 1, mirror: 2, code: scoring.Expired}) {
			t.Errorf("got %+v, want Expired", got)
		}
		if took := m.listener.took[0]; took != 30*time.Second {
			t.Errorf("it took %s, want 30s", took)
		}
	})
}

// TestMirrorsGetCopies changes everything that was the caller's before the mirror looks at it.
func TestMirrorsGetCopies(t *testing.T) {
	t.Parallel()
	scribbled := make(chan struct{})
	mirror := version(2, func(ctx context.Context, inputs []scoring.Tensor) ([]scoring.Tensor, error) {
		<-scribbled
		return plus(1)(ctx, inputs)
	})
	// An output that is the input: what the caller does to the one happens to the other.
	same := func(_ context.Context, inputs []scoring.Tensor) ([]scoring.Tensor, error) {
		for i := range inputs[0].Data {
			inputs[0].Data[i]++
		}
		out := inputs[0]
		out.Name = "y"
		return []scoring.Tensor{out}, nil
	}
	m := mirroring(t, version(1, same), mirror)
	req := tensor(1, 2, 3)
	resp, err := m.Infer(t.Context(), req)
	if err != nil {
		t.Fatal(err)
	}
	for i := range req.Inputs[0].Data {
		req.Inputs[0].Data[i], resp.Outputs[0].Data[i] = 99, 98
	}
	req.Inputs[0].Shape[0], resp.Outputs[0].Shape[0] = 77, 76
	req.Inputs[0].Name, resp.Outputs[0].Name = "?", "?"
	close(scribbled)
	// The request was 2 3 4 when it was copied, and so was its answer; the mirror adds 1.
	if got, want := <-m.listener.heard, (mirrored{answered: 1, mirror: 2, difference: compare.Difference{Disagrees: true, Max: 1}}); got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
}

func TestMirrorsGetCopiesOfInstances(t *testing.T) {
	t.Parallel()
	scribbled := make(chan struct{})
	mirror := version(2, plus(1))
	mirror.Pipeline = firsts{before: func() error { <-scribbled; return nil }}
	m := mirroring(t, version(1, plus(1)), mirror)
	req := texts("a", "b")
	if _, err := m.Predict(t.Context(), req); err != nil {
		t.Fatal(err)
	}
	for i := range req.Instances {
		req.Instances[i].Data[0] = 'z'
		req.Instances[i] = scoring.Instance{}
	}
	close(scribbled)
	if got, want := <-m.listener.heard, (mirrored{answered: 1, mirror: 2}); got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
}

func TestWhatIsNotMirrored(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name   string
		change func(*engine.Parts)
		mirror func() *registry.Version
		// ask asks; the last copy is the one that is dropped.
		ask  func(*testing.T, mirrors)
		want string
	}{
		{"too large", nil, nil, func(t *testing.T, m mirrors) {
			t.Helper()
			if _, err := m.Infer(t.Context(), tensor(make([]byte, 4<<20)...)); err != nil { // and the answer
				t.Fatal(err)
			}
		}, engine.DroppedLarge},
		{"no room for the request", func(p *engine.Parts) { p.Copies = admit.NewBytes(10) }, nil, askTensor, engine.DroppedMemory},
		{"no room for its tensors", func(p *engine.Parts) { p.Copies = admit.NewBytes(200) }, nil, askText, engine.DroppedMemory},
		{"none at once", func(p *engine.Parts) { p.Mirrors = 0 }, nil, askTensor, engine.DroppedBusy},
		{"too many at once", func(p *engine.Parts) { p.Mirrors = 1 }, func() *registry.Version { return version(2, stuck) }, func(t *testing.T, m mirrors) {
			t.Helper()
			askTensor(t, m)
			askText(t, m)
		}, engine.DroppedBusy},
		{"half of the mirror's room is taken", nil, func() *registry.Version {
			v := version(2, plus(1))
			if _, err := v.Batcher.Admit(context.Background(), scoring.Schedule{Lane: scoring.Bulk}, 9); err != nil {
				panic(err)
			}
			return v
		}, askTensor, engine.DroppedOverloaded},
		{"no room for so many rows", nil, func() *registry.Version {
			v := version(2, plus(1))
			if _, err := v.Batcher.Admit(context.Background(), scoring.Schedule{Lane: scoring.Bulk}, 8); err != nil {
				panic(err)
			}
			return v
		}, func(t *testing.T, m mirrors) {
			t.Helper()
			if _, err := m.Predict(t.Context(), texts(strings.Split("abcdefghi", "")...)); err != nil {
				t.Fatal(err)
			}
		}, engine.DroppedOverloaded},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			mirror := version(2, plus(1))
			if tt.mirror != nil {
				mirror = tt.mirror()
			}
			var change []func(*engine.Parts)
			if tt.change != nil {
				change = append(change, tt.change)
			}
			m := mirroring(t, version(1, plus(1)), mirror, change...)
			tt.ask(t, m)
			if got := <-m.listener.heard; got != (mirrored{answered: 1, dropped: tt.want}) {
				t.Errorf("got %+v, want it dropped: %s", got, tt.want)
			}
		})
	}
}

// TestOnlyFreshAnswersAreMirrored: an answer from the cache is an old one, and a failure
// says nothing about the other version.
func TestOnlyFreshAnswersAreMirrored(t *testing.T) {
	t.Parallel()
	fail := atomic.Bool{}
	answering := version(1, func(ctx context.Context, inputs []scoring.Tensor) ([]scoring.Tensor, error) {
		if fail.Load() {
			return nil, errors.New("broken")
		}
		return plus(1)(ctx, inputs)
	})
	answering.CacheTTL = time.Minute
	answers := cache.New(1 << 20)
	m := mirroring(t, answering, version(2, plus(1)), func(p *engine.Parts) { p.Cache = answers })
	for range 3 {
		askTensor(t, m)
	}
	fail.Store(true)
	if _, err := m.Infer(t.Context(), tensor(9)); scoring.CodeOf(err) != scoring.Internal {
		t.Errorf("got %v, want Internal", err)
	}
	if err := m.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	if len(m.listener.heard) != 1 || m.listener.scored != 4 {
		t.Errorf("%d of %d requests were mirrored, want 1 of 4", len(m.listener.heard), m.listener.scored)
	}
	answers.Wait()
}

func TestFailingMirrors(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name   string
		mirror func() *registry.Version
		want   scoring.Code
		panics int
	}{
		{"run", func() *registry.Version {
			return version(2, func(context.Context, []scoring.Tensor) ([]scoring.Tensor, error) { return nil, errors.New("broken") })
		}, scoring.Internal, 0},
		{"pre-processing", func() *registry.Version {
			v := version(2, plus(1))
			v.Pipeline = firsts{before: func() error { return scoring.Errorf(scoring.Invalid, "bad") }}
			return v
		}, scoring.Invalid, 0},
		{"panic", func() *registry.Version {
			v := version(2, plus(1))
			v.Pipeline = firsts{before: func() error { panic("oops") }}
			return v
		}, scoring.Internal, 1},
		{"no pipeline", func() *registry.Version {
			v := version(2, plus(1))
			v.Pipeline = nil
			return v
		}, scoring.Invalid, 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			mirror := tt.mirror()
			m := mirroring(t, version(1, plus(1)), mirror)
			askText(t, m)
			if got := <-m.listener.heard; got != (mirrored{answered: 1, mirror: 2, code: tt.want}) {
				t.Errorf("got %+v, want %s", got, tt.want)
			}
			if got := mirror.Statistics.Snapshot(); got.Fail.Count != 1 || got.Success.Count != 0 {
				t.Errorf("the mirror's statistics are %+v, want one failure", got)
			}
			if m.listener.panics != tt.panics {
				t.Errorf("%d panics counted, want %d", m.listener.panics, tt.panics)
			}
		})
	}
}

// TestMirrorsGiveWay: they are bulk, pre-process one at a time, and do not stand in the line
// of callers' tensors.
func TestMirrorsGiveWay(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var inside, most atomic.Int32
		var lanes atomic.Value
		var mirror *registry.Version
		mirror = version(2, func(ctx context.Context, inputs []scoring.Tensor) ([]scoring.Tensor, error) {
			lanes.Store(mirror.Batcher.Stats().Rows)
			return plus(1)(ctx, inputs)
		})
		mirror.Pipeline = firsts{before: func() error {
			most.Store(max(most.Load(), inside.Add(1)))
			time.Sleep(time.Second)
			inside.Add(-1)
			return nil
		}}
		mirror.Ahead[scoring.Bulk] = admit.New(1)
		if _, err := mirror.Ahead[scoring.Bulk].Enter(t.Context()); err != nil {
			t.Fatal(err)
		}
		m := mirroring(t, version(1, plus(1)), mirror)
		for range 3 {
			askText(t, m)
		}
		for range 3 {
			if got := <-m.listener.heard; got != (mirrored{answered: 1, mirror: 2}) {
				t.Errorf("got %+v, want an answer", got)
			}
		}
		if got := most.Load(); got != 1 {
			t.Errorf("%d were pre-processed at once, want 1", got)
		}
		if got := lanes.Load(); got != [2]int{0, 1} {
			t.Errorf("rows by lane %v, want the last one in bulk", got)
		}
	})
}

// TestMirrorsStayLoaded: a version that is taken away is freed after its mirrored requests.
func TestMirrorsStayLoaded(t *testing.T) {
	t.Parallel()
	reached, release := make(chan struct{}), make(chan struct{})
	mirror := version(2, func(ctx context.Context, inputs []scoring.Tensor) ([]scoring.Tensor, error) {
		close(reached)
		<-release
		return plus(1)(ctx, inputs)
	})
	models := registry.New()
	if err := models.Add(artifact.Ref{Name: "m", Version: 2}, mirror); err != nil {
		t.Fatal(err)
	}
	m := mirroring(t, version(1, plus(1)), mirror)
	askTensor(t, m)
	<-reached
	freed, _ := models.Replace("m", nil)
	select {
	case <-freed:
		t.Error("the version was freed while it was asked")
	case <-time.After(10 * time.Millisecond):
	}
	close(release)
	<-freed
	if got := <-m.listener.heard; got != (mirrored{answered: 1, mirror: 2}) {
		t.Errorf("got %+v, want an answer", got)
	}
}

// TestCloseDoesNotWaitForEver: a mirror that cannot be ended does not hold up a stop.
func TestCloseDoesNotWaitForEver(t *testing.T) {
	t.Parallel()
	reached, release := make(chan struct{}), make(chan struct{})
	m := mirroring(t, version(1, plus(1)), version(2, func(context.Context, []scoring.Tensor) ([]scoring.Tensor, error) {
		close(reached)
		<-release
		return nil, errors.New("late")
	}))
	askTensor(t, m)
	<-reached
	ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
	defer cancel()
	if err := m.Close(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v, want the end of the context", err)
	}
	close(release)
}
