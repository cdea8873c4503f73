package registryapi_test

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rs/zerolog"

	"github.com/onda-serving/onda/app/admin"
	"github.com/onda-serving/onda/app/catalog"
	"github.com/onda-serving/onda/app/catalog/catalogtest"
	"github.com/onda-serving/onda/app/ingress/operator/operatortest"
	"github.com/onda-serving/onda/app/ingress/registryapi"
	"github.com/onda-serving/onda/app/scoring"
	"github.com/onda-serving/onda/app/verify"
)

// timed is a ResponseWriter that notes when each line was flushed.
type timed struct {
	*httptest.ResponseRecorder

	mu      sync.Mutex
	begun   time.Time
	flushed int
	lines   []string
	at      []time.Duration
	// deadlines that were set, as times from the time of their setting.
	deadlines []time.Duration
	failed    error
}

func newTimed() *timed { return &timed{ResponseRecorder: httptest.NewRecorder(), begun: time.Now()} }

func (w *timed) Write(p []byte) (int, error) {
	if w.failed != nil {
		return 0, w.failed
	}
	return w.ResponseRecorder.Write(p)
}

// FlushError is what http.ResponseController calls.
func (w *timed) FlushError() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	for line := range strings.Lines(w.Body.String()[w.flushed:]) {
		w.lines = append(w.lines, strings.TrimSpace(line))
		w.at = append(w.at, time.Since(w.begun))
	}
	w.flushed = w.Body.Len()
	return nil
}

func (w *timed) SetWriteDeadline(at time.Time) error {
	var left time.Duration
	if !at.IsZero() {
		left = time.Until(at)
	}
	w.deadlines = append(w.deadlines, left)
	return nil
}

// streamed asks a door for a change with a stream, in a bubble of fake time.
func streamed(t *testing.T, w http.ResponseWriter, during func(ctx context.Context, ask admin.Ask) error) *service {
	t.Helper()
	s := &service{during: during}
	h := registryapi.New(registryapi.Config{Changes: "open", MaxBody: 1 << 16, ReadTimeout: time.Second, ChangeTimeout: time.Hour}, s, zerolog.Nop())
	r := httptest.NewRequestWithContext(t.Context(), "PUT", models+"/m/labels/live", strings.NewReader(`{"version":2}`))
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("Accept", "application/json;q=0.5, application/x-ndjson")
	h.ServeHTTP(w, r)
	return s
}

func progress(stage string, done, total int64) admin.Progress {
	return admin.Progress{Stage: stage, Done: done, Total: total}
}

func TestStream(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newTimed()
		streamed(t, w, func(_ context.Context, ask admin.Ask) error {
			ask.Progress(progress("waiting", 0, 0))
			time.Sleep(31 * time.Millisecond)
			for i := range int64(100) { // faster than anybody wants to know
				ask.Progress(progress("fetch", i, 100))
				time.Sleep(4 * time.Millisecond)
			}
			ask.Progress(progress("load", 0, 1))
			time.Sleep(time.Millisecond)
			ask.Progress(progress("load", 1, 1))
			return nil
		})
		if w.Code != 200 || w.Header().Get("Content-Type") != "application/x-ndjson" || w.Header().Get("Cache-Control") != "no-store" {
			t.Errorf("got %d with the headers %v", w.Code, w.Header())
		}
		want := []struct {
			line string
			at   time.Duration
		}{
			{`{"progress":{"stage":"waiting","done":0,"total":0}}`, 50 * time.Millisecond}, // the body has come by then
			{`{"progress":{"stage":"fetch","done":4,"total":100}}`, 50 * time.Millisecond},
			{`{"progress":{"stage":"fetch","done":29,"total":100}}`, 150 * time.Millisecond},
			{`{"progress":{"stage":"fetch","done":54,"total":100}}`, 250 * time.Millisecond},
			{`{"progress":{"stage":"fetch","done":79,"total":100}}`, 350 * time.Millisecond},
			{`{"progress":{"stage":"fetch","done":99,"total":100}}`, 431 * time.Millisecond},
			{`{"progress":{"stage":"load","done":0,"total":1}}`, 431 * time.Millisecond},
			{`{"progress":{"stage":"load","done":1,"total":1}}`, 432 * time.Millisecond},
			{`{"result":` + document + `}`, 432 * time.Millisecond},
		}
		if len(w.lines) != len(want) {
			t.Fatalf("got %d lines, want %d:\n%s", len(w.lines), len(want), w.Body)
		}
		for i, line := range want {
			if w.lines[i] != line.line || w.at[i] != line.at {
				t.Errorf("line %d: got %s after %s\nwant %s after %s", i, w.lines[i], w.at[i], line.line, line.at)
			}
		}
	})
}

func TestStreamHasAHeartbeat(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newTimed()
		streamed(t, w, func(_ context.Context, ask admin.Ask) error {
			time.Sleep(5 * time.Second)
			ask.Progress(progress("compare", 3, 9))
			time.Sleep(4 * time.Second)
			return scoring.Errorf(scoring.Conflict, "no")
		})
		const (
			waiting = `{"progress":{"stage":"waiting","done":0,"total":0}}`
			compare = `{"progress":{"stage":"compare","done":3,"total":9}}`
		)
		want := []string{waiting, waiting, compare, compare, compare, `{"error":"no","status":409}`}
		if strings.Join(w.lines, "\n") != strings.Join(want, "\n") {
			t.Errorf("got\n%s", w.Body)
		}
		// Lines have a time to be written, what is between them has none.
		for i, deadline := range w.deadlines {
			if want := time.Duration(i%2) * 30 * time.Second; deadline != want {
				t.Errorf("deadline %d is %s, want %s", i, deadline, want)
			}
		}
	})
}

// TestStreamThatNobodyReads ends its lines and not the change.
func TestStreamThatNobodyReads(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newTimed()
		w.failed = errors.New("reset")
		ended := false
		streamed(t, w, func(_ context.Context, ask admin.Ask) error {
			for i := range int64(100) {
				ask.Progress(progress("fetch", i, 100))
				time.Sleep(time.Second)
			}
			ended = true
			return nil
		})
		if !ended || len(w.lines) != 0 {
			t.Errorf("ended %v with the lines %q, want the change made", ended, w.lines)
		}
	})
}

func TestManyStagesAreNotKept(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newTimed()
		streamed(t, w, func(_ context.Context, ask admin.Ask) error {
			for i := range int64(1000) {
				ask.Progress(progress([]string{"fetch", "load"}[i%2], i, 1000))
				time.Sleep(time.Millisecond)
			}
			return nil
		})
		if n := len(w.lines); n > 200 || !strings.Contains(w.lines[n-2], `"done":999`) {
			t.Errorf("got %d lines, the last ones %s", n, w.lines[n-2:])
		}
	})
}

// TestWhatIsWrongWithTheRequestIsAStatus has no stream for what is known before the change.
func TestWhatIsWrongWithTheRequestIsAStatus(t *testing.T) {
	t.Parallel()
	r := start(t)
	const stream = "Accept: application/x-ndjson"
	expect(t, r.call(t, "PUT", models+"/m/labels/live", `{"x":1}`, stream), 400, operatortest.Failure(`unknown key "x": want accept, reason, version`))
	expect(t, r.call(t, "PUT", models+"/m/labels/live", `{}`, stream, "Authorization: x"), 401, operatortest.Failure(`the header authorization is missing or wrong: send "Bearer " and the token of ONDA_REGISTRY_TOKEN`))
	// What is done at once has no stream either.
	expect(t, r.call(t, "PUT", models+"/m/pin", `{"pinned":true}`, stream), 200, document)
}

// TestLongChangesAreAnswered has changes that take longer than the server gives an answer.
func TestLongChangesAreAnswered(t *testing.T) {
	t.Parallel()
	for _, protocol := range []string{"HTTP/1.1", "HTTP/2"} {
		t.Run(protocol, func(t *testing.T) {
			t.Parallel()
			r := start(t)
			if protocol == "HTTP/2" {
				r.overHTTP2(t)
			}
			r.service.during = func(_ context.Context, ask admin.Ask) error {
				time.Sleep(300 * time.Millisecond)
				return nil
			}
			expect(t, r.call(t, "PUT", models+"/m/labels/live", `{"version":2}`), 200, document)
			expect(t, r.call(t, "PUT", models+"/m/labels/live", `{"version":2}`, "Accept: application/x-ndjson"), 200, `{"result":`+document+"}\n")
			r.service.err = refusal(scoring.Invalid)
			expect(t, r.call(t, "PUT", models+"/m/labels/live", `{"version":2}`), 400, operatortest.Failure("say this"))
		})
	}
}

// overHTTP2 makes server and client speak HTTP/2 without TLS.
func (r *rig) overHTTP2(t *testing.T) {
	t.Helper()
	old := r.server
	old.Close()
	r.server = httptest.NewUnstartedServer(old.Config.Handler)
	var both, two http.Protocols
	both.SetHTTP1(true)
	both.SetUnencryptedHTTP2(true)
	two.SetUnencryptedHTTP2(true)
	r.server.Config.Protocols, r.client.Protocols = &both, &two
	r.server.Config.WriteTimeout = 100 * time.Millisecond
	r.server.Start()
	t.Cleanup(func() {
		r.client.CloseIdleConnections()
		r.server.Close()
	})
}

func TestBudgetOfAChange(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, header string
		most         time.Duration
	}{
		{"ours", "X-Other: 1", time.Minute},
		{"the caller's", "X-Request-Timeout-Ms: 2000", 2 * time.Second},
		{"longer than ours", "X-Request-Timeout-Ms: 600000", time.Minute},
	}
	r := start(t)
	for _, test := range tests {
		var left time.Duration
		r.service.during = func(ctx context.Context, _ admin.Ask) error {
			deadline, _ := ctx.Deadline()
			left = time.Until(deadline)
			return nil
		}
		r.call(t, "POST", models+"/m/rollback", "", test.header)
		if left > test.most || left < test.most/2 {
			t.Errorf("%s: %s were left, want about %s", test.name, left, test.most)
		}
	}
}

// slow is an admin.Replica that takes its time to make versions ready.
type slow struct {
	admin.Replica

	begun, goOn chan struct{}
}

func (s slow) Prepare(context.Context, *catalog.Model, int64, int64, func(admin.Progress)) (admin.Comparison, error) {
	close(s.begun)
	<-s.goOn
	return admin.Comparison{}, nil
}

func (slow) Inspect(_ context.Context, _ string, v catalog.Version, _ func(admin.Progress)) (verify.Report, error) {
	return verify.Report{Digest: "sha256:" + v.Files["model.onnx"].SHA256, Pipeline: "none"}, nil
}

func (slow) Follow(context.Context, *catalog.Model) {}

func (slow) Serving(string) admin.Serving { return admin.Serving{} }

// TestCallerWhoHangsUp leaves while a version is being proved, with and without a stream: the
// change goes on to its end.
func TestCallerWhoHangsUp(t *testing.T) {
	t.Parallel()
	for _, accept := range []string{"application/json", "application/x-ndjson"} {
		t.Run(accept, func(t *testing.T) {
			t.Parallel()
			r := &rig{config: registryapi.Config{Changes: "open", MaxBody: 1 << 16, ReadTimeout: time.Second, ChangeTimeout: time.Minute}}
			r.config.Observer = &r.counter
			replica := slow{begun: make(chan struct{}), goOn: make(chan struct{})}
			book := &catalog.Book{Store: &catalogtest.Store{}}
			a := &admin.Admin{Book: book, Replica: replica}
			r.serve(t, a)
			for n, digest := range map[int64]string{1: "sha256:1", 2: "sha256:2"} {
				if _, err := book.Commit(t.Context(), "m", catalog.Change{Action: catalog.ActionRegister, Apply: func(m *catalog.Model) error {
					return m.Register(catalog.Version{Version: n, Digest: digest, Location: catalog.InModelsFolder}, nil)
				}}); err != nil {
					t.Fatal(err)
				}
			}
			ctx, hangUp := context.WithCancel(t.Context())
			req, err := http.NewRequestWithContext(ctx, "PUT", r.server.URL+models+"/m/labels/live", strings.NewReader(`{"version":2}`))
			if err != nil {
				t.Fatal(err)
			}
			req.Header.Set("Content-Type", "application/json")
			req.Header.Set("Accept", accept)
			gone := make(chan struct{})
			go func() {
				defer close(gone)
				resp, err := r.client.RoundTrip(req)
				if err == nil {
					_, _ = bufio.NewReader(resp.Body).ReadString(0)
					resp.Body.Close()
				}
			}()
			<-replica.begun
			hangUp()
			<-gone
			time.Sleep(20 * time.Millisecond) // for the server to notice
			if m, err := book.Read(t.Context(), "m"); err != nil || m.Labels["live"] != 0 {
				t.Fatalf("got %+v, %v, want nothing changed yet", m, err)
			}
			close(replica.goOn)
			r.server.Close() // waits for the change
			m, err := book.Read(t.Context(), "m")
			if err != nil || m.Labels["live"] != 2 || m.Revision != 3 {
				t.Errorf("got %+v, %v, want version 2 live", m, err)
			}
			if r.counter.last() != "label OK" {
				t.Errorf("counted %q, want the change", r.counter.last())
			}
		})
	}
}

// TestStreamOverARealConnection reads lines as they come.
func TestStreamOverARealConnection(t *testing.T) {
	t.Parallel()
	r := start(t)
	next := make(chan struct{})
	r.service.during = func(_ context.Context, ask admin.Ask) error {
		for _, stage := range []string{"waiting", "fetch", "check"} {
			ask.Progress(progress(stage, 1, 2))
			<-next
		}
		return nil
	}
	req, err := http.NewRequestWithContext(t.Context(), "POST", r.server.URL+models+"/m/versions", strings.NewReader(`{"location":"store:"}`))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Accept", "application/x-ndjson")
	req.Header.Set("Authorization", "Bearer "+token)
	resp, err := r.client.RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	lines := bufio.NewReader(resp.Body)
	for _, stage := range []string{"waiting", "fetch", "check"} {
		line, err := lines.ReadString('\n')
		if err != nil || line != `{"progress":{"stage":"`+stage+`","done":1,"total":2}}`+"\n" {
			t.Fatalf("got %q, %v, want the stage %s", line, err, stage)
		}
		next <- struct{}{}
	}
	var last struct{ Result struct{ Model string } }
	if err := json.NewDecoder(lines).Decode(&last); err != nil || last.Result.Model != "m" {
		t.Errorf("got %+v, %v, want the result", last, err)
	}
}
