package catalog_test

import (
	"math"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/onda-serving/onda/app/catalog"
)

// split makes a route with these weights for the versions 1, 2 and so on.
func split(weights ...int) *catalog.Route {
	r := &catalog.Route{Labels: map[string]int64{"live": 1}, Sticky: catalog.StickyKey}
	for i, w := range weights {
		r.Shares = append(r.Shares, catalog.Share{Version: int64(i + 1), Weight: w})
	}
	return r
}

// within checks counts of draws against weights. Each count is binomial, and five standard
// deviations are passed by chance once in some millions.
func within(t *testing.T, what string, counts map[int64]int, shares []catalog.Share) {
	t.Helper()
	var draws, total int
	for _, n := range counts {
		draws += n
	}
	for _, s := range shares {
		total += s.Weight
	}
	for _, s := range shares {
		p := float64(s.Weight) / float64(total)
		want, bound := p*float64(draws), 5*math.Sqrt(p*(1-p)*float64(draws))+1
		if got := float64(counts[s.Version]); math.Abs(got-want) > bound {
			t.Errorf("%s: version %d got %v of %d, want %.0f ± %.0f", what, s.Version, got, draws, want, bound)
		}
	}
}

func TestPickWithoutShares(t *testing.T) {
	t.Parallel()
	r := catalog.Route{Labels: map[string]int64{"live": 4, "beta": 5}}
	if got := r.Pick("faq", "key", "app", 0.5); got != 4 {
		t.Errorf("got version %d, want what is live: 4", got)
	}
	if got := new(catalog.Route).Pick("faq", "key", "app", 0.5); got != 0 {
		t.Errorf("got version %d of a route without anything, want 0", got)
	}
	r.Shares = []catalog.Share{{Version: 5, Weight: 1}}
	if got := r.Pick("faq", "", "", 0.999); got != 5 {
		t.Errorf("got version %d, want the only share: 5", got)
	}
}

func TestPickByKeyKeepsTheShares(t *testing.T) {
	t.Parallel()
	keys := map[string]func(i int) string{
		"numbers":     strconv.Itoa,
		"long prefix": func(i int) string { return "https://shop.example/customers/" + strconv.Itoa(i) },
		"one byte":    func(i int) string { return strings.Repeat("x", i%997) + strconv.Itoa(i/997) },
	}
	draw := func(name string, weights ...int) {
		r, key := split(weights...), keys[name]
		counts := map[int64]int{}
		for i := range 100_000 {
			counts[r.Pick("faq", key(i), "", 0)]++
		}
		within(t, name, counts, r.Shares)
	}
	for name := range keys {
		draw(name, 1, 2, 3, 4)
	}
	for _, weights := range [][]int{{1, 1}, {99, 1}, {1, 999}, {5, 95}, {1_000_000, 1_000_000, 1}} {
		draw("numbers", weights...)
	}
}

// TestPickIsTheSameEverywhere: replicas and releases must agree. If this test fails, callers
// change their version with an upgrade.
func TestPickIsTheSameEverywhere(t *testing.T) {
	t.Parallel()
	r := split(1, 1, 1, 1, 1, 1, 1, 1, 1)
	var got []byte
	for i := range 64 {
		got = append(got, '0'+byte(r.Pick("faq", strings.Repeat("ab", i/2)+strconv.Itoa(i), "", 0)))
	}
	const want = "4715521189757594145846252634851264477138683586371629587522756151"
	if string(got) != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

func TestKeyKeepsItsVersion(t *testing.T) {
	t.Parallel()
	r := split(3, 2, 5)
	for i := range 1000 {
		key := strconv.Itoa(i)
		first := r.Pick("faq", key, "", 0)
		for _, random := range []float64{0.3, 0.6, 0.999} {
			if got := r.Pick("faq", key, "another app", random); got != first {
				t.Fatalf("key %s got version %d, then %d", key, first, got)
			}
		}
	}
}

// TestRaisingAWeightMovesKeysToItsVersionOnly goes through splits at random: from one to the
// next, one weight rises.
func TestRaisingAWeightMovesKeysToItsVersionOnly(t *testing.T) {
	t.Parallel()
	random := rand.New(rand.NewPCG(1, 2))
	for range 50 {
		weights := make([]int, 2+random.IntN(4))
		for i := range weights {
			weights[i] = 1 + random.IntN(100)
		}
		before, after := split(weights...), split(weights...)
		raised := random.IntN(len(weights))
		after.Shares[raised].Weight += 1 + random.IntN(200)
		moved := 0
		for i := range 2000 {
			key := strconv.Itoa(i)
			from, to := before.Pick("faq", key, "", 0), after.Pick("faq", key, "", 0)
			if from == to {
				continue
			}
			moved++
			if to != int64(raised+1) {
				t.Fatalf("from %v to %v: key %s moved from version %d to %d, but it was version %d that got more", before.Shares, after.Shares, key, from, to, raised+1)
			}
		}
		if moved == 0 {
			t.Errorf("from %v to %v: no key moved", before.Shares, after.Shares)
		}
	}
}

// TestStepsOfARolloutOnlyAddCallers: who has the candidate keeps it up to the end.
func TestStepsOfARolloutOnlyAddCallers(t *testing.T) {
	t.Parallel()
	m := managed(t, 2)
	must(t, m.BeginRollout(2, []int{1, 5, 25, 50, 99, 100}, catalog.Rule{}, "", nil, noon))
	candidate := map[int]bool{}
	for step := range 6 {
		r := m.Route()
		for i := range 20_000 {
			switch v := r.Pick("faq", strconv.Itoa(i), "", 0); {
			case v == 2:
				candidate[i] = true
			case candidate[i]:
				t.Fatalf("step %d: caller %d lost the candidate", step, i)
			}
		}
		want := float64(m.Rollout.Steps[step]) * 200
		if got := float64(len(candidate)); math.Abs(got-want) > 5*math.Sqrt(want)+1 {
			t.Errorf("step %d: %v callers have the candidate, want about %v", step, got, want)
		}
		must(t, m.Advance("", noon))
	}
}

// TestModelsAndVersionsDrawAnew: who gets the canary of one model must not get that of all.
func TestModelsAndVersionsDrawAnew(t *testing.T) {
	t.Parallel()
	a, b := split(1, 1), split(1, 1)
	b.Shares[1].Version = 3
	var models, versions int
	for i := range 10_000 {
		key := strconv.Itoa(i)
		one := a.Pick("faq", key, "", 0)
		if (one == 2) == (a.Pick("image", key, "", 0) == 2) {
			models++
		}
		if (one == 2) == (b.Pick("faq", key, "", 0) == 3) {
			versions++
		}
	}
	if math.Abs(float64(models)-5000) > 250 {
		t.Errorf("of 10000 keys, %d are of the same half with two models, want about 5000", models)
	}
	// The draw of version 1 is in both, so that two thirds agree.
	if math.Abs(float64(versions)-6667) > 250 {
		t.Errorf("of 10000 keys, %d are of the same half with two candidates, want about 6667", versions)
	}
}

func TestPickWithoutAKey(t *testing.T) {
	t.Parallel()
	r := split(25, 50, 25)
	for random, want := range map[float64]int64{0: 1, 0.2499: 1, 0.25: 2, 0.7499: 2, 0.75: 3, 0.9999: 3, 1: 3, -1: 1, math.Inf(1): 3} {
		if got := r.Pick("faq", "", "app", random); got != want {
			t.Errorf("random %v: got version %d, want %d", random, got, want)
		}
	}
	if got := r.Pick("faq", "", "", math.NaN()); got < 1 || got > 3 {
		t.Errorf("random NaN: got version %d", got)
	}
	random := rand.New(rand.NewPCG(3, 4))
	counts := map[int64]int{}
	for range 100_000 {
		counts[r.Pick("faq", "", "app", random.Float64())]++
	}
	within(t, "at random", counts, r.Shares)
}

func TestPickByCaller(t *testing.T) {
	t.Parallel()
	r := split(1, 1)
	r.Sticky = catalog.StickyCaller
	var apps []int64
	for i := range 64 {
		app := "app" + strconv.Itoa(i)
		got := r.Pick("faq", "", app, 0)
		if again := r.Pick("faq", "", app, 0.99); again != got {
			t.Errorf("%s got version %d, then %d", app, got, again)
		}
		apps = append(apps, got)
	}
	if !slices.Contains(apps, 1) || !slices.Contains(apps, 2) {
		t.Errorf("64 apps all got the same version: %v", apps)
	}
	if r.Pick("faq", "", "", 0) != 1 || r.Pick("faq", "", "", 0.99) != 2 {
		t.Error("without key and app, random does not decide")
	}
	for i := range 64 { // the key goes first
		key := strconv.Itoa(i)
		if r.Pick("faq", key, "app1", 0) != r.Pick("faq", key, "app2", 0) {
			t.Errorf("key %s gets another version with another app", key)
		}
	}
}

func TestPickDoesNotAllocate(t *testing.T) {
	r := split(9, 1)
	if n := testing.AllocsPerRun(100, func() { r.Pick("image-classification", "5f0c954e-52b4-4e5b-8d0c-3a1d3f2b9c11", "shop", 0.5) }); n != 0 {
		t.Errorf("a pick allocates %v times", n)
	}
}

func BenchmarkPick(b *testing.B) {
	for name, key := range map[string]string{
		"no key": "", "uuid": "5f0c954e-52b4-4e5b-8d0c-3a1d3f2b9c11", "256 bytes": strings.Repeat("k", 256),
	} {
		for _, weights := range [][]int{{9, 1}, {1, 2, 3, 4}} {
			b.Run(name+"/"+strconv.Itoa(len(weights))+" shares", func(b *testing.B) {
				r := split(weights...)
				b.ReportAllocs()
				for b.Loop() {
					r.Pick("image-classification", key, "shop", 0.5)
				}
			})
		}
	}
}
