package replica

import (
	"strings"

	"github.com/onda-serving/onda/app/admin"
	"github.com/onda-serving/onda/app/registry"
)

// Serving implements admin.Replica.
func (r Replica) Serving(model string) admin.Serving {
	m, err := r.Serves.Model(model)
	if err != nil {
		return admin.Serving{}
	}
	state := r.Follower.State().Models[model]
	serving := admin.Serving{Revision: state.Revision, InSync: state.InSync(), Reason: state.Reason, Labels: m.Labels}
	for _, s := range m.Versions {
		serving.Versions = append(serving.Versions, versionOf(s))
	}
	return serving
}

// versionOf says what this replica does with a version.
func versionOf(s registry.Status) admin.ServingVersion {
	v := admin.ServingVersion{Version: s.Ref.Version, State: strings.ToLower(string(s.State)), Reason: s.Reason}
	switch {
	case s.Retired:
		v.State, v.Reason = "unloaded", "retired"
	case s.State == registry.Unloaded:
		v.State = "unloaded"
	case s.State == registry.Cold && s.Reason != "":
		v.State = "failed"
	}
	if s.Version != nil {
		v.MemoryBytes, v.LoadedAt, v.LastUsed = s.Version.Memory, s.Version.LoadedAt.UTC(), s.Version.LastUsed().UTC()
	}
	return v
}

// Status implements admin.Replica.
func (r Replica) Status() admin.Status {
	state := r.Follower.State()
	status := admin.Status{
		Replica: r.Name, InSync: state.InSync(), Revision: state.Index,
		Store:  admin.StoreStatus{Reachable: state.Store.Reachable, Since: state.Store.Since.UTC(), Error: state.Store.Error},
		Models: map[string]admin.ModelStatus{},
		Memory: admin.Memory{Budget: r.Serves.Budget(), Used: r.Serves.Used()},
	}
	for name, m := range state.Models {
		status.Models[name] = admin.ModelStatus{Revision: m.Revision, InSync: m.InSync(), Reason: m.Reason}
	}
	return status
}
