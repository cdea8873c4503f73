package suite

import (
	"context"
	"fmt"
	"net"
	"path/filepath"
	"slices"
	"strconv"
	"time"

	"github.com/onda-serving/onda/tests/bench/load"
	"github.com/onda-serving/onda/tests/bench/proc"
	"github.com/onda-serving/onda/tests/bench/testmodel"
)

// daprWindow is how long each measurement of the part takes.
const daprWindow = 2500 * time.Millisecond

// daprRates are the loads: one that leaves the cores mostly idle, and more.
var daprRates = []float64{100, 400}

// dapr measures what the way through sidecars adds, with and without mutual TLS. The
// model is the smallest, so that what it takes hides nothing.
func (b *Bench) dapr(ctx context.Context) (r Result, err error) {
	plain, err := b.startMesh(ctx, "plain", false)
	defer plain.stop()
	if err != nil {
		return r, err
	}
	ways := plain.ways("")
	secure, err := b.startMesh(ctx, "mtls", true)
	defer secure.stop()
	if err != nil {
		r.Notes = append(r.Notes, "mTLS could not be measured: "+err.Error())
	} else {
		// Without another app's sidecar there is no hop that is encrypted.
		ways = append(ways, secure.ways(" with mTLS")[2], secure.ways(" with mTLS")[5])
	}
	var all []variant
	for _, rate := range daprRates {
		for _, w := range ways {
			v := variant{keys: keys("path", w.name, "load", strconv.FormatFloat(rate, 'g', -1, 64))}
			if _, _, v.unable = probe(ctx, w.request); v.unable == nil {
				v.measure = func(ctx context.Context) (values, error) {
					return b.open(ctx, w.request, rate, 0, daprWindow, w.pids)
				}
			}
			all = append(all, v)
		}
	}
	r.Cells, err = b.rounds(ctx, b.rounded, all)
	return r, err
}

// way is one of the ways to Onda.
type way struct {
	name    string
	request load.Request
	pids    []int
}

// mesh is Onda with its sidecar, and the sidecar of an app that calls it.
type mesh struct {
	id         string
	onda       *server
	own, other *sidecar
	parts      []interface{ Stop() }
	scrape     string // where Onda's metrics are, if anywhere
}

// sidecar is a daprd.
type sidecar struct {
	*proc.Process

	http, grpc int
}

// stop ends all parts, the last started first.
func (m *mesh) stop() {
	for _, part := range slices.Backward(m.parts) {
		part.Stop()
	}
}

// startMesh starts all parts and waits until calls arrive by every way. What it started
// is in the mesh even if there is an error.
func (b *Bench) startMesh(ctx context.Context, name string, mtls bool) (m *mesh, err error) {
	m = &mesh{id: "onda-bench-" + name + "-" + strconv.FormatInt(time.Now().UnixMilli()%1e6, 10)}
	var trust []string
	if mtls {
		authority, more, err := b.startSentry(ctx)
		if err != nil {
			return m, err
		}
		m.parts, trust = append(m.parts, authority), more
	}
	if m.onda, err = b.startOnda(ctx, "onda-"+name, b.models[testmodel.Adaptive.Name], "ONDA_DAPR=off"); err != nil {
		return m, err
	}
	m.parts = append(m.parts, m.onda)
	if m.own, err = b.startSidecar(m.id, m.onda.address, trust); err != nil {
		return m, err
	}
	m.parts = append(m.parts, m.own)
	if m.other, err = b.startSidecar("caller-of-"+m.id, "", trust); err != nil {
		return m, err
	}
	m.parts = append(m.parts, m.other)
	for _, w := range m.ways("") {
		if _, err := m.other.Ready(ctx, readyWithin, first(w.request)); err != nil {
			return m, fmt.Errorf("%s: %w", w.name, err)
		}
	}
	return m, nil
}

// ways are all ways to the model, HTTP before gRPC, from the shortest to the longest.
func (m *mesh) ways(suffix string) []way {
	s := testmodel.Synthetics[0]
	through := func(to *sidecar) load.Request {
		r := oipJSON(proc.Local(to.http), s)
		r.Path = "/v1.0/invoke/" + m.id + "/method" + r.Path
		return r
	}
	proxied := func(to *sidecar) load.Request {
		r := oipGRPC(proc.Local(to.grpc), s, 1)
		r.Headers = map[string]string{"dapr-app-id": m.id}
		return r
	}
	onda, own, other := m.onda.pids, m.own.PIDs(), m.other.PIDs()
	one, two := slices.Concat(own, onda), slices.Concat(other, own, onda)
	return []way{
		{"HTTP, direct" + suffix, oipJSON(m.onda.address, s), onda},
		{"HTTP, own sidecar" + suffix, through(m.own), one},
		{"HTTP, two sidecars" + suffix, through(m.other), two},
		{"gRPC, direct" + suffix, oipGRPC(m.onda.address, s, 1), onda},
		{"gRPC, own sidecar" + suffix, proxied(m.own), one},
		{"gRPC, two sidecars" + suffix, proxied(m.other), two},
	}
}

// startSidecar starts a daprd as `make run` does, for the app at an address, if any, with
// more arguments.
func (b *Bench) startSidecar(id, app string, trust []string, more ...string) (*sidecar, error) {
	var ports [6]int
	for i := range ports {
		port, err := proc.Port()
		if err != nil {
			return nil, err
		}
		ports[i] = port
	}
	s := &sidecar{http: ports[0], grpc: ports[1]}
	args := []string{
		b.daprd, "--app-id", id, "--mode", "standalone", "--log-level", "warn",
		"--dapr-http-port", itoa(s.http), "--dapr-grpc-port", itoa(s.grpc),
		"--dapr-internal-grpc-port", itoa(ports[2]), "--dapr-public-port", itoa(ports[3]), "--metrics-port", itoa(ports[4]),
		"--dapr-listen-addresses", "127.0.0.1", "--dapr-internal-grpc-listen-address", "127.0.0.1",
		"--metrics-listen-address", "127.0.0.1", "--dapr-public-listen-address", "127.0.0.1",
		"--max-body-size", "32Mi", "--config", filepath.Join(b.root, "components", "local", "config.yaml"),
	}
	args = append(args, more...)
	if app != "" {
		_, port, err := net.SplitHostPort(app)
		if err != nil {
			return nil, err
		}
		args = append(args, "--app-port", port, "--app-protocol", "http", "--app-channel-address", "127.0.0.1")
	}
	var env []string
	if len(trust) > 0 {
		args = append(args, "--enable-mtls", "--sentry-address", trust[0])
		env = trust[1:]
	}
	p, err := proc.Start(proc.Command{Name: id, Args: args, Dir: b.root, Env: env, Logs: b.logs()})
	s.Process = p
	return s, err
}
