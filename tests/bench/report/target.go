package report

import (
	"fmt"
	"math"
	"strconv"

	"github.com/onda-serving/onda/tests/bench/stats"
)

// target is something that was promised before it was measured.
type target struct {
	part, what string
	limit      float64
	unit       string
	// atMost means that less is better.
	atMost bool
	got    stats.Spread
}

func (t target) wanted() string {
	sign := "≥"
	if t.atMost {
		sign = "≤"
	}
	return sign + " " + short(t.limit) + t.unit
}

func (t target) measured() string {
	if len(t.got.Samples) == 0 {
		return "not measured"
	}
	return spread(t.got) + t.unit
}

// verdict compares the median. Nothing fails for it: a machine may be busy, and a page
// that says "missed" is worth more than one that was not written.
func (t target) verdict() string {
	switch {
	case len(t.got.Samples) == 0:
		return "-"
	case t.atMost && t.got.Median <= t.limit, !t.atMost && t.got.Median >= t.limit:
		return "met"
	case t.limit == 0:
		return "**missed**"
	default:
		return fmt.Sprintf("**missed** by %s%%", short(100*math.Abs(t.got.Median-t.limit)/t.limit))
	}
}

// promise adds a target.
func (p *page) promise(t target) { p.targets = append(p.targets, t) }

// spread writes a median with its least and greatest.
func spread(s stats.Spread) string {
	switch {
	case len(s.Samples) == 0:
		return "-"
	case len(s.Samples) == 1:
		return short(s.Median)
	default:
		return fmt.Sprintf("%s (%s–%s)", short(s.Median), short(s.Min), short(s.Max))
	}
}

// short writes a number with three digits that count, and none after the point from 100 on.
func short(v float64) string {
	switch size := math.Abs(v); {
	case size == 0:
		return "0"
	case size >= 100:
		return group(strconv.FormatFloat(v, 'f', 0, 64))
	case size >= 10:
		return strconv.FormatFloat(v, 'f', 1, 64)
	case size >= 0.1:
		return strconv.FormatFloat(v, 'f', 2, 64)
	default:
		return strconv.FormatFloat(v, 'g', 2, 64)
	}
}

// group sets thousands apart.
func group(digits string) string {
	sign := ""
	if digits[0] == '-' {
		sign, digits = "-", digits[1:]
	}
	for i := len(digits) - 3; i > 0; i -= 3 {
		digits = digits[:i] + "," + digits[i:]
	}
	return sign + digits
}
