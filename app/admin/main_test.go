package admin_test

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/onda-serving/onda/app/admin"
	"github.com/onda-serving/onda/app/catalog"
	"github.com/onda-serving/onda/app/catalog/catalogtest"
	"github.com/onda-serving/onda/app/scoring"
	"github.com/onda-serving/onda/app/verify"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// replica is a Replica that notes what it is asked and does what it is told.
type replica struct {
	mu    sync.Mutex
	calls []string
	// inspect, prepare and serving answer; nil stands for success.
	inspect func(model string, v catalog.Version) (verify.Report, error)
	prepare func(ctx context.Context, m *catalog.Model, version, baseline int64) (admin.Comparison, error)
	serving admin.Serving
}

func (r *replica) note(format string, args ...any) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.calls = append(r.calls, fmt.Sprintf(format, args...))
}

func (r *replica) asked() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.calls)
}

func (r *replica) Inspect(_ context.Context, model string, v catalog.Version, progress func(admin.Progress)) (verify.Report, error) {
	r.note("inspect %s@%d", model, v.Version)
	progress(admin.Progress{Stage: "check", Done: 1, Total: 2})
	if r.inspect != nil {
		return r.inspect(model, v)
	}
	return reportOf(v), nil
}

func (r *replica) Prepare(ctx context.Context, m *catalog.Model, version, baseline int64, progress func(admin.Progress)) (admin.Comparison, error) {
	r.note("prepare %s@%d with %d", m.Name, version, baseline)
	progress(admin.Progress{Stage: "load"})
	if r.prepare != nil {
		return r.prepare(ctx, m, version, baseline)
	}
	return admin.Comparison{Samples: 20, Text: fmt.Sprintf("20 requests agree with version %d", baseline)}, nil
}

func (r *replica) Follow(_ context.Context, m *catalog.Model) {
	r.note("follow %s at %d", m.Name, m.Revision)
}

func (r *replica) Serving(string) admin.Serving { return r.serving }

func (r *replica) Status() admin.Status {
	return admin.Status{Replica: "r1", InSync: true, Revision: 3}
}

// store is an artifact store in memory.
type store struct {
	mu    sync.Mutex
	files map[string]int64
	err   error
}

func (s *store) Has(_ context.Context, sum string) (int64, bool, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	size, ok := s.files[sum]
	return size, ok, s.err
}

func (s *store) Put(_ context.Context, sum string, size int64, r io.Reader) error {
	n, err := io.Copy(io.Discard, r)
	if err != nil {
		return fmt.Errorf("read what is sent: %w", err)
	}
	if n != size {
		return scoring.Errorf(scoring.Invalid, "%d bytes came of %d", n, size)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.files[sum] = size
	return nil
}

// hasher gives the files of URLs.
type hasher map[string]map[string]catalog.File

func (h hasher) Sums(_ context.Context, location string, progress func(admin.Progress)) (map[string]catalog.File, error) {
	progress(admin.Progress{Stage: "fetch", Done: 5, Total: 5})
	files, ok := h[location]
	if !ok {
		return nil, scoring.Errorf(scoring.NotFound, "%s: not found", location)
	}
	return files, nil
}

// rig is an Admin on fakes.
type rig struct {
	*admin.Admin

	replica *replica
	store   *store
	book    *catalogtest.Store
	now     time.Time
}

var noon = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)

func newRig() *rig {
	r := &rig{replica: &replica{}, store: &store{files: map[string]int64{}}, book: &catalogtest.Store{}, now: noon}
	now := func() time.Time { return r.now }
	r.Admin = &admin.Admin{
		Book: &catalog.Book{Store: r.book, Now: now}, Replica: r.replica, Store: r.store, Hasher: hasher{}, Now: now,
	}
	return r
}

// by is what an operator sends along.
var by = admin.Ask{Actor: "ann"}

// sum makes a SHA-256 of one digit.
func sum(digit string) string { return strings.Repeat(digit, 64) }

// filesOf makes the files of a version.
func filesOf(digit string) map[string]catalog.File {
	return map[string]catalog.File{"model.onnx": {SHA256: sum(digit), Size: 5}}
}

// reportOf is the report of a version that is fine.
func reportOf(v catalog.Version) verify.Report {
	return verify.Report{Digest: "sha256:" + v.Files["model.onnx"].SHA256, Pipeline: "none"}
}

// register registers version number of model "m", with files of its own.
func (r *rig) register(t *testing.T, numbers ...int64) {
	t.Helper()
	for _, number := range numbers {
		digit := strconv.FormatInt(number%10, 10)
		r.store.files[sum(digit)] = 5
		if _, err := r.Register(t.Context(), "m", admin.Registration{Version: number, Location: "store:", Files: filesOf(digit)}, by); err != nil {
			t.Fatalf("register %d: %v", number, err)
		}
	}
}

// managed is a rig with versions 1 to 3 of "m", of which 1 is live and loaded.
func managed(t *testing.T) *rig {
	t.Helper()
	r := newRig()
	r.register(t, 1, 2, 3)
	if _, err := r.SetLabel(t.Context(), "m", "live", 1, by); err != nil {
		t.Fatal(err)
	}
	r.replica.serving = admin.Serving{Versions: []admin.ServingVersion{{Version: 1, State: admin.Available}, {Version: 2, State: "cold"}}}
	r.replica.calls = nil
	return r
}

// model reads the document as it is in the store.
func (r *rig) model(t *testing.T) *catalog.Model {
	t.Helper()
	m, err := r.Book.Read(t.Context(), "m")
	if err != nil || m == nil {
		t.Fatalf("read: %v, %v", m, err)
	}
	return m
}

// newest is the newest entry of the history.
func (r *rig) newest(t *testing.T) catalog.Entry {
	t.Helper()
	history := r.model(t).History
	return history[len(history)-1]
}

// refused checks the code of err and what its public text holds.
func refused(t *testing.T, err error, code scoring.Code, texts ...string) {
	t.Helper()
	if err == nil {
		t.Fatalf("got no error, want %s with %q", code, texts)
	}
	got := scoring.AsError(err)
	if got.Code != code {
		t.Errorf("got %v, want the code %s", err, code)
	}
	for _, text := range texts {
		if !strings.Contains(got.Message, text) {
			t.Errorf("got %q, want %q in it", got.Message, text)
		}
	}
}

// same fails unless both lists are alike.
func same(t *testing.T, what string, got, want []string) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Errorf("%s:\ngot  %q\nwant %q", what, got, want)
	}
}
