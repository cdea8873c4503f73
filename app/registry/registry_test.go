package registry_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/onda-serving/onda/app/artifact"
	"github.com/onda-serving/onda/app/registry"
	"github.com/onda-serving/onda/app/scoring"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// session is a session that says when it was closed.
type session struct {
	signature scoring.Signature
	closed    chan struct{}
	closing   error
}

func newSession() *session { return &session{closed: make(chan struct{})} }

func (s *session) Signature() scoring.Signature { return s.signature }

func (s *session) Check([]scoring.Tensor, []string) error { return nil }

func (s *session) Run(context.Context, []scoring.Tensor, []string) ([]scoring.Tensor, error) {
	return nil, nil
}

func (s *session) Close() error {
	close(s.closed)
	return s.closing
}

func ref(name string, version int64) artifact.Ref { return artifact.Ref{Name: name, Version: version} }

func version(name string, number int64, s *session) *registry.Version {
	return &registry.Version{ID: scoring.ModelID{Name: name, Version: number, Digest: "sha256:1"}, Session: s}
}

func add(t *testing.T, r *registry.Registry, name string, number int64) *session {
	t.Helper()
	s := newSession()
	if err := r.Add(ref(name, number), version(name, number, s)); err != nil {
		t.Fatal(err)
	}
	return s
}

func TestUseFindsTheVersion(t *testing.T) {
	t.Parallel()
	r := registry.New()
	r.Announce([]artifact.Ref{ref("m", 1), ref("m", 2), ref("m", 3), ref("m", 4), ref("new", 1)})
	add(t, r, "m", 1)
	add(t, r, "m", 2)
	r.Fail(ref("m", 3), errors.New("broken"))
	tests := []struct {
		name string
		ref  scoring.ModelRef
		want int64
		err  string
	}{
		{"nothing given: the newest that is loaded", scoring.ModelRef{Name: "m"}, 2, ""},
		{"label live", scoring.ModelRef{Name: "m", Label: "live"}, 2, ""},
		{"version", scoring.ModelRef{Name: "m", Version: 1}, 1, ""},
		{"failed version", scoring.ModelRef{Name: "m", Version: 3}, 0, "Unavailable: model m@3 could not be loaded: GET /v1/models/m/versions/3 or the server's log says why"},
		{"version that is loading", scoring.ModelRef{Name: "m", Version: 4}, 0, "Unavailable: model m@4 is loading"},
		{"model that is loading", scoring.ModelRef{Name: "new"}, 0, "Unavailable: model new@1 is loading"},
		{"unknown model", scoring.ModelRef{Name: "x"}, 0, `NotFound: Request for unknown model: 'x' is not found: there are m, new: GET /v1/models lists the models`},
		{"unknown version", scoring.ModelRef{Name: "m", Version: 9}, 0, `NotFound: model "m" has no version 9: there are 4, 3, 2, 1: GET /v1/models/m lists its versions`},
		{"unknown label", scoring.ModelRef{Name: "m", Label: "canary"}, 0, `NotFound: model "m" has no label "canary": there is live: GET /v1/models/m lists its labels`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var got int64
			err := r.Use(t.Context(), registry.Want{Ref: tt.ref, Caller: scoring.Caller{Lists: true}}, func(v registry.Lease) error {
				got = v.ID.Version
				return nil
			})
			if tt.err != "" {
				if err == nil || err.Error() != tt.err {
					t.Errorf("error %v, want %s", err, tt.err)
				}
				return
			}
			if err != nil || got != tt.want {
				t.Errorf("got version %d and error %v, want %d", got, err, tt.want)
			}
		})
	}
}

func TestUsePassesTheErrorOn(t *testing.T) {
	t.Parallel()
	r := registry.New()
	add(t, r, "m", 1)
	want := errors.New("mine")
	if err := r.Use(t.Context(), registry.Want{Ref: scoring.ModelRef{Name: "m"}}, func(registry.Lease) error { return want }); !errors.Is(err, want) {
		t.Errorf("got %v, want %v", err, want)
	}
}

func TestReadyOnceEverythingWasTriedAndOneVersionAnswers(t *testing.T) {
	t.Parallel()
	r := registry.New()
	r.Announce([]artifact.Ref{ref("a", 1), ref("b", 1)})
	expectReady(t, r, false, "nothing loaded")
	add(t, r, "a", 1)
	expectReady(t, r, false, "b not tried yet")
	r.Fail(ref("b", 1), errors.New("broken"))
	r.SetLoaded()
	expectReady(t, r, true, "a answers, b failed")
	if err := r.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	expectReady(t, r, false, "closed")
}

func expectReady(t *testing.T, r *registry.Registry, want bool, when string) {
	t.Helper()
	if got := r.Ready(); got != want {
		t.Errorf("%s: ready is %v, want %v", when, got, want)
	}
}

func TestNothingToServeIsNotReady(t *testing.T) {
	t.Parallel()
	r := registry.New()
	r.SetLoaded()
	expectReady(t, r, false, "no models")
}

func TestCloseWaitsForLeasesAndFreesNothingInUse(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := registry.New()
		s := add(t, r, "m", 1)
		inUse, done := make(chan struct{}), make(chan struct{})
		var users sync.WaitGroup
		users.Go(func() {
			err := r.Use(t.Context(), registry.Want{Ref: scoring.ModelRef{Name: "m"}}, func(registry.Lease) error {
				close(inUse)
				<-done
				select {
				case <-s.closed:
					t.Error("the session was closed while it was in use")
				default:
				}
				return nil
			})
			if err != nil {
				t.Error(err)
			}
		})
		<-inUse
		closed := make(chan error)
		go func() { closed <- r.Close(t.Context()) }()
		synctest.Wait()
		if err := r.Use(t.Context(), registry.Want{Ref: scoring.ModelRef{Name: "m"}}, func(registry.Lease) error { return nil }); scoring.CodeOf(err) != scoring.Unavailable {
			t.Errorf("use after close: got %v, want Unavailable", err)
		}
		close(done)
		users.Wait()
		if err := <-closed; err != nil {
			t.Error(err)
		}
		<-s.closed
	})
}

func TestCloseGivesUpWithItsContext(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := registry.New()
		s := add(t, r, "m", 1)
		done := make(chan struct{})
		var users sync.WaitGroup
		users.Go(func() {
			_ = r.Use(t.Context(), registry.Want{Ref: scoring.ModelRef{Name: "m"}}, func(registry.Lease) error { <-done; return nil })
		})
		synctest.Wait()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := r.Close(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v, want the context's error", err)
		}
		close(done)
		users.Wait()
		<-s.closed
	})
}

func TestCloseSaysWhatCouldNotBeFreed(t *testing.T) {
	t.Parallel()
	r := registry.New()
	add(t, r, "m", 1).closing = errors.New("stuck")
	if err := r.Close(t.Context()); err == nil || err.Error() != "free m@1: stuck" {
		t.Errorf("got %v", err)
	}
}

func TestAddAfterCloseFreesTheVersion(t *testing.T) {
	t.Parallel()
	r := registry.New()
	if err := r.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	<-add(t, r, "m", 1).closed
}

func TestModelsAreListedInOrder(t *testing.T) {
	t.Parallel()
	r := registry.New()
	r.Announce([]artifact.Ref{ref("b", 10), ref("b", 9), ref("a", 1)})
	r.Fail(ref("a", 1), errors.New("broken"))
	models := r.Models()
	if len(models) != 2 || models[0].Name != "a" || models[1].Name != "b" {
		t.Fatalf("got %+v", models)
	}
	if models[0].Versions[0].Reason != "broken" {
		t.Errorf("reason %q, want broken", models[0].Versions[0].Reason)
	}
	b := models[1].Versions
	if len(b) != 2 || b[0].Ref.Version != 9 || b[1].Ref.Version != 10 {
		t.Errorf("versions of b: %+v, want 9 and 10", b)
	}
	if models[1].Labels["live"] != 10 {
		t.Errorf("live is %d, want 10: the newest, as none is loaded", models[1].Labels["live"])
	}
}
