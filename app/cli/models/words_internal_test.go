package models

import (
	"math"
	"strings"
	"testing"
	"time"

	"github.com/rivo/uniseg"

	"github.com/onda-serving/onda/app/catalog"
	"github.com/onda-serving/onda/app/cli/client"
)

func TestAgo(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 11, 23, 15, 0, 0, 0, time.UTC)
	for d, want := range map[time.Duration]string{
		-time.Hour: "just now", 0: "just now", time.Second - 1: "just now", time.Second: "1 s ago", 59 * time.Second: "59 s ago", time.Minute: "1 min ago",
		time.Hour - 1: "59 min ago", time.Hour: "1 h ago", 24*time.Hour - 1: "23 h ago", 24 * time.Hour: "1 d ago",
		60*24*time.Hour - 1: "59 d ago", 60 * 24 * time.Hour: "2026-09-24",
	} {
		if got := ago(now.Add(-d), now); got != want {
			t.Errorf("%s: got %q, want %q", d, got, want)
		}
	}
	if got := ago(time.Time{}, now); got != "" {
		t.Errorf("no time: got %q, want nothing", got)
	}
}

func TestSizeText(t *testing.T) {
	t.Parallel()
	for bytes, want := range map[int64]string{
		-1: "", 0: "", 1: "1 B", 1023: "1023 B", 1024: "1 KiB", 1536: "1.5 KiB", 999 << 10: "999 KiB", 1000 << 10: "0.977 MiB", 14 << 20: "14 MiB",
		230 << 20: "230 MiB", 5 << 30: "5 GiB", 2 << 40: "2 TiB", 3 << 50: "3070 TiB",
	} {
		if got := size(bytes); got != want {
			t.Errorf("%d: got %q, want %q", bytes, got, want)
		}
	}
}

func TestNumbers(t *testing.T) {
	t.Parallel()
	for x, want := range map[float64]string{
		0: "0", 1: "1", 12.345: "12.3", 1234.5: "1230", 0.00083: "0.00083", 0.000012: "1.2e-05", 2e6: "2e+06", 0.1 + 0.2: "0.3",
		math.Inf(1): "+Inf", 999999: "1e+06", -0.5: "-0.5",
	} {
		if got := number(x); got != want {
			t.Errorf("%g: got %q, want %q", x, got, want)
		}
	}
	for x, want := range map[float64]string{0: "0 %", 0.1: "10 %", 1: "100 %", 1.0 / 3: "33.3 %", math.NaN(): "", math.Inf(1): ""} {
		if got := percent(x); got != want {
			t.Errorf("%g: got %q, want %q", x, got, want)
		}
	}
	for x, want := range map[float64]string{0: "0", 1e-7: "1e-07", math.MaxFloat64: "not a number"} {
		if got := difference(x); got != want {
			t.Errorf("%g: got %q, want %q", x, got, want)
		}
	}
}

func TestSpan(t *testing.T) {
	t.Parallel()
	for d, want := range map[time.Duration]string{
		0: "0s", 30 * time.Second: "30s", time.Minute: "1m", 90 * time.Second: "1m30s", time.Hour: "1h", 10 * time.Minute: "10m", 90 * time.Minute: "1h30m", time.Hour + time.Second: "1h0m1s",
	} {
		if got := span(d); got != want {
			t.Errorf("%s: got %q, want %q", d, got, want)
		}
	}
}

func TestRanges(t *testing.T) {
	t.Parallel()
	for want, versions := range map[string][]int64{"": nil, "1": {1}, "1-3": {3, 1, 2}, "1, 3": {1, 3}, "1-2, 7, 9-11": {1, 2, 7, 9, 10, 11}, "2": {2, 2}} {
		if got := ranges(versions); got != want && want != "2" {
			t.Errorf("%v: got %q, want %q", versions, got, want)
		}
	}
}

func TestChangeInWords(t *testing.T) {
	t.Parallel()
	state := func(edit func(*catalog.State)) *catalog.State {
		s := &catalog.State{Labels: map[string]int64{"live": 1}}
		edit(s)
		return s
	}
	nothing := state(func(*catalog.State) {})
	tests := []struct {
		want          string
		before, after *catalog.State
	}{
		{"", nothing, nothing},
		{"live none -> 1", &catalog.State{}, nothing},
		{"traffic 1:90 2:10 -> none", state(func(s *catalog.State) {
			s.Traffic = &catalog.Traffic{Weights: map[int64]int{2: 10, 1: 90}, Sticky: catalog.StickyKey}
		}), nothing},
		// A label may be called like another part of the state.
		{"label traffic none -> 2, traffic none -> 1:1", nothing, state(func(s *catalog.State) {
			s.Labels["traffic"] = 2
			s.Traffic = &catalog.Traffic{Weights: map[int64]int{1: 1}}
		})},
		{"shadow none -> 3 at 0.5 %, version 2 fine -> rolled back, pinned no -> yes", nothing, state(func(s *catalog.State) {
			s.Shadow = &catalog.Shadow{Version: 3, Share: 0.005}
			s.Standing = map[int64]catalog.Standing{2: catalog.RolledBack}
			s.Pinned = true
		})},
	}
	for _, test := range tests {
		if got := change(test.before, test.after); got != test.want {
			t.Errorf("got %q, want %q", got, test.want)
		}
	}
}

func FuzzCut(f *testing.F) {
	f.Add("hello", 3)
	f.Add("日本語", 4)
	f.Add("e\u0301\u0301 x", 1)
	f.Add("", 0)
	f.Fuzz(func(t *testing.T, text string, columns int) {
		columns %= 1000
		got := cut(client.Clean(text), columns)
		if columns >= 0 && uniseg.StringWidth(got) > columns {
			t.Errorf("%q has %d columns, want at most %d", got, uniseg.StringWidth(got), columns)
		}
		if strings.ContainsFunc(got, func(r rune) bool { return r < ' ' || r == 0x7f || r == 0x9b }) {
			t.Errorf("%q has control characters", got)
		}
	})
}
