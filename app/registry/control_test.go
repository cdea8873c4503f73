package registry_test

import (
	"context"
	"errors"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/onda-serving/onda/app/onnx/onnxtest"
	"github.com/onda-serving/onda/app/registry"
	"github.com/onda-serving/onda/app/scoring"
	"github.com/onda-serving/onda/app/triton"
)

// house is a registry with its control, on fake sessions.
type house struct {
	models   string
	registry *registry.Registry
	control  *registry.Control

	mu     sync.Mutex
	opened []string
	closed []string
	gone   []string
	fail   error
}

func newHouse(t *testing.T) *house {
	t.Helper()
	h := &house{models: t.TempDir(), registry: registry.New()}
	loader := registry.Loader{MaxRows: 1, Open: h.open}
	h.control = registry.NewControl(loader, h.registry, h.models, func(digests []string) { h.gone = append(h.gone, digests...) })
	t.Cleanup(func() {
		if err := h.registry.Close(context.WithoutCancel(t.Context())); err != nil {
			t.Error(err)
		}
		h.mu.Lock()
		defer h.mu.Unlock()
		if len(h.opened) != len(h.closed) {
			t.Errorf("opened %q and closed %q", h.opened, h.closed)
		}
	})
	return h
}

func (h *house) open(model []byte, _ triton.Settings) (registry.Session, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.fail != nil {
		return nil, h.fail
	}
	name := string(model)
	h.opened = append(h.opened, name)
	return &closing{Fake: &onnxtest.Fake{Spec: twoInputs}, closed: func() {
		h.mu.Lock()
		defer h.mu.Unlock()
		h.closed = append(h.closed, name)
	}}, nil
}

// closing is a session that tells when it is closed.
type closing struct {
	*onnxtest.Fake

	closed func()
}

func (c *closing) Close() error {
	c.closed()
	return nil
}

func (h *house) state(t *testing.T, name string, number int64) registry.State {
	t.Helper()
	s, err := h.registry.Status(scoring.ModelRef{Name: name, Version: number})
	if err != nil {
		return ""
	}
	return s.State
}

func TestLoadAndUnload(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	place(t, h.models, "m", 1, "")
	place(t, h.models, "m", 2, "")
	if err := h.control.Load(t.Context(), scoring.LoadRequest{Name: "m"}); err != nil {
		t.Fatal(err)
	}
	if h.state(t, "m", 1) != registry.Available || h.state(t, "m", 2) != registry.Available {
		t.Error("not both versions answer")
	}
	if err := h.control.Unload(t.Context(), "m"); err != nil {
		t.Fatal(err)
	}
	if len(h.closed) != 2 || len(h.gone) != 2 || h.state(t, "m", 1) != registry.Unloaded {
		t.Errorf("closed %q, told of %q", h.closed, h.gone)
	}
	err := h.registry.Use(t.Context(), registry.Want{Ref: scoring.ModelRef{Name: "m"}}, func(registry.Lease) error { return nil })
	if e := scoring.AsError(err); e == nil || e.Code != scoring.Unavailable || !e.Final || !strings.Contains(e.Message, "/v2/repository/models/m/load") {
		t.Errorf("an unloaded model: %v", err)
	}
	if err := h.control.Load(t.Context(), scoring.LoadRequest{Name: "m"}); err != nil || h.state(t, "m", 2) != registry.Available {
		t.Errorf("again: %v", err)
	}
}

func TestReloadLetsRequestsFinishOnTheVersionTheyBeganWith(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	place(t, h.models, "m", 1, "")
	if err := h.control.Load(t.Context(), scoring.LoadRequest{Name: "m"}); err != nil {
		t.Fatal(err)
	}
	err := h.registry.Use(t.Context(), registry.Want{Ref: scoring.ModelRef{Name: "m"}}, func(old registry.Lease) error {
		if err := h.control.Load(t.Context(), scoring.LoadRequest{Name: "m"}); err != nil {
			return err
		}
		h.mu.Lock()
		if len(h.closed) != 0 {
			t.Error("the version was freed under a request")
		}
		h.mu.Unlock()
		return h.registry.Use(t.Context(), registry.Want{Ref: scoring.ModelRef{Name: "m"}}, func(now registry.Lease) error {
			if now == old {
				t.Error("a new request got the old version")
			}
			return nil
		})
	})
	if err != nil {
		t.Fatal(err)
	}
	waitFor(t, func() bool { h.mu.Lock(); defer h.mu.Unlock(); return len(h.closed) == 1 })
}

func TestFailedReloadLeavesWhatAnswers(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	place(t, h.models, "m", 1, "")
	if err := h.control.Load(t.Context(), scoring.LoadRequest{Name: "m"}); err != nil {
		t.Fatal(err)
	}
	place(t, h.models, "m", 2, "")
	h.fail = errors.New("broken")
	err := h.control.Load(t.Context(), scoring.LoadRequest{Name: "m"})
	if scoring.CodeOf(err) != scoring.Invalid || !strings.Contains(err.Error(), "failed to load 'm'") {
		t.Errorf("got %v", err)
	}
	if h.state(t, "m", 1) != registry.Available || h.state(t, "m", 2) != registry.Failed {
		t.Errorf("version 1 is %s and version 2 %s", h.state(t, "m", 1), h.state(t, "m", 2))
	}
}

func TestUnloadWaitsForRequests(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	place(t, h.models, "m", 1, "")
	if err := h.control.Load(t.Context(), scoring.LoadRequest{Name: "m"}); err != nil {
		t.Fatal(err)
	}
	err := h.registry.Use(t.Context(), registry.Want{Ref: scoring.ModelRef{Name: "m"}}, func(registry.Lease) error {
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
		defer cancel()
		return h.control.Unload(ctx, "m")
	})
	if scoring.CodeOf(err) != scoring.Expired {
		t.Errorf("got %v, want Expired while a request has a lease", err)
	}
	if h.state(t, "m", 1) != registry.Unloaded {
		t.Error("new requests get it still")
	}
}

func TestVersionsThatLeftTheFolderAreUnloaded(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	old := place(t, h.models, "m", 1, "")
	if err := h.control.Load(t.Context(), scoring.LoadRequest{Name: "m"}); err != nil {
		t.Fatal(err)
	}
	if err := os.RemoveAll(old.Dir); err != nil {
		t.Fatal(err)
	}
	place(t, h.models, "m", 2, "")
	if err := h.control.Load(t.Context(), scoring.LoadRequest{Name: "m"}); err != nil {
		t.Fatal(err)
	}
	if h.state(t, "m", 1) != registry.Unloaded || h.state(t, "m", 2) != registry.Available {
		t.Errorf("version 1 is %s and version 2 %s", h.state(t, "m", 1), h.state(t, "m", 2))
	}
}

func TestLoadOfFilesThatTheRequestBrings(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	config := `{"backend":"onnxruntime","version_policy":{"specific":{"versions":[3]}}}`
	err := h.control.Load(t.Context(), scoring.LoadRequest{Name: "m", Config: config, Files: map[string][]byte{"3/model.onnx": []byte("brought")}})
	if err != nil {
		t.Fatal(err)
	}
	if len(h.opened) != 1 || h.opened[0] != "brought" || h.state(t, "m", 3) != registry.Available {
		t.Errorf("opened %q", h.opened)
	}
}

func TestLoadRefuses(t *testing.T) {
	t.Parallel()
	file := map[string][]byte{"1/model.onnx": []byte("x")}
	tests := []struct {
		name string
		req  scoring.LoadRequest
		want string
		code scoring.Code
	}{
		{"no such model", scoring.LoadRequest{Name: "none"}, "failed to load 'none'", scoring.NotFound},
		{"no name", scoring.LoadRequest{}, "model name is empty", scoring.Invalid},
		{"files without a configuration", scoring.LoadRequest{Name: "m", Files: file}, "files need the parameter config", scoring.Invalid},
		{"broken configuration", scoring.LoadRequest{Name: "m", Config: "{"}, "parameter config", scoring.Invalid},
		{"a way out", scoring.LoadRequest{Name: "m", Config: "{}", Files: map[string][]byte{"../../x": nil}}, "want VERSION/NAME", scoring.Invalid},
		{"an absolute path", scoring.LoadRequest{Name: "m", Config: "{}", Files: map[string][]byte{"/etc/x": nil}}, "want VERSION/NAME", scoring.Invalid},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			h := newHouse(t)
			err := h.control.Load(t.Context(), tt.req)
			if e := scoring.AsError(err); e == nil || e.Code != tt.code || !strings.Contains(e.Message, tt.want) {
				t.Errorf("got %v, want %s: ...%s...", err, tt.code, tt.want)
			}
			if err := h.control.Unload(t.Context(), "none"); scoring.CodeOf(err) != scoring.NotFound {
				t.Errorf("unload of what is not there: %v", err)
			}
		})
	}
}

// TestNothingIsLeftBehind is not parallel: it sets where temporary folders are made.
func TestNothingIsLeftBehind(t *testing.T) {
	temporary := t.TempDir()
	t.Setenv("TMPDIR", temporary)
	h := newHouse(t)
	request := scoring.LoadRequest{Name: "m", Config: "{}", Files: map[string][]byte{"1/model.onnx": []byte("x"), "../y": nil}}
	if err := h.control.Load(t.Context(), request); err == nil {
		t.Error("a way out was taken")
	}
	delete(request.Files, "../y")
	if err := h.control.Load(t.Context(), request); err != nil {
		t.Error(err)
	}
	if left, err := os.ReadDir(temporary); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

func waitFor(t *testing.T, done func() bool) {
	t.Helper()
	for range 1000 {
		if done() {
			return
		}
		time.Sleep(5 * time.Millisecond)
	}
	t.Fatal("it did not happen")
}
