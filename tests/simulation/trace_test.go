package simulation_test

import (
	"cmp"
	"fmt"
	"hash/fnv"
	"slices"
	"strings"
	"sync"
	"time"
)

// event is something that happened.
type event struct {
	// at is the time since the world began.
	at time.Duration
	// actor who did it, what it was, and to which key.
	actor, what, key string
	// number is a revision, or says how requests were dealt out.
	number int64
	note   string
}

func (e event) String() string {
	return fmt.Sprintf("%14.9f  %-8s %-9s %-22s %6d  %s", e.at.Seconds(), e.actor, e.what, e.key, e.number, e.note)
}

// trace is all that happened. Its zero value is empty.
type trace struct {
	mu     sync.Mutex
	events []event
}

func (t *trace) add(e event) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.events = append(t.events, e)
}

// logged events are for the reader only: their texts hold the random IDs of changes.
const logged = "log"

// sum is a hash over all that happened. What happened at the same instant did so on several
// cores, and in no order.
func (t *trace) sum() uint64 {
	t.mu.Lock()
	defer t.mu.Unlock()
	all := slices.DeleteFunc(slices.Clone(t.events), func(e event) bool { return e.what == logged })
	slices.SortStableFunc(all, func(a, b event) int {
		return cmp.Or(cmp.Compare(a.at, b.at), strings.Compare(a.actor, b.actor), strings.Compare(a.what, b.what),
			strings.Compare(a.key, b.key), cmp.Compare(a.number, b.number), strings.Compare(a.note, b.note))
	})
	h := fnv.New64a()
	for _, e := range all {
		fmt.Fprintln(h, int64(e.at), e.actor, e.what, e.key, e.number, e.note)
	}
	return h.Sum64()
}

// tail is the end of the trace, without the requests.
func (t *trace) tail(lines int) string {
	t.mu.Lock()
	defer t.mu.Unlock()
	var last []string
	for _, e := range slices.Backward(t.events) {
		if e.what == asked {
			continue
		}
		last = append(last, e.String())
		if len(last) == lines {
			break
		}
	}
	slices.Reverse(last)
	return strings.Join(last, "\n")
}
