package admin

import (
	"time"

	"github.com/onda-serving/onda/app/catalog"
)

// Document is what is told of a model: its document without the history, and what this
// replica makes of it.
type Document struct {
	// Schema of the document.
	Schema int `json:"schema"`
	// Name of the model.
	Name string `json:"name"`
	// Revision of the document.
	Revision int64 `json:"revision"`
	// Versions by number.
	Versions map[int64]catalog.Version `json:"versions"`

	catalog.State

	// Serving is what this replica does.
	Serving Serving `json:"serving"`
	// Report of the comparison that a change made; nil where nothing was compared.
	Report *Comparison `json:"report,omitempty"`
}

// Version is what is told of one version.
type Version struct {
	catalog.Version

	// Standing is what is known against it; "" for nothing.
	Standing catalog.Standing `json:"standing,omitempty"`
	// Serving is what this replica does with it; nil if it does not know it.
	Serving *ServingVersion `json:"serving"`

	// Revision of the document that says so.
	Revision int64 `json:"-"`
}

// Serving is what one replica does for a model.
type Serving struct {
	// Revision of the document that it follows.
	Revision int64 `json:"revision"`
	// InSync says that it does what the document wants.
	InSync bool `json:"in_sync"`
	// Reason why it does not.
	Reason string `json:"reason,omitempty"`
	// Labels that its callers get.
	Labels map[string]int64 `json:"labels"`
	// Versions that it knows, by rising number.
	Versions []ServingVersion `json:"versions"`
}

// ServingVersion is what one replica does with a version.
type ServingVersion struct {
	// Version number.
	Version int64 `json:"version"`
	// State is [Available], "loading", "failed", "cold" or "unloaded".
	State string `json:"state"`
	// Reason why it is not available.
	Reason string `json:"reason,omitempty"`
	// MemoryBytes that it takes.
	MemoryBytes int64 `json:"memory_bytes"`
	// LoadedAt is when it became available, in UTC.
	LoadedAt time.Time `json:"loaded_at,omitzero"`
	// LastUsed is when it last answered, in UTC.
	LastUsed time.Time `json:"last_used,omitzero"`
}

// Available is the state of a version that can answer at once.
const Available = "available"

// version finds what the replica does with a version; nil if it does not know it.
func (s Serving) version(number int64) *ServingVersion {
	for i := range s.Versions {
		if s.Versions[i].Version == number {
			return &s.Versions[i]
		}
	}
	return nil
}

// Status is how a replica stands.
type Status struct {
	// Replica names it.
	Replica string `json:"replica"`
	// InSync says that it does what every document wants.
	InSync bool `json:"in_sync"`
	// Store is how the state store was found.
	Store StoreStatus `json:"store"`
	// Revision of the index that it follows.
	Revision int64 `json:"revision"`
	// Models that are managed, by name.
	Models map[string]ModelStatus `json:"models"`
	// Memory of the loaded versions.
	Memory Memory `json:"memory"`
}

// StoreStatus is how the state store was found.
type StoreStatus struct {
	// Reachable says whether it answered the last time.
	Reachable bool `json:"reachable"`
	// Since when it is so, in UTC.
	Since time.Time `json:"since,omitzero"`
	// Error that it gave, in words for operators.
	Error string `json:"error,omitempty"`
}

// ModelStatus is how a replica stands with a model.
type ModelStatus struct {
	// Revision of the document that it follows.
	Revision int64 `json:"revision"`
	// InSync says that it does what the document wants.
	InSync bool `json:"in_sync"`
	// Reason why it does not.
	Reason string `json:"reason,omitempty"`
}

// Memory is what versions may take, and take, in bytes.
type Memory struct {
	// Budget is 0 where there is none.
	Budget int64 `json:"budget"`
	// Used of it.
	Used int64 `json:"used"`
}
