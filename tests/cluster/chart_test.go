package cluster_test

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// release is the name under which the tests install the chart.
const release = "onda"

// object is any object of Kubernetes, as its JSON.
type object = map[string]any

// namespace makes one that enforces the restricted pod security, as `make deploy` does, and removes it after the test.
func namespace(t *testing.T) string {
	t.Helper()
	name := strings.Trim(regexp.MustCompile(`[^a-z0-9]+`).ReplaceAllString(strings.ToLower(t.Name()), "-"), "-")
	must(t, program("kubectl"), "create", "namespace", name)
	t.Cleanup(func() {
		// The context of the test is over by now, and nobody waits for the end: the cluster goes too.
		_, _ = kubectl(context.Background(), "", "delete", "namespace", name, "--wait=false")
	})
	must(t, program("kubectl"), "label", "namespace", name, "pod-security.kubernetes.io/enforce=restricted")
	return name
}

// must runs a program that has to succeed.
func must(t *testing.T, path string, args ...string) string {
	t.Helper()
	out, err := command(t.Context(), "", path, args...)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// get reads objects of the API server.
func get(t *testing.T, args ...string) object {
	t.Helper()
	var o object
	if err := json.Unmarshal([]byte(must(t, program("kubectl"), append([]string{"get", "-o", "json"}, args...)...)), &o); err != nil {
		t.Fatal(err)
	}
	return o
}

// profileArguments are those of helm for a profile: the overlays that its first line names, and its own values.
func profileArguments(t *testing.T, file string) []string {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var args []string
	if line, _, _ := strings.Cut(string(text), "\n"); strings.HasPrefix(line, "# overlays:") {
		for overlay := range strings.FieldsSeq(strings.TrimPrefix(line, "# overlays:")) {
			args = append(args, "-f", filepath.Join(chart(), overlay))
		}
	}
	return append(args, "-f", file)
}

// contents are all objects of a namespace, whatever their kind, but for the reports of what happened.
func contents(t *testing.T, ns string) []string {
	t.Helper()
	kinds := slices.DeleteFunc(strings.Fields(must(t, program("kubectl"), "api-resources", "--verbs=list", "--namespaced", "-o", "name")),
		func(kind string) bool { return kind == "events" || kind == "events.events.k8s.io" })
	names := strings.Fields(must(t, program("kubectl"), "get", strings.Join(kinds, ","), "-n", ns, "-o", "name", "--ignore-not-found"))
	slices.Sort(names)
	return names
}

// settled is what a new namespace has once the controllers have put in what every namespace gets.
func settled(t *testing.T, ns string) []string {
	t.Helper()
	var found []string
	err := await(t.Context(), func() error {
		found = contents(t, ns)
		if len(found) < 2 {
			return fmt.Errorf("the namespace has only %q", found)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

// pods waits for as many pods of the release's server as its Deployment asks for, or says why there are none.
func pods(t *testing.T, ns string, want int) []object {
	t.Helper()
	selector := "app.kubernetes.io/component=server"
	var found []object
	err := await(t.Context(), func() error {
		found = nil
		for _, pod := range get(t, "pods", "-n", ns, "-l", selector)["items"].([]any) {
			found = append(found, pod.(object))
		}
		if len(found) < want {
			why, _ := kubectl(t.Context(), "", "get", "events", "-n", ns, "--field-selector", "type=Warning", "-o", "jsonpath={.items[*].message}")
			return fmt.Errorf("%d pods instead of %d: %s", len(found), want, why)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

// TestProfilesInstallAndLeaveNothing installs every profile as a user would: a rehearsal, the real thing, a change of its
// values, and its removal.
func TestProfilesInstallAndLeaveNothing(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob(filepath.Join(root, "tests/chart/profiles/*.yaml"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no profiles in tests/chart/profiles (%v)", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".yaml"), func(t *testing.T) {
			t.Parallel()
			ns := namespace(t)
			before := settled(t, ns)
			args := append([]string{"install", release, chart(), "-n", ns, "--server-side=true"}, profileArguments(t, file)...)
			must(t, helm(), append(args, "--dry-run=server")...)
			if after := contents(t, ns); !slices.Equal(before, after) {
				t.Fatalf("the rehearsal left %q, there was %q", after, before)
			}
			must(t, helm(), args...)
			checkInstalled(t, ns)
			args = append([]string{"upgrade", release, chart(), "-n", ns}, profileArguments(t, file)...)
			must(t, helm(), append(args, "--set", "dapr.logLevel=debug")...)
			checkUpgraded(t, ns)
			must(t, helm(), "uninstall", release, "-n", ns, "--wait", "--timeout", "60s")
			checkGone(t, ns, before)
		})
	}
}

// checkInstalled holds what every profile promises: a server with a Service account of its own, whose pods are let in.
func checkInstalled(t *testing.T, ns string) {
	t.Helper()
	deployments := get(t, "deployments", "-n", ns, "-l", "app.kubernetes.io/component=server")["items"].([]any)
	if len(deployments) != 1 {
		t.Fatalf("%d Deployments of the server, want 1", len(deployments))
	}
	want := 1
	if replicas, ok := at(deployments[0], "spec", "replicas").(float64); ok {
		want = int(replicas)
	}
	found := pods(t, ns, want)
	if want > 0 && sidecar(found[0]) == nil {
		t.Errorf("pod %v has no sidecar", at(found[0], "metadata", "name"))
	}
}

// checkUpgraded waits for a pod of the changed template: it passes admission and the injector anew, beside those before it.
func checkUpgraded(t *testing.T, ns string) {
	t.Helper()
	err := await(t.Context(), func() error {
		var levels []string
		for _, pod := range pods(t, ns, 1) {
			level, _ := argument(words(sidecar(pod)["args"]), "--log-level")
			levels = append(levels, level)
		}
		if !slices.Contains(levels, "debug") {
			return fmt.Errorf("the sidecars log at %q: none has the changed level, debug", levels)
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
}

// checkGone waits for the garbage collector: what a Deployment made goes after it.
func checkGone(t *testing.T, ns string, before []string) {
	t.Helper()
	err := await(t.Context(), func() error {
		if after := contents(t, ns); !slices.Equal(before, after) {
			return fmt.Errorf("left behind: %q, there was %q", after, before)
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
}

// TestUpgradeFromAnOlderChart replaces an older version of the chart, with another image and fewer replicas.
func TestUpgradeFromAnOlderChart(t *testing.T) {
	t.Parallel()
	ns := namespace(t)
	old := filepath.Join(t.TempDir(), "onda")
	if err := os.CopyFS(old, os.DirFS(chart())); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(old, "Chart.yaml")
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	older := regexp.MustCompile(`(?m)^(version|appVersion):.*`).ReplaceAll(text, []byte(`$1: "0.0.9"`))
	if err := os.WriteFile(file, older, 0o600); err != nil {
		t.Fatal(err)
	}
	profile := profileArguments(t, filepath.Join(root, "tests/chart/profiles/cpu.yaml"))
	must(t, helm(), append([]string{"install", release, old, "-n", ns, "--set", "image.tag=0.0.9"}, profile...)...)
	first := get(t, "deployment", release, "-n", ns)
	must(t, helm(), append([]string{"upgrade", release, chart(), "-n", ns}, profile...)...)
	second := get(t, "deployment", release, "-n", ns)

	if a, b := at(first, "metadata", "uid"), at(second, "metadata", "uid"); a != b {
		t.Errorf("the Deployment was made anew: %v, then %v", a, b)
	}
	image := func(o object) string {
		return at(o, "spec", "template", "spec", "containers").([]any)[0].(object)["image"].(string)
	}
	if !strings.HasSuffix(image(first), ":0.0.9") || image(first) == image(second) {
		t.Errorf("images %s, then %s: want 0.0.9, then another", image(first), image(second))
	}
	if version := at(second, "metadata", "labels", "app.kubernetes.io/version"); version == "0.0.9" {
		t.Errorf("the label of the version stays %v", version)
	}
	var history []object
	if err := json.Unmarshal([]byte(must(t, helm(), "history", release, "-n", ns, "-o", "json")), &history); err != nil {
		t.Fatal(err)
	}
	if len(history) != 2 || history[1]["status"] != "deployed" {
		t.Errorf("history %v, want two revisions with the second deployed", history)
	}
}

// at follows keys into an object; nil where one is missing.
func at(o any, keys ...string) any {
	for _, key := range keys {
		m, ok := o.(object)
		if !ok {
			return nil
		}
		o = m[key]
	}
	return o
}
