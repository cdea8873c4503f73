package telemetry

import (
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/onda-serving/onda/app/batch"
	"github.com/onda-serving/onda/app/compare"
	"github.com/onda-serving/onda/app/scoring"
)

// TestGoneVersionsVanish has a version come, go and come back.
func TestGoneVersionsVanish(t *testing.T) {
	t.Parallel()
	m := NewMetrics("test")
	here := map[int64]bool{1: true, 2: true}
	m.Models(func(yield func(string, int64, bool)) {
		for v := range here {
			yield("faq", v, true)
		}
	})
	first, second := scoring.ModelID{Name: "faq", Version: 1}, scoring.ModelID{Name: "faq", Version: 2}
	runs := m.Batches(first)
	work := func() {
		runs.Ran(batch.Run{Rows: 1, Requests: 1})
		m.Scored(scoring.Scored{Model: first, Rows: 1})
		m.Scored(scoring.Scored{Model: first, Err: scoring.Errorf(scoring.Expired, "late")})
	}
	work()
	m.Scored(scoring.Scored{Model: second, Rows: 1})
	m.Mirrored(first, second, compare.Difference{}, 0, nil)
	m.Mirrored(second, first, compare.Difference{}, 0, nil)
	m.MirrorDropped(first, "busy")

	about := func(version string) (n int) {
		w := httptest.NewRecorder()
		m.Handler().ServeHTTP(w, httptest.NewRequest("GET", "/metrics", nil))
		for line := range strings.Lines(w.Body.String()) {
			if strings.Contains(line, `version="`+version+`"`) || strings.Contains(line, `mirror="`+version+`"`) {
				n++
			}
		}
		return n
	}
	now := time.Now()
	delete(here, 1)
	m.forget(now)
	m.forget(now.Add(goneFor - time.Second))
	if about("1") < 100 {
		t.Errorf("%d series of a version that has just gone: want them kept for %s", about("1"), goneFor)
	}
	m.forget(now.Add(goneFor))
	if n := about("1"); n != 0 {
		t.Errorf("%d series of a version that is gone, want none", n)
	}
	if about("2") < 100 {
		t.Error("the series of the other version are gone, too")
	}
	// Whoever held on to the version counts again, and the numbers are there when it is back.
	here[1] = true
	work()
	m.forget(now.Add(10 * goneFor))
	m.forget(now.Add(20 * goneFor))
	if got := m.versions.of(versionKey{"faq", 1}); about("1") < 100 || got == nil {
		t.Errorf("%d series of a version that came back, want them all", about("1"))
	}
}

// TestForgetWhileCounting is for the race detector: a dropped series takes no count with it that
// comes later.
func TestForgetWhileCounting(t *testing.T) {
	t.Parallel()
	m := NewMetrics("test")
	m.Models(func(func(string, int64, bool)) {})
	done := make(chan struct{})
	go func() {
		defer close(done)
		for range 2000 {
			m.Scored(scoring.Scored{Model: scoring.ModelID{Name: "m", Version: 1}, Rows: 1})
		}
	}()
	now := time.Now()
	for i := range 200 {
		m.forget(now.Add(time.Duration(i) * goneFor))
	}
	<-done
}
