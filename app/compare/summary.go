package compare

import (
	"fmt"
	"strings"
)

// Summary adds differences up. The zero value has seen none.
type Summary struct {
	// Compared counts the pairs of answers that were compared, and Disagreed those of them
	// that disagree.
	Compared int `json:"compared"`
	// Disagreed is at most Compared.
	Disagreed int `json:"disagreed"`
	// Failed counts the pairs that could not be compared: only one of them is an answer.
	Failed int `json:"failed"`
	// MaxDifference is the largest of all: see [Difference.Max].
	MaxDifference float64 `json:"max_difference"`
}

// Add counts a pair of answers that were compared.
func (s *Summary) Add(d Difference) {
	s.Compared++
	if d.Disagrees {
		s.Disagreed++
	}
	s.MaxDifference = max(s.MaxDifference, d.Max)
}

// Fail counts a pair that could not be compared.
func (s *Summary) Fail() { s.Failed++ }

// String gives a sentence for people, such as "3 of 120 answers disagree (2.5%), and the
// largest difference is 0.031".
func (s Summary) String() string {
	var b strings.Builder
	switch {
	case s.Compared == 0:
		b.WriteString("no answers were compared")
	case s.Disagreed == 0:
		fmt.Fprintf(&b, "all of %d answers agree, and the largest difference is %.3g", s.Compared, s.MaxDifference)
	default:
		fmt.Fprintf(&b, "%d of %d answers disagree (%.1f%%), and the largest difference is %.3g",
			s.Disagreed, s.Compared, 100*float64(s.Disagreed)/float64(s.Compared), s.MaxDifference)
	}
	if s.Failed > 0 {
		fmt.Fprintf(&b, "; %d more could not be compared, as only one of the versions answered", s.Failed)
	}
	return b.String()
}
