package sim

import (
	"math"
	"math/rand/v2"
)

// Load is what arrives: a Poisson process whose rate may change from second to second.
type Load struct {
	// Name of it, for tables.
	Name string
	// Rate gives the requests per second around a time.
	Rate func(at float64) float64
	// Seconds that it lasts.
	Seconds float64
	// Budget of each request in seconds; infinite, or 0, for none.
	Budget float64
	// Events come through a broker, from which pods take them; calls go to a pod.
	Events bool
}

// arrivals draws one arrival after the other.
type arrivals struct {
	rate func(at float64) float64
	next float64
}

// draw moves to the next arrival. Within a second the rate is constant: that makes a Poisson
// process with a changing rate exact without drawing arrivals that do not happen.
func (a *arrivals) draw(random *rand.Rand) {
	left := random.ExpFloat64()
	for {
		end := math.Floor(a.next) + 1
		rate := max(a.rate(math.Floor(a.next)), 1e-9)
		if left <= rate*(end-a.next) {
			a.next += left / rate
			return
		}
		left -= rate * (end - a.next)
		a.next = end
	}
}

// Steady is a Poisson process of one rate.
func Steady(rate float64) func(float64) float64 {
	return func(float64) float64 { return rate }
}

// Step goes from one rate to another at a time.
func Step(from, to, at float64) func(float64) float64 {
	return func(t float64) float64 {
		if t < at {
			return from
		}
		return to
	}
}

// Burst is a rate that rises to another for a time, and falls back.
func Burst(from, to, at, lasts float64) func(float64) float64 {
	return func(t float64) float64 {
		if t < at || t >= at+lasts {
			return from
		}
		return to
	}
}

// Crowd is a flash crowd: within rise seconds the rate grows in a straight line to times what it
// was, stays for stay seconds, and falls back by half every half seconds.
func Crowd(base, times, at, rise, stay, half float64) func(float64) float64 {
	return func(t float64) float64 {
		switch {
		case t < at:
			return base
		case t < at+rise:
			return base * (1 + (times-1)*(t-at)/rise)
		case t < at+rise+stay:
			return base * times
		default:
			return base * (1 + (times-1)*math.Exp2(-(t-at-rise-stay)/half))
		}
	}
}

// Day is a day with one peak: its lowest rate is a share of its highest, and the highest comes at
// a time of the day, in seconds after its start.
func Day(highest, lowest, at float64) func(float64) float64 {
	const day = 86400
	return func(t float64) float64 {
		return highest * (lowest + (1-lowest)*(1+math.Cos(2*math.Pi*(t-at)/day))/2)
	}
}
