package catalog

import (
	"errors"
	"fmt"

	"github.com/onda-serving/onda/app/scoring"
)

// check looks for what cannot be in a document.
func (m *Model) check() error {
	if err := scoring.CheckName("model name", m.Name); err != nil {
		return errors.New(scoring.AsError(err).Message)
	}
	for number, v := range m.Versions {
		if number < 1 || v.Version != number {
			return fmt.Errorf("version %d stands in the place of version %d", v.Version, number)
		}
	}
	if m.Archived < 0 || m.Archived%segmentSize != 0 || m.Archived+int64(len(m.History)) != m.Revision {
		return fmt.Errorf("revision %d, but %d entries in its history and %d archived ones", m.Revision, len(m.History), m.Archived)
	}
	if err := consecutive(m.History, m.Archived+1); err != nil {
		return err
	}
	return m.State.check(m.Versions)
}

// consecutive checks that the entries' revisions count up from first.
func consecutive(entries []Entry, first int64) error {
	for i := range entries {
		if want := first + int64(i); entries[i].Revision != want {
			return fmt.Errorf("revision %d of the history stands where %d belongs", entries[i].Revision, want)
		}
	}
	return nil
}

// check looks for what cannot be in a state: what names versions that are not there, and what
// no request could be dealt out by.
func (s *State) check(versions map[int64]Version) error {
	there := func(what string, version int64) error {
		if _, ok := versions[version]; !ok {
			return fmt.Errorf("%s names version %d, which is not registered", what, version)
		}
		return nil
	}
	for label, version := range s.Labels {
		if err := there("label "+label, version); err != nil {
			return err
		}
	}
	if s.Previous != 0 {
		if err := there("what was live before", s.Previous); err != nil {
			return err
		}
	}
	if s.Shadow != nil {
		if err := there("the shadow", s.Shadow.Version); err != nil {
			return err
		}
	}
	if err := s.Traffic.check(there); err != nil {
		return err
	}
	return s.Running().check(there)
}

func (t *Traffic) check(there func(what string, version int64) error) error {
	if t == nil {
		return nil
	}
	if len(t.Weights) == 0 {
		return errors.New("the traffic has no weights")
	}
	for version, weight := range t.Weights {
		if weight < 1 || weight > maxWeight {
			return fmt.Errorf("the traffic gives version %d the weight %d", version, weight)
		}
		if err := there("the traffic", version); err != nil {
			return err
		}
	}
	return nil
}

func (r *Rollout) check(there func(what string, version int64) error) error {
	if r == nil {
		return nil
	}
	if err := checkSteps(r.Steps); err != nil {
		return errors.New(err.Message)
	}
	if r.Step < 0 || r.Step >= len(r.Steps) {
		return fmt.Errorf("the rollout is at step %d of %d", r.Step, len(r.Steps))
	}
	return errors.Join(there("the rollout's candidate", r.Candidate), there("the rollout's baseline", r.Baseline))
}
