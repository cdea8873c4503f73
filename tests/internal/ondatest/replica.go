package ondatest

import (
	"maps"
	"strconv"
	"testing"
)

// Replica is Onda behind a sidecar of its own. Replicas with one app id and one backend
// share a registry.
type Replica struct {
	// Onda is the scoring app.
	Onda *Onda
	// Sidecar belongs to it.
	Sidecar *Sidecar
}

// ReplicaOptions say what a replica is.
type ReplicaOptions struct {
	// Binary of Onda: see [Build].
	Binary string
	// AppID of this replica and of all others of the same app. A test needs one that no
	// other test has.
	AppID string
	// Models is the folder of the replica's models.
	Models string
	// Components is the folder of the sidecar's: see [Components]. Replicas may share it.
	Components string
	// Settings of Onda's, besides addresses and places.
	Settings map[string]string
	// MaxBody is that of the sidecar: see [SidecarOptions].
	MaxBody string
}

// StartReplica starts a replica for the time of a test, both parts at once, as Kubernetes
// does, and waits until both are ready.
func StartReplica(t *testing.T, o ReplicaOptions) *Replica {
	t.Helper()
	port := FreePort(t)
	s := newSidecar(t, SidecarOptions{AppID: o.AppID, AppPort: port, Components: o.Components, MaxBody: o.MaxBody})
	settings := map[string]string{"DAPR_HTTP_PORT": strconv.Itoa(s.HTTPPort), "DAPR_GRPC_PORT": strconv.Itoa(s.GRPCPort)}
	maps.Copy(settings, o.Settings)
	r := &Replica{Onda: newOnda(t, o.Binary, o.Models, port, settings), Sidecar: s}
	r.Onda.start()
	s.start()
	s.ready()
	r.Onda.Ready()
	return r
}

// URL is the base URL of the replica's Onda, called through its own sidecar.
func (r *Replica) URL() string { return r.Sidecar.URL("invoke/" + r.Sidecar.AppID + "/method") }
