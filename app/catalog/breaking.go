package catalog

import (
	"fmt"
	"slices"
)

// Breaking lists what callers of the version before would trip over in after: a sentence each,
// with names and shapes; none where they would not notice.
//
// Inputs may become freer, because all that callers send still fits. Outputs may not, because
// callers rely on the shapes that they know. Outputs may be added, inputs may not.
func Breaking(before, after Version) []string {
	var all []string
	all = append(all, compareTensors("input", before.Inputs, after.Inputs)...)
	for _, in := range after.Inputs {
		if find(before.Inputs, in.Name) == nil {
			all = append(all, fmt.Sprintf("input %q (%s %v) is new, and callers do not send it", in.Name, in.Datatype, in.Shape))
		}
	}
	all = append(all, compareTensors("output", before.Outputs, after.Outputs)...)
	if before.Pipeline != after.Pipeline {
		all = append(all, fmt.Sprintf("the pipeline is %q, it was %q", after.Pipeline, before.Pipeline))
	}
	return all
}

func compareTensors(kind string, before, after []Tensor) []string {
	var all []string
	for _, old := range before {
		now := find(after, old.Name)
		switch {
		case now == nil:
			all = append(all, fmt.Sprintf("%s %q (%s %v) is gone", kind, old.Name, old.Datatype, old.Shape))
			continue
		case now.Datatype != old.Datatype:
			all = append(all, fmt.Sprintf("%s %q is %s, it was %s", kind, old.Name, now.Datatype, old.Datatype))
		}
		if !fits(kind, old.Shape, now.Shape) {
			all = append(all, fmt.Sprintf("%s %q has the shape %v, it had %v", kind, old.Name, now.Shape, old.Shape))
		}
	}
	return all
}

// fits says whether callers that know the shape old can live with now.
func fits(kind string, old, now []int64) bool {
	return slices.EqualFunc(old, now, func(was, is int64) bool {
		return was == is || kind == "input" && is < 0
	})
}

func find(all []Tensor, name string) *Tensor {
	i := slices.IndexFunc(all, func(t Tensor) bool { return t.Name == name })
	if i < 0 {
		return nil
	}
	return &all[i]
}
