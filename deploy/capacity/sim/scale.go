package sim

import (
	"math"
	"slices"
)

// ScaleKind is the kind of an autoscaler.
type ScaleKind string

// The kinds.
const (
	// Fixed never changes the number of pods.
	Fixed ScaleKind = "fixed"
	// HPA scales on the average onda_saturation of the pods (a Pods metric).
	HPA ScaleKind = "hpa"
	// KEDA scales on a sum by an external metric: the saturation of all pods, or the events that
	// wait; and between 0 and 1 by itself.
	KEDA ScaleKind = "keda"
)

// Scale is the autoscaler. Its algorithm is the one that Kubernetes documents for the
// HorizontalPodAutoscaler; KEDA drives one, too.
type Scale struct {
	// Kind of it.
	Kind ScaleKind
	// Start, Min and Max are numbers of pods.
	Start, Min, Max int
	// Target saturation of a pod; for events, the events that wait for each pod.
	Target float64
	// Tolerance within which nothing changes, as a share: 0.1.
	Tolerance float64
	// UpPercent or UpPods, whichever is more, may be added in 15 seconds; DownPercent removed in a minute.
	UpPercent, DownPercent float64
	UpPods                 int
	// DownWindow is how long the recommendations are remembered of which the highest counts, in seconds.
	DownWindow float64
	// Poll is how often KEDA itself looks, Cooldown how long it waits before the last pod goes,
	// in seconds; Activation the events that must wait for the first pod to come.
	Poll, Cooldown float64
	Activation     int
	// PodsPerNode fit on a node. Headroom is the number of pods that nodes are kept free for.
	PodsPerNode, Headroom int
}

// scaler is what the autoscaler remembers.
type scaler struct {
	desired  int
	advice   []advice // recommendations of the window
	changes  []advice // changes of the last minute
	activeAt float64  // when KEDA last saw events
}

// advice is a number of pods, or a change of it, at a time.
type advice struct {
	at   float64
	pods int
}

// sync is a round of the HPA controller.
func (w *world) sync() {
	current := w.scaler.desired
	if current == 0 {
		return // KEDA wakes it up
	}
	w.set(w.limited(current, w.stable(w.recommend(current))))
}

// recommend is what the metric asks for.
func (w *world) recommend(current int) int {
	if w.Scale.Kind == KEDA {
		total := float64(w.broker.waiting())
		if !w.Load.Events {
			total, _ = w.saturationSeen()
		}
		usage := total / (w.Scale.Target * float64(current))
		if math.Abs(usage-1) <= w.Scale.Tolerance {
			return current
		}
		return int(math.Ceil(total / w.Scale.Target))
	}
	total, seen := w.saturationSeen()
	if seen == 0 {
		return current
	}
	usage := total / float64(seen) / w.Scale.Target
	missing := current - seen
	if missing <= 0 || usage == 1 {
		if math.Abs(usage-1) <= w.Scale.Tolerance {
			return current
		}
		return int(math.Ceil(usage * float64(seen)))
	}
	// Pods that nothing is known of count as idle where it would grow, and as at the target
	// where it would shrink; if that turns it round, nothing changes.
	with := total / float64(current) / w.Scale.Target
	if usage < 1 {
		with = (total + float64(missing)*w.Scale.Target) / float64(current) / w.Scale.Target
	}
	if math.Abs(with-1) <= w.Scale.Tolerance || (usage < 1) != (with < 1) {
		return current
	}
	wanted := int(math.Ceil(with * float64(current)))
	if usage < 1 && wanted > current || usage > 1 && wanted < current {
		return current
	}
	return wanted
}

// saturationSeen is the sum over the pods that were scraped, and their number.
func (w *world) saturationSeen() (total float64, seen int) {
	for _, p := range w.ready {
		if p.scraped >= 0 {
			total += p.scraped
			seen++
		}
	}
	return total, seen
}

// stable is the highest recommendation of the window.
func (w *world) stable(wanted int) int {
	s := &w.scaler
	s.advice = slices.DeleteFunc(s.advice, func(a advice) bool { return a.at < w.now-w.Scale.DownWindow })
	s.advice = append(s.advice, advice{at: w.now, pods: wanted})
	highest := wanted
	for _, a := range s.advice {
		highest = max(highest, a.pods)
	}
	if wanted < s.desired {
		return min(highest, s.desired)
	}
	return wanted
}

// limited keeps a change within the policies and the bounds.
func (w *world) limited(current, wanted int) int {
	s := &w.scaler
	s.changes = slices.DeleteFunc(s.changes, func(a advice) bool { return a.at < w.now-60 })
	added, removed := 0, 0
	for _, c := range s.changes {
		if c.pods > 0 && c.at >= w.now-15+1e-9 {
			added += c.pods
		}
		if c.pods < 0 {
			removed -= c.pods
		}
	}
	if wanted > current {
		from := current - added
		most := max(int(math.Ceil(float64(from)*(1+w.Scale.UpPercent/100))), from+w.Scale.UpPods)
		wanted = min(wanted, max(most, current))
	}
	if wanted < current {
		from := current + removed
		least := int(float64(from) * (1 - w.Scale.DownPercent/100))
		wanted = max(wanted, min(least, current))
	}
	return min(max(wanted, w.Scale.Min, 1), w.Scale.Max)
}

// set makes the number of pods the wanted one.
func (w *world) set(wanted int) {
	change := wanted - w.scaler.desired
	if change == 0 {
		return
	}
	w.scaler.changes = append(w.scaler.changes, advice{at: w.now, pods: change})
	w.scaler.desired = wanted
	if change < 0 {
		w.remove(-change)
		return
	}
	for range change {
		w.newPod()
	}
	w.place()
}

// poll is KEDA's own look: it wakes up the first pod, and lets the last one go.
func (w *world) poll() {
	if w.Scale.Kind != KEDA || w.Scale.Min > 0 {
		return
	}
	active := w.broker.waiting() > w.Scale.Activation
	if active {
		w.scaler.activeAt = w.now
	}
	switch {
	case active && w.scaler.desired == 0:
		w.scaler.advice = nil
		w.set(1)
	case !active && w.scaler.desired > 0 && w.now-w.scaler.activeAt >= w.Scale.Cooldown:
		w.set(0)
	}
}
