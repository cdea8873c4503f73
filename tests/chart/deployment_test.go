package chart_test

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

func TestProbesAskWhatTheAppAnswers(t *testing.T) {
	t.Parallel()
	type probe struct{ path, port string }
	alive := probe{"/v2/health/live", "http"}
	// A token changes nothing: what probes ask is open.
	for _, values := range []string{"", "dapr: {appTokenSecret: t}"} {
		_, container := render(t, values).server(t)
		for name, want := range map[string]probe{"startupProbe": alive, "livenessProbe": alive, "readinessProbe": {"/healthz", "http"}} {
			got := probe{container.text(name, "httpGet", "path"), container.text(name, "httpGet", "port")}
			if got != want {
				t.Errorf("with values %q %s asks %v, want %v", values, name, got, want)
			}
		}
	}
}

// TestProbedPathsExist looks for the paths in the app itself.
func TestProbedPathsExist(t *testing.T) {
	t.Parallel()
	routes := read(t, "../../app/ingress/httpapi/routes.go")
	for _, path := range []string{"/healthz", "/v2/health/live"} {
		if !strings.Contains(routes, `"GET `+path+`"`) {
			t.Errorf("the app has no GET %s", path)
		}
	}
	if !strings.Contains(read(t, "../../app/lifecycle/wiring.go"), `"GET /metrics"`) {
		t.Error("the app has no GET /metrics")
	}
}

func TestStopFitsIntoTheGracePeriod(t *testing.T) {
	t.Parallel()
	deployment, container := render(t, "shutdown: {noticeSeconds: 20, drainDelaySeconds: 3, timeoutSeconds: 40}").server(t)
	notes, variables := annotations(deployment), env(container)
	block := duration(t, notes["dapr.io/block-shutdown-duration"])
	graceful, err := strconv.Atoi(notes["dapr.io/graceful-shutdown-seconds"])
	if err != nil {
		t.Fatal(err)
	}
	sleep := duration(t, fmt.Sprintf("%vs", container.at("lifecycle", "preStop", "sleep", "seconds")))
	grace := duration(t, fmt.Sprintf("%vs", deployment.at("spec", "template", "spec", "terminationGracePeriodSeconds")))
	if block != 20*time.Second || sleep <= block {
		t.Errorf("the sidecar goes after %v and Onda hears of it after %v: want the sidecar, whose calls Onda answers, to go first", block, sleep)
	}
	if least := sleep + duration(t, variables["ONDA_DRAIN_DELAY"]) + duration(t, variables["ONDA_SHUTDOWN_TIMEOUT"]); grace <= least {
		t.Errorf("grace %v, and Onda may take %v", grace, least)
	}
	if least := block + time.Duration(graceful)*time.Second; grace <= least {
		t.Errorf("grace %v, and the sidecar may take %v", grace, least)
	}
}

func TestUpdatesTakeNothingAway(t *testing.T) {
	t.Parallel()
	deployment, _ := render(t, "").server(t)
	if got := deployment.at("spec", "strategy", "rollingUpdate", "maxUnavailable"); got != 0 {
		t.Errorf("maxUnavailable %v, want 0", got)
	}
	if got := deployment.at("spec", "strategy", "rollingUpdate", "maxSurge"); got != 1 {
		t.Errorf("maxSurge %v, want 1", got)
	}
	if got := deployment.at("spec", "replicas"); got != 2 {
		t.Errorf("%v replicas, want 2", got)
	}
}

func TestAutoscalersOwnTheReplicas(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"hpa", "keda-prometheus", "events-servicebus"} {
		deployment, _ := render(t, "", profile(t, name)...).server(t)
		if got := deployment.at("spec", "replicas"); got != nil {
			t.Errorf("%s: replicas %v would undo what the autoscaler did, at every update", name, got)
		}
	}
}

// TestAnnotationsAreDaprs holds their names against those of Dapr's injector.
func TestAnnotationsAreDaprs(t *testing.T) {
	t.Parallel()
	known := regexp.MustCompile(`"(dapr\.io/[a-z0-9-]+)"`).FindAllStringSubmatch(
		read(t, filepath.Join(module(t, "../../deploy/local/dapr", "github.com/dapr/dapr"), "pkg/injector/annotations/annotations.go")), -1)
	var names []string
	for _, each := range known {
		names = append(names, each[1])
	}
	if len(names) < 50 {
		t.Fatalf("only %d annotations are known: was the file moved?", len(names))
	}
	for _, o := range render(t, "", profile(t, "everything")...).find("Deployment") {
		for name := range annotations(o) {
			if strings.HasPrefix(name, "dapr.io/") && !slices.Contains(names, name) {
				t.Errorf("%s: Dapr knows no annotation %s", o.name(), name)
			}
		}
	}
}

func TestSidecarSettings(t *testing.T) {
	t.Parallel()
	deployment, container := render(t, `
dapr: {appId: scorer, maxBodySize: 48Mi, logLevel: warn, appTokenSecret: app, apiTokenSecret: api, health: {interval: 3, timeoutMilliseconds: 700, threshold: 4}}
sidecar: {resources: {limits: {cpu: null}}, goMemLimit: 800MiB}
`).server(t)
	notes := annotations(deployment)
	for name, want := range map[string]string{
		"enabled": "true", "app-id": "scorer", "app-port": "8080", "app-protocol": "http", "config": "onda", "log-as-json": "true",
		"log-level": "warn", "max-body-size": "48Mi", "app-token-secret": "app", "api-token-secret": "api", "metrics-port": "9090",
		"enable-app-health-check": "true", "app-health-check-path": "/healthz", "app-health-probe-interval": "3",
		"app-health-probe-timeout": "700", "app-health-threshold": "4", "sidecar-seccomp-profile-type": "RuntimeDefault",
		"sidecar-listen-addresses": "[::1],127.0.0.1", "env": "GOMEMLIMIT=800MiB", "sidecar-cpu-request": "250m",
		"sidecar-memory-limit": "1000Mi", "placement-host-address": " ", "scheduler-host-address": " ", "enable-native-sidecar": "false",
		"disable-builtin-k8s-secret-store": "true",
	} {
		if got := notes["dapr.io/"+name]; got != want {
			t.Errorf("dapr.io/%s is %q, want %q", name, got, want)
		}
	}
	if got, there := notes["dapr.io/sidecar-cpu-limit"]; there {
		t.Errorf("dapr.io/sidecar-cpu-limit is %q, want none", got)
	}
	variables := env(container)
	for name, want := range map[string]string{"APP_API_TOKEN": "app/token", "DAPR_API_TOKEN": "api/token", "ONDA_MAX_BODY": "48Mi"} {
		if got := variables[name]; got != want {
			t.Errorf("%s is %q, want %q", name, got, want)
		}
	}
}

// TestSettingsAreTheApps holds the names of variables against those that the app reads.
func TestSettingsAreTheApps(t *testing.T) {
	t.Parallel()
	known := read(t, "../../app/config/config.go")
	for _, name := range profileNames(t) {
		_, container := render(t, "", profile(t, name)...).server(t)
		for variable := range env(container) {
			if strings.HasPrefix(variable, "ONDA_") && !strings.Contains(known, `envconfig:"`+variable+`"`) {
				t.Errorf("%s: Onda has no setting %s", name, variable)
			}
		}
	}
}

func TestProcessorAndGPU(t *testing.T) {
	t.Parallel()
	_, container := render(t, "").server(t)
	if got := container.at("resources", "limits", "cpu"); got != "2" {
		t.Errorf("CPU limit %v, want 2", got)
	}
	if got := env(container)["ONDA_DEVICE"]; got != "cpu" {
		t.Errorf("ONDA_DEVICE is %q, want cpu", got)
	}
	_, container = render(t, "", profile(t, "volume")...).server(t)
	if got, there := asMap(container.at("resources", "limits"))["cpu"]; there {
		t.Errorf("CPU limit %v, want none", got)
	}

	deployment, container := render(t, "", profile(t, "gpu")...).server(t)
	if got := container.at("resources", "limits", "nvidia.com/gpu"); got != "1" {
		t.Errorf("%v GPUs, want 1", got)
	}
	if got := env(container)["ONDA_DEVICE"]; got != "cuda" {
		t.Errorf("ONDA_DEVICE is %q, want cuda", got)
	}
	toleration := object(asMap(deployment.at("spec", "template", "spec", "tolerations", 0)))
	if toleration.text("key") != "sku" || toleration.text("value") != "gpu" || toleration.text("effect") != "NoSchedule" {
		t.Errorf("toleration %v, want sku=gpu:NoSchedule", toleration)
	}
	if got := deployment.text("spec", "template", "spec", "nodeSelector", "kubernetes.azure.com/accelerator"); got != "nvidia" {
		t.Errorf("accelerator %q, want nvidia", got)
	}
}

func TestModelsAndCache(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name, values      string
		dir, volume, from string // of ONDA_MODELS_DIR; the volume that counts, and what it is made of
	}{
		{"image", "", "/models", "cache", "emptyDir"},
		{"volume", "models: {source: volume, volume: {claimName: m}}", "/models", "models", "persistentVolumeClaim"},
		{"registry", "{models: {source: registry}, state: {kind: redis}, redis: {host: 'r:6379'}}", "/var/lib/onda/models", "models", "emptyDir"},
		{"node cache", "models: {cache: {hostPath: /mnt/onda}}", "/models", "cache", "hostPath"},
		{"class", "models: {cache: {storageClassName: nvme}}", "/models", "cache", "ephemeral"},
		{"claim", "models: {cache: {claimName: c}}", "/models", "cache", "persistentVolumeClaim"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			deployment, container := render(t, test.values).server(t)
			if got := env(container)["ONDA_MODELS_DIR"]; got != test.dir {
				t.Errorf("ONDA_MODELS_DIR is %q, want %q", got, test.dir)
			}
			mounted := map[string]bool{}
			for _, mount := range container.list("volumeMounts") {
				mounted[object(asMap(mount)).text("name")] = true
			}
			for _, volume := range deployment.list("spec", "template", "spec", "volumes") {
				v := object(asMap(volume))
				if !mounted[v.text("name")] {
					t.Errorf("volume %s is not mounted", v.text("name"))
				}
				if _, there := v[test.from]; v.text("name") == test.volume && !there {
					t.Errorf("volume %v, want one of %s", v, test.from)
				}
			}
			if !mounted[test.volume] || !mounted["tmp"] || !mounted["cache"] {
				t.Errorf("mounted are %v", mounted)
			}
		})
	}
}

func TestStorageOfModels(t *testing.T) {
	t.Parallel()
	_, container := render(t, "", profile(t, "registry")...).server(t)
	variables := env(container)
	for name, want := range map[string]string{
		"ONDA_ARTIFACT_STORE": "azblob://models", "ONDA_ARTIFACT_SOURCES": "azblob://team-models,/srv/models", "AZURE_STORAGE_ACCOUNT": "ondamodels",
		"ONDA_ARTIFACT_CACHE_SIZE": "100Gi", "ONDA_REGISTRY_CHANGES": "token", "ONDA_REGISTRY_TOKEN": "onda-registry-token/token",
		"ONDA_STATE_STORE": "onda-statestore",
	} {
		if got := variables[name]; got != want {
			t.Errorf("%s is %q, want %q", name, got, want)
		}
	}
	_, container = render(t, "").server(t)
	if got, there := env(container)["ONDA_STATE_STORE"]; !there || got != "" {
		t.Errorf("ONDA_STATE_STORE is %q (%v), want it there and empty: there is no store", got, there)
	}
}

func TestPrefetchPullsWithoutRunning(t *testing.T) {
	t.Parallel()
	set := render(t, "", profile(t, "everything")...).one(t, "DaemonSet", "onda-scoring-prefetch")
	pulls := set.list("spec", "template", "spec", "initContainers")
	if len(pulls) != 2 {
		t.Fatalf("%d images are pulled, want 2", len(pulls))
	}
	for i, image := range []string{"registry.example.com/onda-cuda:1.0", "registry.example.com/onda-cuda:1.1"} {
		pull := object(asMap(pulls[i]))
		if pull.text("image") != image || pull.text("args", 0) != "version" {
			t.Errorf("init container %d runs %v of %s, want version of %s", i, pull.at("args"), pull.text("image"), image)
		}
	}
	if got := set.text("spec", "template", "metadata", "annotations", "dapr.io/enabled"); got != "" {
		t.Errorf("dapr.io/enabled is %q: pulling needs no sidecar", got)
	}
	if found := render(t, "").find("DaemonSet"); len(found) != 0 {
		t.Errorf("without images to pull there is %v", found.names())
	}
}

func TestWorkloadIdentity(t *testing.T) {
	t.Parallel()
	all := render(t, "", profile(t, "everything")...)
	account := all.one(t, "ServiceAccount", "scoring")
	for name, want := range map[string]string{
		"azure.workload.identity/client-id": "11111111-2222-3333-4444-555555555555", "azure.workload.identity/tenant-id": "11111111-2222-3333-4444-666666666666", "team": "models",
	} {
		if got := account.text("metadata", "annotations", name); got != want {
			t.Errorf("annotation %s is %q, want %q", name, got, want)
		}
	}
	if mounted, set := account.at("automountServiceAccountToken").(bool); !set || mounted {
		t.Errorf("automountServiceAccountToken is %v (%v), want false", mounted, set)
	}
	deployment, _ := all.server(t)
	if got := deployment.text("spec", "template", "metadata", "labels", "azure.workload.identity/use"); got != "true" {
		t.Errorf("label azure.workload.identity/use is %q, want true", got)
	}
	deployment, _ = render(t, "").server(t)
	if got := deployment.text("spec", "template", "metadata", "labels", "azure.workload.identity/use"); got != "" {
		t.Errorf("label azure.workload.identity/use is %q without an identity", got)
	}
}

func TestSpreadAndDisruption(t *testing.T) {
	t.Parallel()
	all := render(t, "", profile(t, "volume")...)
	deployment, _ := all.server(t)
	spread := deployment.list("spec", "template", "spec", "topologySpreadConstraints")
	if len(spread) != 2 || at(spread[0], "whenUnsatisfiable") != "ScheduleAnyway" || at(spread[1], "whenUnsatisfiable") != "DoNotSchedule" {
		t.Errorf("spread %v, want zones if possible, and nodes by all means", spread)
	}
	budget := all.one(t, "PodDisruptionBudget", "onda")
	if budget.at("spec", "maxUnavailable") != 1 || budget.text("spec", "selector", "matchLabels", "app.kubernetes.io/component") != "server" {
		t.Errorf("budget %v", budget["spec"])
	}
}

func duration(t *testing.T, text string) time.Duration {
	t.Helper()
	d, err := time.ParseDuration(text)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func read(t testing.TB, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// module is the folder of a Go module that the go.mod in dir requires.
func module(t testing.TB, dir, path string) string {
	t.Helper()
	if _, problems, err := run(t, "go", "-C", dir, "mod", "download", path); err != nil {
		t.Fatalf("go mod download %s: %v\n%s", path, err, problems)
	}
	folder, problems, err := run(t, "go", "-C", dir, "list", "-m", "-f", "{{.Dir}}", path)
	if err != nil || strings.TrimSpace(folder) == "" {
		t.Fatalf("go list -m %s: %v\n%s", path, err, problems)
	}
	return strings.TrimSpace(folder)
}
