package registryapi_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"github.com/rs/zerolog"
	"go.uber.org/goleak"

	"github.com/onda-serving/onda/app/admin"
	"github.com/onda-serving/onda/app/catalog"
	"github.com/onda-serving/onda/app/ingress/operator"
	"github.com/onda-serving/onda/app/ingress/operator/operatortest"
	"github.com/onda-serving/onda/app/ingress/registryapi"
	"github.com/onda-serving/onda/app/judge"
	"github.com/onda-serving/onda/app/scoring"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// service is a Service that notes what it is asked.
type service struct {
	mu    sync.Mutex
	calls []string
	asks  []admin.Ask
	// err is what every call fails with; nil for success.
	err error
	// most is how much of an upload is read that fails.
	most int64
	// during is called in the middle of every change; nil for nothing.
	during func(ctx context.Context, ask admin.Ask) error
	// old says that what is registered or uploaded is there already.
	old bool
}

// note keeps what was asked, and gives the document that every change answers with.
func (s *service) note(ctx context.Context, ask admin.Ask, format string, args ...any) (*admin.Document, error) {
	s.mu.Lock()
	s.calls = append(s.calls, fmt.Sprintf(format, args...))
	s.asks = append(s.asks, ask)
	s.mu.Unlock()
	if s.during != nil {
		if err := s.during(ctx, ask); err != nil {
			return nil, err
		}
	}
	if s.err != nil {
		return nil, s.err
	}
	return &admin.Document{Schema: 1, Name: "m", Revision: 12, State: catalog.State{Labels: map[string]int64{"live": 2}}}, nil
}

// last is what was asked last.
func (s *service) last() (call string, ask admin.Ask) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.calls) == 0 {
		return "", admin.Ask{}
	}
	return s.calls[len(s.calls)-1], s.asks[len(s.asks)-1]
}

// jsonOf makes arguments readable.
func jsonOf(v any) string {
	text, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return string(text)
}

func (s *service) Models(ctx context.Context) ([]admin.Document, error) {
	_, err := s.note(ctx, admin.Ask{}, "models")
	return nil, err
}

func (s *service) Model(ctx context.Context, name string) (*admin.Document, error) {
	return s.note(ctx, admin.Ask{}, "model %s", name)
}

func (s *service) Version(ctx context.Context, name string, number int64) (*admin.Version, error) {
	_, err := s.note(ctx, admin.Ask{}, "version %s %d", name, number)
	return &admin.Version{Version: catalog.Version{Version: number, Digest: "sha256:d"}, Standing: catalog.Retired, Revision: 12}, err
}

func (s *service) History(ctx context.Context, name string, limit int) ([]catalog.Entry, error) {
	_, err := s.note(ctx, admin.Ask{}, "history %s %d", name, limit)
	return nil, err
}

func (s *service) Evidence(ctx context.Context, name string) (*admin.Evidence, error) {
	_, err := s.note(ctx, admin.Ask{}, "evidence %s", name)
	return &admin.Evidence{Rollout: "r7", Decision: judge.Decision{Action: judge.Wait, Reason: "too few"}}, err
}

func (s *service) Status() (*admin.Status, error) {
	_, err := s.note(context.Background(), admin.Ask{}, "status")
	return &admin.Status{Replica: "r1", InSync: true, Revision: 9}, err
}

func (s *service) Register(ctx context.Context, name string, want admin.Registration, ask admin.Ask) (*admin.Registered, error) {
	_, err := s.note(ctx, ask, "register %s %s", name, jsonOf(want))
	if err != nil {
		return nil, err
	}
	return &admin.Registered{Model: name, Version: catalog.Version{Version: 3, Digest: "sha256:d"}, New: !s.old, Revision: 12}, nil
}

func (s *service) SetLabel(ctx context.Context, name, label string, version int64, ask admin.Ask) (*admin.Document, error) {
	return s.note(ctx, ask, "label %s %s %d", name, label, version)
}

func (s *service) RemoveLabel(ctx context.Context, name, label string, ask admin.Ask) (*admin.Document, error) {
	return s.note(ctx, ask, "unlabel %s %s", name, label)
}

func (s *service) SetTraffic(ctx context.Context, name string, traffic *catalog.Traffic, ask admin.Ask) (*admin.Document, error) {
	return s.note(ctx, ask, "traffic %s %s", name, jsonOf(traffic))
}

func (s *service) SetShadow(ctx context.Context, name string, shadow *catalog.Shadow, ask admin.Ask) (*admin.Document, error) {
	return s.note(ctx, ask, "shadow %s %s", name, jsonOf(shadow))
}

func (s *service) Rollout(ctx context.Context, name string, plan admin.RolloutPlan, ask admin.Ask) (*admin.Document, error) {
	return s.note(ctx, ask, "rollout %s %s", name, jsonOf(plan))
}

func (s *service) Promote(ctx context.Context, name string, version int64, ask admin.Ask) (*admin.Document, error) {
	return s.note(ctx, ask, "promote %s %d", name, version)
}

func (s *service) RollBack(ctx context.Context, name string, ask admin.Ask) (*admin.Document, error) {
	return s.note(ctx, ask, "rollback %s", name)
}

func (s *service) Retire(ctx context.Context, name string, version int64, ask admin.Ask) (*admin.Document, error) {
	return s.note(ctx, ask, "retire %s %d", name, version)
}

func (s *service) Pin(ctx context.Context, name string, pinned bool, ask admin.Ask) (*admin.Document, error) {
	return s.note(ctx, ask, "pin %s %t", name, pinned)
}

func (s *service) HasBlob(ctx context.Context, sum string) (int64, bool, error) {
	_, err := s.note(ctx, admin.Ask{}, "blob %s", sum)
	return 7, s.old, err
}

func (s *service) Upload(ctx context.Context, sum string, size int64, body io.Reader) (bool, error) {
	if s.old {
		return false, nil
	}
	if s.err != nil {
		body = io.LimitReader(body, s.most)
	}
	n, err := io.Copy(io.Discard, body)
	if err != nil {
		return false, fmt.Errorf("read what is sent: %w", err)
	}
	_, err = s.note(ctx, admin.Ask{}, "upload %s %d, read %d", sum, size, n)
	return true, err
}

// counter is an Observer.
type counter struct {
	mu   sync.Mutex
	seen []string
}

func (c *counter) Changed(action, code string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.seen = append(c.seen, action+" "+code)
}

func (c *counter) last() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.seen) == 0 {
		return ""
	}
	return c.seen[len(c.seen)-1]
}

// logged is a log that the server and the test can share.
type logged struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *logged) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *logged) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

const token = operatortest.Token

// rig is a door on fakes, behind a real server whose time for an answer is short.
type rig struct {
	config  registryapi.Config
	service *service
	counter counter
	log     logged
	server  *httptest.Server
	client  http.Transport
}

// start starts the rig; configure may change it first.
func start(t *testing.T, configure ...func(*rig)) *rig {
	t.Helper()
	r := &rig{service: &service{}}
	r.config = registryapi.Config{
		Changes: operator.ChangesToken, Token: token, MaxBody: 1 << 16, MaxBlob: 1 << 20,
		ReadTimeout: 5 * time.Second, ChangeTimeout: time.Minute, Observer: &r.counter,
	}
	for _, c := range configure {
		c(r)
	}
	r.serve(t, r.service)
	return r
}

// serve puts the door on a service.
func (r *rig) serve(t *testing.T, on registryapi.Service) {
	t.Helper()
	r.server = httptest.NewUnstartedServer(registryapi.New(r.config, on, zerolog.New(&r.log)))
	r.server.Config.WriteTimeout = 100 * time.Millisecond
	r.server.Start()
	t.Cleanup(func() {
		r.client.CloseIdleConnections()
		r.server.Close()
	})
}

// answer is what came back.
type answer struct {
	status int
	header http.Header
	body   string
}

// call sends a request with the token; headers are "Name: value".
func (r *rig) call(t *testing.T, method, path, body string, headers ...string) answer {
	t.Helper()
	got := operatortest.Call(t, &r.client, method, r.server.URL+path, body, headers...)
	return answer{got.Status, got.Header, got.Body}
}

func expect(t *testing.T, got answer, status int, body string) {
	t.Helper()
	if got.status != status || got.body != body {
		t.Errorf("got %d %s\nwant %d %s", got.status, got.body, status, body)
	}
}

var _ registryapi.Service = (*admin.Admin)(nil)

// refusal makes an error for callers.
func refusal(code scoring.Code) *scoring.Error { return scoring.Errorf(code, "say this") }
