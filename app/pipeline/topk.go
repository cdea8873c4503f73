package pipeline

import "slices"

// scored is a class and its score.
type scored struct {
	index int
	score float32
}

// compareScored orders the best first. Of equal scores the lower index counts as better,
// so that the same outputs always give the same answer.
func compareScored(a, b scored) int {
	switch {
	case a.score > b.score:
		return -1
	case a.score < b.score:
		return 1
	default:
		return a.index - b.index
	}
}

// topK gives the k best of scores, best first, or all of them where there are fewer. It
// keeps a heap of k with the worst on top, which costs len(scores)*log(k) at worst and
// mostly one comparison a score: k is far below the number of classes. Scores are finite.
func topK(scores []float32, k int) []scored {
	k = min(k, len(scores))
	if k <= 0 {
		return nil
	}
	heap := make([]scored, 0, k)
	for i, score := range scores {
		s := scored{i, score}
		switch {
		case len(heap) < k:
			heap = append(heap, s)
			if len(heap) == k {
				for j := k/2 - 1; j >= 0; j-- {
					siftDown(heap, j)
				}
			}
		case score > heap[0].score: // on a tie the earlier index stays
			heap[0] = s
			siftDown(heap, 0)
		}
	}
	slices.SortFunc(heap, compareScored)
	return heap
}

// siftDown moves heap[i] below everything that is worse.
func siftDown(heap []scored, i int) {
	for {
		worst := i
		for child := 2*i + 1; child <= 2*i+2 && child < len(heap); child++ {
			if compareScored(heap[child], heap[worst]) > 0 {
				worst = child
			}
		}
		if worst == i {
			return
		}
		heap[i], heap[worst] = heap[worst], heap[i]
		i = worst
	}
}
