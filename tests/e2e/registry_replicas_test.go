package e2e_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/onda-serving/onda/app/catalog"
	"github.com/onda-serving/onda/tests/internal/ondatest"
)

// replica is one of several that share a registry. Who changes it does so at this replica.
type replica struct {
	*ondatest.Replica
	operator

	metricsPort int
	// store is the folder of the artifact store, cache that of fetched files; "" for none.
	store, cache string
}

// startReplicas starts replicas of one app on a backend, without pub/sub: the registry must do
// without. Each has settings of its own besides those that all have.
func startReplicas(t *testing.T, backend ondatest.Backend, models string, own ...map[string]string) []*replica {
	t.Helper()
	appID := "replicas-" + unique()
	components := ondatest.Components(t, appID, backend)
	for _, file := range []string{"pubsub.yaml", "subscription.yaml"} {
		if err := os.Remove(filepath.Join(components, file)); err != nil {
			t.Fatal(err)
		}
	}
	store := filepath.Join(t.TempDir(), "store")
	var all []*replica
	for i, settings := range own {
		r := &replica{metricsPort: freePort(t), store: store, cache: settings["ONDA_ARTIFACT_CACHE"]}
		settings = maps.Clone(settings)
		maps.Copy(settings, map[string]string{
			"ONDA_METRICS_LISTEN": local(r.metricsPort), "ONDA_REGISTRY_CHANGES": "open", "ONDA_ARTIFACT_STORE": store, "ONDA_LOG_LEVEL": "info",
			"ONDA_REPLICA": "replica-" + strconv.Itoa(i+1),
		})
		r.Replica = ondatest.StartReplica(t, ondatest.ReplicaOptions{
			Binary: ondaBinary, AppID: appID, Models: models, Components: components, Settings: settings,
		})
		r.way = way{"at replica " + strconv.Itoa(i+1), r.Onda.URL}
		eventually(t, "calls arrive through the sidecar", func() error {
			return wants(http.StatusOK, get(r.URL()+"/v2/health/live"))
		})
		all = append(all, r)
	}
	all[0].registers(t, models)
	return all
}

// throughSidecar is the same replica, changed through its own sidecar.
func (r *replica) throughSidecar() operator { return operator{way: way{r.name, r.URL()}} }

// threeVersions makes a models folder in which "times" has three versions.
func threeVersions(t *testing.T) string {
	t.Helper()
	models := t.TempDir()
	for version := range int64(3) {
		addFiles(t, models, "times", version+1, modelFiles(times(float32(version+1))))
	}
	return models
}

// TestReplicasOnSQLite has two replicas follow one registry in a file.
func TestReplicasOnSQLite(t *testing.T) {
	group(t)
	replicas := startReplicas(t, ondatest.SQLite(filepath.Join(t.TempDir(), "state.db")), threeVersions(t), map[string]string{}, map[string]string{})
	t.Run("follow", func(t *testing.T) { followEachOther(t, replicas) })
	t.Run("race", func(t *testing.T) { raceOfReplicas(t, replicas) })
}

// TestReplicasOnRedis has two replicas follow one registry in Redis, and takes that away from
// them. One of them keeps what it knows for its next start.
func TestReplicasOnRedis(t *testing.T) {
	group(t)
	redis := ondatest.Redis(t)
	cache := filepath.Join(t.TempDir(), "cache")
	replicas := startReplicas(t, redis.Backend(), threeVersions(t), map[string]string{"ONDA_ARTIFACT_CACHE": cache}, map[string]string{})
	t.Run("follow", func(t *testing.T) { followEachOther(t, replicas) })
	t.Run("race", func(t *testing.T) { raceOfReplicas(t, replicas) })
	t.Run("without the store", func(t *testing.T) { withoutStore(t, redis, replicas) })
	t.Run("start without the store", func(t *testing.T) { startWithoutStore(t, redis, replicas) })
}

const (
	// soon is the time within which every replica follows a change.
	soon = 2 * time.Second
	// looking is what the tests themselves add to that: the pause between two looks and the
	// calls, on a machine that has more to do.
	looking = 200 * time.Millisecond
)

// followEachOther makes changes at one replica, and measures when callers of the other one
// notice.
func followEachOther(t *testing.T, replicas []*replica) {
	const fetched = 4 // is in no models folder
	replicas[0].label(t, "times", "live", 1)
	replicas[0].register(t, "times", fetched, modelFiles(times(fetched)))
	label := func(version int64) func(operator) reply {
		return func(o operator) reply {
			return o.asks(http.MethodPut, "models/times/labels/live", map[string]any{"version": version, "accept": anyhow})
		}
	}
	var took []time.Duration
	for i, change := range []struct {
		ask func(operator) reply
		// version that answers afterwards.
		version int64
	}{
		{label(2), 2},
		{label(3), 3},
		{func(o operator) reply { return o.asks(http.MethodPost, "models/times/rollback", map[string]any{}) }, 2},
		{func(o operator) reply {
			return o.asks(http.MethodPut, "models/times/traffic", map[string]any{"weights": map[int64]int{1: 1}, "accept": anyhow})
		}, 1},
		{func(o operator) reply { return o.asks(http.MethodDelete, "models/times/traffic", map[string]any{}) }, 2},
		{label(fetched), fetched},
		{func(o operator) reply {
			return o.asks(http.MethodPost, "models/times/rollout", map[string]any{"version": 1, "steps": []int{100}, "accept": anyhow, "rule": map[string]any{"step_time": "1h"}})
		}, 1},
		{func(o operator) reply { return o.asks(http.MethodPost, "models/times/rollback", map[string]any{}) }, fetched},
		{label(3), 3},
		{func(o operator) reply {
			return o.asks(http.MethodPost, "models/times/promote", map[string]any{"version": 2, "accept": anyhow})
		}, 2},
	} {
		at, other := replicas[i%2], replicas[(i+1)%2]
		got := change.ask(at.throughSidecar())
		acknowledged := time.Now()
		if err := wants(http.StatusOK, got); err != nil {
			t.Fatalf("change %d: %s", i+1, err)
		}
		if now := asked(t, at.way, "times", 3); now != (scored{change.version, multiplied(change.version, 3)}) {
			t.Errorf("change %d: right after it %+v answers at the same replica, want version %d", i+1, now, change.version)
		}
		eventually(t, fmt.Sprintf("change %d is served by the other replica", i+1), func() error {
			if now := asked(t, other.way, "times", 3); now.version != change.version {
				return fmt.Errorf("version %d answers, want %d", now.version, change.version)
			}
			return nil
		})
		took = append(took, time.Since(acknowledged).Round(time.Millisecond))
	}
	t.Logf("the other replica served the changes after %v", took)
	if slowest := slices.Max(took); slowest > soon+looking {
		t.Errorf("the slowest change took %s, want at most %s (and %s for the test's own looking)", slowest, soon, looking)
	}
	for _, r := range replicas {
		if history := r.history(t, "times"); len(history) != 3+1+1+10 {
			t.Errorf("%s the history has %d entries", r.name, len(history))
		}
	}
}

// raceOfReplicas changes one label at both replicas at once, ten times: every change is made
// and in the history, or refused as overtaken. None is lost.
func raceOfReplicas(t *testing.T, replicas []*replica) {
	made, overtaken := 0, 0
	before := len(replicas[0].history(t, "times"))
	for range 10 {
		live := replicas[0].document(t, "times").Labels["live"]
		replies := make([]reply, len(replicas))
		var both sync.WaitGroup
		for i, r := range replicas {
			version := (live+int64(i))%3 + 1
			both.Go(func() {
				replies[i] = r.asks(http.MethodPut, "models/times/labels/live", map[string]any{"version": version, "accept": anyhow})
			})
		}
		both.Wait()
		for i, got := range replies {
			var why refusal
			switch {
			case got.status == http.StatusOK:
				made++
			case got.status == http.StatusConflict && json.Unmarshal([]byte(got.body), &why) == nil && why.Yours != nil && why.Current != nil && why.Current.Revision > why.Yours.Revision:
				overtaken++
			default:
				t.Errorf("%s: %d %s (%v), want 200, or 409 with both states", replicas[i].name, got.status, clip(got.body), got.err)
			}
		}
	}
	t.Logf("%d changes were made, %d were overtaken", made, overtaken)
	if made < 10 || overtaken == 0 {
		t.Error("want 10 changes or more to be made, and some to be overtaken: else the test tests nothing")
	}
	history := replicas[1].history(t, "times")
	if len(history) != before+made {
		t.Errorf("%d changes were acknowledged, and the history has %d more entries", made, len(history)-before)
	}
	bothAnswer(t, replicas)
}

// bothAnswer waits until every replica answers by the newest document.
func bothAnswer(t *testing.T, replicas []*replica) {
	t.Helper()
	for _, r := range replicas { // the store may have come back only just now
		eventually(t, "the replica follows", func() error { return r.follows("times", 1) })
	}
	newest := replicas[0].document(t, "times")
	for _, r := range replicas {
		eventually(t, "the replica follows", func() error { return r.follows("times", newest.Revision) })
		if got := asked(t, r.way, "times/labels/live", 3); got.version != newest.Labels["live"] || got.y != multiplied(got.version, 3) {
			t.Errorf("%s: %+v answers, live is %d", r.name, got, newest.Labels["live"])
		}
	}
}

// health is what GET /healthz says.
type health struct {
	Ready    bool `json:"ready"`
	Registry struct {
		InSync bool   `json:"in_sync"`
		Store  string `json:"store"`
	} `json:"registry"`
}

// healthy waits for health to say how the store is; the status of the answer must not depend
// on it.
func (r *replica) healthy(t *testing.T, inSync bool, store string) {
	t.Helper()
	eventually(t, "health says that the store is "+store, func() error {
		got := get(r.way.url + "/healthz")
		var h health
		if err := json.Unmarshal([]byte(got.body), &h); err != nil {
			return fmt.Errorf("%d %s (%w)", got.status, got.body, err)
		}
		if got.status != http.StatusOK || !h.Ready || h.Registry.InSync != inSync || !matches(store, h.Registry.Store) {
			return fmt.Errorf("%d %s", got.status, got.body)
		}
		return nil
	})
}

// withoutStore kills Redis: both replicas go on as they are, say so, and take no change.
func withoutStore(t *testing.T, redis *ondatest.RedisServer, replicas []*replica) {
	live := replicas[0].document(t, "times").Labels["live"]
	c := call(t, "times/labels/live", multiplied, replicas[0].way, replicas[1].way, replicas[0].throughSidecar().way, replicas[1].throughSidecar().way)
	redis.Kill()
	const away = `the registry's state store does not answer: try it again`
	for _, r := range replicas {
		r.healthy(t, false, `unreachable since \d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ`)
		if got := metric(t, r.metricsPort, "onda_registry_store_reachable"); got != 0 {
			t.Errorf("%s: onda_registry_store_reachable is %v", r.name, got)
		}
		began := time.Now()
		r.isRefused(t, http.StatusServiceUnavailable, away, http.MethodPut, "models/times/labels/live", map[string]any{"version": live%3 + 1, "accept": anyhow})
		if took := since(began); took > 10*time.Second {
			t.Errorf("%s: the change was refused after %s", r.name, took)
		}
		r.says(t, `REPLICA +IN SYNC +REVISION +STORE +MEMORY
replica-\d +no +\d+ +lost (just now|\d+ s ago): .*
`, "status")
	}
	c.more(t, live, 100)
	redis.Restart()
	back := time.Now()
	for i, r := range replicas {
		eventually(t, "changes are made again", func() error {
			return wants(http.StatusOK, r.asks(http.MethodPut, "models/times/pin", map[string]any{"pinned": i == 0}))
		})
	}
	if took := since(back); took > soon+looking {
		t.Errorf("changes were made again after %s, want %s", took, soon)
	}
	for _, r := range replicas {
		r.healthy(t, true, "reachable")
		if got := metric(t, r.metricsPort, "onda_registry_store_reachable"); got != 1 {
			t.Errorf("%s: onda_registry_store_reachable is %v", r.name, got)
		}
	}
	c.stop()
	c.only(t, live)
	bothAnswer(t, replicas)
}

// startWithoutStore starts both replicas again while Redis is away. The first has its cache:
// it serves the live version, whose files are in no models folder, and needs the artifact
// store for that as little as Redis.
func startWithoutStore(t *testing.T, redis *ondatest.RedisServer, replicas []*replica) {
	const fetched = 4
	replicas[1].label(t, "times", "live", fetched)
	bothAnswer(t, replicas)
	kept, fresh := replicas[0], replicas[1]
	eventually(t, "the documents are kept for the next start", func() error {
		if text := read(t, filepath.Join(kept.cache, "registry.json")); !bytes.Contains(text, fmt.Appendf(nil, `"live":%d`, fetched)) {
			return errors.New("not yet")
		}
		return nil
	})
	redis.Kill()
	files := filepath.Join(fresh.store, "sha256")
	if err := os.Rename(files, files+".away"); err != nil {
		t.Fatal(err)
	}
	kept.Onda.Restart()
	fresh.Onda.Restart()
	began := time.Now()
	within(t, 5*time.Second, "the replica with a snapshot serves what was live", func() error {
		got, err := ask(client, kept.way, "times/labels/live", 3)
		if err == nil && got != (scored{fetched, 3 * fetched}) {
			t.Errorf("without the store %+v answers, want version %d", got, fetched)
		}
		return err
	})
	t.Logf("the replica with a snapshot served %s after its start", since(began))
	t.Run("health", func(t *testing.T) {
		// Nobody would send it anything otherwise.
		within(t, 5*time.Second, "the replica with a snapshot is ready", func() error { return wants(http.StatusOK, get(kept.way.url+"/healthz")) })
		within(t, 5*time.Second, "the replica with a snapshot answers through its sidecar", func() error {
			_, err := ask(client, kept.throughSidecar().way, "times/labels/live", 3)
			return err
		})
	})
	const reason = `{"error":"the registry was not read yet, and which version of \"times\" answers is not known: the state store does not answer, or only just began"}`
	eventually(t, "the replica without a snapshot listens, and is not ready", func() error {
		return wants(http.StatusServiceUnavailable, get(fresh.way.url+"/healthz"))
	})
	for range 20 {
		for _, path := range []string{"times", "times/labels/live"} {
			r := request{path: "/v2/models/" + path + "/infer", contentType: "application/json", body: []byte(`{"inputs":[{"name":"INPUT","datatype":"FP32","shape":[1,1],"data":[1]}]}`)}
			got := r.send(fresh.way)
			if got.status != http.StatusServiceUnavailable || got.body != reason || got.header.Get("Retry-After") == "" {
				t.Errorf("%s without a snapshot: %d %s (%v), want 503 %s", path, got.status, clip(got.body), got.err, reason)
			}
		}
		time.Sleep(pause)
	}
	if got := get(fresh.way.url + "/healthz"); got.status != http.StatusServiceUnavailable {
		t.Errorf("health without a snapshot: %d %s", got.status, got.body)
	}
	if err := os.Rename(files+".away", files); err != nil {
		t.Fatal(err)
	}
	redis.Restart()
	fresh.Onda.Ready()
	bothAnswer(t, replicas)
	for _, r := range replicas {
		if folded := r.history(t, "times"); folded[len(folded)-1].After.Labels["live"] != fetched || folded[len(folded)-1].Action == catalog.ActionRegister {
			t.Errorf("%s: the history ends with %+v", r.name, folded[len(folded)-1])
		}
	}
}
