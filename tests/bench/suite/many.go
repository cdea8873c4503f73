package suite

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"net/http"
	"path/filepath"
	"strconv"
	"sync"
	"time"

	"github.com/onda-serving/onda/tests/bench/load"
	"github.com/onda-serving/onda/tests/bench/proc"
	"github.com/onda-serving/onda/tests/bench/stats"
	"github.com/onda-serving/onda/tests/bench/testmodel"
)

const (
	// manyModels are in the folder.
	manyModels = 1000
	// manyResident of them fit into the budget.
	manyResident = 20
	// manyWindow is how long each measurement of the part takes.
	manyWindow = 8 * time.Second
	// zipfExponent says how unequal the models are: the n-th is asked for in proportion to
	// n to the power of minus this.
	zipfExponent = 1.1
)

// The series of Onda's metrics that the part reads.
const (
	seriesMemory    = "onda_models_memory_bytes"
	seriesLoads     = `onda_model_loads_total{outcome="loaded"}`
	seriesFailed    = `onda_model_loads_total{outcome="failed"}`
	seriesEvictions = "onda_model_evictions_total"
)

// many serves a thousand models with memory for twenty.
func (b *Bench) many(ctx context.Context) (r Result, err error) {
	models := filepath.Join(b.local, "models", "many")
	if err := testmodel.Many(models, testmodel.Synthetics[0], manyModels); err != nil {
		return r, err
	}
	each, err := b.weighOne(ctx, models)
	if err != nil {
		return r, err
	}
	budget := int64(each * (manyResident + 0.5))
	s, scrape, err := b.startMany(ctx, "onda-models", models, budget)
	if err != nil {
		return r, err
	}
	defer s.Stop()
	_, first := proc.Memory(s.pids)
	r.Facts = map[string]float64{
		"models": manyModels, "budget_mib": float64(budget) / (1 << 20), "model_mib": each / (1 << 20), "start_s": s.started.Seconds(),
		"exponent": zipfExponent, "share_of_most_asked": topShare(manyModels, manyResident, zipfExponent), "rss_start_mib": first,
	}
	var all []variant
	for i, callers := range []int{1, 8} {
		round := uint64(0)
		all = append(all, variant{keys: keys("concurrency", itoa(callers)), measure: func(ctx context.Context) (values, error) {
			round++
			return b.manyRound(ctx, s, scrape, callers, uint64(i)<<32|round)
		}})
	}
	r.Cells, err = b.rounds(ctx, b.rounded, all)
	return r, err
}

// startMany starts Onda with a budget, and metrics.
func (b *Bench) startMany(ctx context.Context, name, models string, budget int64) (s *server, scrape string, err error) {
	port, err := proc.Port()
	if err != nil {
		return nil, "", err
	}
	scrape = proc.Local(port)
	s, err = b.startOnda(ctx, name, models, "ONDA_DAPR=off", "ONDA_METRICS_LISTEN="+scrape, "ONDA_MEMORY_BUDGET="+strconv.FormatInt(budget, 10), "ONDA_LOG_LEVEL=warn")
	return s, scrape, err
}

// weighOne measures what a loaded model takes: the second of two, since what the first
// brings with it stays.
func (b *Bench) weighOne(ctx context.Context, models string) (bytes float64, err error) {
	s, scrape, err := b.startMany(ctx, "onda-models-weight", models, 1<<30)
	if err != nil {
		return 0, err
	}
	defer s.Stop()
	var sizes [3]float64
	for i := range sizes {
		if _, _, err := probe(ctx, manyRequest(s.address, i)); err != nil {
			return 0, err
		}
		now, err := metrics(ctx, scrape, seriesMemory)
		if err != nil {
			return 0, err
		}
		sizes[i] = now[seriesMemory]
	}
	if bytes = (sizes[2] - sizes[0]) / 2; bytes <= 0 {
		return 0, errors.New("models that are loaded take no memory, says Onda: the budget cannot be chosen")
	}
	return bytes, nil
}

// manyRequest asks the i-th model about a row.
func manyRequest(address string, i int) load.Request {
	s := testmodel.Synthetics[0]
	s.Name = testmodel.NameOf(i)
	return oipJSON(address, s)
}

// manyRound asks for models for a while, by so many callers at once.
func (b *Bench) manyRound(ctx context.Context, s *server, scrape string, callers int, seed uint64) (values, error) {
	counters := []string{seriesMemory, seriesLoads, seriesFailed, seriesEvictions}
	warmUp, window := b.window(manyWindow)
	b.askMany(ctx, s.address, callers, warmUp, seed, &manyTally{})
	before, err := metrics(ctx, scrape, counters...)
	if err != nil {
		return nil, err
	}
	var t manyTally
	began := time.Now()
	b.askMany(ctx, s.address, callers, window, seed+1, &t)
	took := time.Since(began).Seconds()
	after, err := metrics(ctx, scrape, counters...)
	if err != nil {
		return nil, err
	}
	if t.hits.Count() == 0 || t.misses.Count() == 0 {
		return nil, fmt.Errorf("%d requests found their model in memory, and %d did not: want some of both; %s", t.hits.Count(), t.misses.Count(), t.first)
	}
	_, rss := proc.Memory(s.pids)
	v := t.values(took)
	v["loads"], v["load_failures"] = after[seriesLoads]-before[seriesLoads], after[seriesFailed]-before[seriesFailed]
	v["evictions"], v["memory_mib"], v["rss_mib"] = after[seriesEvictions]-before[seriesEvictions], after[seriesMemory]/(1<<20), rss
	return v, nil
}

// manyTally counts requests by whether their model was in memory.
type manyTally struct {
	mu           sync.Mutex
	hits, misses stats.Histogram
	failed       float64
	first        string
}

func (t *manyTally) add(hit bool, took time.Duration, err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	switch {
	case err != nil:
		t.failed++
		if t.first == "" {
			t.first = err.Error()
		}
	case hit:
		t.hits.Add(took)
	default:
		t.misses.Add(took)
	}
}

func (t *manyTally) values(seconds float64) values {
	ms := func(h *stats.Histogram, q float64) float64 { return float64(h.Quantile(q)) / float64(time.Millisecond) }
	hits, misses := float64(t.hits.Count()), float64(t.misses.Count())
	return values{
		"rps": (hits + misses) / seconds, "hit_share": hits / (hits + misses), "failed": t.failed,
		"hit_p50_ms": ms(&t.hits, 0.5), "hit_p99_ms": ms(&t.hits, 0.99), "miss_p50_ms": ms(&t.misses, 0.5), "miss_p99_ms": ms(&t.misses, 0.99),
	}
}

// askMany has callers ask one request after the other for a while.
func (b *Bench) askMany(ctx context.Context, address string, callers int, window time.Duration, seed uint64, t *manyTally) {
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: callers}, Timeout: readyWithin}
	defer client.CloseIdleConnections()
	ctx, cancel := context.WithTimeout(ctx, window)
	defer cancel()
	var all sync.WaitGroup
	for caller := range callers {
		all.Go(func() {
			pick := zipf(seed<<8 | uint64(caller))
			for ctx.Err() == nil {
				askOne(context.WithoutCancel(ctx), client, address, pick(), t)
			}
		})
	}
	all.Wait()
}

// askOne asks for a model, and before that, whether it is in memory. Another caller can change
// that in between, which is rare.
func askOne(ctx context.Context, client *http.Client, address string, i int, t *manyTally) {
	hit, err := inMemory(ctx, client, address, testmodel.NameOf(i))
	if err != nil {
		t.add(false, 0, err)
		return
	}
	r := manyRequest(address, i)
	began := time.Now()
	err = fetch(ctx, client, http.MethodPost, "http://"+address+r.Path, r.Body, nil)
	t.add(hit, time.Since(began), err)
}

// inMemory asks for a model's status, which names the digest of a version that is loaded: the
// protocol has no other word for one that would be loaded when it is asked for.
func inMemory(ctx context.Context, client *http.Client, address, name string) (bool, error) {
	var status struct {
		Versions []struct {
			Digest string `json:"digest"`
		} `json:"model_version_status"`
	}
	err := fetch(ctx, client, http.MethodGet, "http://"+address+"/v1/models/"+name, nil, &status)
	return len(status.Versions) > 0 && status.Versions[0].Digest != "", err
}

// zipf makes a series of models, always the same for a seed, in which the first is asked for
// most.
func zipf(seed uint64) func() int {
	source := rand.NewZipf(rand.New(rand.NewPCG(seed, 2)), zipfExponent, 1, manyModels-1) //nolint:gosec // what is asked for is no secret, and must repeat
	return func() int { return int(source.Uint64()) }
}

// topShare is the share of the requests that are for the first few of n models: what a cache
// would hit that knew the future, and kept those.
func topShare(n, few int, exponent float64) float64 {
	var top, all float64
	for i := 1; i <= n; i++ {
		weight := math.Pow(float64(i), -exponent)
		if all += weight; i <= few {
			top += weight
		}
	}
	return top / all
}
