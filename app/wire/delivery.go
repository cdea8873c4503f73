package wire

// Delivery is what Dapr is told about events that it delivered: Status for that of one event,
// Statuses, one for each, for a bulk delivery. See
// https://docs.dapr.io/reference/api/pubsub_api/ and its part on bulk subscriptions.
type Delivery struct {
	// Status is "SUCCESS", "RETRY" or "DROP".
	Status string `json:"status,omitempty"`
	// Statuses are those of entries; nil for one event.
	Statuses []EntryStatus `json:"statuses,omitzero"`
}

// EntryStatus is the status of an entry of a bulk delivery.
type EntryStatus struct {
	// EntryID names the entry.
	EntryID string `json:"entryId"`
	// Status is "SUCCESS", "RETRY" or "DROP".
	Status string `json:"status"`
}
