package catalog

import (
	"errors"
	"fmt"
	"slices"
)

// Fold replays a model's whole history, in rising order of its revisions: the state and the
// versions of the document must be what it gives. It fails where an entry is missing, where
// one does not begin as the one before it ended, or where a version comes twice.
func Fold(name string, entries []Entry) (*Model, error) {
	m := New(name)
	if err := consecutive(entries, 1); err != nil {
		return nil, fmt.Errorf("history of %q: %w", name, err)
	}
	for i := range entries {
		if err := m.replay(&entries[i]); err != nil {
			return nil, fmt.Errorf("history of %q: revision %d: %w", name, entries[i].Revision, err)
		}
	}
	m.History = slices.Clone(entries)
	m.Revision = int64(len(entries))
	m.normalise()
	if err := m.check(); err != nil {
		return nil, fmt.Errorf("history of %q: %w", name, err)
	}
	return m, nil
}

// replay makes the change of an entry again.
func (m *Model) replay(e *Entry) error {
	if !e.Before.equal(&m.State) {
		return errors.New("it does not begin as the one before it ended")
	}
	if (e.Action == ActionRegister) != (e.Registered != nil) {
		return fmt.Errorf("action %q with registered version %v", e.Action, e.Registered)
	}
	if v := e.Registered; v != nil {
		if _, ok := m.Versions[v.Version]; ok {
			return fmt.Errorf("version %d was registered before", v.Version)
		}
		m.Versions[v.Version] = *v
	}
	m.State = e.After
	return nil
}
