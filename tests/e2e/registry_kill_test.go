package e2e_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/onda-serving/onda/app/catalog"
	"github.com/onda-serving/onda/tests/internal/ondatest"
)

// The script of changes is long enough for every kind of victim to be killed under it, some of
// them twice.
const scripted = 30

// TestKilled kills the replicas, their sidecars and Redis, at moments of chance, while a script
// changes the registry. What was acknowledged must be there afterwards, once; and at no time
// may a version answer for the live one that never was it.
func TestKilled(t *testing.T) {
	group(t)
	redis := ondatest.Redis(t)
	models := threeVersions(t)
	var own []map[string]string
	for range 2 {
		own = append(own, map[string]string{"ONDA_ARTIFACT_CACHE": filepath.Join(t.TempDir(), "cache")})
	}
	replicas := startReplicas(t, redis.Backend(), models, own...)
	replicas[0].label(t, "times", "live", 1)
	bothAnswer(t, replicas)

	var callersOf []*callers
	for _, r := range replicas {
		callersOf = append(callersOf, call(t, "times/labels/live", multiplied, r.way))
	}
	chance := rand.New(rand.NewPCG(1, uint64(time.Now().UnixNano())))
	script := &script{replicas: replicas, chance: rand.New(rand.NewPCG(2, chance.Uint64())), next: 4, done: make(chan struct{})}
	go script.run()
	killed := killUntil(t, script.done, chance, redis, replicas)
	for _, r := range replicas {
		r.Onda.Ready()
	}
	bothAnswer(t, replicas)
	for _, c := range callersOf {
		c.stop()
	}
	t.Logf("%d of %d changes were acknowledged; killed: %v", len(script.made), scripted, killed)
	script.check(t, replicas)
	history := replicas[0].history(t, "times")
	checkLive(t, history, callersOf)
	for i, c := range callersOf {
		c.failedOnly(t, killed[i].times)
	}
}

// victim is something that is killed, and when that was: from the kill until it was back.
type victim struct {
	name  string
	times [][2]time.Time
	kill  func()
	back  func()
}

// String counts the kills.
func (v *victim) String() string { return fmt.Sprintf("%s %d times", v.name, len(v.times)) }

// killUntil kills one or two at a time, in an order of chance, until done is closed and each
// was killed. The first victims are the replicas' Ondas, in their order.
func killUntil(t *testing.T, done <-chan struct{}, chance *rand.Rand, redis *ondatest.RedisServer, replicas []*replica) (all []*victim) {
	t.Helper()
	for i, r := range replicas {
		all = append(all, &victim{name: fmt.Sprintf("replica %d", i+1), kill: func() { r.Onda.Kill() }, back: func() { r.Onda.Restart(); r.Onda.Ready() }})
	}
	for i, r := range replicas {
		all = append(all, &victim{name: fmt.Sprintf("sidecar %d", i+1), kill: func() { r.Sidecar.Kill() }, back: r.Sidecar.Restart})
	}
	all = append(all, &victim{name: "redis", kill: func() { redis.Kill() }, back: redis.Restart})
	for {
		for next := chance.Perm(len(all)); len(next) > 0; {
			n := min(1+chance.IntN(2), len(next))
			killThese(chance, all, next[:n])
			next = next[n:]
		}
		select {
		case <-done:
			return all
		default:
		}
	}
}

// killThese kills some of all, and brings them back: Redis before the sidecars, which do not
// start without it.
func killThese(chance *rand.Rand, all []*victim, which []int) {
	some := func(least, most int64) { time.Sleep(time.Duration(least+chance.Int64N(most-least)) * time.Millisecond) }
	some(100, 500)
	began := map[int]time.Time{}
	for _, i := range which {
		began[i] = time.Now()
		all[i].kill()
		some(50, 300)
	}
	for _, i := range slices.Backward(slices.Sorted(slices.Values(which))) {
		all[i].back()
		all[i].times = append(all[i].times, [2]time.Time{began[i], time.Now()})
	}
}

// script is a row of changes, one after the other, each at one of the replicas. It runs beside
// the test, and so notes what fails instead of failing the test.
type script struct {
	replicas []*replica
	chance   *rand.Rand
	// next is the number of the next version to register.
	next int64
	done chan struct{}

	// made are the changes that were acknowledged, refused those that were refused for good,
	// by the reason that they gave.
	made, refused []string
	wrong         []error
}

func (s *script) run() {
	defer close(s.done)
	for i := range scripted {
		reason := fmt.Sprintf("change-%02d.", i+1)
		r := s.replicas[s.chance.IntN(len(s.replicas))]
		o := r.operator
		if s.chance.IntN(2) == 0 {
			o = r.throughSidecar()
		}
		got := s.change(i, o, reason)
		switch {
		case got.err != nil || got.status == http.StatusInternalServerError || got.status == http.StatusServiceUnavailable || got.status == http.StatusBadGateway:
			// Nobody knows whether it was made.
		case got.status == http.StatusOK || got.status == http.StatusCreated:
			s.made = append(s.made, reason)
		case got.status == http.StatusConflict:
			s.refused = append(s.refused, reason)
		default:
			s.wrong = append(s.wrong, fmt.Errorf("change %d %s: %d %s", i+1, o.name, got.status, clip(got.body)))
		}
		time.Sleep(100 * time.Millisecond)
	}
}

// current reads the document, from whichever replica can.
func (s *script) current() (d document) {
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); time.Sleep(pause) {
		for _, r := range s.replicas {
			if got := r.asks(http.MethodGet, "models/times", nil); got.status == http.StatusOK && json.Unmarshal([]byte(got.body), &d) == nil {
				return d
			}
		}
	}
	s.wrong = append(s.wrong, fmt.Errorf("no replica gives the document within %s", patience))
	return d
}

// change makes the i-th change. Each changes something, whatever became of the one before, so
// that each that is made is in the history.
func (s *script) change(i int, o operator, reason string) reply {
	d := s.current()
	live := d.Labels["live"]
	other := live%3 + 1
	body := func(more map[string]any) map[string]any {
		all := map[string]any{"reason": reason, "accept": anyhow}
		maps.Copy(all, more)
		return all
	}
	switch kind := i % 5; {
	case kind == 0: // a version that no label ever leads to
		version := s.next
		s.next++
		files, err := o.uploads(version, modelFiles(times(float32(version))))
		if err != nil {
			return reply{err: err}
		}
		return o.asks(http.MethodPost, "models/times/versions", body(files))
	case kind == 2 && d.Traffic == nil:
		return o.asks(http.MethodPut, "models/times/traffic", body(map[string]any{"weights": map[int64]int{live: 1, other: 1 + i}}))
	case kind == 3 && d.Traffic != nil:
		return o.asks(http.MethodDelete, "models/times/traffic", body(nil))
	case kind == 4 && d.Previous != 0:
		return o.asks(http.MethodPost, "models/times/rollback", body(nil))
	default:
		return o.asks(http.MethodPut, "models/times/labels/live", body(map[string]any{"version": other}))
	}
}

// check wants every acknowledged change to be in the history once, none twice, and no refused
// one.
func (s *script) check(t *testing.T, replicas []*replica) {
	t.Helper()
	for _, err := range s.wrong {
		t.Error(err)
	}
	for _, r := range replicas {
		count := map[string]int{}
		for _, e := range r.history(t, "times") { // which is held against the document there
			reason, _, ok := strings.Cut(e.Reason, ".")
			if ok && strings.HasPrefix(reason, "change-") {
				count[reason+"."]++
			}
		}
		for _, reason := range s.made {
			if count[reason] != 1 {
				t.Errorf("%s: %s was acknowledged, and is in the history %d times", r.name, reason, count[reason])
			}
		}
		for reason, n := range count {
			if n > 1 || slices.Contains(s.refused, reason) {
				t.Errorf("%s: %s is in the history %d times, refused: %t", r.name, reason, n, slices.Contains(s.refused, reason))
			}
		}
	}
	if len(s.made) < scripted/3 {
		t.Errorf("only %d of %d changes were acknowledged", len(s.made), scripted)
	}
}

// checkLive wants every answer of the live label to be of a version that was live at some time.
func checkLive(t *testing.T, history []catalog.Entry, all []*callers) {
	t.Helper()
	live := map[int64]bool{}
	for _, e := range history {
		if version := e.After.Labels["live"]; version != 0 {
			live[version] = true
		}
	}
	for _, c := range all {
		c.mu.Lock()
		for version, n := range c.answered {
			if !live[version] {
				t.Errorf("%d calls of the live label were answered by version %d, which never was live", n, version)
			}
		}
		c.mu.Unlock()
	}
	t.Logf("live were %v", slices.Sorted(maps.Keys(live)))
}

// failedOnly wants calls to have failed only while the replica that they ask was down.
func (c *callers) failedOnly(t *testing.T, down [][2]time.Time) {
	t.Helper()
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, f := range c.failed {
		if !slices.ContainsFunc(down, func(d [2]time.Time) bool { return f.began.Before(d[1]) && f.ended.After(d[0]) }) {
			t.Errorf("a call %s failed from %s to %s, while only others were down: %s", f.way, f.began.Format(time.StampMilli), f.ended.Format(time.StampMilli), f.err)
		}
	}
	if len(c.answered) == 0 {
		t.Error("no call was answered")
	}
}
