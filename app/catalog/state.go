package catalog

import (
	"bytes"
	"maps"
	"slices"

	"github.com/onda-serving/onda/app/scoring"
)

// clone copies s with all that it points to. Transitions change a copy and put it into the
// document last, so that one that fails leaves the document as it was, and so that the states
// in history entries stay what they were.
func (s *State) clone() State {
	next := *s
	next.Labels = own(s.Labels)
	next.Standing = own(s.Standing)
	next.Traffic = s.Traffic.clone()
	if s.Shadow != nil {
		shadow := *s.Shadow
		next.Shadow = &shadow
	}
	if s.Rollout != nil {
		rollout := *s.Rollout
		rollout.Steps = slices.Clone(rollout.Steps)
		next.Rollout = &rollout
	}
	return next
}

func (t *Traffic) clone() *Traffic {
	if t == nil {
		return nil
	}
	return &Traffic{Weights: own(t.Weights), Sticky: t.Sticky}
}

// own copies a map; it makes an empty one of none.
func own[K comparable, V any](m map[K]V) map[K]V {
	if m == nil {
		return map[K]V{}
	}
	return maps.Clone(m)
}

// equal says whether two states would be written alike.
func (s *State) equal(other *State) bool {
	one, two := s.clone(), other.clone() // with maps in place of none
	a, errA := encode(one)
	b, errB := encode(two)
	return errA == nil && errB == nil && bytes.Equal(a, b)
}

// moveLive makes version the one that answers, and ends what no longer applies with it.
func (s *State) moveLive(version int64) {
	s.Labels[scoring.LabelLive] = version
	s.Traffic = nil
	if s.Shadow != nil && s.Shadow.Version == version {
		s.Shadow = nil
	}
	delete(s.Standing, version)
}
