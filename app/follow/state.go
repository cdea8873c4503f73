package follow

import "fmt"

// State is how far the replica is.
type State struct {
	// Store is how the state store answers.
	Store StoreState
	// Index is the revision of the index that was read last.
	Index int64
	// Documented says that every document was read once.
	Documented bool
	// Models that have documents, by name.
	Models map[string]ModelState
}

// ModelState is how far the replica is with a document.
type ModelState struct {
	// Revision that is in force; 0 while none is.
	Revision int64
	// Newest revision that is known.
	Newest int64
	// Reason why something is not in force; "" if nothing is missing.
	Reason string
}

// InSync says that all of the newest document is in force.
func (m ModelState) InSync() bool { return m.Revision == m.Newest && m.Reason == "" }

// InSync says that the newest documents are known and in force.
func (s State) InSync() bool {
	for _, m := range s.Models {
		if !m.InSync() {
			return false
		}
	}
	return s.Documented && s.Store.Reachable
}

// State says how far the replica is.
func (f *Follower) State() State {
	f.mu.Lock()
	defer f.mu.Unlock()
	s := State{Store: f.store, Index: f.index, Documented: f.documented, Models: map[string]ModelState{}}
	for name, m := range f.models {
		state := m.state()
		if state.Reason == "" {
			state.Reason = f.lost(name)
		}
		s.Models[name] = state
	}
	for name, wrong := range f.unread {
		m := s.Models[name]
		m.Reason = "the document could not be read: " + wrong
		s.Models[name] = m
	}
	return s
}

// lost says which version that requests are dealt out to cannot answer any more.
func (f *Follower) lost(name string) string {
	route, ok := f.config.Runtime.Route(name)
	if !ok {
		return ""
	}
	for _, version := range route.Versions() {
		if !f.config.Runtime.Has(name, version) {
			return fmt.Sprintf("version %d cannot be loaded any more", version)
		}
	}
	return ""
}

func (m *followed) state() ModelState {
	reason := m.reason
	if reason == "" && m.applied != m.doc.Revision {
		reason = "what the document needs is being loaded"
	}
	return ModelState{Revision: m.applied, Newest: m.doc.Revision, Reason: reason}
}
