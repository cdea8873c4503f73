package catalog

import (
	"cmp"
	"maps"
	"slices"

	"github.com/onda-serving/onda/app/scoring"
)

// Route is how a replica deals requests out. It shares nothing with the document that it was
// made of.
type Route struct {
	// Labels maps each label to the version that it names.
	Labels map[string]int64
	// Shares of the requests that name neither version nor label, by rising version; empty
	// gives all of them to the label "live".
	Shares []Share
	// Sticky is that of [Traffic]; "" without Shares.
	Sticky string
	// Shadow copies requests to a version whose answers nobody gets; nil for none.
	Shadow *Shadow
	// Compare asks requests of a rollout's candidate of its baseline too; nil without one.
	Compare *Compare
}

// Share is a version's part of the requests: its weight by the sum of all weights.
type Share struct {
	// Version that answers.
	Version int64
	// Weight of the version, positive.
	Weight int
}

// Compare asks a version's requests of another one too, to see whether they agree.
type Compare struct {
	// Candidate is the version whose requests are compared, and Baseline is what with.
	Candidate, Baseline int64
	// Share of the candidate's requests that are compared, above 0 and at most 1.
	Share float64
}

// Route gives how requests are dealt out in s. A running rollout decides the shares;
// otherwise the traffic split does.
func (s *State) Route() Route {
	current := s.clone()
	r := Route{Labels: current.Labels, Shadow: current.Shadow}
	if rollout := current.Running(); rollout != nil {
		r.Shares = rollout.shares()
		r.Sticky = rollout.Sticky
		r.Compare = &Compare{Candidate: rollout.Candidate, Baseline: rollout.Baseline, Share: rollout.Rule.Compare}
		return r
	}
	if current.Traffic != nil {
		r.Sticky = current.Traffic.Sticky
		for _, version := range slices.Sorted(maps.Keys(current.Traffic.Weights)) {
			r.Shares = append(r.Shares, Share{Version: version, Weight: current.Traffic.Weights[version]})
		}
	}
	return r
}

// shares gives the candidate the percentage of the current step, and the baseline the rest.
func (r *Rollout) shares() []Share {
	percent := r.Steps[r.Step]
	candidate := Share{Version: r.Candidate, Weight: percent}
	if percent == 100 {
		return []Share{candidate}
	}
	both := []Share{candidate, {Version: r.Baseline, Weight: 100 - percent}}
	slices.SortFunc(both, func(a, b Share) int { return cmp.Compare(a.Version, b.Version) })
	return both
}

// Versions lists, in rising order, all that a replica must have ready to follow r.
func (r *Route) Versions() []int64 {
	all := slices.Collect(maps.Values(r.Labels))
	for _, s := range r.Shares {
		all = append(all, s.Version)
	}
	if r.Shadow != nil {
		all = append(all, r.Shadow.Version)
	}
	if r.Compare != nil {
		all = append(all, r.Compare.Candidate, r.Compare.Baseline)
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// live is what the label "live" names; 0 where it names nothing.
func (r *Route) live() int64 { return r.Labels[scoring.LabelLive] }
