package chart_test

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// TestProfilesKeepWhatAlwaysHolds renders every profile.
func TestProfilesKeepWhatAlwaysHolds(t *testing.T) {
	t.Parallel()
	for _, name := range profileNames(t) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for _, problem := range broken(render(t, "", profile(t, name)...)) {
				t.Error(problem)
			}
		})
	}
}

// broken lists what must hold whatever the values are, and does not.
func broken(all objects) (problems []string) {
	seen := map[string]bool{}
	for _, o := range all {
		who := o.kind() + "/" + o.name()
		say := func(format string, args ...any) {
			problems = append(problems, who+": "+fmt.Sprintf(format, args...))
		}
		if seen[who] {
			say("rendered twice")
		}
		seen[who] = true
		if !objectName.MatchString(o.name()) {
			say("no name of an object")
		}
		if o.text("metadata", "labels", "app.kubernetes.io/instance") != "onda" {
			say("not labelled with its release")
		}
		if template := asMap(o.at("spec", "template")); template != nil {
			problems = append(problems, brokenPod(who, template)...)
		}
		switch o.kind() {
		case "Component", "Subscription", "Resiliency":
			if len(o.list("scopes")) == 0 {
				say("open to every app: no scopes")
			}
		}
		if o.kind() == "Component" {
			problems = append(problems, brokenComponent(who, o)...)
		}
		if o.kind() == "Configuration" && o.text("spec", "accessControl", "defaultAction") != "deny" {
			say("callers are not denied by default")
		}
	}
	return problems
}

var (
	objectName = regexp.MustCompile(`^[a-z0-9]([-a-z0-9.]{0,61}[a-z0-9])?$`)
	sensitive  = regexp.MustCompile(`(?i)(password|connectionString|masterKey|accountKey|token|secret)`)
)

// brokenPod looks at the pods of a workload: the restricted pod security standard, and a little more.
func brokenPod(who string, template map[string]any) (problems []string) {
	want := func(where string, value any, path []any, expected any) {
		if got := at(value, path...); got != expected {
			problems = append(problems, fmt.Sprintf("%s: %s%v is %v, want %v", who, where, path, got, expected))
		}
	}
	spec := at(template, "spec")
	want("pod", spec, []any{"automountServiceAccountToken"}, false)
	want("pod", spec, []any{"enableServiceLinks"}, false)
	want("pod", spec, []any{"securityContext", "runAsNonRoot"}, true)
	want("pod", spec, []any{"securityContext", "runAsUser"}, 65532)
	want("pod", spec, []any{"securityContext", "seccompProfile", "type"}, "RuntimeDefault")
	for _, key := range []string{"hostNetwork", "hostPID", "hostIPC"} {
		want("pod", spec, []any{key}, nil)
	}
	for _, key := range []string{"containers", "initContainers"} {
		list, _ := at(spec, key).([]any)
		for _, container := range list {
			name := fmt.Sprintf("container %v", at(container, "name"))
			want(name, container, []any{"securityContext", "allowPrivilegeEscalation"}, false)
			want(name, container, []any{"securityContext", "readOnlyRootFilesystem"}, true)
			want(name, container, []any{"securityContext", "runAsNonRoot"}, true)
			want(name, container, []any{"securityContext", "capabilities", "drop", 0}, "ALL")
			want(name, container, []any{"securityContext", "seccompProfile", "type"}, "RuntimeDefault")
			if image, _ := at(container, "image").(string); !strings.ContainsAny(image, ":@") {
				problems = append(problems, fmt.Sprintf("%s: %s: image %q has neither tag nor digest", who, name, image))
			}
		}
	}
	for _, volume := range asList(at(spec, "volumes")) {
		if dir := asMap(at(volume, "emptyDir")); dir != nil && dir["sizeLimit"] == nil {
			problems = append(problems, fmt.Sprintf("%s: volume %v has no bound", who, at(volume, "name")))
		}
	}
	return problems
}

// brokenComponent says where a component holds a secret itself.
func brokenComponent(who string, component object) (problems []string) {
	for _, each := range component.list("spec", "metadata") {
		name, _ := at(each, "name").(string)
		if sensitive.MatchString(name) && at(each, "secretKeyRef") == nil {
			problems = append(problems, who+": "+name+" stands in the component, and not in a secret")
		}
		if at(each, "secretKeyRef") != nil && component.text("auth", "secretStore") == "" {
			problems = append(problems, who+": "+name+" names no secret store")
		}
	}
	return problems
}

func asList(value any) []any {
	list, _ := value.([]any)
	return list
}

// TestBrokenSeesWhatIsBroken keeps the checks above from passing whatever comes.
func TestBrokenSeesWhatIsBroken(t *testing.T) {
	t.Parallel()
	spoil := map[string]func(o object){
		"runAsNonRoot": func(o object) {
			asMap(o.at("spec", "template", "spec", "securityContext"))["runAsNonRoot"] = false
		},
		"drop": func(o object) {
			asMap(o.at("spec", "template", "spec", "containers", 0, "securityContext", "capabilities"))["drop"] = []any{}
		},
		"tag nor digest": func(o object) { asMap(o.at("spec", "template", "spec", "containers", 0))["image"] = "onda" },
		"no bound":       func(o object) { asMap(o.at("spec", "template", "spec", "volumes", 0, "emptyDir"))["sizeLimit"] = nil },
		"no name":        func(o object) { asMap(o.at("metadata"))["name"] = "Not a name" },
		"its release":    func(o object) { delete(asMap(o.at("metadata")), "labels") },
	}
	for _, want := range slices.Sorted(maps.Keys(spoil)) {
		all := render(t, "")
		deployment, _ := all.server(t)
		spoil[want](deployment)
		if got := strings.Join(broken(all), "\n"); !strings.Contains(got, want) {
			t.Errorf("%s: nothing was seen in %q", want, got)
		}
	}
}

// TestNamesStayText: YAML would read these names as numbers and truth values.
func TestNamesStayText(t *testing.T) {
	t.Parallel()
	all := render(t, `
nameOverride: "true"
fullnameOverride: "null"
dapr: {appId: "123", appTokenSecret: "007", callers: [{appId: "456", namespace: "1e3"}]}
serviceAccount: {name: "0x1f"}
podLabels: {a: "yes"}
monitoring: {dashboards: {enabled: true, label: "1"}}
`, profile(t, "ingress-gateway")...)
	for _, problem := range broken(all) {
		t.Error(problem)
	}
	deployment, container := all.server(t)
	for _, test := range []struct{ got, want any }{
		{deployment.at("metadata", "name"), "null"},
		{deployment.at("spec", "template", "spec", "serviceAccountName"), "0x1f"},
		{deployment.at("spec", "template", "metadata", "labels", "a"), "yes"},
		{deployment.at("spec", "template", "metadata", "labels", "app.kubernetes.io/name"), "true"},
		{annotations(deployment)["dapr.io/app-id"], "123"},
		{env(container)["APP_API_TOKEN"], "007/token"},
		{all.one(t, "Configuration", "null").at("spec", "accessControl", "policies", 0, "namespace"), "1e3"},
		{all.one(t, "Resiliency", "null-edge").at("spec", "targets", "apps", "123", "retry"), "gone"},
		{all.one(t, "HTTPRoute", "null").at("spec", "rules", 0, "backendRefs", 0, "name"), "null-edge"},
	} {
		if test.got != test.want {
			t.Errorf("got %v (%T), want the text %v", test.got, test.got, test.want)
		}
	}
}
