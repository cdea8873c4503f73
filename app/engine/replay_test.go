package engine_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/onda-serving/onda/app/engine"
	"github.com/onda-serving/onda/app/registry"
	"github.com/onda-serving/onda/app/scoring"
)

// collecting makes an engine that keeps recent requests of v.
func collecting(t *testing.T, v *registry.Version, requests int, bytes int64) mirrors {
	t.Helper()
	return mirroring(t, v, nil, func(p *engine.Parts) { p.RecentRequests, p.RecentBytes = requests, bytes })
}

// pause is what is at least between two requests that are kept.
const pause = 50 * time.Millisecond

// send asks each byte by itself, with a pause after each.
func send(t *testing.T, m mirrors, data ...byte) {
	t.Helper()
	for _, b := range data {
		if _, err := m.Infer(t.Context(), tensor(b)); err != nil {
			t.Fatal(err)
		}
		time.Sleep(pause)
	}
}

// replayed gives the bytes that a replay asks for.
func replayed(t *testing.T, m mirrors) (asked []byte) {
	t.Helper()
	candidate := version(2, func(ctx context.Context, inputs []scoring.Tensor) ([]scoring.Tensor, error) {
		asked = append(asked, inputs[0].Data[0])
		return plus(1)(ctx, inputs)
	})
	got, err := m.Replay(t.Context(), "m", nil, candidate, nil)
	if err != nil || got.Samples != len(asked) || got.Failed != 0 {
		t.Errorf("got %+v, %v, want %d samples", got, err, len(asked))
	}
	return asked
}

func TestTheNewestRequestsAreKept(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := collecting(t, version(1, plus(1)), 4, 8<<20)
		if got := replayed(t, m); len(got) != 0 {
			t.Errorf("got %v before there was anything", got)
		}
		send(t, m, 1, 2, 3)
		if got := replayed(t, m); !slices.Equal(got, []byte{1, 2, 3}) {
			t.Errorf("got %v, want 1 2 3", got)
		}
		send(t, m, 4, 5, 6)
		if got := replayed(t, m); !slices.Equal(got, []byte{3, 4, 5, 6}) {
			t.Errorf("got %v, want 3 4 5 6", got)
		}
		if got, err := m.Replay(t.Context(), "other", nil, version(2, plus(1)), nil); err != nil || got != (engine.Replayed{}) {
			t.Errorf("got %+v, %v for another model, want nothing", got, err)
		}
		time.Sleep(59 * time.Minute)
		send(t, m, 7)
		time.Sleep(time.Minute)
		if got := replayed(t, m); !slices.Equal(got, []byte{7}) {
			t.Errorf("got %v after an hour, want 7", got)
		}
	})
}

func TestABurstDoesNotFillAllPlaces(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := collecting(t, version(1, plus(1)), 32, 8<<20)
		for b := range byte(100) {
			if _, err := m.Infer(t.Context(), tensor(b)); err != nil {
				t.Fatal(err)
			}
			time.Sleep(10 * time.Millisecond)
		}
		want := []byte{0, 5, 10, 15, 20, 25, 30, 35, 40, 45, 50, 55, 60, 65, 70, 75, 80, 85, 90, 95}
		if got := replayed(t, m); !slices.Equal(got, want) {
			t.Errorf("got %v, want one of each 50 ms: %v", got, want)
		}
	})
}

func TestWhatIsNotKept(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		for name, off := range map[string]mirrors{"requests": collecting(t, version(1, plus(1)), 0, 8<<20), "bytes": collecting(t, version(1, plus(1)), 32, 0)} {
			send(t, off, 1)
			if got := replayed(t, off); len(got) != 0 {
				t.Errorf("no %s: got %v, want nothing", name, got)
			}
		}
		picky := version(1, func(ctx context.Context, inputs []scoring.Tensor) ([]scoring.Tensor, error) {
			if inputs[0].Data[0] == 2 {
				return nil, scoring.Errorf(scoring.Invalid, "not 2")
			}
			return plus(1)(ctx, inputs)
		})
		m := collecting(t, picky, 32, 1000)
		send(t, m, 1)
		if _, err := m.Infer(t.Context(), tensor(2)); scoring.CodeOf(err) != scoring.Invalid {
			t.Errorf("got %v, want Invalid", err)
		}
		if _, err := m.Infer(t.Context(), tensor(slices.Repeat([]byte{3}, 1000)...)); err != nil { // more than all the room
			t.Fatal(err)
		}
		time.Sleep(pause)
		send(t, m, 4)
		if got := replayed(t, m); !slices.Equal(got, []byte{1, 4}) {
			t.Errorf("got %v, want what was answered and not too large", got)
		}
		send(t, m, 5, 6, 7, 8, 9)
		if got := replayed(t, m); !slices.Equal(got, []byte{4, 5, 6, 7, 8, 9}) { // 161 bytes each
			t.Errorf("got %v, want as many as there is room for", got)
		}
	})
}

// TestKeptRequestsAreCopies, and have forgotten who asked.
func TestKeptRequestsAreCopies(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := collecting(t, version(1, plus(1)), 32, 8<<20)
		infer, predict := tensor(1), texts("b")
		if _, err := m.Infer(t.Context(), infer); err != nil {
			t.Fatal(err)
		}
		infer.Inputs[0].Data[0], infer.Inputs[0].Shape[0] = 99, 99
		time.Sleep(pause)
		if _, err := m.Predict(t.Context(), predict); err != nil {
			t.Fatal(err)
		}
		predict.Instances[0].Data[0] = 'z'
		if got := replayed(t, m); string(got) != "\x01b" {
			t.Errorf("got %q, want what was asked", got)
		}
	})
}

func TestReplay(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var order []string
		// Requests are the bytes 1 to 8: the baseline cannot answer 3 and 4, nor the candidate
		// 4 and 5, and on 7 they disagree.
		baseline := version(1, func(ctx context.Context, inputs []scoring.Tensor) ([]scoring.Tensor, error) {
			order = append(order, "b")
			time.Sleep(time.Duration(inputs[0].Data[0]) * time.Millisecond)
			if b := inputs[0].Data[0]; b == 3 || b == 4 {
				return nil, errors.New("broken")
			}
			return plus(1)(ctx, inputs)
		})
		candidate := version(2, func(ctx context.Context, inputs []scoring.Tensor) ([]scoring.Tensor, error) {
			order = append(order, "c")
			time.Sleep(10 * time.Millisecond)
			switch inputs[0].Data[0] {
			case 4, 5:
				return nil, scoring.Errorf(scoring.Invalid, "not %d", inputs[0].Data[0])
			case 7:
				return plus(9)(ctx, inputs)
			}
			return plus(1)(ctx, inputs)
		})
		m := collecting(t, version(1, plus(1)), 32, 8<<20)
		send(t, m, 1, 2, 3, 4, 5, 6, 7, 8)
		var steps []int64
		got, err := m.Replay(t.Context(), "m", baseline, candidate, func(done, total int64) {
			steps = append(steps, done)
			if total != 8 {
				t.Errorf("%d requests in all, want 8", total)
			}
		})
		want := engine.Replayed{
			Samples: 6, Failed: 1, Failure: "not 5", Disagreed: 1, MaxDifference: 8,
			BaselineP50: 6 * time.Millisecond, CandidateP50: 10 * time.Millisecond, // the middle of 1 2 5 6 7 8
		}
		if err != nil || got != want {
			t.Errorf("got  %+v, %v\nwant %+v", got, err, want)
		}
		if !slices.Equal(steps, []int64{1, 2, 3, 4, 5, 6, 7, 8}) {
			t.Errorf("progress %v", steps)
		}
		if got := strings.Join(order, ""); got != "bccbbccbbccbbccb" {
			t.Errorf("asked in the order %s, want them to take turns", got)
		}
		got, err = m.Replay(t.Context(), "m", nil, candidate, nil)
		want = engine.Replayed{Samples: 8, Failed: 2, Failure: "not 4", CandidateP50: 10 * time.Millisecond}
		if err != nil || got != want {
			t.Errorf("without a baseline: got  %+v, %v\nwant %+v", got, err, want)
		}
	})
}

func TestReplayOfWhatDoesNotFit(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := collecting(t, version(1, plus(1)), 32, 8<<20)
		if _, err := m.Predict(t.Context(), texts("a")); err != nil {
			t.Fatal(err)
		}
		time.Sleep(pause)
		send(t, m, 1)
		tensors := version(2, plus(1))
		tensors.Pipeline = nil
		got, err := m.Replay(t.Context(), "m", version(1, plus(1)), tensors, nil)
		if err != nil || got.Samples != 2 || got.Failed != 1 || got.Failure != "model m@2 has no pipeline: send tensors to /v2/models/m/infer" {
			t.Errorf("got %+v, %v, want 1 of 2 failed", got, err)
		}
		panics := version(2, plus(1))
		panics.Pipeline = firsts{before: func() error { panic("oops") }}
		if got, err = m.Replay(t.Context(), "m", version(1, plus(1)), panics, nil); err != nil || got.Samples != 2 || got.Failed != 1 || m.listener.panics != 1 {
			t.Errorf("got %+v, %v and %d panics, want 1 of 2 failed", got, err, m.listener.panics)
		}
		// A candidate that has enough to do with other requests has not failed.
		busy := version(2, plus(1))
		if _, err := busy.Batcher.Admit(t.Context(), scoring.Schedule{Lane: scoring.Bulk}, 16); err != nil {
			t.Fatal(err)
		}
		if got, err = m.Replay(t.Context(), "m", version(1, plus(1)), busy, nil); err != nil || got != (engine.Replayed{}) {
			t.Errorf("got %+v, %v, want no samples", got, err)
		}
		slow := version(2, stuck)
		if got, err = m.Replay(t.Context(), "m", nil, slow, nil); err != nil || got.Failed != 2 {
			t.Errorf("got %+v, %v, want both failed", got, err)
		}
	})
}

// TestReplayComparesScores: classes are texts, which differ with the last digit.
func TestReplayComparesScores(t *testing.T) {
	t.Parallel()
	m := collecting(t, version(1, plus(1)), 32, 8<<20)
	askClasses(t, m)
	got, err := m.Replay(t.Context(), "m", version(1, plus(1)), version(2, plus(2)), nil)
	if err != nil || got.Samples != 1 || got.MaxDifference != 1 {
		t.Errorf("got %+v, %v, want a difference of 1", got, err)
	}
}

func TestReplayEndsWithItsContext(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := collecting(t, version(1, plus(1)), 32, 8<<20)
		send(t, m, 1, 2, 3)
		ctx, cancel := context.WithCancel(t.Context())
		got, err := m.Replay(ctx, "m", version(1, plus(1)), version(2, plus(1)), func(done, _ int64) {
			if done == 2 {
				cancel()
			}
		})
		if scoring.CodeOf(err) != scoring.Canceled || got.Samples != 2 || got.Failed != 0 {
			t.Errorf("got %+v, %v, want Canceled after 2 samples", got, err)
		}
	})
}
