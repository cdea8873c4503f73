package eventsapi_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/rs/zerolog"
	"go.uber.org/goleak"

	"github.com/onda-serving/onda/app/deadletters"
	"github.com/onda-serving/onda/app/ingress/eventsapi"
	"github.com/onda-serving/onda/app/ingress/operator"
	"github.com/onda-serving/onda/app/ingress/operator/operatortest"
	"github.com/onda-serving/onda/app/scoring"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var _ eventsapi.Service = (*deadletters.Book)(nil)

// service notes what it is asked.
type service struct {
	mu    sync.Mutex
	calls []string
	err   error
	// results of ReplayAll.
	results []deadletters.Result
	panics  bool
}

func (s *service) note(format string, args ...any) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.calls = append(s.calls, fmt.Sprintf(format, args...))
	if s.panics {
		panic("secret")
	}
	return s.err
}

func (s *service) last() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.calls) == 0 {
		return ""
	}
	return s.calls[len(s.calls)-1]
}

func jsonOf(v any) string {
	text, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return string(text)
}

var letter = deadletters.Letter{ID: "a1", At: time.Date(2026, 5, 4, 12, 0, 0, 0, time.UTC), Code: "NotFound", By: "onda", State: deadletters.Waiting}

const letterText = `{"id":"a1","at":"2026-05-04T12:00:00Z","code":"NotFound","by":"onda","state":"waiting","replays":0}`

func (s *service) List(_ context.Context, f deadletters.Filter, limit int, cursor string) (deadletters.Page, error) {
	return deadletters.Page{Letters: []deadletters.Letter{letter}, Cursor: "1-2"}, s.note("list %s %d %q", jsonOf(f), limit, cursor)
}

func (s *service) Get(_ context.Context, id string) (*deadletters.Letter, error) {
	return &letter, s.note("get %s", id)
}

func (s *service) Replay(_ context.Context, id string, again bool, actor string) (deadletters.Result, error) {
	return deadletters.Result{ID: id, Outcome: deadletters.PutBack, Replay: 1}, s.note("replay %s %t by %s", id, again, actor)
}

func (s *service) ReplayAll(_ context.Context, f deadletters.Filter, again bool, actor string, progress func(deadletters.Result)) (deadletters.Counts, error) {
	for _, r := range s.results {
		progress(r)
	}
	return deadletters.Counts{Replayed: 1, Failed: 1}, s.note("replay all %s %t by %s", jsonOf(f), again, actor)
}

func (s *service) Deliver(_ context.Context, body []byte) string {
	_ = s.note("deliver %s", body)
	return "SUCCESS"
}

func (s *service) DeliverOversized(_ context.Context, size, most int64, sum [sha256.Size]byte) string {
	_ = s.note("oversized %d %d %x", size, most, sum[:4])
	return "SUCCESS"
}

func (s *service) Refuse(err error) string {
	_ = s.note("refuse %v", err)
	return "RETRY"
}

const token = operatortest.Token

// rig is a door on a fake, behind a real server.
type rig struct {
	service service
	config  eventsapi.Config
	log     bytes.Buffer
	server  *httptest.Server
	client  http.Transport
}

func start(t *testing.T, configure ...func(*rig)) *rig {
	t.Helper()
	r := &rig{config: eventsapi.Config{Changes: operator.ChangesToken, Token: token, MaxLetter: 1000, ReadTimeout: 5 * time.Second, Timeout: time.Minute}}
	for _, c := range configure {
		c(r)
	}
	r.server = httptest.NewServer(eventsapi.New(r.config, &r.service, zerolog.New(&r.log)))
	t.Cleanup(func() {
		r.client.CloseIdleConnections()
		r.server.Close()
	})
	return r
}

// answer is what came back.
type answer struct {
	status int
	header http.Header
	body   string
}

// call sends a request with the token, as ann; headers are "Name: value".
func (r *rig) call(t *testing.T, method, path, body string, headers ...string) answer {
	t.Helper()
	headers = append([]string{"X-Onda-Actor: ann", "Dapr-Caller-App-Id: shop", "Content-Type: application/json"}, headers...)
	got := operatortest.Call(t, &r.client, method, r.server.URL+path, body, headers...)
	return answer{got.Status, got.Header, got.Body}
}

const letters = "/events/v1/deadletters"

func TestRequests(t *testing.T) {
	t.Parallel()
	put := `{"id":"a1","outcome":"replayed","replay":1}`
	page := `{"letters":[` + letterText + `],"cursor":"1-2"}`
	done := `{"done":true,"replayed":1,"skipped":0,"failed":1}` + "\n"
	const unknown = `want code, cursor, model, source, state, limit, since, until`
	tests := []struct {
		name, method, path, body string
		status                   int
		want, call               string
	}{
		{"list", "GET", letters, "", 200, page, `list {} 100 ""`},
		{
			"list some", "GET", letters + "?code=NotFound&model=m&state=waiting&source=s&since=2026-01-02T03:04:05Z&until=2026-01-03T00:00:00%2B01:00&limit=7&cursor=1-2", "", 200, page,
			`list {"code":"NotFound","model":"m","state":"waiting","source":"s","since":"2026-01-02T03:04:05Z","until":"2026-01-03T00:00:00+01:00"} 7 "1-2"`,
		},
		{"wrong limit", "GET", letters + "?limit=x", "", 400, operatortest.Failure(`limit is "x": want a whole number, 1 to 1000`), ""},
		{"wrong time", "GET", letters + "?since=1h", "", 400, operatortest.Failure(`since is "1h": want a time such as 2026-01-31T12:00:00Z`), ""},
		{"wrong parameter", "GET", letters + "?modell=x", "", 400, operatortest.Failure(`unknown parameter "modell": ` + unknown), ""},
		{"parameter twice", "GET", letters + "?code=a&code=b", "", 400, operatortest.Failure(`"code" is there twice: want it once`), ""},
		{"wrong query", "GET", letters + "?code=%zz", "", 400, operatortest.Failure(`the query cannot be read: invalid URL escape "%zz"`), ""},
		{"show", "GET", letters + "/a1", "", 200, letterText, "get a1"},
		{"replay", "POST", letters + "/a1/replay", "", 200, put, "replay a1 false by ann via shop"},
		{"replay again", "POST", letters + "/a1/replay", `{"again":true}`, 200, put, "replay a1 true by ann via shop"},
		{"wrong key", "POST", letters + "/a1/replay", `{"twice":true}`, 400, operatortest.Failure(`the body: unknown field "twice"`), ""},
		{"no JSON", "POST", letters + "/a1/replay", `{`, 400, operatortest.Failure("the body: unexpected EOF"), ""},
		{"more than JSON", "POST", letters + "/a1/replay", `{} {}`, 400, operatortest.Failure("the body: there is more after the JSON object"), ""},
		{"too large", "POST", letters + "/a1/replay", strings.Repeat(" ", 70000), 413, operatortest.Failure("the body is too large: at most 65536 bytes are allowed here"), ""},
		{"replay some", "POST", letters + "/replay", `{"code":"NotFound","since":"2026-01-02T03:04:05Z","again":true}`, 200, done, `replay all {"code":"NotFound","since":"2026-01-02T03:04:05Z"} true by ann via shop`},
		{"replay all", "POST", letters + "/replay", `{"all":true}`, 200, done, `replay all {} false by ann via shop`},
		{"replay what", "POST", letters + "/replay", ``, 400, operatortest.Failure(`want a filter, such as {"code": "Unavailable"}, or {"all": true} without one`), ""},
		{"replay all of some", "POST", letters + "/replay", `{"all":true,"model":"m"}`, 400, operatortest.Failure(`want a filter, such as {"code": "Unavailable"}, or {"all": true} without one`), ""},
		{"wrong state", "POST", letters + "/replay", `{"state":"x"}`, 400, operatortest.Failure(`state "x": want waiting, replaying or replayed`), ""},
		{"delivery", "POST", "/events/deadletters", "hello", 200, `{"status":"SUCCESS"}`, "deliver hello"},
		{"empty delivery", "POST", "/events/deadletters", "", 200, `{"status":"SUCCESS"}`, "deliver "},
		{"largest delivery", "POST", "/events/deadletters", strings.Repeat("x", 1000), 200, `{"status":"SUCCESS"}`, "deliver " + strings.Repeat("x", 1000)},
		{"larger delivery", "POST", "/events/deadletters", strings.Repeat("x", 1001), 200, `{"status":"SUCCESS"}`, "oversized"},
		{"other method", "PUT", letters + "/a1", "", 405, operatortest.Failure("method PUT is not allowed here: use GET"), ""},
		{"other method of the delivery", "GET", "/events/deadletters", "", 405, operatortest.Failure("method GET is not allowed here: use POST"), ""},
		{"nothing", "GET", "/events/v1/x", "", 404, operatortest.Failure("there is nothing at GET /events/v1/x: want /events/v1/deadletters"), ""},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			r := start(t)
			got := r.call(t, test.method, test.path, test.body)
			call := test.call
			if strings.HasPrefix(call, "oversized") { // of the hash only the beginning
				sum := sha256.Sum256([]byte(test.body))
				call = fmt.Sprintf("oversized 1001 1000 %x", sum[:4])
			}
			if got.status != test.status || got.body != test.want || r.service.last() != call {
				t.Errorf("got %d %s and the call %q\nwant %d %s and %q", got.status, got.body, r.service.last(), test.status, test.want, call)
			}
			if got.header.Get("Cache-Control") != "no-store" || got.header.Get("X-Content-Type-Options") != "nosniff" {
				t.Errorf("got the headers %v", got.header)
			}
		})
	}
}

// TestCodes has each failure with its status of the table.
func TestCodes(t *testing.T) {
	t.Parallel()
	for _, code := range scoring.Codes() {
		r := start(t)
		r.service.err = scoring.Errorf(code, "say this").WithCause(errors.New("secret")).WithRetryAfter(1500 * time.Millisecond)
		for _, request := range []struct{ method, path string }{{"GET", letters}, {"GET", letters + "/a1"}, {"POST", letters + "/a1/replay"}} {
			got := r.call(t, request.method, request.path, "")
			if got.status != code.HTTPStatus() || got.body != operatortest.Failure("say this") || got.header.Get("Retry-After") != "2" {
				t.Errorf("%s: %s %s: got %d %s", code, request.method, request.path, got.status, got.body)
			}
		}
	}
}

func TestPanicIsAnError(t *testing.T) {
	t.Parallel()
	r := start(t)
	r.service.panics = true
	got := r.call(t, "GET", letters, "")
	if got.status != 500 || strings.Contains(got.body, "secret") {
		t.Errorf("got %d %s", got.status, got.body)
	}
}

func TestStreamOfReplays(t *testing.T) {
	t.Parallel()
	r := start(t)
	r.service.results = []deadletters.Result{
		{ID: "a1", Outcome: deadletters.PutBack, Replay: 2, Note: "a note"},
		{ID: "a2", Outcome: deadletters.Failed, Error: "no & no"},
	}
	r.service.err = scoring.Errorf(scoring.Unavailable, "away").WithCause(errors.New("secret"))
	got := r.call(t, "POST", letters+"/replay", `{"model":"m"}`)
	want := `{"id":"a1","outcome":"replayed","replay":2,"note":"a note"}
{"id":"a2","outcome":"failed","error":"no & no"}
{"done":false,"replayed":1,"skipped":0,"failed":1,"error":"away","status":503}
`
	if got.status != 200 || got.body != want || got.header.Get("Content-Type") != "application/x-ndjson" {
		t.Errorf("got %d %v\n%s", got.status, got.header, got.body)
	}
}

func TestRight(t *testing.T) {
	t.Parallel()
	const (
		wrong  = `the header authorization is missing or wrong: send "Bearer " and the token of ONDA_REGISTRY_TOKEN`
		unset  = "dead letters cannot be shown yet: set ONDA_REGISTRY_TOKEN to a token that those show who may, or ONDA_REGISTRY_CHANGES=open to let everybody"
		closed = "dead letters are not shown over this door: set ONDA_REGISTRY_CHANGES=token, and ONDA_REGISTRY_TOKEN, to allow it"
	)
	tests := []struct {
		name, changes, token, shown string
		status                      int
		want                        string
	}{
		{"token", "token", token, "Bearer s3cret", 200, ""},
		{"none", "token", token, "", 401, wrong},
		{"other token", "token", token, "Bearer s3creT", 401, wrong},
		{"no token of ours", "token", "", "Bearer ", 403, unset},
		{"open", "open", "", "", 200, ""},
		{"off", "off", token, "Bearer s3cret", 403, closed},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			r := start(t, func(r *rig) { r.config.Changes, r.config.Token = test.changes, test.token })
			for _, request := range []struct{ method, path, body string }{
				{"GET", letters, ""}, {"GET", letters + "/a1", ""}, {"POST", letters + "/a1/replay", ""}, {"POST", letters + "/replay", `{"all":true}`},
			} {
				got := r.call(t, request.method, request.path, request.body, "Authorization: "+test.shown)
				if got.status != test.status || test.want != "" && (got.body != operatortest.Failure(test.want) || r.service.last() != "") {
					t.Errorf("%s %s: got %d %s, want %d %s", request.method, request.path, got.status, got.body, test.status, test.want)
				}
				if challenge := got.header.Get("WWW-Authenticate"); (challenge != "") != (test.status == 401) {
					t.Errorf("%s %s: the challenge is %q", request.method, request.path, challenge)
				}
			}
			// The sidecar delivers whoever may read.
			if got := r.call(t, "POST", "/events/deadletters", "x", "Authorization: "); got.body != `{"status":"SUCCESS"}` {
				t.Errorf("delivery: got %d %s", got.status, got.body)
			}
		})
	}
}

func TestOtherSitesPutNothingBack(t *testing.T) {
	t.Parallel()
	r := start(t, func(r *rig) { r.config.Changes = operator.ChangesOpen })
	if got := r.call(t, "POST", letters+"/replay", `{"all":true}`, "Sec-Fetch-Site: cross-site"); got.status != 403 || r.service.last() != "" {
		t.Errorf("got %d %s", got.status, got.body)
	}
	if got := r.call(t, "POST", letters+"/a1/replay", `{"again":true}`, "Content-Type: text/plain"); got.status != 415 || r.service.last() != "" {
		t.Errorf("got %d %s", got.status, got.body)
	}
}

// TestDeliveryThatIsCutOff is given back.
func TestDeliveryThatIsCutOff(t *testing.T) {
	t.Parallel()
	s := &service{}
	h := eventsapi.New(eventsapi.Config{MaxLetter: 1000}, s, zerolog.Nop())
	for name, body := range map[string]io.Reader{
		"cut off":                     io.MultiReader(strings.NewReader("x"), broken{}),
		"cut off beyond what is kept": io.MultiReader(strings.NewReader(strings.Repeat("x", 2000)), broken{}),
	} {
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequest(http.MethodPost, "/events/deadletters", body))
		if w.Code != 200 || w.Body.String() != `{"status":"RETRY"}` || !strings.HasPrefix(s.last(), "refuse Invalid: the body is cut off") {
			t.Errorf("%s: got %d %s and %q", name, w.Code, w.Body, s.last())
		}
	}
}

// broken is a connection that broke.
type broken struct{}

func (broken) Read([]byte) (int, error) { return 0, io.ErrUnexpectedEOF }

// TestCallerWhoHangsUp does not leave a letter half put back.
func TestCallerWhoHangsUp(t *testing.T) {
	t.Parallel()
	s := &ending{}
	h := eventsapi.New(eventsapi.Config{Changes: operator.ChangesOpen, Timeout: time.Minute}, s, zerolog.Nop())
	ctx, hangUp := context.WithCancel(t.Context())
	hangUp()
	h.ServeHTTP(httptest.NewRecorder(), httptest.NewRequestWithContext(ctx, http.MethodPost, letters+"/a1/replay", nil))
	if s.err != nil || s.left <= 0 {
		t.Errorf("got %v with %s left, want a context of its own with an end", s.err, s.left)
	}
}

// ending notes how its context stands.
type ending struct {
	service

	err  error
	left time.Duration
}

func (s *ending) Replay(ctx context.Context, _ string, _ bool, _ string) (deadletters.Result, error) {
	deadline, _ := ctx.Deadline()
	s.err, s.left = ctx.Err(), time.Until(deadline)
	return deadletters.Result{}, nil
}

// TestOpenAPI compares openapi.yaml with the routes and the bodies that there are.
func TestOpenAPI(t *testing.T) {
	t.Parallel()
	schemas := operatortest.OpenAPI(t, eventsapi.Patterns())
	at := time.Date(2026, 5, 4, 12, 0, 0, 0, time.UTC)
	bodies := eventsapi.Bodies(deadletters.Filter{Code: "x", Model: "x", State: "x", Source: "x", Since: at, Until: at})
	bodies["Letter"] = deadletters.Letter{
		Error: "x", Model: "x", RequestID: "x", RequestSource: "x", Replay: 1, LastReplay: 1, ReplayedAt: at, ReplayedBy: "x", Note: "x",
		Original: json.RawMessage("{}"), OriginalBytes: []byte("x"),
	}
	bodies["Page"] = deadletters.Page{Cursor: "x"}
	bodies["Result"] = deadletters.Result{Replay: 1, Note: "x", Error: "x"}
	for name, body := range bodies {
		operatortest.Fits(t, schemas[name], body)
	}
}
