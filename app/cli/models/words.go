package models

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/onda-serving/onda/app/catalog"
)

// ago says how long ago a moment was. Clocks of two machines differ, so that a moment may
// lie a little ahead.
func ago(at, now time.Time) string {
	const day = 24 * time.Hour
	d := now.Sub(at)
	switch {
	case at.IsZero():
		return ""
	case d < time.Second:
		return "just now"
	case d < time.Minute:
		return fmt.Sprintf("%d s ago", d/time.Second)
	case d < time.Hour:
		return fmt.Sprintf("%d min ago", d/time.Minute)
	case d < day:
		return fmt.Sprintf("%d h ago", d/time.Hour)
	case d < 60*day:
		return fmt.Sprintf("%d d ago", d/day)
	default:
		return at.UTC().Format(time.DateOnly)
	}
}

// size gives bytes with three digits; "" for 0.
func size(bytes int64) string {
	switch {
	case bytes <= 0:
		return ""
	case bytes < 1<<10:
		return fmt.Sprintf("%d B", bytes)
	}
	value, unit := float64(bytes)/(1<<10), 0
	for value >= 1000 && unit < len(units)-1 {
		value /= 1 << 10
		unit++
	}
	return number(value) + " " + units[unit]
}

// bytesText gives bytes as [size] does, and 0 too.
func bytesText(bytes int64) string { return cmp.Or(size(bytes), "0 B") }

// span gives a duration without the zeros at its end: "1m", not "1m0s".
func span(d time.Duration) string {
	text := d.String()
	if strings.HasSuffix(text, "m0s") {
		text = strings.TrimSuffix(text, "0s")
	}
	if strings.HasSuffix(text, "h0m") {
		text = strings.TrimSuffix(text, "0m")
	}
	return text
}

var units = []string{"KiB", "MiB", "GiB", "TiB"}

// percent gives a share of 1, with three digits.
func percent(share float64) string {
	if math.IsNaN(share) || math.IsInf(share, 0) {
		return ""
	}
	return number(share*100) + " %"
}

// number gives a number with three digits, and without an exponent where it needs none.
func number(x float64) string {
	rounded, err := strconv.ParseFloat(strconv.FormatFloat(x, 'g', 3, 64), 64)
	if err != nil || rounded != 0 && (math.Abs(rounded) < 1e-4 || math.Abs(rounded) >= 1e6) {
		return strconv.FormatFloat(x, 'g', 3, 64)
	}
	return strconv.FormatFloat(rounded, 'f', -1, 64)
}

// versionText gives a version's number; "" for none.
func versionText(version int64) string {
	if version == 0 {
		return ""
	}
	return strconv.FormatInt(version, 10)
}

// ranges lists numbers as "1-3, 5".
func ranges(versions []int64) string {
	slices.Sort(versions)
	var parts []string
	for i := 0; i < len(versions); {
		end := i
		for end+1 < len(versions) && versions[end+1] <= versions[end]+1 {
			end++
		}
		part := strconv.FormatInt(versions[i], 10)
		if end > i {
			part += "-" + strconv.FormatInt(versions[end], 10)
		}
		parts = append(parts, part)
		i = end + 1
	}
	return strings.Join(parts, ", ")
}

// weights gives a traffic split as "1:90 2:10".
func weights(t *catalog.Traffic) string {
	if t == nil {
		return ""
	}
	var parts []string
	for _, version := range sortedKeys(t.Weights) {
		parts = append(parts, fmt.Sprintf("%d:%d", version, t.Weights[version]))
	}
	return strings.Join(parts, " ")
}

// shadowText gives a shadow as "3 at 10 %".
func shadowText(s *catalog.Shadow) string {
	if s == nil {
		return ""
	}
	return fmt.Sprintf("%d at %s", s.Version, percent(s.Share))
}

// rolloutText gives a rollout as "3 at 25 %" or "3 promoted".
func rolloutText(r *catalog.Rollout) string {
	switch {
	case r == nil:
		return ""
	case r.Status == catalog.Running:
		return fmt.Sprintf("%d at %s", r.Candidate, stepShare(r))
	default:
		return fmt.Sprintf("%d %s", r.Candidate, strings.ReplaceAll(r.Status, "_", " "))
	}
}

// stepShare is the candidate's share in the current step.
func stepShare(r *catalog.Rollout) string {
	if r.Step < 0 || r.Step >= len(r.Steps) {
		return "?"
	}
	return fmt.Sprintf("%d %%", r.Steps[r.Step])
}

// plural gives a number of things.
func plural(n int64, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, many)
}
