package triton

import (
	"slices"

	"github.com/onda-serving/onda/app/triton/configpb"
)

// VersionPolicy says which versions of a model are served. The zero value serves the
// latest one, as Triton does where a configuration says nothing.
type VersionPolicy struct {
	// All serves every version.
	All bool
	// Specific serves these versions, if there are any here.
	Specific []int64
	// Latest serves so many of the highest numbers; 0 means 1.
	Latest int
}

func versionPolicyOf(policy *configpb.ModelVersionPolicy) VersionPolicy {
	switch choice := policy.GetPolicyChoice().(type) {
	case *configpb.ModelVersionPolicy_All_:
		return VersionPolicy{All: true}
	case *configpb.ModelVersionPolicy_Specific_:
		return VersionPolicy{Specific: append([]int64{}, choice.Specific.GetVersions()...)}
	default:
		return VersionPolicy{Latest: int(max(policy.GetLatest().GetNumVersions(), 1))}
	}
}

// Select gives those of the versions that are served, in rising order, and those that the
// policy names though they are not there.
func (p VersionPolicy) Select(versions []int64) (served, missing []int64) {
	all := slices.Compact(slices.Sorted(slices.Values(versions)))
	switch {
	case p.All:
		return all, nil
	case p.Specific != nil:
		for _, v := range slices.Compact(slices.Sorted(slices.Values(p.Specific))) {
			if slices.Contains(all, v) {
				served = append(served, v)
			} else {
				missing = append(missing, v)
			}
		}
		return served, missing
	default:
		return all[max(len(all)-max(p.Latest, 1), 0):], nil
	}
}
