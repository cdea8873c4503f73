package suite

import (
	"context"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/onda-serving/onda/tests/bench/load"
	"github.com/onda-serving/onda/tests/bench/proc"
	"github.com/onda-serving/onda/tests/bench/stats"
	"github.com/onda-serving/onda/tests/bench/testmodel"
)

// Ours is how Onda is called among its peers.
const Ours = "onda"

// PeerConcurrency is how many callers the peers have at once.
var PeerConcurrency = []int{1, 8, 64}

// peers measures Onda beside what users would pick instead. Each is started anew in each
// round, alone, so that the time to the first answer has a spread too. After one round
// the number of workers that does worse on both models is dropped.
func (b *Bench) peers(ctx context.Context) (r Result, err error) {
	check := &agreement{}
	all := []variant{{keys: keys("server", Ours, "workers", "1", "wire", wireJPEG), measure: b.ours(check)}}
	for _, c := range contenders {
		if len(b.Peers) > 0 && !slices.Contains(b.Peers, c.name) {
			continue
		}
		for _, workers := range []string{"1", "2"} {
			v := variant{keys: keys("server", c.name, "workers", workers, "wire", c.wire), measure: b.theirs(c, workers, check)}
			if _, err := os.Stat(b.bin(c)); err != nil {
				v.unable = fmt.Errorf("it is not installed: %w", err)
			}
			all = append(all, v)
		}
	}
	first, err := b.rounds(ctx, 1, all)
	if err != nil {
		return r, err
	}
	var kept []variant
	for i, v := range all {
		if first[i].Error == "" && !dominated(first, first[i]) {
			kept = append(kept, v)
		}
	}
	more, err := b.rounds(ctx, b.rounded-1, kept)
	if err != nil {
		return r, err
	}
	r.Cells = merge(first, more)
	r.Notes = append(r.Notes, b.requirements()...)
	return r, nil
}

func (b *Bench) bin(c contender) string { return filepath.Join(b.local, "venv", c.name, "bin") }

// dominated says whether another number of workers of the same server does better on
// both models.
func dominated(cells []Cell, c Cell) bool {
	return slices.ContainsFunc(cells, func(other Cell) bool {
		if other.Keys["server"] != c.Keys["server"] || other.Keys["workers"] == c.Keys["workers"] || other.Error != "" {
			return false
		}
		for _, value := range []string{"rows c8 rps", "picture c8 rps"} {
			if other.Values[value].Median < c.Values[value].Median {
				return false
			}
		}
		return true
	})
}

// merge appends the samples of more to those of first.
func merge(first, more []Cell) []Cell {
	for i, c := range first {
		for _, m := range more {
			if !maps.Equal(m.Keys, c.Keys) {
				continue
			}
			for name, s := range m.Values {
				c.Values[name] = stats.NewSpread(append(c.Values[name].Samples, s.Samples...)...)
			}
			first[i].Error = m.Error
		}
	}
	return first
}

// ours measures Onda, and also with the pictures that some peers cannot do without.
func (b *Bench) ours(check *agreement) func(context.Context) (values, error) {
	return func(ctx context.Context) (values, error) {
		onda, err := b.startOnda(ctx, "onda-peers", b.models[pair])
		if err != nil {
			return nil, err
		}
		defer onda.Stop()
		rows, picture := b.ask(onda.address, "mlp-32"), b.ask(onda.address, testmodel.Image)
		// It looked at health, as orchestrators do; the first answer is what the others are measured by.
		if onda.started, err = onda.Ready(ctx, readyWithin, first(rows)); err != nil {
			return nil, err
		}
		v, err := b.compete(ctx, onda, rows, picture, check)
		if err != nil {
			return nil, err
		}
		return v, b.loads(ctx, v, "base64 picture", predictBase64(onda.address, testmodel.Image, b.photo), onda.pids)
	}
}

// theirs measures a peer.
func (b *Bench) theirs(c contender, workers string, check *agreement) func(context.Context) (values, error) {
	return func(ctx context.Context) (values, error) {
		port, err := proc.Port()
		if err != nil {
			return nil, err
		}
		s := &server{address: proc.Local(port)}
		env := []string{
			"PYTHONPATH=..", "BENCH_PORT=" + itoa(port), "BENCH_WORKERS=" + workers,
			"BENCH_MODELS=" + b.models[pair], "ORT_DISABLE_TELEMETRY=1",
		}
		if c.env != nil {
			env = append(env, c.env(itoa(port), workers)...)
		}
		rows, picture := b.ask(s.address, "mlp-32"), b.ask(s.address, testmodel.Image)
		if c.rows != nil {
			rows = c.rows(rows)
		}
		if c.picture != nil {
			picture = c.picture(picture)
		}
		s.Process, err = proc.Start(proc.Command{
			Name: "peer-" + c.name, Args: c.args(b.bin(c), itoa(port), workers), Env: env, Logs: b.logs(),
			Dir: filepath.Join(b.root, "tests", "bench", "peers", c.name),
		})
		if err != nil {
			return nil, err
		}
		defer s.Stop()
		if err := s.await(ctx, first(rows)); err != nil {
			return nil, err
		}
		return b.compete(ctx, s, rows, picture, check)
	}
}

// first asks for the first answer.
func first(r load.Request) func(context.Context) error {
	return func(ctx context.Context) error {
		_, _, err := probe(ctx, r)
		return err
	}
}

// compete measures a server that has just given its first answer.
func (b *Bench) compete(ctx context.Context, s *server, rows, picture load.Request, check *agreement) (values, error) {
	if err := check.compare(ctx, rows, picture); err != nil {
		return nil, err
	}
	// The first answer may come from the first of two workers.
	time.Sleep(time.Second)
	s.pids = s.PIDs()
	v := values{"start_s": s.started.Seconds()}
	if err := b.loads(ctx, v, "rows", rows, s.pids); err != nil {
		return nil, err
	}
	if err := b.loads(ctx, v, "picture", picture, s.pids); err != nil {
		return nil, err
	}
	v["pss_mib"], v["rss_mib"] = proc.Memory(s.PIDs())
	return v, nil
}

// loads measures a request at every concurrency and adds to v.
func (b *Bench) loads(ctx context.Context, v values, name string, r load.Request, pids []int) error {
	for _, connections := range PeerConcurrency {
		window := time.Second
		if name != "rows" {
			window = 1500 * time.Millisecond
		}
		got, err := b.closed(ctx, r, connections, 1, window, pids)
		if err != nil {
			return fmt.Errorf("%s at %d: %w", name, connections, err)
		}
		for _, value := range []string{"rps", "rps_per_cpu", "p50_ms", "p99_ms", "failed"} {
			v[fmt.Sprintf("%s c%d %s", name, connections, value)] = got[value]
		}
	}
	return nil
}

// agreement checks that all servers answer alike: a fast wrong answer is none.
type agreement struct{ class, number string }

// The first class of a picture's answer, and the first number of a row's.
var (
	firstClass  = regexp.MustCompile(`index\\*"\s*:\s*(\d+)`)
	firstNumber = regexp.MustCompile(`"data"\s*:\s*\[\s*\[?\s*(-?[0-9.eE+-]+)`)
)

// compare asks both models, and compares with what the first server answered.
func (a *agreement) compare(ctx context.Context, rows, picture load.Request) error {
	for _, ask := range []struct {
		request load.Request
		find    *regexp.Regexp
		want    *string
	}{{rows, firstNumber, &a.number}, {picture, firstClass, &a.class}} {
		answer, _, err := probe(ctx, ask.request)
		if err != nil {
			return err
		}
		match := ask.find.FindSubmatch(answer)
		switch {
		case match == nil:
			return fmt.Errorf("an answer without result: %.200s", answer)
		case *ask.want == "":
			*ask.want = string(match[1])
		case !same(*ask.want, string(match[1])):
			return fmt.Errorf("it answers %s where the first server answered %s", match[1], *ask.want)
		}
	}
	return nil
}

// same compares numbers to five digits.
func same(a, b string) bool {
	x, errX := strconv.ParseFloat(a, 64)
	y, errY := strconv.ParseFloat(b, 64)
	return errX == nil && errY == nil && max(x-y, y-x) <= 1e-5*max(1, max(x, -x))
}

// requirements tells the versions of the peers.
func (b *Bench) requirements() (notes []string) {
	for _, c := range contenders {
		text, err := os.ReadFile(filepath.Join(b.root, "tests", "bench", "peers", c.name, "requirements.txt"))
		if err != nil {
			continue
		}
		for line := range strings.Lines(string(text)) {
			if name, version, ok := strings.Cut(strings.TrimSpace(line), "=="); ok && name == c.module {
				notes = append(notes, c.name+": "+name+" "+version)
			}
		}
	}
	return notes
}
