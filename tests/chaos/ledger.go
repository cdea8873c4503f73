package chaos

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"time"
)

// The topics that the run listens to.
const (
	resultsTopic    = "scoring.results"
	deadLetterTopic = "scoring.deadletter"
)

// answer is an event that answers another, as far as it matters.
type answer struct {
	ID            string    `json:"id"`
	Source        string    `json:"source"`
	RequestID     string    `json:"requestid"`
	RequestSource string    `json:"requestsource"`
	Time          time.Time `json:"time"`
	ModelVersion  string    `json:"modelversion"`
	ModelDigest   string    `json:"modeldigest"`
	Data          struct {
		Outputs []struct {
			Data []float64 `json:"data"`
		} `json:"outputs"`
	} `json:"data"`
}

// known is what is known of an event.
type known struct {
	published int
	answered  bool
	topic     string
	// whole and content are of the first answer: the event as a whole, and what it says.
	whole, content [sha256.Size]byte
	// again is when it was sent once more because nothing answered it; zero for never.
	again time.Time
}

// ledger keeps account of what was published and heard. It is safe for concurrent use.
type ledger struct {
	mu     sync.Mutex
	events []known
	counts Report
	heard  int
	once   int // different events that were published
	done   int // different events that were answered
	last   time.Time
	probes int
}

// probe begins the ids of events that only show that events are answered.
const probe = "probe-"

func newLedger(events int) *ledger { return &ledger{events: make([]known, events)} }

// published notes that the broker has an event, as the sidecar says.
func (l *ledger) published(i int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.events[i].published == 0 {
		l.once++
	}
	l.events[i].published++
	l.counts.Published++
}

// progress gives the different events that were published and answered.
func (l *ledger) progress() (published, answered int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.once, l.done
}

// lastAnswer is when an event was answered for the first time, the last of them so far.
func (l *ledger) lastAnswer() time.Time {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.last
}

// probed says whether a probe was answered.
func (l *ledger) probed() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.probes > 0
}

// sendAgain lists what was published and not answered, and notes when that is sent again.
func (l *ledger) sendAgain(now time.Time) (missing []int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for i := range l.events {
		if e := &l.events[i]; e.published > 0 && !e.answered {
			e.again = now
			missing = append(missing, i)
		}
	}
	return missing
}

func (l *ledger) heardSoFar() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.heard
}

// hear notes an event that came on a topic. The error says that it answers no event of the
// run's.
func (l *ledger) hear(topic string, text []byte) error {
	var a answer
	if err := json.Unmarshal(text, &a); err != nil && topic == resultsTopic {
		return fmt.Errorf("an event on %s: %w: %s", topic, err, text)
	}
	if a.RequestID == "" { // the sidecar's own dead letter is the request itself
		a.RequestID, a.RequestSource = a.ID, a.Source
	}
	if strings.HasPrefix(a.RequestID, probe) {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.probes++
		return nil
	}
	i, err := strconv.Atoi(a.RequestID)
	if err != nil || i < 0 || i >= len(l.events) || a.RequestSource != source {
		return fmt.Errorf("an event on %s answers nothing that was published: %s", topic, text)
	}
	whole, content, err := fingerprints(text)
	if err != nil {
		return fmt.Errorf("an event on %s: %w: %s", topic, err, text)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.heard++
	e := &l.events[i]
	switch {
	case !e.answered:
		e.answered, e.topic, e.whole, e.content = true, topic, whole, content
		l.done++
		l.answeredAgain(e, a)
	case e.topic != topic || e.content != content:
		l.counts.Contradicting++
	case e.whole == whole:
		l.counts.Identical++
	default:
		l.counts.Alike++
	}
	l.count(i, topic, a)
	return nil
}

// answeredAgain tells what became of an event that was sent again: whether it is only now that it
// arrived, or whether its answer was there and did not.
func (l *ledger) answeredAgain(e *known, a answer) {
	switch {
	case e.again.IsZero():
		l.last = time.Now()
	case a.Time.Before(e.again):
		l.counts.Kept++
		fallthrough
	default:
		l.counts.Again++
	}
}

// count counts by topic, and looks whether the answer is right.
func (l *ledger) count(i int, topic string, a answer) {
	if topic == deadLetterTopic {
		l.counts.DeadLetters++
		if !isBad(i) {
			l.counts.Unexpected++
		}
		return
	}
	l.counts.Results++
	version, err := strconv.Atoi(a.ModelVersion)
	if err != nil || a.ModelDigest == "" || len(a.Data.Outputs) != 1 || len(a.Data.Outputs[0].Data) != 1 || a.Data.Outputs[0].Data[0] != float64(i*version) {
		l.counts.Wrong++
	}
}

// report gives the counts.
func (l *ledger) report() Report {
	l.mu.Lock()
	defer l.mu.Unlock()
	r := l.counts
	r.Distinct = l.done
	for i, e := range l.events {
		if e.answered && e.again.IsZero() {
			continue
		}
		r.Missing++
		if len(r.Lost) < mostLost {
			r.Lost = append(r.Lost, i)
		}
	}
	return r
}

// mostLost bounds the ids that a report lists.
const mostLost = 10

// underway are attributes that a sidecar puts into an event that it passes on.
var underway = []string{"traceid", "traceparent", "tracestate", "topic", "pubsubname"}

// fingerprints tells an event from others: as a whole, and by what it says.
func fingerprints(text []byte) (whole, content [sha256.Size]byte, err error) {
	var e map[string]json.RawMessage
	if err := json.Unmarshal(text, &e); err != nil {
		return whole, content, err
	}
	for _, name := range underway {
		delete(e, name)
	}
	all, err := json.Marshal(e) // with sorted keys
	if err != nil {
		return whole, content, err
	}
	says, err := json.Marshal([]json.RawMessage{orNull(e["data"]), orNull(e["modelversion"]), orNull(e["modeldigest"])})
	return sha256.Sum256(all), sha256.Sum256(says), err
}

func orNull(text json.RawMessage) json.RawMessage {
	if text == nil {
		return json.RawMessage("null")
	}
	return text
}
