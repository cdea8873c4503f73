package events

import (
	"bytes"
	"context"
	"encoding/json"
	"sync"

	"github.com/onda-serving/onda/app/wire"
)

// entry is one event of a bulk delivery:
// https://docs.dapr.io/developing-applications/building-blocks/pubsub/pubsub-bulk/.
type entry struct {
	EntryID string          `json:"entryId"`
	Event   json.RawMessage `json:"event"`
}

// bytes gives the event. A subscription to raw messages has them in base64, as they were
// published; any other has JSON that the sidecar wrote anew, with whole numbers beyond 2^53
// changed.
func (e *entry) bytes() []byte {
	var raw []byte
	switch {
	case e.Event == nil:
		return []byte{} // nil stands for an original that nobody has
	case e.Event[0] == '"' && json.Unmarshal(e.Event, &raw) == nil:
		return raw
	default:
		return e.Event
	}
}

// bulk reads a bulk delivery; ok is false for any other. An event may have an attribute of
// that name, too, and always has a version, which a bulk delivery never has.
func bulk(body []byte) (entries []entry, ok bool) {
	if !bytes.Contains(body, []byte(`"entries"`)) {
		return nil, false
	}
	var envelope struct {
		SpecVersion json.RawMessage `json:"specversion"`
		Entries     []entry         `json:"entries"`
	}
	err := json.Unmarshal(body, &envelope)
	return envelope.Entries, err == nil && envelope.SpecVersion == nil && envelope.Entries != nil
}

// deliverAll scores the entries side by side, so that they share batches with each other and
// with whatever else is asked. Each has a status of its own: one that fails takes no other
// with it.
func (c *Consumer) deliverAll(ctx context.Context, entries []entry, subject string) []wire.EntryStatus {
	statuses := make([]wire.EntryStatus, len(entries))
	// A delivery of some megabytes can have a million entries: they get no goroutine each.
	places := make(chan struct{}, c.config.AtOnce)
	var all sync.WaitGroup
	for i, e := range entries {
		places <- struct{}{}
		all.Go(func() {
			defer func() { <-places }()
			statuses[i] = wire.EntryStatus{EntryID: e.EntryID, Status: c.deliverSafely(ctx, e.bytes(), subject)}
		})
	}
	all.Wait()
	return statuses
}
