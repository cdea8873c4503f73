package chart_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"go.yaml.in/yaml/v3"
)

const (
	chart    = "../../deploy/chart"
	profiles = "profiles"
)

// tool is the path of a program that the set-up builds.
func tool(t testing.TB, name string) string {
	t.Helper()
	path, err := filepath.Abs(filepath.Join("../../.local/tools/bin", name))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(path); err != nil {
		t.Fatalf("%s is missing: run deploy/local/setup.sh chart", path)
	}
	return path
}

// run runs a program and gives what it wrote.
func run(t testing.TB, name string, args ...string) (stdout, stderr string, err error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, name, args...)
	var out, problems bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &problems
	err = cmd.Run()
	return out.String(), problems.String(), err
}

// template renders the chart as release onda in namespace models.
func template(t testing.TB, args ...string) (manifests, problems string, err error) {
	t.Helper()
	return run(t, tool(t, "helm"), append([]string{"template", "onda", chart, "--namespace", "models"}, args...)...)
}

// render renders the chart, which must succeed, with values as text of a values file on top of args.
func render(t testing.TB, values string, args ...string) objects {
	t.Helper()
	if values != "" {
		args = append(args, "-f", valuesFile(t, values))
	}
	manifests, problems, err := template(t, args...)
	if err != nil {
		t.Fatalf("helm template %s: %v\n%s", strings.Join(args, " "), err, problems)
	}
	return decode(t, manifests)
}

func valuesFile(t testing.TB, values string) string {
	t.Helper()
	// Not t.TempDir: its name has that of the test, and helm takes a comma for the end of a file's name.
	file, err := os.CreateTemp("", "onda-values-*.yaml") //nolint:usetesting // see above
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.Remove(file.Name()) })
	if _, err := file.WriteString(values); err != nil {
		t.Fatal(err)
	}
	if err := file.Close(); err != nil {
		t.Fatal(err)
	}
	return file.Name()
}

// profileNames lists the profiles that are to be tried.
func profileNames(t testing.TB) (names []string) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(profiles, "*.yaml"))
	if err != nil || len(files) < 9 {
		t.Fatalf("%d profiles, %v", len(files), err)
	}
	for _, file := range files {
		names = append(names, strings.TrimSuffix(filepath.Base(file), ".yaml"))
	}
	return names
}

var overlayLine = regexp.MustCompile(`(?m)^# overlays: (.+)$`)

// profile gives helm's arguments for a profile: the overlays of the chart that its first line names, and itself.
func profile(t testing.TB, name string) (args []string) {
	t.Helper()
	path := filepath.Join(profiles, name+".yaml")
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if found := overlayLine.FindSubmatch(text); found != nil {
		for overlay := range strings.FieldsSeq(string(found[1])) {
			args = append(args, "-f", filepath.Join(chart, overlay))
		}
	}
	return append(args, "-f", path)
}

// object is a rendered object.
type object map[string]any

// objects are those of one release.
type objects []object

func decode(t testing.TB, manifests string) (all objects) {
	t.Helper()
	decoder := yaml.NewDecoder(strings.NewReader(manifests))
	for {
		var o object
		err := decoder.Decode(&o)
		if errors.Is(err, io.EOF) {
			return all
		}
		if err != nil {
			t.Fatalf("the chart renders what is no YAML: %v\n%s", err, manifests)
		}
		if o != nil {
			all = append(all, o)
		}
	}
}

func (o object) kind() string { return o.text("kind") }
func (o object) name() string { return o.text("metadata", "name") }

// at gives what is at a path of keys and indices; nil if nothing is.
func (o object) at(path ...any) any { return at(map[string]any(o), path...) }

func at(value any, path ...any) any {
	for _, step := range path {
		switch step := step.(type) {
		case string:
			value = asMap(value)[step]
		case int:
			list, _ := value.([]any)
			if step >= len(list) {
				return nil
			}
			value = list[step]
		}
	}
	return value
}

func asMap(value any) map[string]any {
	switch m := value.(type) {
	case map[string]any:
		return m
	case object:
		return m
	default:
		return nil
	}
}

func (o object) text(path ...any) string {
	s, _ := o.at(path...).(string)
	return s
}

func (o object) list(path ...any) []any {
	l, _ := o.at(path...).([]any)
	return l
}

// find gives the objects of a kind.
func (all objects) find(kind string) (found objects) {
	for _, o := range all {
		if o.kind() == kind {
			found = append(found, o)
		}
	}
	return found
}

// one gives the object of a kind and name, which must be there once.
func (all objects) one(t testing.TB, kind, name string) object {
	t.Helper()
	var found objects
	for _, o := range all.find(kind) {
		if o.name() == name {
			found = append(found, o)
		}
	}
	if len(found) != 1 {
		t.Fatalf("%d objects %s/%s among %v, want 1", len(found), kind, name, all.names())
	}
	return found[0]
}

func (all objects) names() (names []string) {
	for _, o := range all {
		names = append(names, o.kind()+"/"+o.name())
	}
	slices.Sort(names)
	return names
}

// server gives the Deployment of Onda and its container.
func (all objects) server(t testing.TB) (deployment, container object) {
	t.Helper()
	for _, o := range all.find("Deployment") {
		if o.text("metadata", "labels", "app.kubernetes.io/component") == "server" {
			return o, asMap(o.at("spec", "template", "spec", "containers", 0))
		}
	}
	t.Fatal("there is no Deployment of Onda")
	return nil, nil
}

// env gives the environment of a container: values, and "SECRET/KEY" for those of Secrets.
func env(container object) map[string]string {
	all := map[string]string{}
	for _, each := range container.list("env") {
		variable := object(asMap(each))
		all[variable.text("name")] = variable.text("value")
		if ref := object(asMap(variable.at("valueFrom", "secretKeyRef"))); ref != nil {
			all[variable.text("name")] = ref.text("name") + "/" + ref.text("key")
		}
	}
	return all
}

// annotations gives those of the pods of a workload.
func annotations(workload object) map[string]string {
	all := map[string]string{}
	for key, value := range asMap(workload.at("spec", "template", "metadata", "annotations")) {
		all[key], _ = value.(string)
	}
	return all
}

// metadata gives the settings of a Dapr component: values, and "SECRET/KEY" for those of secrets.
func metadata(component object) map[string]string {
	all := map[string]string{}
	for _, each := range component.list("spec", "metadata") {
		setting := object(asMap(each))
		all[setting.text("name")] = setting.text("value")
		if ref := object(asMap(setting.at("secretKeyRef"))); ref != nil {
			all[setting.text("name")] = ref.text("name") + "/" + ref.text("key")
		}
	}
	return all
}
