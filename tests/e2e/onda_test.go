package e2e_test

import (
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"maps"
	"net/http"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// onda is the scoring app, on a port that stays the same when it is started again.
type onda struct {
	*process

	// owner is the test that made it, with which it ends; parts of that test start it again.
	owner             *testing.T
	port, metricsPort int
	dir               string
	env               map[string]string
}

// newOnda chooses the ports. The models are those of the repository unless env says
// otherwise.
func newOnda(t *testing.T, dir string, env map[string]string) *onda {
	t.Helper()
	o := &onda{owner: t, port: freePort(t), metricsPort: freePort(t), dir: dir}
	o.env = map[string]string{
		"ONDA_LISTEN": local(o.port), "ONDA_METRICS_LISTEN": local(o.metricsPort), "ONDA_LOG_LEVEL": "debug", "ONDA_LOG_FORMAT": "json",
		"ONDA_MODELS_DIR": filepath.Join(root, "models"), "ONDA_ONNXRUNTIME_LIBRARY": onnxruntime(t),
	}
	maps.Copy(o.env, env)
	return o
}

// start starts the app, or starts it again.
func (o *onda) start(t *testing.T) {
	t.Helper()
	o.process = launch(o.owner, "onda", o.dir, o.env, ondaBinary, "serve")
}

func (o *onda) url() string { return "http://" + local(o.port) }

// ready waits until the app says that it can work.
func (o *onda) ready(t *testing.T) {
	t.Helper()
	eventually(t, "onda is ready", func() error {
		if o.gone() {
			t.Fatalf("onda ended: %v", o.err)
		}
		return wants(http.StatusOK, get(o.url()+"/healthz"))
	})
}

// stack is Onda behind its own sidecar, and the sidecar of another app that calls it.
type stack struct {
	onda       *onda
	own, other *sidecar
	// id is the app id of Onda.
	id string
}

// newStack makes the parts without starting them.
func newStack(t *testing.T, env map[string]string) *stack {
	t.Helper()
	dir := t.TempDir()
	s := &stack{id: "onda-" + unique()}
	s.onda = newOnda(t, dir, env)
	s.own = newSidecar(t, s.id, s.onda.port, dir, components(t, s.id, dir))
	s.other = newSidecar(t, "caller-of-"+s.id, 0, dir, "")
	s.onda.env["DAPR_HTTP_PORT"] = strconv.Itoa(s.own.httpPort)
	s.onda.env["DAPR_GRPC_PORT"] = strconv.Itoa(s.own.grpcPort)
	return s
}

// startStack starts everything and waits until calls arrive by every way.
func startStack(t *testing.T, env map[string]string) *stack {
	t.Helper()
	s := newStack(t, env)
	s.start(t)
	s.ready(t)
	return s
}

// start starts everything at once, as Kubernetes does.
func (s *stack) start(t *testing.T) {
	t.Helper()
	s.onda.start(t)
	s.own.start(t)
	s.other.start(t)
}

// ready waits until calls arrive by every way. Name resolution can miss an app that has
// only just started: no call after this one is repeated.
func (s *stack) ready(t *testing.T) {
	t.Helper()
	s.onda.ready(t)
	s.own.outbound(t)
	s.other.outbound(t)
	for _, way := range s.ways() {
		eventually(t, "Onda answers "+way.name, func() error {
			return wants(http.StatusOK, get(way.url+"/v2/health/ready"))
		})
	}
}

// way is one of the ways to Onda.
type way struct{ name, url string }

// ways are all ways to Onda, the one without a sidecar first.
func (s *stack) ways() []way {
	return []way{s.direct(), {"through its own sidecar", s.own.invoke(s.id)}, s.throughOther()}
}

func (s *stack) direct() way { return way{"directly", s.onda.url()} }

func (s *stack) throughOther() way {
	return way{"through another app's sidecar", s.other.invoke(s.id)}
}

// unique is a name that no other test has.
func unique() string {
	var b [6]byte
	_, _ = rand.Read(b[:]) // never fails
	return hex.EncodeToString(b[:])
}

// wants says whether a reply has the status.
func wants(status int, r reply) error {
	if r.err != nil {
		return r.err
	}
	if r.status != status {
		return fmt.Errorf("status %d, want %d: %s", r.status, status, strings.TrimSpace(r.body))
	}
	return nil
}
