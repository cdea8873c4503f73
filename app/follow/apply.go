package follow

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/onda-serving/onda/app/catalog"
	"github.com/onda-serving/onda/app/scoring"
)

// Follow takes a document over, if it is newer than the one that is followed. It returns at
// once; what the document needs is loaded meanwhile.
func (f *Follower) Follow(doc *catalog.Model) { f.follow(doc, false) }

// follow is Follow, and follows an older document too if back is set.
func (f *Follower) follow(doc *catalog.Model, back bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	m := f.models[doc.Name]
	switch {
	case f.closed || m != nil && m.doc.Revision >= doc.Revision && !back:
		return
	case m == nil:
		// A replica that answers already does not stop answering because there is one model more.
		m = &followed{newer: func() {}, since: time.Now(), tried: f.documented}
		f.models[doc.Name] = m
	}
	m.newer()
	ctx, cancel := context.WithCancel(context.Background())
	m.doc, m.newer, m.failed, m.failing, m.older, f.unwritten = doc, cancel, 0, time.Time{}, 0, true
	m.other = f.config.Runtime.Take(doc)
	if doc.Managed() { // who made the change, and prepared for it, finds it in force
		f.dealLocked(doc, doc.Route())
	}
	f.work.Go(func() { f.applyAll(ctx, m, doc) })
}

// applyAll applies a document, again until all of it is in force or a newer one came.
func (f *Follower) applyAll(ctx context.Context, m *followed, doc *catalog.Model) {
	for pause, again := firstRetry, false; ; pause, again = min(2*pause, lastRetry), true {
		if again && doc.Managed() {
			f.deal(ctx, m, doc, doc.Route())
		}
		reason := f.apply(ctx, m, doc)
		if ctx.Err() != nil || reason == "" {
			return
		}
		f.config.Log.Warn().Str("model", doc.Name).Int64("revision", doc.Revision).Str("reason", reason).Dur("retry_in_ms", pause).
			Msg("the registry's document is not in force on this replica: what it served before goes on")
		select {
		case <-ctx.Done():
			return
		case <-time.After(pause):
		}
	}
}

// The pauses between tries to load what a document needs.
const (
	firstRetry = time.Second
	lastRetry  = time.Minute
)

// apply loads what doc needs, and deals requests out further with every version that is ready:
// a label that moves back does not wait for a shadow to load. It says what is missing, "" if
// nothing is.
func (f *Follower) apply(ctx context.Context, m *followed, doc *catalog.Model) (missing string) {
	if !doc.Managed() {
		f.applied(ctx, m, doc, "")
		return ""
	}
	want := doc.Route()
	var reasons []string
	for _, version := range byUrgency(want) {
		if f.config.Runtime.Has(doc.Name, version) {
			if route, _ := f.config.Runtime.Route(doc.Name); !slices.Contains(route.Versions(), version) {
				f.deal(ctx, m, doc, want) // it is ready since the document came
			}
			continue
		}
		err := f.config.Runtime.Ensure(ctx, doc.Name, version)
		if ctx.Err() != nil {
			return "" // a newer document decides; this one says nothing about its versions any more
		}
		if err == nil && !f.config.Runtime.Has(doc.Name, version) {
			err = errGone
		}
		if err != nil {
			reasons = append(reasons, fmt.Sprintf("version %d: %s", version, words(err)))
			f.candidateFailed(ctx, m, doc, version, err)
			continue
		}
		f.deal(ctx, m, doc, want)
	}
	missing = strings.Join(reasons, "; ")
	f.applied(ctx, m, doc, missing)
	return missing
}

// words are what an operator needs of an error: its own text, without code and cause.
func words(err error) string {
	if e, ok := errors.AsType[*scoring.Error](err); ok {
		return e.Message
	}
	return err.Error()
}

// errGone is of a version that was ready, and was not any more when it was looked at: this
// replica has no room for it, which is not the version's fault.
var errGone = scoring.Errorf(scoring.Unavailable, "it was loaded, and is gone again")

// byUrgency lists the versions of a route in the order in which they are loaded: what callers
// wait for most comes first, and a shadow, which nobody waits for, last.
func byUrgency(want catalog.Route) []int64 {
	all := []int64{want.Labels[scoring.LabelLive]}
	for _, share := range want.Shares {
		all = append(all, share.Version)
	}
	for _, label := range slices.Sorted(maps.Keys(want.Labels)) {
		all = append(all, want.Labels[label])
	}
	all = append(all, want.Versions()...)
	seen := map[int64]bool{}
	return slices.DeleteFunc(all, func(version int64) bool {
		again := seen[version]
		seen[version] = true
		return again
	})
}

// deal applies as much of a route as is ready. While that leaves no live version, because none
// was served here before, nothing is dealt out yet: callers hear that the model is loading, and
// not that it has no such label.
func (f *Follower) deal(ctx context.Context, m *followed, doc *catalog.Model, want catalog.Route) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if ctx.Err() == nil && m.doc == doc { // else a newer document decides
		f.dealLocked(doc, want)
	}
}

// dealLocked is deal for the newest document.
func (f *Follower) dealLocked(doc *catalog.Model, want catalog.Route) {
	has := func(version int64) bool { return f.config.Runtime.Has(doc.Name, version) }
	old, _ := f.config.Runtime.Route(doc.Name)
	if now := restrict(want, old, has); now.Labels[scoring.LabelLive] != 0 {
		f.config.Runtime.Apply(doc.Name, now)
	}
}

// restrict is want as far as its versions are ready, and old where they are not.
func restrict(want, old catalog.Route, has func(int64) bool) catalog.Route {
	now := catalog.Route{Labels: map[string]int64{}, Sticky: want.Sticky}
	for label, version := range want.Labels {
		if was := old.Labels[label]; has(version) {
			now.Labels[label] = version
		} else if was != 0 {
			now.Labels[label] = was
		}
	}
	for _, share := range want.Shares {
		if has(share.Version) {
			now.Shares = append(now.Shares, share)
		}
	}
	if len(now.Shares) == 0 && len(want.Shares) > 0 {
		now.Shares, now.Sticky = old.Shares, old.Sticky
	}
	if s := want.Shadow; s != nil && has(s.Version) {
		now.Shadow = s
	}
	if c := want.Compare; c != nil && has(c.Baseline) && has(c.Candidate) {
		now.Compare = c
	}
	return now
}

// strict is how long a replica that starts is not ready because a live version is not served
// yet. It ends: one model that cannot be loaded must not make all others unavailable.
const strict = 5 * time.Minute

// applied notes how far a document is in force.
func (f *Follower) applied(ctx context.Context, m *followed, doc *catalog.Model, missing string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if ctx.Err() != nil || m.doc != doc {
		return
	}
	m.reason = missing
	route, dealt := f.config.Runtime.Route(doc.Name)
	m.tried = m.tried || missing == "" || dealt && route.Labels[scoring.LabelLive] != 0 || time.Since(m.since) > strict
	if missing == "" {
		m.applied = doc.Revision
		if len(m.other) > 0 {
			m.reason = fmt.Sprintf("the models folder of this replica has other files for version %v than the registry: versions do not change, give changed files a new number", m.other)
			f.config.Log.Warn().Str("model", doc.Name).Msg(m.reason)
			return
		}
		f.config.Log.Info().Str("model", doc.Name).Int64("revision", doc.Revision).Msg("following the registry's document")
	}
}

// settle lets go of versions that neither the documents nor what is served need. The version
// that was live before stays, so that a rollback is quick.
func (f *Follower) settle() {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, name := range slices.Sorted(maps.Keys(f.models)) {
		m := f.models[name]
		route, ok := f.config.Runtime.Route(name)
		if !ok {
			continue
		}
		want := m.doc.Route()
		keep := slices.Concat(route.Versions(), want.Versions())
		if m.doc.Previous != 0 {
			keep = append(keep, m.doc.Previous)
		}
		f.config.Runtime.Settle(name, keep)
	}
}
