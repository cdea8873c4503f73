package e2e_test

import (
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

const (
	drainDelay      = time.Second
	shutdownTimeout = 10 * time.Second
)

// TestDrain stops Onda under load. A request counts as accepted once its connection is
// established, so the only ways to refuse one are 503, a refused connection, and, through
// a sidecar, the sidecar's word that it could not connect. Every other request must be
// answered, and rightly.
func TestDrain(t *testing.T) {
	group(t)
	s := startStack(t, map[string]string{"ONDA_DRAIN_DELAY": drainDelay.String(), "ONDA_SHUTDOWN_TIMEOUT": shutdownTimeout.String()})
	l := startLoad(t, s)
	l.answers(t, 100)

	stopped := time.Now()
	s.onda.signal(t, syscall.SIGTERM)
	eventually(t, "health says no while the doors are open", func() error {
		got := get(s.onda.url() + "/healthz")
		if got.err == nil && got.status == http.StatusServiceUnavailable && strings.HasPrefix(got.body, `{"ready":false`) {
			return nil
		}
		if s.onda.gone() {
			t.Fatal("onda ended before health said no")
		}
		return fmt.Errorf("%d %s (%w)", got.status, got.body, got.err)
	})
	code := s.onda.exitCode(t)
	took := since(stopped)
	l.stop()

	if code != 0 {
		t.Errorf("exit code %d after SIGTERM, want 0", code)
	}
	if most := drainDelay + shutdownTimeout; took > most {
		t.Errorf("onda took %s to stop, want at most %s", took, most)
	}
	t.Logf("stopped after %s; outcomes: %s", took, l.summary())
	for _, a := range l.attempts {
		l.judge(t, a, stopped)
	}
	l.judgeCounts(t, s)
	if l.count("through its own sidecar: answered") == 0 || l.count("through another app's sidecar: answered") == 0 || l.count("directly: answered") == 0 {
		t.Error("a way to Onda had no load: the test says nothing about it")
	}
}

// attempt is one request under load.
type attempt struct {
	way            string
	outcome        string
	detail         string
	started, ended time.Time
}

// The outcomes of a request. All but lost and wrong are clean.
const (
	answered    = "answered"
	unavailable = "refused with 503"
	refused     = "connection refused"
	noApp       = "refused by the sidecar"
	silent      = "an empty 200 of the sidecar"
	wrong       = "wrong answer"
	lost        = "lost"
)

// load is a number of clients that send one request after the other.
type load struct {
	end     chan struct{}
	clients sync.WaitGroup

	mu       sync.Mutex
	attempts []attempt
}

// startLoad starts eight clients with connections of their own, which they keep open: four
// call directly, two through each sidecar.
func startLoad(t *testing.T, s *stack) *load {
	t.Helper()
	r := predictOf(imageModel, "image/png", golden(t, imageModel).cases[0].picture)
	r.header = map[string]string{"X-Request-Id": "under-load"}
	want := s.everyWay(t, r)
	if err := wants(http.StatusOK, want); err != nil {
		t.Fatal(err)
	}
	l := &load{end: make(chan struct{})}
	ways := s.ways()
	for _, w := range []way{ways[0], ways[0], ways[0], ways[0], ways[1], ways[1], ways[2], ways[2]} {
		l.clients.Go(func() { l.client(w, r, want.body) })
	}
	t.Cleanup(l.stop)
	return l
}

func (l *load) client(w way, r request, want string) {
	transport := &http.Transport{}
	defer transport.CloseIdleConnections()
	own := &http.Client{Transport: transport, Timeout: patience}
	for {
		select {
		case <-l.end:
			return
		default:
		}
		a := attempt{way: w.name, started: time.Now()}
		a.outcome, a.detail = outcome(r.sendOver(own, w), want)
		a.ended = time.Now()
		l.mu.Lock()
		l.attempts = append(l.attempts, a)
		l.mu.Unlock()
		if a.outcome == refused || a.outcome == noApp || a.outcome == silent {
			select { // nobody is there: asking at full speed would only take the processor from who stops
			case <-l.end:
			case <-time.After(pause):
			}
		}
	}
}

// outcome says what became of a request.
func outcome(got reply, want string) (kind, detail string) {
	switch {
	case got.err != nil && strings.Contains(got.err.Error(), "connection refused"):
		return refused, ""
	case got.err != nil:
		return lost, got.err.Error()
	case got.status == http.StatusOK && got.body == want:
		return answered, ""
	case got.status == http.StatusOK && got.body == "":
		return silent, ""
	case got.status == http.StatusOK:
		return wrong, clip(got.body)
	case got.status == http.StatusServiceUnavailable && strings.HasPrefix(got.body, `{"error":`):
		return unavailable, ""
	case got.status == http.StatusInternalServerError && strings.Contains(got.body, "ERR_DIRECT_INVOKE") && couldNotConnect(got.body):
		return noApp, ""
	default:
		return lost, fmt.Sprintf("%d %s", got.status, clip(got.body))
	}
}

// couldNotConnect says whether a sidecar reports that it sent nothing to the app.
func couldNotConnect(body string) bool {
	return strings.Contains(body, "connection refused") || strings.Contains(body, "app is not in a healthy state")
}

// judge fails the test for a request that was lost, or refused too early.
func (l *load) judge(t *testing.T, a attempt, stopped time.Time) {
	t.Helper()
	at := func(moment time.Time) time.Duration { return moment.Sub(stopped).Round(time.Millisecond) }
	switch {
	case a.outcome == answered:
	case a.outcome == lost || a.outcome == wrong:
		t.Errorf("%s: %s: sent at %s, ended at %s of the stop: %s", a.way, a.outcome, at(a.started), at(a.ended), a.detail)
	case a.outcome == silent && (a.way == "directly" || a.started.Before(stopped.Add(drainDelay))):
		t.Errorf("%s: %s at %s of the stop", a.way, a.outcome, at(a.started))
	case a.started.Before(stopped.Add(drainDelay)) && a.outcome == refused:
		t.Errorf("%s: %s at %s of the stop, while the doors should be open", a.way, a.outcome, at(a.started))
	case a.ended.Before(stopped):
		t.Errorf("%s: %s before the stop", a.way, a.outcome)
	}
}

// judgeCounts compares the answers that arrived with those that Onda gave. Dapr 1.18 now and
// then says 200, with nothing in it, for a request to an app that it cannot reach: an app
// that stops has no part in that, as long as it has answered no request whose answer did
// not arrive.
func (l *load) judgeCounts(t *testing.T, s *stack) {
	t.Helper()
	got, before := 0, len(s.ways())
	for _, a := range l.all() {
		if a.outcome == answered {
			got++
		}
	}
	gave := 0
	for line := range strings.Lines(s.onda.log.String()) {
		if strings.Contains(line, `"operation":"predict"`) && strings.Contains(line, `"message":"answered"`) {
			gave++
		}
	}
	if gave != got+before {
		t.Errorf("Onda gave %d answers and %d arrived: %d under load and %d before", gave, got+before, got, before)
	}
}

// answers waits until so many requests were answered by every way.
func (l *load) answers(t *testing.T, n int) {
	t.Helper()
	eventually(t, "the load runs", func() error {
		for _, name := range []string{"directly", "through its own sidecar", "through another app's sidecar"} {
			if got := l.count(name + ": " + answered); got < n/10 {
				return fmt.Errorf("%d answers %s", got, name)
			}
		}
		if got := len(l.all()); got < n {
			return fmt.Errorf("%d answers", got)
		}
		return nil
	})
}

// stop ends the clients and waits for them. Stopping twice is fine.
func (l *load) stop() {
	select {
	case <-l.end:
	default:
		close(l.end)
	}
	l.clients.Wait()
}

func (l *load) all() []attempt {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.attempts)
}

// counts are the numbers of attempts by way and outcome.
func (l *load) counts() map[string]int {
	counts := map[string]int{}
	for _, a := range l.all() {
		counts[a.way+": "+a.outcome]++
	}
	return counts
}

func (l *load) count(what string) int { return l.counts()[what] }

func (l *load) summary() string {
	counts := l.counts()
	var lines []string
	for _, what := range slices.Sorted(maps.Keys(counts)) {
		lines = append(lines, fmt.Sprintf("%s %d", what, counts[what]))
	}
	return strings.Join(lines, ", ")
}
