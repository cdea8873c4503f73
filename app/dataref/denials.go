package dataref

import (
	"maps"
	"strings"
	"sync"
	"time"
)

// denials tells a storage that refuses one object, as S3 does also with a missing one where the
// list of the bucket may not be read, from one that refuses Onda: who was refused an object, has
// read another one of the same store since, and is refused again, may read the store and not
// this object. An identity that was taken away, or that is being renewed, reads nothing between
// the two. Its zero value is ready; it is safe for concurrent use.
type denials struct {
	mu sync.Mutex
	// refused is when an object was refused first, by its URI.
	refused map[string]time.Time
	// reads is when the newest reading that went well began, by store.
	reads map[string]time.Time
}

const (
	// mostDenials bounds what is remembered: URIs come from events.
	mostDenials = 1024
	// denialAge is longer than a delivery is tried, and shorter than an identity's life.
	denialAge = 10 * time.Minute
)

// read notes that an object was read, from the time began on.
func (d *denials) read(uri string, began time.Time) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.reads == nil {
		d.reads = map[string]time.Time{}
	}
	// Only what is allowed can be read: there are no more stores than the setting names.
	if store := storeOf(uri); began.After(d.reads[store]) {
		d.reads[store] = began
	}
}

// own notes that an object was refused, and says whether that is about the object alone.
func (d *denials) own(uri string, now time.Time) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	if first, known := d.refused[uri]; known && now.Sub(first) < denialAge {
		return d.reads[storeOf(uri)].After(first)
	}
	maps.DeleteFunc(d.refused, func(_ string, at time.Time) bool { return now.Sub(at) >= denialAge })
	if d.refused == nil {
		d.refused = map[string]time.Time{}
	}
	if len(d.refused) < mostDenials {
		d.refused[uri] = now
	}
	return false
}

// storeOf is the scheme and the bucket of a URI.
func storeOf(uri string) string {
	scheme, rest, _ := strings.Cut(uri, "://")
	bucket, _, _ := strings.Cut(rest, "/")
	return scheme + "://" + bucket
}
