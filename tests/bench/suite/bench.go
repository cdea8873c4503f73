// Package suite is what the bench measures: its parts, the programs that each starts,
// and the results that it leaves in tests/bench/results.
package suite

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"time"

	"github.com/onda-serving/onda/tests/bench/load"
	"github.com/onda-serving/onda/tests/bench/raw"
	"github.com/onda-serving/onda/tests/bench/testmodel"
)

// ResultsDir is where results lie, from the repository's root.
const ResultsDir = "tests/bench/results"

// Parts are the parts of the bench, in the order of the page.
var Parts = []string{"raw", "batching", "overload", "dapr", "events", "lanes", "peers", "preprocess", "swap", "models"}

// Options choose how to measure.
type Options struct {
	// Quick means few and short rounds: they show that the bench works, and nothing else.
	Quick bool
	// Peers to measure; all if empty.
	Peers []string
}

// Bench knows the places of all that takes part.
type Bench struct {
	Options

	self, onda, daprd, sentry string
	library                   string
	local                     string // .local/bench
	root                      string
	models                    map[string]string // folders by mode, and pair
	photo                     []byte
	rounded                   int      // how many rounds
	first                     []string // what runs a program before all others, if that is allowed
}

// New looks for everything that a measurement needs. The working directory must be the
// repository's root.
func New(o Options) (*Bench, error) {
	root, err := os.Getwd()
	if err != nil {
		return nil, err
	}
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	b := &Bench{Options: o, self: self, root: root, local: filepath.Join(root, ".local", "bench"), models: map[string]string{}, rounded: 5}
	if o.Quick {
		b.rounded = 2
	}
	for _, place := range []struct {
		to      *string
		pattern string
	}{
		{&b.onda, ".local/bin/onda"},
		{&b.library, ".local/onnxruntime/*/libonnxruntime.so"},
		{&b.daprd, ".local/dapr/*/.dapr/bin/daprd"},
		{&b.sentry, ".local/dapr/*/.dapr/bin/sentry"},
	} {
		matches, err := filepath.Glob(filepath.Join(root, place.pattern))
		if err != nil || len(matches) == 0 {
			return nil, fmt.Errorf("%s is not there: run `deploy/local/setup.sh bench` in the repository's root", place.pattern)
		}
		*place.to = matches[len(matches)-1]
	}
	for _, first := range [][]string{{"chrt", "--rr", "1"}, {"nice", "-n", "-15"}} {
		if exec.Command(first[0], append(first[1:], "true")...).Run() == nil { //nolint:gosec,noctx // it ends at once
			b.first = first
			break
		}
	}
	if err := b.makeModels(); err != nil {
		return nil, err
	}
	b.photo, err = photo()
	return b, err
}

// pair names the models folder with no more than the peers have.
const pair = "pair"

// makeModels makes the models folders.
func (b *Bench) makeModels() error {
	for _, f := range []struct {
		name string
		mode testmodel.Mode
		only []string
	}{
		{testmodel.Off.Name, testmodel.Off, nil},
		{testmodel.Delay.Name, testmodel.Delay, nil},
		{testmodel.Adaptive.Name, testmodel.Adaptive, nil},
		{pair, testmodel.Adaptive, []string{"mlp-32", testmodel.Image}},
		{eventPart, testmodel.Adaptive, append([]string{testmodel.Image}, eventModels...)},
	} {
		b.models[f.name] = filepath.Join(b.local, "models", f.name)
		if err := testmodel.Folder(b.models[f.name], filepath.Join(b.root, "models"), f.mode, f.only...); err != nil {
			return err
		}
	}
	return nil
}

// Run measures a part and writes its results.
func (b *Bench) Run(ctx context.Context, part string) error {
	parts := map[string]func(context.Context) (Result, error){
		"raw": b.raw, "batching": b.batching, "overload": b.overload, "dapr": b.dapr, "events": b.events, "lanes": b.lanes, "peers": b.peers, "preprocess": b.preprocess,
		"swap": b.swap, "models": b.many,
	}
	do, ok := parts[part]
	if !ok {
		return fmt.Errorf("there is no such part: want some of %v", Parts)
	}
	say("%s", part)
	began := time.Now()
	result, err := do(ctx)
	if err != nil {
		return err
	}
	result.Part, result.Seconds, result.Quick = part, time.Since(began).Round(time.Second).Seconds(), b.Quick
	result.Machine, result.Commit, result.Date = machine(), commit(ctx), began.UTC().Format(time.DateOnly)
	result.Versions = b.versions(ctx)
	say("%s took %.0f s", part, result.Seconds)
	return result.save()
}

// window is the time that a measurement takes, and its warm-up.
func (b *Bench) window(measured time.Duration) (warmUp, window time.Duration) {
	if b.Quick {
		return 100 * time.Millisecond, measured / 2
	}
	return max(measured/5, 200*time.Millisecond), measured
}

// child runs one of this program's own processes: a job in, a result out. Words before it
// are a program that starts it.
func (b *Bench) child(ctx context.Context, command string, job, result any, before ...string) error {
	input, err := json.Marshal(job)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, 3*time.Minute)
	defer cancel()
	words := slices.Concat(before, []string{b.self, command})
	cmd := exec.CommandContext(ctx, words[0], words[1:]...) //nolint:gosec // it is this program
	// ONNX Runtime reports to its maker unless it is told not to.
	cmd.Env = append(cmd.Environ(), "ORT_DISABLE_TELEMETRY=1")
	var failure bytes.Buffer
	cmd.Stdin, cmd.Stderr = bytes.NewReader(input), &failure
	output, err := cmd.Output()
	if err != nil {
		return fmt.Errorf("%w: %s", err, bytes.TrimSpace(failure.Bytes()))
	}
	return json.Unmarshal(output, result)
}

// load has the load generator do a job. That of an open loop, which needs few and short
// moments of a core, gets them before the server does: as if it were on another machine,
// where callers would be, and not late itself.
func (b *Bench) load(ctx context.Context, job load.Job) (r load.Result, err error) {
	var first []string
	if job.Rate > 0 {
		first = b.first
	}
	err = b.child(ctx, "load", job, &r, first...)
	return r, err
}

// rawRun runs a model alone.
func (b *Bench) rawRun(ctx context.Context, job raw.Job) (r raw.Result, err error) {
	job.Library = b.library
	err = b.child(ctx, "raw", job, &r)
	return r, err
}

// closed measures a closed loop: requests a second, by the clock and by the CPU time of
// the server, and latencies.
func (b *Bench) closed(ctx context.Context, request load.Request, connections, rows int, measured time.Duration, pids []int) (values, error) {
	warmUp, window := b.window(measured)
	r, err := b.load(ctx, load.Job{Request: request, Connections: connections, WarmUp: warmUp, Window: window, Watch: pids})
	if err != nil {
		return nil, err
	}
	ok := float64(r.Counts["ok"])
	if ok == 0 && r.Error != "" {
		return nil, fmt.Errorf("no request succeeded: %s", r.Error)
	}
	l := r.Latency["ok"]
	v := values{
		"rps": ok / r.Seconds, "rows_per_s": ok * float64(rows) / r.Seconds,
		"p50_ms": l.P50, "p95_ms": l.P95, "p99_ms": l.P99,
		"failed": float64(r.Total()) - ok, "server_cores": r.ServerCPU / r.Seconds, "client_cores": r.ClientCPU / r.Seconds,
	}
	if r.ServerCPU > 0 {
		v["rps_per_cpu"] = ok / r.ServerCPU
		v["rows_per_cpu"] = ok * float64(rows) / r.ServerCPU
	}
	return v, deliveries(v, r)
}

func itoa(n int) string { return strconv.Itoa(n) }

// scratch writes a file that a program needs.
func (b *Bench) scratch(name string, data []byte) (string, error) {
	file := filepath.Join(b.local, "tmp", name)
	if err := os.MkdirAll(filepath.Dir(file), 0o750); err != nil {
		return "", err
	}
	return file, os.WriteFile(file, data, 0o600)
}
