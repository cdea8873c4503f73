package ondatest_test

import (
	"crypto/rand"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/onda-serving/onda/tests/internal/ondatest"
)

// TestReplicas starts two replicas of one app on one Redis, and ends each part of one of
// them: the other goes on, and what is started again takes its old place.
func TestReplicas(t *testing.T) {
	t.Parallel()
	binary, err := ondatest.Build(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	models := filepath.Join(t.TempDir(), "models")
	root, err := ondatest.Root()
	if err != nil {
		t.Fatal(err)
	}
	if err := os.CopyFS(filepath.Join(models, "faq-matching"), os.DirFS(filepath.Join(root, "models", "faq-matching"))); err != nil {
		t.Fatal(err)
	}
	appID := "replicas-" + strings.ToLower(rand.Text()[:10])
	redis := ondatest.Redis(t)
	options := ondatest.ReplicaOptions{
		Binary: binary, AppID: appID, Models: models, Components: ondatest.Components(t, appID, redis.Backend()),
	}
	one, two := ondatest.StartReplica(t, options), ondatest.StartReplica(t, options)
	caller := ondatest.StartSidecar(t, ondatest.SidecarOptions{AppID: "caller-of-" + appID})
	caller.Reaches(appID)
	answers := func(r *ondatest.Replica, status int) {
		t.Helper()
		r.Sidecar.Wait(t, "the replica answers", func() error { return ondatest.Answers(r.URL()+"/v2/health/live", status) })
	}
	answers(one, http.StatusOK)
	answers(two, http.StatusOK)

	before := one.Onda.PID()
	one.Onda.Kill()
	answers(one, http.StatusInternalServerError)
	answers(two, http.StatusOK)
	one.Onda.Restart()
	one.Onda.Ready()
	answers(one, http.StatusOK)
	if one.Onda.PID() == before {
		t.Error("the same process again after a restart")
	}
	one.Sidecar.Restart()
	answers(one, http.StatusOK)
	redis.Restart()
	answers(two, http.StatusOK)
}
