package compare

import (
	"github.com/onda-serving/onda/app/scoring"
)

// Predictions compares the predictions of two answers, instance by instance.
//
// They disagree where there is another number of them, where one is of another kind than
// its counterpart, where a score is NaN or infinite in one of them only, and where the best
// class or match of an instance is another one. An entry whose score is within 1e-6 of the
// best is as good as the best. The same best entry with another score is no disagreement,
// however far the scores are apart: that is what [Difference.Max] is for.
//
// Entries are told apart by their index or id. One that only one of the lists has was cut
// off in the other one by top_k: its score there is not known, but is at most the lowest of
// that list. So what counts is how far it is above that lowest score, and nothing if it is
// below.
func Predictions(a, b []scoring.Prediction) Difference {
	d := Difference{Disagrees: len(a) != len(b)}
	for i := range min(len(a), len(b)) {
		d.add(prediction(a[i], b[i]))
	}
	return d
}

func prediction(a, b scoring.Prediction) Difference {
	switch x := a.(type) {
	case scoring.Classes:
		if y, ok := b.(scoring.Classes); ok {
			return classes.compare(x.Classes, y.Classes)
		}
	case scoring.Matches:
		if y, ok := b.(scoring.Matches); ok {
			return matches.compare(x.Matches, y.Matches)
		}
	}
	return Difference{Disagrees: true}
}

// ranking compares lists of entries, best first. Its functions take pointers because an
// entry is several words long.
type ranking[E any] struct {
	// same says whether two entries stand for the same thing.
	same func(x, y *E) bool
	// score gives an entry's score.
	score func(*E) float64
}

var (
	classes = ranking[scoring.Class]{
		same:  func(x, y *scoring.Class) bool { return x.Index == y.Index },
		score: func(c *scoring.Class) float64 { return float64(c.Score) },
	}
	matches = ranking[scoring.Match]{
		same:  func(x, y *scoring.Match) bool { return x.ID == y.ID },
		score: func(m *scoring.Match) float64 { return float64(m.Score) },
	}
)

func (r ranking[E]) compare(a, b []E) Difference {
	d := Difference{Disagrees: !r.sameBest(a, b)}
	// Each way finds what only one of the lists has.
	r.entries(&d, a, b)
	r.entries(&d, b, a)
	return d
}

// sameBest says whether the best of either list is as good as the best of the other one.
func (r ranking[E]) sameBest(a, b []E) bool {
	if len(a) == 0 || len(b) == 0 {
		return len(a) == len(b)
	}
	return r.same(&a[0], &b[0]) || r.tied(a, &b[0]) || r.tied(b, &a[0])
}

// tied says whether list has entry with a score as good as its best.
func (r ranking[E]) tied(list []E, entry *E) bool {
	at := r.find(list, entry, 0)
	return at >= 0 && r.score(&list[0])-r.score(&list[at]) <= tie
}

// entries compares the scores of all entries of a with those of b.
func (r ranking[E]) entries(d *Difference, a, b []E) {
	lowest := r.lowest(b)
	for i := range a {
		score := r.score(&a[i])
		if at := r.find(b, &a[i], i); at >= 0 {
			d.numbers(score, r.score(&b[at]))
		} else if !(score <= lowest) { // NaN is not below anything
			d.numbers(score, lowest)
		}
	}
}

// find gives the place of entry in list, -1 if it is not there. Most entries have the same
// place in both lists: there it is looked for first.
func (r ranking[E]) find(list []E, entry *E, at int) int {
	if at < len(list) && r.same(&list[at], entry) {
		return at
	}
	for i := range list {
		if r.same(&list[i], entry) {
			return i
		}
	}
	return -1
}

// lowest is the lowest score of list, 0 for an empty one.
func (r ranking[E]) lowest(list []E) float64 {
	if len(list) == 0 {
		return 0
	}
	lowest := r.score(&list[0])
	for i := range list {
		lowest = min(lowest, r.score(&list[i]))
	}
	return lowest
}
