package models

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/onda-serving/onda/app/catalog"
	"github.com/onda-serving/onda/app/scoring"
)

// fact is a part of a model's state, in words.
type fact struct{ name, value string }

// facts lists what there is to say of a state, the most important first.
func facts(s *catalog.State) []fact {
	var all []fact
	say := func(name, value string) {
		if value != "" {
			all = append(all, fact{name, value})
		}
	}
	say(scoring.LabelLive, versionText(s.Labels[scoring.LabelLive]))
	say(catalog.LabelCanary, versionText(s.Labels[catalog.LabelCanary]))
	for _, label := range sortedKeys(s.Labels) {
		if label != scoring.LabelLive && label != catalog.LabelCanary {
			say("label "+label, versionText(s.Labels[label])) // one may be called "traffic"
		}
	}
	traffic := weights(s.Traffic)
	if s.Traffic != nil && s.Traffic.Sticky == catalog.StickyCaller {
		traffic += " by caller"
	}
	say("traffic", traffic)
	say("shadow", shadowText(s.Shadow))
	say("rollout", rolloutText(s.Rollout))
	for _, version := range sortedKeys(s.Standing) {
		say(fmt.Sprintf("version %d", version), strings.ReplaceAll(string(s.Standing[version]), "_", " "))
	}
	if s.Pinned {
		say("pinned", "yes")
	}
	return all
}

// stateText gives a state as "live 2, canary 3".
func stateText(s *catalog.State) string {
	var parts []string
	for _, f := range facts(s) {
		parts = append(parts, f.name+" "+f.value)
	}
	return cmp.Or(strings.Join(parts, ", "), "nothing set")
}

// change says what moved between two states: "live 1 -> 2, traffic 1:90 2:10 -> none".
func change(before, after *catalog.State) string {
	from, to := facts(before), facts(after)
	var parts []string
	for _, f := range to {
		if old := valueOf(from, f.name); old != f.value {
			parts = append(parts, fmt.Sprintf("%s %s -> %s", f.name, cmp.Or(old, none(f.name)), f.value))
		}
	}
	for _, f := range from {
		if valueOf(to, f.name) == "" {
			parts = append(parts, fmt.Sprintf("%s %s -> %s", f.name, f.value, none(f.name)))
		}
	}
	return strings.Join(parts, ", ")
}

// none is the word for a fact that is not there.
func none(name string) string {
	switch {
	case name == "pinned":
		return "no"
	case strings.HasPrefix(name, "version "):
		return "fine"
	default:
		return "none"
	}
}

func valueOf(all []fact, name string) string {
	for _, f := range all {
		if f.name == name {
			return f.value
		}
	}
	return ""
}

// entryChange says what a history entry changed.
func entryChange(e *catalog.Entry) string {
	var parts []string
	if e.Registered != nil {
		parts = append(parts, fmt.Sprintf("version %d added", e.Registered.Version))
	}
	if moved := change(&e.Before, &e.After); moved != "" {
		parts = append(parts, moved)
	}
	return strings.Join(parts, ", ")
}

// shares gives each version's share of the requests that name neither version nor label,
// of 1.
func shares(s *catalog.State) map[int64]float64 {
	if r := s.Running(); r != nil && (r.Step < 0 || r.Step >= len(r.Steps)) {
		return nil // no document that Onda writes
	}
	route := s.Route()
	if len(route.Shares) == 0 {
		live := s.Labels[scoring.LabelLive]
		if live == 0 {
			return nil
		}
		return map[int64]float64{live: 1}
	}
	sum := 0.0
	for _, share := range route.Shares {
		sum += float64(share.Weight)
	}
	all := map[int64]float64{}
	for _, share := range route.Shares {
		all[share.Version] = float64(share.Weight) / sum
	}
	return all
}

// sortedKeys gives the keys of a map in rising order.
func sortedKeys[K cmp.Ordered, V any](m map[K]V) []K { return slices.Sorted(maps.Keys(m)) }
