package plan

import "github.com/onda-serving/onda/deploy/capacity/sim"

// Check compares a simulated run with the measured one of the part overload.
type Check struct {
	Model string
	// Load in times of the measured capacity, and in requests per second.
	Load    string
	Offered float64
	// Goodput per second, and p50 and p99 of the answers in milliseconds.
	Simulated, Measured [3]float64
}

// loads of the part overload.
var loads = []string{"0.5", "0.75", "1", "1.5", "2", "3"}

// check simulates the part overload: one server on the benchmark's cores, callers with 100 ms. One
// number of each model is fitted: how much of its cores' time the server got, of what ONNX Runtime
// got alone, read off the goodput at 1.5 times the capacity.
func (f *Facts) check() error {
	picture := f.Picture
	picture.Name = "image-classification"
	conv, err := f.Results.Service("conv-256", "Onda, HTTP binary")
	if err != nil {
		return err
	}
	f.Derate = 1
	for _, s := range []sim.Service{conv, picture} {
		share, err := f.share(s)
		if err != nil {
			return err
		}
		f.Derate = min(f.Derate, share)
		for _, load := range loads {
			c := Check{Model: s.Name, Load: load}
			for i, name := range []string{"goodput_rps", "p50_ms", "p99_ms"} {
				if c.Measured[i], err = f.Results.Value("overload", name, "model", s.Name, "load", load); err != nil {
					return err
				}
			}
			if c.Offered, err = f.Results.Value("overload", "offered_rps", "model", s.Name, "load", load); err != nil {
				return err
			}
			c.Simulated = f.overload(slower(s, share), c.Offered)
			f.Checks = append(f.Checks, c)
		}
	}
	return nil
}

// share is the measured goodput at 1.5 times the capacity, of the simulated one.
func (f *Facts) share(s sim.Service) (float64, error) {
	offered, err := f.Results.Value("overload", "offered_rps", "model", s.Name, "load", "1.5")
	if err != nil {
		return 0, err
	}
	goodput, err := f.Results.Value("overload", "goodput_rps", "model", s.Name, "load", "1.5")
	if err != nil {
		return 0, err
	}
	return goodput / f.overload(s, offered)[0], nil
}

// overload simulates ten minutes at a rate, and gives goodput, p50 and p99.
func (f *Facts) overload(s sim.Service, rate float64) [3]float64 {
	const seconds = 600
	r := sim.Run(sim.Config{
		Seed:    1,
		Load:    sim.Load{Rate: sim.Steady(rate), Seconds: seconds, Budget: f.Results["overload"].Facts["budget_ms"] / 1000},
		Service: s,
		Pod:     sim.Pod{Cores: f.Results["overload"].Machine.Cores, MaxRows: 32, MaxQueue: 256},
		Scale:   sim.Scale{Kind: sim.Fixed, Start: 1},
	})
	return [3]float64{float64(r.Good) / seconds, 1000 * r.Quantile(0.5), 1000 * r.Quantile(0.99)}
}

// Use is the share of a pod's capacity at which its saturation is the target, by simulation: what a
// pod carries while the autoscaler is content.
func (f *Facts) Use(s sim.Service, target float64) float64 {
	key := useKey{s, target}
	if use, ok := f.uses[key]; ok {
		return use
	}
	low, high := 0.0, 1.0
	for high-low > 1.0/256 {
		if middle := (low + high) / 2; f.saturation(s, middle) < target {
			low = middle
		} else {
			high = middle
		}
	}
	if f.uses == nil {
		f.uses = map[useKey]float64{}
	}
	f.uses[key] = low
	return low
}

// useKey is what decides a use.
type useKey struct {
	service sim.Service
	target  float64
}

// saturation is the mean of a pod under a share of its capacity, after a minute.
func (f *Facts) saturation(s sim.Service, share float64) float64 {
	const seconds, skipped = 240, 6
	r := sim.Run(sim.Config{
		Seed:    1,
		Load:    sim.Load{Rate: sim.Steady(share * s.Capacity(float64(f.Cores()), 1)), Seconds: seconds, Budget: 0.25},
		Service: s,
		Pod:     sim.Pod{Cores: f.Cores(), MaxRows: 32, MaxQueue: 256},
		Scale:   sim.Scale{Kind: sim.Fixed, Start: 1},
	})
	sum := 0.0
	for _, sample := range r.Samples[skipped:] {
		sum += sample.Saturation
	}
	return sum / float64(len(r.Samples)-skipped)
}
