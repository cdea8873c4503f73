package simulation_test

import (
	"strconv"
	"time"

	"github.com/onda-serving/onda/app/scoring"
)

// asked is the event of some requests.
const asked = "asked"

// traffic asks a process for predictions until it is gone.
func (p *process) traffic() {
	c := p.w.chance("traffic", p.name)
	for {
		select {
		case <-p.gone:
			return
		case <-time.After(c.between(70*time.Millisecond, 130*time.Millisecond)):
		}
		if p.isGone() {
			return
		}
		dealt := int64(0)
		for range c.from(2, 6) {
			model := modelName(c.IntN(p.w.plan.models))
			dealt = dealt*31 + p.runtime.ask(c, model)
		}
		p.w.note(p.name, asked, "", dealt, "")
	}
}

var errSimulated = scoring.Errorf(scoring.Internal, "simulated")

// ask is a request. It gives the version that answered, 0 for none.
func (r *runtime) ask(c chance, model string) int64 {
	// All is drawn each time, so that an answer changes nothing for the next request.
	label := pick(c, "", "", "", "", "", scoring.LabelLive, "canary", "stable")
	key := "key" + strconv.Itoa(c.IntN(300))
	if c.yes(0.2) {
		key = ""
	}
	random, compare, fails, differs, slower := c.Float64(), c.Float64(), c.Float64(), c.Float64(), c.Float64()
	r.mu.Lock()
	defer r.mu.Unlock()
	m := r.model(model)
	version := r.find(m, label, key, random)
	if version == 0 {
		if m.answered && (label == "" || label == scoring.LabelLive) {
			r.fail("a request for model %s finds no version, and one before did", model)
		}
		return 0
	}
	m.answered = true
	v := m.loaded[version]
	if v == nil {
		r.fail("a request for label %q of model %s is for version %d, which is not loaded", label, model, version)
		return 0
	}
	v.used = time.Now()
	took := time.Duration(float64(10*time.Millisecond) * (1 + 0.3*slower))
	var err error
	nature := r.w.nature(model, version)
	if nature == failing && fails < 0.2 {
		err = errSimulated
	}
	if nature == slow {
		took *= 3
	}
	r.w.count(model, version)
	v.recorder.Request(1, scoring.Timing{}, took, err)
	if with := m.route; err == nil && m.managed && with.Compare != nil && with.Compare.Candidate == version && compare < with.Compare.Share {
		disagree := nature == diverging || r.w.nature(model, with.Compare.Baseline) == diverging
		v.recorder.Compared(disagree && differs < 0.3, false, 0.1)
	}
	return version
}

// find is the version that a request is for, as registry.Registry finds it; 0 for none.
func (r *runtime) find(m *served, label, key string, random float64) int64 {
	switch {
	case !m.managed && label != "" && label != scoring.LabelLive:
		return 0
	case !m.managed:
		return r.newest(m)
	case m.route == nil:
		return 0 // it is loading
	case label == "" && len(m.route.Shares) > 0:
		return m.route.Pick(m.name, key, "", random)
	case label == "":
		label = scoring.LabelLive
	}
	return m.route.Labels[label]
}

// newest is the version that answers where no document decides: the newest that came with the
// replica. It is 0 for none, and while a document may decide that is not known.
func (r *runtime) newest(m *served) (newest int64) {
	if !r.documented && m.taken == 0 {
		return 0
	}
	for version := range m.folder {
		if m.loaded[version] != nil && !m.retired[version] {
			newest = max(newest, version)
		}
	}
	return newest
}
