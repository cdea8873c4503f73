package main

import "fmt"

// group sums up the cases of one kind over photos and qualities.
type group struct {
	Name  string `json:"name"`
	Cases int    `json:"cases"`
	// Pillow and Onda are medians of the cases' medians, in milliseconds.
	Pillow float64 `json:"pillow_ms"`
	Onda   float64 `json:"onda_ms"`
	// Ratio is the median of the cases' ratios, WorstRatio the greatest.
	Ratio      float64 `json:"ratio"`
	WorstRatio float64 `json:"worst_ratio"`
	// MeanDifference and WorstDifference are those of the cases' mean differences, in
	// steps of 1/255.
	MeanDifference  float64 `json:"mean_difference"`
	WorstDifference float64 `json:"worst_difference"`
}

func groups(results []result) []group {
	byName := map[string][]result{}
	var names []string
	for _, r := range results {
		p := r.picture
		name := fmt.Sprintf("%dx%d %s %s", p.Width, p.Height, p.Chroma, map[bool]string{false: "baseline", true: "progressive"}[p.Progressive])
		if p.Tiled {
			name += ", tiled"
		}
		if byName[name] == nil {
			names = append(names, name)
		}
		byName[name] = append(byName[name], r)
	}
	all := make([]group, 0, len(names))
	for _, name := range names {
		all = append(all, groupOf(name, byName[name]))
	}
	return all
}

func groupOf(name string, results []result) group {
	g := group{Name: name, Cases: len(results)}
	var theirs, ours, ratios, differences []float64
	for _, r := range results {
		theirs, ours = append(theirs, r.Pillow.Median), append(ours, r.Onda.Median)
		ratios, differences = append(ratios, r.Ratio), append(differences, r.MeanDifference)
		g.WorstRatio, g.WorstDifference = max(g.WorstRatio, r.Ratio), max(g.WorstDifference, r.MeanDifference)
	}
	g.Pillow, g.Onda, g.Ratio = timesOf(theirs).Median, timesOf(ours).Median, timesOf(ratios).Median
	g.MeanDifference = timesOf(differences).Median
	return g
}

func printGroups(all []group) {
	say("\n%-36s %6s %12s %10s %7s %7s %12s %7s\n", "", "files", "Pillow ms", "Onda ms", "ratio", "worst", "difference", "worst")
	for _, g := range all {
		say("%-36s %6d %12.2f %10.2f %7.2f %7.2f %12.3f %7.3f\n",
			g.Name, g.Cases, g.Pillow, g.Onda, g.Ratio, g.WorstRatio, g.MeanDifference, g.WorstDifference)
	}
	say("\nA ratio below 1 means that Onda is faster. A difference of 1 is one of 255 steps.\n")
}
