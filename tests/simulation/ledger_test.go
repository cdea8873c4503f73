package simulation_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"sync"

	"github.com/onda-serving/onda/app/catalog"
	"github.com/onda-serving/onda/app/judge"
	"github.com/onda-serving/onda/app/scoring"
)

// ledger reads along what is saved, and knows it without asking the code under test.
type ledger struct {
	w *world

	mu     sync.Mutex
	models map[string]*told
	index  catalog.Index
}

// told is what the documents of a model said so far.
type told struct {
	doc     catalog.Model
	entries []catalog.Entry
	ids     map[string]bool
	// named holds what a request could name, such as "label live 2" or "share 3".
	named map[string]bool
}

// saved takes note of a document. It gives its revision, and what is wrong with it.
func (l *ledger) saved(key string, value []byte) (revision int64, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if name, ok := strings.CutPrefix(key, "registry:model:"); ok {
		return l.document(name, value)
	}
	if name, ok := strings.CutPrefix(key, "registry:evidence:"); ok {
		return 0, l.evidence(name, value)
	}
	if key == catalog.IndexKey {
		return l.indexed(value)
	}
	return 0, nil
}

// evidence checks that the replicas together saw no more than was asked.
func (l *ledger) evidence(name string, value []byte) error {
	var seen struct {
		Rollout  string
		Replicas map[string]judge.Part
	}
	if err := json.Unmarshal(value, &seen); err != nil {
		return err
	}
	m := l.models[name]
	if m == nil || m.doc.Rollout == nil || m.doc.Rollout.ID != seen.Rollout {
		return nil // of a rollout that ended meanwhile
	}
	var candidate, baseline, compared uint64
	for _, part := range seen.Replicas {
		candidate += part.Candidate.Requests()
		baseline += part.Baseline.Requests()
		compared += part.Candidate.Compared
	}
	r := m.doc.Rollout
	if most := l.w.asked(name, r.Candidate); candidate > most || compared > candidate {
		return fmt.Errorf("it has %d requests and %d comparisons of version %d, which was asked %d times", candidate, compared, r.Candidate, most)
	}
	if most := l.w.asked(name, r.Baseline); baseline > most {
		return fmt.Errorf("it has %d requests of version %d, which was asked %d times", baseline, r.Baseline, most)
	}
	return nil
}

// indexed checks that the index is behind the documents, if anything, and never goes back.
func (l *ledger) indexed(value []byte) (int64, error) {
	var index catalog.Index
	if err := json.Unmarshal(value, &index); err != nil {
		return 0, err
	}
	for name, revision := range index.Models {
		if m := l.models[name]; m == nil || m.doc.Revision < revision {
			return index.Revision, fmt.Errorf("it has revision %d of model %s, which does not exist", revision, name)
		}
	}
	for name, revision := range l.index.Models {
		if index.Models[name] < revision {
			return index.Revision, fmt.Errorf("it has revision %d of model %s, and had %d before", index.Models[name], name, revision)
		}
	}
	if index.Revision <= l.index.Revision {
		return index.Revision, fmt.Errorf("its revision is %d after %d", index.Revision, l.index.Revision)
	}
	l.index = index
	return index.Revision, nil
}

// document checks that a document continues the one before.
func (l *ledger) document(name string, value []byte) (int64, error) {
	var doc catalog.Model
	if err := json.Unmarshal(value, &doc); err != nil {
		return 0, err
	}
	m := l.models[name]
	if m == nil {
		m = &told{doc: catalog.Model{State: catalog.State{Labels: map[string]int64{}}}, ids: map[string]bool{}, named: map[string]bool{}}
		l.models[name] = m
	}
	if doc.Revision != m.doc.Revision+1 || len(doc.History) == 0 {
		return doc.Revision, fmt.Errorf("revision %d with %d entries of history comes after revision %d", doc.Revision, len(doc.History), m.doc.Revision)
	}
	e := doc.History[len(doc.History)-1]
	if err := errors.Join(m.continues(&doc, &e), l.allowed(name, &e)); err != nil {
		return doc.Revision, err
	}
	m.doc, m.entries = doc, append(m.entries, e)
	m.ids[e.ID] = true
	m.name()
	return doc.Revision, nil
}

// continues checks the newest entry and the documents before and after it.
func (m *told) continues(doc *catalog.Model, e *catalog.Entry) error {
	if e.Revision != doc.Revision || e.ID == "" || m.ids[e.ID] {
		return fmt.Errorf("the newest entry of revision %d has revision %d and ID %q", doc.Revision, e.Revision, e.ID)
	}
	if !same(e.Before, m.doc.State) || !same(e.After, doc.State) {
		return fmt.Errorf("entry %d does not begin as the one before ended, or does not end as the document is", e.Revision)
	}
	for i, older := range doc.History[:len(doc.History)-1] {
		if at := int(doc.Archived) + i; at >= len(m.entries) || m.entries[at].ID != older.ID || older.Revision != int64(at+1) {
			return fmt.Errorf("entry %d of the history is another one than before", older.Revision)
		}
	}
	versions := maps.Clone(m.doc.Versions)
	if e.Registered != nil {
		if versions == nil {
			versions = map[int64]catalog.Version{}
		}
		versions[e.Registered.Version] = *e.Registered
	}
	if !reflect.DeepEqual(versions, doc.Versions) {
		return fmt.Errorf("entry %d does not account for the versions %v", e.Revision, slices.Sorted(maps.Keys(doc.Versions)))
	}
	return nil
}

// same says whether two states, both read from documents, are alike.
func same(a, b catalog.State) bool { return reflect.DeepEqual(a, b) }

// name remembers what the document names now.
func (m *told) name() {
	s := &m.doc.State
	for label, version := range s.Labels {
		m.named[labelled(label, version)] = true
	}
	if s.Traffic != nil {
		for version := range s.Traffic.Weights {
			m.named[dealt(version)] = true
		}
	}
	if s.Shadow != nil {
		m.named[shadowed(s.Shadow.Version)] = true
	}
	if r := s.Running(); r != nil {
		m.named[dealt(r.Candidate)], m.named[dealt(r.Baseline)] = true, true
	}
}

func labelled(label string, version int64) string { return fmt.Sprintf("label %s %d", label, version) }
func dealt(version int64) string                  { return fmt.Sprintf("share %d", version) }
func shadowed(version int64) string               { return fmt.Sprintf("shadow %d", version) }

// allowed checks a change against what changes may do.
func (l *ledger) allowed(name string, e *catalog.Entry) error {
	before, after := e.Before.Rollout, e.After.Rollout
	switch {
	case before == nil && after == nil:
		return nil
	case after == nil:
		return fmt.Errorf("entry %d loses the rollout %s", e.Revision, before.ID)
	case before == nil || before.ID != after.ID:
		if before != nil && before.Status == catalog.Running || e.Action != catalog.ActionRollout || after.Status != catalog.Running || after.Step != 0 || after.ID != fmt.Sprintf("r%d", e.Revision) {
			return fmt.Errorf("entry %d (%s) begins the rollout %s beside %v", e.Revision, e.Action, after.ID, before)
		}
		return nil
	case before.Status != catalog.Running:
		if !reflect.DeepEqual(before, after) {
			return fmt.Errorf("entry %d (%s) changes the rollout %s, which ended as %s: %v", e.Revision, e.Action, before.ID, before.Status, after)
		}
		return l.again(e)
	case after.Status == catalog.Running && after.Step == before.Step:
		return nil
	default:
		return errors.Join(moved(e), l.judged(name, e))
	}
}

// again checks a rollback without a running rollout.
func (l *ledger) again(e *catalog.Entry) error {
	if e.Action != catalog.ActionRollback {
		return nil
	}
	failed := e.Before.Labels[scoring.LabelLive]
	if e.After.Labels[scoring.LabelLive] != e.Before.Previous || e.After.Standing[failed] != catalog.RolledBack {
		return fmt.Errorf("entry %d rolls version %d back, and live is %d where %d was before", e.Revision, failed, e.After.Labels[scoring.LabelLive], e.Before.Previous)
	}
	return nil
}

// moved checks a running rollout that went on or ended.
func moved(e *catalog.Entry) error {
	before, after := e.Before.Rollout, e.After.Rollout
	live, canary := e.After.Labels[scoring.LabelLive], e.After.Labels[catalog.LabelCanary]
	var ok bool
	switch e.Action {
	case catalog.ActionStep:
		ok = after.Status == catalog.Running && after.Step == before.Step+1 && live == before.Baseline && canary == before.Candidate
	case catalog.ActionPromote:
		ok = after.Status == catalog.Promoted && live == before.Candidate && canary == 0
	case catalog.ActionRollback:
		ok = after.Status == catalog.WasRolledBack && live == before.Baseline && canary == 0 && e.After.Standing[before.Candidate] == catalog.RolledBack
	}
	if !ok {
		return fmt.Errorf("entry %d (%s) makes %+v of the rollout %+v, with live %d and canary %d", e.Revision, e.Action, *after, *before, live, canary)
	}
	return nil
}

// judged checks what was decided about a rollout without an operator against what nobody in
// the world knows: how the versions are.
func (l *ledger) judged(name string, e *catalog.Entry) error {
	if e.Actor != "onda" {
		return nil
	}
	r := e.Before.Rollout
	candidate, baseline := l.w.nature(name, r.Candidate), l.w.nature(name, r.Baseline)
	_, loadFailed := after(e.Reason, "could not load version")
	var step, steps int
	if _, err := fmt.Sscanf(e.Reason, "step %d of %d", &step, &steps); !loadFailed && (err != nil || step != r.Step+1 || steps != len(r.Steps)) || e.Version != r.Candidate {
		return fmt.Errorf("entry %d is about step %d of the rollout of version %d, and decided for version %d because of %q", e.Revision, r.Step+1, r.Candidate, e.Version, e.Reason)
	}
	var wrong bool
	switch {
	case e.Action == catalog.ActionPromote:
		wrong = candidate == diverging || candidate == broken || candidate == failing && baseline != failing || candidate == slow && baseline != slow
	case e.Action == catalog.ActionRollback && loadFailed:
		wrong = candidate != broken && candidate != partial && !l.w.plan.odd
	case e.Action == catalog.ActionRollback:
		innocent := candidate == good || candidate == flaky || candidate == late || candidate == partial
		wrong = innocent && baseline != diverging
	}
	if wrong {
		return fmt.Errorf("entry %d: %s of a candidate that is %s beside a baseline that is %s: %s", e.Revision, e.Action, candidate, baseline, e.Reason)
	}
	return nil
}

func after(text, part string) (string, bool) {
	_, rest, ok := strings.Cut(text, part)
	return rest, ok
}

// knows says whether a document ever named something.
func (l *ledger) knows(model, what string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	m := l.models[model]
	return m != nil && m.named[what]
}

// announced is the index as it was saved last. Nobody changes it.
func (l *ledger) announced() catalog.Index {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.index
}

// newest is the document of a model as it was saved last; nil if there is none.
func (l *ledger) newest(model string) *catalog.Model {
	l.mu.Lock()
	defer l.mu.Unlock()
	m := l.models[model]
	if m == nil {
		return nil
	}
	doc := m.doc
	return &doc
}

// entriesOf gives the entries with a reason.
func (l *ledger) entriesOf(model, reason string) []catalog.Entry {
	l.mu.Lock()
	defer l.mu.Unlock()
	var found []catalog.Entry
	if m := l.models[model]; m != nil {
		for _, e := range m.entries {
			if e.Reason == reason {
				found = append(found, e)
			}
		}
	}
	return found
}

// all gives the whole history of a model.
func (l *ledger) all(model string) []catalog.Entry {
	l.mu.Lock()
	defer l.mu.Unlock()
	if m := l.models[model]; m != nil {
		return slices.Clone(m.entries)
	}
	return nil
}
