package cluster_test

import (
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// sidecar is the container that the injector added to a pod, or nil.
func sidecar(pod object) object { return container(pod, "daprd") }

func container(pod object, name string) object {
	containers, _ := at(pod, "spec", "containers").([]any)
	for _, c := range containers {
		if at(c, "name") == name {
			return c.(object)
		}
	}
	return nil
}

// TestSidecarIsWhatTheChartAsksFor installs the default profile with an app token, and reads what Dapr's injector made of it.
func TestSidecarIsWhatTheChartAsksFor(t *testing.T) {
	t.Parallel()
	ns := namespace(t)
	must(t, program("kubectl"), "create", "secret", "generic", "onda-app-token", "-n", ns, "--from-literal=token=secret")
	args := []string{"install", release, chart(), "-n", ns, "--set", "dapr.appTokenSecret=onda-app-token"}
	must(t, helm(), append(args, profileArguments(t, filepath.Join(root, "tests/chart/profiles/cpu.yaml"))...)...)
	pod := pods(t, ns, 1)[0]
	daprd := sidecar(pod)
	if daprd == nil {
		t.Fatalf("no sidecar among the containers of %v", at(pod, "metadata", "name"))
	}
	if got := daprd["image"]; got != sidecarImage {
		t.Errorf("image %v, want %s", got, sidecarImage)
	}
	checkArguments(t, daprd)
	checkResources(t, daprd)
	checkSecurity(t, daprd)
	checkEnvironment(t, daprd)
	checkProbes(t, daprd)
}

func checkArguments(t *testing.T, daprd object) {
	t.Helper()
	args := words(daprd["args"])
	for flag, want := range map[string]string{
		"--app-id": "onda", "--app-port": "8080", "--app-protocol": "http", "--config": "onda", "--max-body-size": "32Mi",
		"--dapr-listen-addresses": "[::1],127.0.0.1", "--metrics-port": "9090", "--dapr-internal-grpc-port": "50002",
		"--mode": "kubernetes", "--app-health-check-path": "/healthz", "--app-health-probe-interval": "2",
		"--app-health-probe-timeout": "500", "--app-health-threshold": "3", "--dapr-graceful-shutdown-seconds": "25",
		"--dapr-block-shutdown-duration": "10s", "--log-level": "info",
	} {
		if got, ok := argument(args, flag); !ok || got != want {
			t.Errorf("%s is %q, want %q", flag, got, want)
		}
	}
	for _, flag := range []string{"--enable-mtls", "--log-as-json", "--enable-app-health-check", "--disable-builtin-k8s-secret-store"} {
		if !has(args, flag) {
			t.Errorf("%s is not among the arguments %q", flag, args)
		}
	}
	for _, flag := range []string{"--placement-host-address", "--scheduler-host-address"} {
		if got, _ := argument(args, flag); strings.TrimSpace(got) != "" {
			t.Errorf("%s is %q: a sidecar that waits for it is never healthy", flag, got)
		}
	}
}

// argument is the value of a flag, in either way of writing it.
func argument(args []string, flag string) (string, bool) {
	for i, arg := range args {
		if value, ok := strings.CutPrefix(arg, flag+"="); ok {
			return value, true
		}
		if arg == flag && i+1 < len(args) {
			return args[i+1], true
		}
	}
	return "", false
}

func has(args []string, flag string) bool {
	return slices.ContainsFunc(args, func(arg string) bool { return arg == flag || arg == flag+"=true" })
}

func words(list any) []string {
	var out []string
	items, _ := list.([]any)
	for _, item := range items {
		out = append(out, item.(string))
	}
	return out
}

func checkResources(t *testing.T, daprd object) {
	t.Helper()
	for _, c := range []struct{ kind, of, want string }{
		{"requests", "cpu", "250m"}, {"requests", "memory", "250Mi"}, {"limits", "cpu", "1"}, {"limits", "memory", "1000Mi"},
	} {
		if got := at(daprd, "resources", c.kind, c.of); got != c.want {
			t.Errorf("%s of %s: %v, want %s", c.kind, c.of, got, c.want)
		}
	}
}

func checkSecurity(t *testing.T, daprd object) {
	t.Helper()
	for _, c := range []struct {
		want any
		path []string
	}{
		{true, []string{"runAsNonRoot"}},
		{true, []string{"readOnlyRootFilesystem"}},
		{false, []string{"allowPrivilegeEscalation"}},
		{"RuntimeDefault", []string{"seccompProfile", "type"}},
	} {
		if got := at(daprd["securityContext"], c.path...); got != c.want {
			t.Errorf("security context: %s is %v, want %v", strings.Join(c.path, "."), got, c.want)
		}
	}
	if got := words(at(daprd, "securityContext", "capabilities", "drop")); !slices.Equal(got, []string{"ALL"}) {
		t.Errorf("dropped capabilities %q, want ALL", got)
	}
}

func checkEnvironment(t *testing.T, daprd object) {
	t.Helper()
	env := map[any]object{}
	for _, variable := range daprd["env"].([]any) {
		env[at(variable, "name")] = variable.(object)
	}
	if got := env["GOMEMLIMIT"]["value"]; got != "900MiB" {
		t.Errorf("GOMEMLIMIT is %v, want 900MiB", got)
	}
	token := at(env["APP_API_TOKEN"], "valueFrom", "secretKeyRef")
	if at(token, "name") != "onda-app-token" || at(token, "key") != "token" {
		t.Errorf("APP_API_TOKEN comes from %v, want key token of secret onda-app-token", token)
	}
	if anchors, _ := env["DAPR_TRUST_ANCHORS"]["value"].(string); !strings.Contains(anchors, "BEGIN CERTIFICATE") {
		t.Errorf("DAPR_TRUST_ANCHORS is %q, want sentry's certificate", anchors)
	}
}

// checkProbes: Dapr asks whether the sidecar is ready, and only whether its port is open before it kills it.
func checkProbes(t *testing.T, daprd object) {
	t.Helper()
	if path := at(daprd, "readinessProbe", "httpGet", "path"); path != "/v1.0/healthz" {
		t.Errorf("the readiness probe asks %v, want /v1.0/healthz", path)
	}
	for _, port := range []any{at(daprd, "readinessProbe", "httpGet", "port"), at(daprd, "livenessProbe", "tcpSocket", "port")} {
		if port != 3501.0 {
			t.Errorf("a probe goes to port %v, want the public one, 3501", port)
		}
	}
}

// TestNamespaceRefusesWhatIsNotRestricted shows that the namespace of the other tests would have refused the chart's pods:
// a pod with nothing said about its security does not get in.
func TestNamespaceRefusesWhatIsNotRestricted(t *testing.T) {
	t.Parallel()
	ns := namespace(t)
	settled(t, ns)
	_, err := kubectl(t.Context(), "{apiVersion: v1, kind: Pod, metadata: {name: loose}, spec: {containers: [{name: a, image: a}]}}",
		"create", "-n", ns, "-f", "-")
	if err == nil {
		t.Fatal("a pod without any security context got in")
	}
	for _, want := range []string{`violates PodSecurity "restricted`, "allowPrivilegeEscalation", "runAsNonRoot", "seccompProfile"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("the refusal does not speak of %s: %v", want, err)
		}
	}
}
