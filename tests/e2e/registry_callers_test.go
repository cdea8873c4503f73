package e2e_test

import (
	"errors"
	"fmt"
	"math"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// callers ask a model again and again, one for each way, until the test ends.
type callers struct {
	// x is what they ask about, as bits.
	x atomic.Uint64

	mu sync.Mutex
	// answered counts the answers of each version.
	answered map[int64]int
	failed   []failedCall

	end  chan struct{}
	done sync.WaitGroup
}

// failedCall is a call without the right answer.
type failedCall struct {
	began, ended time.Time
	way          string
	err          error
}

// callersPause is the time between two calls of one caller: enough calls to see what goes
// wrong, and processors left for the rest of the test.
const callersPause = 5 * time.Millisecond

// call starts callers of a path, such as "times/labels/live". right says what a version
// answers about x.
func call(t *testing.T, path string, right func(version int64, x float64) float64, ways ...way) *callers {
	t.Helper()
	c := &callers{answered: map[int64]int{}, end: make(chan struct{})}
	c.asks(1)
	transport := &http.Transport{MaxIdleConnsPerHost: len(ways)}
	client := &http.Client{Timeout: patience, Transport: transport}
	for _, w := range ways {
		c.done.Go(func() { c.run(client, w, path, right) })
	}
	t.Cleanup(func() {
		c.stop()
		transport.CloseIdleConnections()
	})
	return c
}

// asks changes what is asked about.
func (c *callers) asks(x float64) { c.x.Store(math.Float64bits(x)) }

func (c *callers) run(client *http.Client, w way, path string, right func(int64, float64) float64) {
	for {
		select {
		case <-c.end:
			return
		case <-time.After(callersPause):
		}
		began, x := time.Now(), math.Float64frombits(c.x.Load())
		got, err := ask(client, w, path, x)
		if want := right(got.version, x); err == nil && got.y != want {
			err = fmt.Errorf("version %d answers %v about %v, want %v", got.version, got.y, x, want)
		}
		c.mu.Lock()
		if err != nil {
			c.failed = append(c.failed, failedCall{began, time.Now(), w.name, err})
		} else {
			c.answered[got.version]++
		}
		c.mu.Unlock()
	}
}

// stop ends the calls. To stop twice is fine.
func (c *callers) stop() {
	c.mu.Lock()
	select {
	case <-c.end:
	default:
		close(c.end)
	}
	c.mu.Unlock()
	c.done.Wait()
}

// count is how many calls a version has answered.
func (c *callers) count(version int64) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.answered[version]
}

// more waits for more answers of a version.
func (c *callers) more(t *testing.T, version int64, n int) {
	t.Helper()
	least := c.count(version) + n
	eventually(t, fmt.Sprintf("version %d answers", version), func() error {
		if c.count(version) < least {
			return errors.New("not often enough")
		}
		return nil
	})
}

// only wants every call to be answered, rightly, and by one of these versions.
func (c *callers) only(t *testing.T, versions ...int64) {
	t.Helper()
	c.mu.Lock()
	defer c.mu.Unlock()
	allowed := map[int64]bool{}
	for _, v := range versions {
		allowed[v] = true
	}
	for version, n := range c.answered {
		if !allowed[version] {
			t.Errorf("%d calls were answered by version %d, want only %v", n, version, versions)
		}
	}
	const most = 5
	for _, f := range c.failed[:min(most, len(c.failed))] {
		t.Errorf("a call %s failed: %s", f.way, f.err)
	}
	if len(c.failed) > most {
		t.Errorf("and %d more", len(c.failed)-most)
	}
}

// unchanged is the answer of a model that gives numbers back as they are.
func unchanged(_ int64, x float64) float64 { return x }

// multiplied is the answer of a model whose factors are the versions' own numbers.
func multiplied(version int64, x float64) float64 { return float64(version) * x }

// within looks until there is no error any more, for as long as it may take.
func within(t *testing.T, limit time.Duration, what string, look func() error) {
	t.Helper()
	for deadline := time.Now().Add(limit); ; time.Sleep(pause) {
		err := look()
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			t.Errorf("%s: not within %s: %s", what, limit, err)
			return
		}
	}
}
