package batch

import (
	"math"
	"testing"
	"time"
)

// TestMeter compares the average with the integral that defines it.
func TestMeter(t *testing.T) {
	t.Parallel()
	start := time.Now()
	at := start.Add
	var m meter
	m.set(at(0), 1)
	near := func(when time.Duration, want float64) {
		t.Helper()
		if got := m.now(at(when)); math.Abs(got-want) > 1e-9 {
			t.Errorf("after %s: got %g, want %g", when, got, want)
		}
	}
	near(0, 0)
	near(saturationTime, 1-1/math.E)
	near(23026*time.Millisecond, 1-math.Exp(-2.3026)) // about 0.9
	m.set(at(time.Hour), 0)
	near(time.Hour, 1)
	near(time.Hour+saturationTime, 1/math.E)
	// A time that comes late changes the level, and not what was.
	m.set(at(time.Minute), 0.5)
	near(2*time.Hour, 0.5)
}

// TestMeterIsExact sets the same level, in line with a load of 30 %, often and seldom.
func TestMeterIsExact(t *testing.T) {
	t.Parallel()
	start := time.Now()
	var m meter
	for i := range 100_000 {
		from := start.Add(time.Duration(i) * time.Millisecond)
		m.set(from, 1)
		m.set(from.Add(300*time.Microsecond), 0)
	}
	if got := m.now(start.Add(100 * time.Second)); math.Abs(got-0.3) > 0.001 {
		t.Errorf("got %g for slots that are busy 30 %% of the time, want 0.3", got)
	}
}

// TestSaturation fills the slots and the queue of a scheduler.
func TestSaturation(t *testing.T) {
	t.Parallel()
	now := time.Now()
	s := NewScheduler(4, 2)
	for _, test := range []struct {
		name               string
		free, freeYielding int
		waiting, want      float64
	}{
		{"idle", 4, 2, 0, 0},
		{"half", 2, 2, 0, 0.5},
		{"bulk alone", 4, 1, 0, 0.5},
		{"both, the fuller counts", 1, 1, 0, 0.75},
		{"all busy", 0, 2, 0, 1},
		{"half of that waits", 0, 2, 2, 1.5},
		{"a burst", 0, 2, 400, 2},
		{"what is lost in rounding", 4, 2, -1e-12, 0},
	} {
		s.free, s.freeYielding, s.waiting = test.free, test.freeYielding, test.waiting
		s.noteLocked(now)
		if s.saturation.level != test.want {
			t.Errorf("%s: got the level %g, want %g", test.name, s.saturation.level, test.want)
		}
	}
	if slots, busy := s.Yielding(); slots != 2 || busy != 0 {
		t.Errorf("got %d of %d yielding slots busy, want 0 of 2", busy, slots)
	}
}
