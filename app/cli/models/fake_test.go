package models_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"github.com/onda-serving/onda/app/artifact"
	"github.com/onda-serving/onda/app/catalog"
	"github.com/onda-serving/onda/app/catalog/catalogtest"
	"github.com/onda-serving/onda/app/cli/command"
	"github.com/onda-serving/onda/app/cli/models"
	"github.com/onda-serving/onda/app/scoring"
)

// onda is a server with the registry's HTTP API, whose documents are the real ones. What a
// replica does is made up.
type onda struct {
	*httptest.Server

	t    *testing.T
	book *catalog.Book

	mu sync.Mutex
	// now is when changes are made.
	now time.Time
	// token that changes want; empty for none.
	token string
	// hook is asked before each request, and says whether it answered.
	hook func(w http.ResponseWriter, r *http.Request) bool
	// progress is streamed before each result of a change that can take long.
	progress []string
	// behind says why a model is not in sync.
	behind map[string]string
	// evidence of rollouts by model, as JSON.
	evidence map[string]string
	// report of the next comparison, as JSON.
	report string
	// inputs of the next version.
	inputs []catalog.Tensor
	blobs  map[string][]byte
	// calls lists the requests with their bodies, but for blobs' and reads'.
	calls []string
	// headers of the last request.
	headers http.Header
}

func newOnda(t *testing.T) *onda {
	t.Helper()
	o := &onda{t: t, now: time.Now().Add(-125 * time.Minute), behind: map[string]string{}, evidence: map[string]string{}, blobs: map[string][]byte{}}
	o.inputs = []catalog.Tensor{{Name: "text", Datatype: "BYTES", Shape: []int64{-1}}}
	o.book = &catalog.Book{Store: &catalogtest.Store{}, Now: func() time.Time { return o.now }, Log: zerolog.Nop()}
	mux := http.NewServeMux()
	for pattern, handle := range map[string]func(w http.ResponseWriter, r *http.Request) (any, error){
		"GET /models": o.models, "GET /models/{m}": o.model, "GET /models/{m}/history": o.history, "GET /models/{m}/evidence": o.seen,
		"GET /status": o.status, "HEAD /blobs/{sum}": o.hasBlob, "PUT /blobs/{sum}": o.putBlob,
		"POST /models/{m}/versions": o.register,
		"PUT /models/{m}/labels/{l}": o.change("label", func(m *catalog.Model, r *http.Request, b *body) error {
			return m.SetLabel(r.PathValue("l"), b.Version, b.Accept)
		}),
		"DELETE /models/{m}/labels/{l}": o.change("unlabel", func(m *catalog.Model, r *http.Request, _ *body) error { return m.RemoveLabel(r.PathValue("l")) }),
		"PUT /models/{m}/traffic": o.change("traffic", func(m *catalog.Model, _ *http.Request, b *body) error {
			return m.SetTraffic(&catalog.Traffic{Weights: b.Weights, Sticky: b.Sticky})
		}),
		"DELETE /models/{m}/traffic": o.change("traffic", func(m *catalog.Model, _ *http.Request, _ *body) error { return m.SetTraffic(nil) }),
		"PUT /models/{m}/shadow": o.change("shadow", func(m *catalog.Model, _ *http.Request, b *body) error {
			return m.SetShadow(&catalog.Shadow{Version: b.Version, Share: b.Share})
		}),
		"DELETE /models/{m}/shadow": o.change("shadow", func(m *catalog.Model, _ *http.Request, _ *body) error { return m.SetShadow(nil) }),
		"POST /models/{m}/rollout": o.change("rollout", func(m *catalog.Model, _ *http.Request, b *body) error {
			return m.BeginRollout(b.Version, b.Steps, b.Rule, b.Sticky, b.Accept, o.now)
		}),
		"POST /models/{m}/promote": o.change("promote", func(m *catalog.Model, _ *http.Request, b *body) error {
			if m.Running() == nil {
				return m.SetLabel("live", b.Version, b.Accept)
			}
			return m.Promote("promoted by alice", o.now)
		}),
		"POST /models/{m}/rollback": o.change("rollback", func(m *catalog.Model, _ *http.Request, _ *body) error {
			return m.RollBack("rolled back by alice", o.now)
		}),
		"POST /models/{m}/versions/{n}/retire": o.change("retire", func(m *catalog.Model, r *http.Request, _ *body) error {
			n, _ := strconv.ParseInt(r.PathValue("n"), 10, 64)
			return m.Retire(n)
		}),
		"PUT /models/{m}/pin": o.change("pin", func(m *catalog.Model, _ *http.Request, b *body) error { return m.SetPinned(*b.Pinned) }),
	} {
		method, path, _ := strings.Cut(pattern, " ")
		mux.HandleFunc(method+" /registry/v1"+path, o.serve(handle))
	}
	o.Server = httptest.NewServer(mux)
	t.Cleanup(o.Close)
	return o
}

// body is that of any change.
type body struct {
	Version  int64                   `json:"version"`
	Location string                  `json:"location"`
	Files    map[string]catalog.File `json:"files"`
	Weights  map[int64]int           `json:"weights"`
	Sticky   string                  `json:"sticky"`
	Share    float64                 `json:"share"`
	Steps    []int                   `json:"steps"`
	Rule     catalog.Rule            `json:"rule"`
	Pinned   *bool                   `json:"pinned"`
	Reason   string                  `json:"reason"`
	Accept   catalog.Accept          `json:"accept"`

	Description string             `json:"description"`
	Licence     string             `json:"licence"`
	Framework   string             `json:"framework"`
	Source      catalog.Source     `json:"source"`
	Metrics     map[string]float64 `json:"metrics"`
	Tags        map[string]string  `json:"tags"`
}

// serve answers a request one at a time, and writes errors.
func (o *onda) serve(handle func(http.ResponseWriter, *http.Request) (any, error)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		o.mu.Lock()
		hook := o.hook
		o.headers = r.Header.Clone()
		o.mu.Unlock()
		if hook != nil && hook(w, r) {
			return
		}
		o.mu.Lock()
		defer o.mu.Unlock()
		isChange := r.Method != http.MethodGet && r.Method != http.MethodHead
		if isChange && o.token != "" && r.Header.Get("authorization") != "Bearer "+o.token {
			answer(w, http.StatusUnauthorized, map[string]any{"error": `the header authorization is missing or wrong: send "Bearer " and the token of ONDA_REGISTRY_TOKEN`})
			return
		}
		result, err := handle(w, r)
		streams := isChange && r.Header.Get("accept") == "application/x-ndjson"
		if streams {
			w.Header().Set("content-type", "application/x-ndjson")
			for _, line := range o.progress {
				fmt.Fprintf(w, "{\"progress\": %s}\n", line)
			}
		}
		switch {
		case err != nil && streams:
			failure, status := failureOf(err)
			failure["status"] = status
			_ = json.NewEncoder(w).Encode(failure)
		case err != nil:
			failure, status := failureOf(err)
			answer(w, status, failure)
		case streams:
			_ = json.NewEncoder(w).Encode(map[string]any{"result": result})
		case result != nil:
			answer(w, http.StatusOK, result)
		}
	}
}

func failureOf(err error) (map[string]any, int) {
	e := scoring.AsError(err)
	failure := map[string]any{"error": e.Message}
	if conflict, ok := errors.AsType[*catalog.ConflictError](err); ok {
		failure["yours"] = stateOf(conflict.Yours)
		failure["current"] = stateOf(conflict.Current)
	}
	return failure, e.Code.HTTPStatus()
}

func stateOf(m *catalog.Model) any {
	return struct {
		Revision int64 `json:"revision"`
		catalog.State
	}{m.Revision, m.State}
}

func answer(w http.ResponseWriter, status int, v any) {
	w.Header().Set("content-type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(v)
}

func (o *onda) document(m *catalog.Model) map[string]any {
	data, err := json.Marshal(m)
	if err != nil {
		o.t.Error(err)
	}
	document := map[string]any{}
	if err := json.Unmarshal(data, &document); err != nil {
		o.t.Error(err)
	}
	delete(document, "history")
	route := m.Route()
	var versions []map[string]any
	ready := route.Versions()
	for number := range m.Versions {
		v := map[string]any{"version": number, "state": "unloaded", "memory_bytes": 0}
		if slices.Contains(ready, number) {
			v = map[string]any{"version": number, "state": "available", "memory_bytes": 14 << 20}
		}
		if reason := o.behind[m.Name]; reason != "" && number == slices.Max(ready) {
			v = map[string]any{"version": number, "state": "failed", "reason": reason}
		}
		versions = append(versions, v)
	}
	document["serving"] = map[string]any{"revision": m.Revision, "in_sync": o.behind[m.Name] == "", "reason": o.behind[m.Name], "labels": m.Labels, "versions": versions}
	return document
}

func (o *onda) read(r *http.Request) (*catalog.Model, error) {
	m, err := o.book.Read(r.Context(), r.PathValue("m"))
	if err == nil && m == nil {
		err = scoring.Errorf(scoring.NotFound, "model %q is not in the registry", r.PathValue("m"))
	}
	return m, err
}

func (o *onda) models(_ http.ResponseWriter, r *http.Request) (any, error) {
	index, err := o.book.Index(r.Context())
	all := []any{}
	for name := range index.Models {
		m, _ := o.book.Read(r.Context(), name)
		all = append(all, o.document(m))
	}
	return map[string]any{"models": all}, err
}

func (o *onda) model(_ http.ResponseWriter, r *http.Request) (any, error) {
	m, err := o.read(r)
	if err != nil {
		return nil, err
	}
	return o.document(m), nil
}

func (o *onda) history(_ http.ResponseWriter, r *http.Request) (any, error) {
	limit, _ := strconv.Atoi(r.FormValue("limit"))
	entries, err := o.book.History(r.Context(), r.PathValue("m"), limit)
	return map[string]any{"entries": entries}, err
}

func (o *onda) seen(_ http.ResponseWriter, r *http.Request) (any, error) {
	if text := o.evidence[r.PathValue("m")]; text != "" {
		return json.RawMessage(text), nil
	}
	return nil, scoring.Errorf(scoring.NotFound, "there is no rollout")
}

func (o *onda) status(http.ResponseWriter, *http.Request) (any, error) {
	return json.RawMessage(`{"replica": "onda-0", "in_sync": false, "store": {"reachable": false, "since": "` + time.Now().Add(-200*time.Second).UTC().Format(time.RFC3339) +
		`", "error": "the sidecar does not answer"}, "revision": 12, "memory": {"budget": 4294967296, "used": 1288490188},
		"models": {"image-classification": {"revision": 3, "in_sync": true}, "faq-matching": {"revision": 7, "in_sync": false, "reason": "version 3 is loading"}}}`), nil
}

// change makes a handler of a change of the document.
func (o *onda) change(action string, apply func(*catalog.Model, *http.Request, *body) error) func(http.ResponseWriter, *http.Request) (any, error) {
	return func(_ http.ResponseWriter, r *http.Request) (any, error) {
		b, err := o.decode(r)
		if err != nil {
			return nil, err
		}
		before, err := o.read(r)
		if err != nil {
			return nil, err
		}
		if err := atRevision(r, before); err != nil {
			return nil, err
		}
		written, err := o.book.Commit(r.Context(), before.Name, catalog.Change{
			Actor: r.Header.Get("x-onda-actor"), Action: action, Reason: b.Reason, Version: b.Version, Seen: before,
			Apply: func(m *catalog.Model) error { return apply(m, r, b) },
		})
		if err != nil {
			return nil, err
		}
		document := o.document(written)
		if o.report != "" {
			document["report"] = json.RawMessage(o.report)
		}
		return document, nil
	}
}

func atRevision(r *http.Request, m *catalog.Model) error {
	match := strings.Trim(r.Header.Get("if-match"), `"`)
	if match == "" || match == strconv.FormatInt(m.Revision, 10) {
		return nil
	}
	revision, _ := strconv.ParseInt(match, 10, 64)
	yours := &catalog.Model{Name: m.Name, Revision: revision}
	for _, entry := range m.History {
		if entry.Revision == revision {
			yours.State = entry.After
		}
	}
	return &catalog.ConflictError{Yours: yours, Current: m}
}

// decode reads a body as strictly as the server does.
func (o *onda) decode(r *http.Request) (*body, error) {
	data, err := io.ReadAll(r.Body)
	if err != nil {
		return nil, scoring.Errorf(scoring.Invalid, "the body is cut off")
	}
	o.calls = append(o.calls, r.Method+" "+strings.TrimPrefix(r.URL.Path, "/registry/v1")+" "+string(data))
	b := &body{}
	decoder := json.NewDecoder(bytes.NewReader(data))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(b); err != nil {
		return nil, scoring.Errorf(scoring.Invalid, "the body: %v", err)
	}
	return b, nil
}

func (o *onda) hasBlob(w http.ResponseWriter, r *http.Request) (any, error) {
	content, ok := o.blobs[r.PathValue("sum")]
	if !ok {
		return nil, scoring.Errorf(scoring.NotFound, "there is no such file")
	}
	w.Header().Set("content-length", strconv.Itoa(len(content)))
	return map[string]any{}, nil // which HEAD has not
}

func (o *onda) putBlob(_ http.ResponseWriter, r *http.Request) (any, error) {
	content, err := io.ReadAll(r.Body)
	if err != nil || int64(len(content)) != r.ContentLength {
		return nil, scoring.Errorf(scoring.Invalid, "the body is cut off")
	}
	if got := sum(content); got != r.PathValue("sum") {
		return nil, scoring.Errorf(scoring.Invalid, "SHA-256 is %s, the path says %s", got, r.PathValue("sum"))
	}
	o.blobs[r.PathValue("sum")] = content
	o.calls = append(o.calls, fmt.Sprintf("PUT blob of %d bytes", len(content)))
	return map[string]any{}, nil
}

func sum(data []byte) string {
	s := sha256.Sum256(data)
	return hex.EncodeToString(s[:])
}

func (o *onda) register(w http.ResponseWriter, r *http.Request) (any, error) {
	b, err := o.decode(r)
	if err != nil {
		return nil, err
	}
	name := r.PathValue("m")
	m, err := o.book.Read(r.Context(), name)
	if err != nil {
		return nil, err
	}
	if m == nil {
		m = catalog.New(name)
	}
	if err := atRevision(r, m); err != nil {
		return nil, err
	}
	if known, ok := m.Versions[b.Version]; ok && fmt.Sprint(known.Files) == fmt.Sprint(b.Files) {
		return map[string]any{"model": name, "version": known}, nil
	}
	v := o.versionOf(m, b)
	v.RegisteredBy = r.Header.Get("x-onda-actor")
	written, err := o.book.Commit(r.Context(), name, catalog.Change{
		Actor: v.RegisteredBy, Action: "register", Reason: b.Reason, Version: v.Version,
		Apply: func(m *catalog.Model) error { return m.Register(v, b.Accept) },
	})
	if err != nil {
		return nil, err
	}
	return map[string]any{"model": name, "version": written.Versions[v.Version], "report": map[string]any{
		"digest": v.Digest, "size_bytes": v.SizeBytes, "memory_bytes": v.MemoryBytes, "golden": map[string]any{"cases": 12, "max_difference": 1.25e-06},
		"load_ms": 45.4, "run_ms": 2.07, "warnings": []string{"config.pbtxt: instance_group has no effect"},
	}}, nil
}

func (o *onda) versionOf(m *catalog.Model, b *body) catalog.Version {
	v := catalog.Version{
		Version: b.Version, Location: b.Location, Files: b.Files, Pipeline: "text", Inputs: o.inputs,
		Outputs:     []catalog.Tensor{{Name: "scores", Datatype: "FP32", Shape: []int64{-1, 64}}},
		Description: b.Description, Licence: b.Licence, Framework: b.Framework, Source: b.Source, Metrics: b.Metrics, Tags: b.Tags,
		MemoryBytes: 14 << 20, RegisteredAt: o.now.UTC(),
	}
	if v.Version == 0 {
		v.Version = 1
		for number := range m.Versions {
			v.Version = max(v.Version, number+1)
		}
	}
	if b.Location != catalog.InStore {
		v.Files = map[string]catalog.File{"model.onnx": {SHA256: sum([]byte(b.Location)), Size: 1 << 20}}
	}
	sums := map[string]string{}
	for file, f := range v.Files {
		sums[file] = f.SHA256
		v.SizeBytes += f.Size
	}
	v.Digest = artifact.Digest(sums)
	return v
}

// run runs "onda models" as alice, and gives all that it shows.
func (o *onda) run(args ...string) (code int, stdout, stderr string) {
	return run(models.Defaults{Server: o.URL, Version: "test"}, append([]string{"models", "--actor", "alice"}, args...)...)
}

func run(d models.Defaults, args ...string) (code int, stdout, stderr string) {
	var out, errs bytes.Buffer
	root := command.Group("onda", "", models.New(d))
	code = command.Run(context.Background(), root, args, &out, &errs)
	return code, out.String(), errs.String()
}

// does runs a command that has to succeed.
func (o *onda) does(args ...string) {
	o.t.Helper()
	if code, _, stderr := o.run(args...); code != 0 {
		o.t.Fatalf("%v: exit code %d: %s", args, code, stderr)
	}
}

// want runs a command and compares everything that it shows.
func (o *onda) want(args []string, code int, stdout, stderr string) {
	o.t.Helper()
	gotCode, gotOut, gotErr := o.run(args...)
	compare(o.t, gotCode, gotOut, gotErr, code, stdout, strings.ReplaceAll(stderr, "URL", o.URL))
}

func compare(t *testing.T, gotCode int, gotOut, gotErr string, code int, stdout, stderr string) {
	t.Helper()
	if gotCode != code {
		t.Errorf("exit code: got %d, want %d", gotCode, code)
	}
	if gotOut != stdout {
		t.Errorf("stdout:\ngot\n%s\nwant\n%s", gotOut, stdout)
	}
	if gotErr != stderr {
		t.Errorf("stderr:\ngot\n%s\nwant\n%s", gotErr, stderr)
	}
}

// last is the last call that changed something.
func (o *onda) last() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	if len(o.calls) == 0 {
		return ""
	}
	return o.calls[len(o.calls)-1]
}

// with changes the server under its lock.
func (o *onda) with(change func()) {
	o.mu.Lock()
	defer o.mu.Unlock()
	change()
}

// faq registers so many versions of faq-matching, the first of them live.
func (o *onda) faq(versions int) {
	o.t.Helper()
	for i := range versions {
		o.does("register", "faq-matching", "--location", fmt.Sprintf("azblob://models/faq/%d", i+1))
	}
	o.does("label", "faq-matching", "live", "1", "--reason", "first one")
}

// quiet is for servers whose callers are meant to fail.
func quiet() *log.Logger { return log.New(io.Discard, "", 0) }
