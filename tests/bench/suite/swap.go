package suite

import (
	"context"
	"fmt"
	"math"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"github.com/onda-serving/onda/tests/bench/load"
	"github.com/onda-serving/onda/tests/bench/proc"
	"github.com/onda-serving/onda/tests/bench/stats"
	"github.com/onda-serving/onda/tests/bench/testmodel"
)

const (
	// swapRate is the load, in requests a second: about a quarter of what two cores can do, as
	// a replica has that is scaled before it is full.
	swapRate = 20
	// quietWindow and swapWindow are how long the measurements without and with swaps take.
	quietWindow, swapWindow = 15 * time.Second, 50 * time.Second
	// swapEach is how often the label moves.
	swapEach = time.Second
	// swapVersions are loaded in turn. The live version and the one before stay in memory, and
	// others until the registry was looked at: so many that each swap loads one, and frees one.
	swapVersions = 8
	// mostSwaps ends the part.
	mostSwaps = 1000
	// weighEach is after how many swaps the memory is looked at.
	weighEach = 50
	// swapPatience bounds a swap.
	swapPatience = 30 * time.Second
)

// swap moves the label live from version to version, under a load that asks for that label
// through the sidecar. Windows without swaps take turns with those with them.
func (b *Bench) swap(ctx context.Context) (r Result, err error) {
	m, err := b.startManaged(ctx)
	defer m.stop()
	if err != nil {
		return r, err
	}
	s := &swapper{door: door{"http://" + m.onda.address}, scrape: m.scrape, pids: m.onda.pids, series: map[int]float64{}}
	if err := s.begin(ctx); err != nil {
		return r, err
	}
	request := predict(proc.Local(m.own.http), testmodel.Image, "image/jpeg", b.photo)
	request.Path = "/v1.0/invoke/" + m.id + "/method/v1/models/" + testmodel.Image + "/labels/live:predict"
	if _, _, err := probe(ctx, request); err != nil {
		return r, err
	}
	most := mostSwaps
	if b.Quick {
		most = 2 * weighEach
	}
	phases := map[string]*phase{"quiet": newPhase("quiet"), "swapping": newPhase("swapping")}
	for s.done < most {
		for _, name := range []string{"quiet", "swapping"} {
			if err := b.oneWindow(ctx, request, m.onda.pids, s, phases[name]); err != nil {
				return r, err
			}
		}
	}
	if r.Facts, err = s.facts(ctx); err != nil {
		return r, err
	}
	r.Facts["requests/s"] = swapRate
	r.Cells = append(s.weights(), phases["quiet"].cell(), phases["swapping"].cell())
	r.Notes = append(r.Notes, "versions are compared on recent requests before they go live; that is off here (ONDA_REPLAY_REQUESTS=0), "+
		"so that what is measured is the swap")
	return r, nil
}

// oneWindow measures one window, with swaps or without.
func (b *Bench) oneWindow(ctx context.Context, request load.Request, pids []int, s *swapper, p *phase) error {
	length := quietWindow
	if p.name == "swapping" {
		length = swapWindow
	}
	swapping, stop := context.WithCancel(ctx)
	defer stop()
	before, ended := s.done, make(chan error, 1)
	go func() {
		if p.name == "swapping" {
			ended <- s.swapUntil(swapping)
			return
		}
		ended <- nil
	}()
	got, err := b.open(ctx, request, swapRate, 0, length, pids)
	stop()
	if swapped := <-ended; err == nil {
		err = swapped
	}
	if err != nil {
		return err
	}
	_, window := b.window(length)
	got["swaps"] = float64(s.done - before)
	got["unanswered"] = got["failed"] + math.Round((got["refused_rps"]+got["expired_rps"])*window.Seconds())
	say("  %s: %s", p.name, brief(got))
	p.add(got)
	return nil
}

// phase collects the windows of one kind.
type phase struct {
	name    string
	samples map[string][]float64
}

func newPhase(name string) *phase { return &phase{name: name, samples: map[string][]float64{}} }

func (p *phase) add(v values) {
	for name, value := range v {
		p.samples[name] = append(p.samples[name], value)
	}
}

func (p *phase) cell() Cell {
	c := Cell{Keys: keys("phase", p.name), Values: map[string]stats.Spread{}}
	for name, s := range p.samples {
		c.Values[name] = stats.NewSpread(s...)
	}
	return c
}

// swapper moves the label.
type swapper struct {
	door   door
	scrape string
	pids   []int

	done   int
	before float64 // loads before the first swap
	took   stats.Histogram
	series map[int]float64 // resident memory in MiB, by the number of swaps before
}

// begin makes each version live once, as each is tried before it is for the first time, and
// version 1 at last.
func (s *swapper) begin(ctx context.Context) error {
	// A replica registers the versions of its folder one by one after it is ready.
	registered := func(ctx context.Context) error {
		m, err := s.door.model(ctx, testmodel.Image)
		if err == nil && len(m.Versions) < swapVersions {
			err = fmt.Errorf("%d of %d are", len(m.Versions), swapVersions)
		}
		return err
	}
	if err := await(ctx, "the versions are registered", registered); err != nil {
		return err
	}
	for i := range int64(swapVersions + 1) {
		if err := s.door.label(ctx, testmodel.Image, "live", i%swapVersions+1); err != nil {
			return err
		}
	}
	now, err := metrics(ctx, s.scrape, seriesLoads)
	s.before = now[seriesLoads]
	return err
}

// swapUntil swaps until ctx ends; a swap that has begun is finished. What answers is looked at
// after the last one: to look is load, too.
func (s *swapper) swapUntil(ctx context.Context) error {
	clock := time.NewTicker(swapEach)
	defer clock.Stop()
	for {
		if err := s.swapOnce(context.WithoutCancel(ctx)); err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return s.look(context.WithoutCancel(ctx))
		case <-clock.C:
		}
	}
}

// look checks that the version answers that was made live last.
func (s *swapper) look(ctx context.Context) error {
	m, err := s.door.model(ctx, testmodel.Image)
	if want := nextVersion(s.done - 1); err == nil && m.Serving.Labels["live"] != want {
		err = fmt.Errorf("after %d swaps, version %d answers: want %d", s.done, m.Serving.Labels["live"], want)
	}
	return err
}

// swapOnce makes the next version live, and takes the time of that.
func (s *swapper) swapOnce(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, swapPatience)
	defer cancel()
	if s.done%weighEach == 0 {
		_, s.series[s.done] = proc.Memory(s.pids)
	}
	began := time.Now()
	if err := s.door.label(ctx, testmodel.Image, "live", nextVersion(s.done)); err != nil {
		return err
	}
	s.took.Add(time.Since(began))
	s.done++
	return nil
}

// nextVersion is what goes live after so many swaps.
func nextVersion(done int) int64 { return int64((done+1)%swapVersions) + 1 }

// facts are the numbers of the whole part.
func (s *swapper) facts(ctx context.Context) (map[string]float64, error) {
	now, err := metrics(ctx, s.scrape, seriesLoads)
	if err != nil {
		return nil, err
	}
	ms := func(q float64) float64 { return float64(s.took.Quantile(q)) / float64(time.Millisecond) }
	return map[string]float64{
		"swaps": float64(s.done), "loads": now[seriesLoads] - s.before, "swap_p50_ms": ms(0.5), "swap_p99_ms": ms(0.99),
		"swap_max_ms": float64(s.took.Max()) / float64(time.Millisecond),
	}, nil
}

// weights are the looks at the memory.
func (s *swapper) weights() []Cell {
	var cells []Cell
	for done := 0; done <= s.done; done += weighEach {
		if rss, ok := s.series[done]; ok {
			cells = append(cells, Cell{Keys: keys("swaps", strconv.Itoa(done)), Values: map[string]stats.Spread{"rss_mib": stats.NewSpread(rss)}})
		}
	}
	return cells
}

// await asks again and again until ask succeeds.
func await(ctx context.Context, what string, ask func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, swapPatience)
	defer cancel()
	for {
		err := ask(ctx)
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%s: not within %s: %w", what, swapPatience, err)
		case <-time.After(100 * time.Millisecond): // to ask is load, too
		}
	}
}

// startManaged starts Onda with a registry: behind a sidecar whose state is in a file.
func (b *Bench) startManaged(ctx context.Context) (m *mesh, err error) {
	m = &mesh{id: "onda-bench-swap-" + strconv.FormatInt(time.Now().UnixMilli()%1e6, 10)}
	models := filepath.Join(b.local, "models", "swap")
	if err := testmodel.Versions(models, filepath.Join(b.root, "models"), testmodel.Image, swapVersions); err != nil {
		return m, err
	}
	components, err := b.stateInFile()
	if err != nil {
		return m, err
	}
	port, err := proc.Port()
	if err != nil {
		return m, err
	}
	if m.own, err = b.startSidecar(m.id, proc.Local(port), nil, "--resources-path", components); err != nil {
		return m, err
	}
	m.parts = append(m.parts, m.own)
	scrape, err := proc.Port()
	if err != nil {
		return m, err
	}
	m.scrape = proc.Local(scrape)
	m.onda, err = b.startOndaAt(ctx, proc.Local(port), "onda-swap", models,
		"ONDA_DAPR=on", "ONDA_METRICS_LISTEN="+m.scrape, "DAPR_GRPC_PORT="+itoa(m.own.grpc), "DAPR_HTTP_PORT="+itoa(m.own.http), "ONDA_REGISTRY_CHANGES=open",
		"ONDA_REPLAY_REQUESTS=0", "ONDA_LOG_LEVEL=warn")
	if err != nil {
		return m, err
	}
	m.parts = append(m.parts, m.onda)
	url := "http://" + net.JoinHostPort("127.0.0.1", itoa(m.own.http)) + "/v1.0/invoke/" + m.id + "/method/v2/health/ready"
	_, err = m.own.Ready(ctx, readyWithin, proc.Get(url))
	return m, err
}

// stateInFile makes a folder of components with a state store of its own, empty.
func (b *Bench) stateInFile() (folder string, err error) {
	folder = filepath.Join(b.local, "tmp", "swap-components")
	file := filepath.Join(b.local, "tmp", "swap-state.db")
	for _, old := range []string{file, file + "-wal", file + "-shm"} {
		if err := os.RemoveAll(old); err != nil {
			return "", err
		}
	}
	_, err = b.scratch(filepath.Join("swap-components", "statestore.yaml"), []byte(`apiVersion: dapr.io/v1alpha1
kind: Component
metadata:
  name: statestore
spec:
  type: state.sqlite
  version: v1
  metadata:
    - name: connectionString
      value: `+strconv.Quote(file)+`
    - name: busyTimeout
      value: 2s
`))
	return folder, err
}
