package chart_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
)

// withoutSchema are kinds whose definitions no module of the set-up has; tests/cluster gives them to a real API server.
const withoutSchema = "Gateway,HTTPRoute,ScaledObject,TriggerAuthentication,PodMonitor,PrometheusRule"

// TestObjectsHaveTheFieldsOfTheirKinds has kubeconform look for fields that a kind does not have, and values of other types.
// The kinds of Kubernetes are those of the client-go that helm is built with, those of Dapr its own definitions. What
// Kubernetes requires and defaults is not in the former: that is for a real API server to say.
func TestObjectsHaveTheFieldsOfTheirKinds(t *testing.T) {
	t.Parallel()
	schemas := t.TempDir()
	kubernetesSchemas(t, schemas)
	daprSchemas(t, schemas)
	for _, name := range profileNames(t) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			manifests, problems, err := template(t, profile(t, name)...)
			if err != nil {
				t.Fatalf("%v\n%s", err, problems)
			}
			if out, err := conform(t, schemas, manifests); err != nil {
				t.Errorf("%v\n%s", err, out)
			}
		})
	}
	// It must be able to fail.
	manifests, _, err := template(t)
	if err != nil {
		t.Fatal(err)
	}
	for _, change := range [][2]string{{"replicas: 2", "replica: 2"}, {"seconds: 12", "seconds: twelve"}, {"defaultAction: deny", "default: deny"}} {
		spoiled := strings.Replace(manifests, change[0], change[1], 1)
		if spoiled == manifests {
			t.Fatalf("there is no %q to spoil", change[0])
		}
		if out, err := conform(t, schemas, spoiled); err == nil {
			t.Errorf("%q was taken: %s", change[1], out)
		}
	}
}

func conform(t *testing.T, schemas, manifests string) (string, error) {
	t.Helper()
	out, problems, err := run(t, tool(t, "kubeconform"), "-strict", "-summary", "-skip", withoutSchema,
		"-schema-location", filepath.Join(schemas, "{{.ResourceKind}}{{.KindSuffix}}.json"), valuesFile(t, manifests))
	return out + problems, err
}

// fields is a type as client-go describes it.
type fields struct {
	Name   string `yaml:"name"`
	Scalar string `yaml:"scalar"`
	Named  string `yaml:"namedType"`
	List   *struct {
		Element fields `yaml:"elementType"`
	} `yaml:"list"`
	Map *struct {
		Element *fields `yaml:"elementType"`
		Fields  []struct {
			Name string `yaml:"name"`
			Type fields `yaml:"type"`
		} `yaml:"fields"`
	} `yaml:"map"`
}

// schema is the JSON schema of a type.
func (f fields) schema() any {
	switch {
	case f.Named != "":
		return map[string]any{"$ref": "#/definitions/" + f.Named}
	case f.Scalar == "untyped":
		return map[string]any{}
	case f.Scalar != "":
		name := f.Scalar
		if name == "numeric" {
			name = "number"
		}
		return map[string]any{"type": name}
	case f.List != nil:
		return map[string]any{"type": "array", "items": f.List.Element.schema()}
	case f.Map != nil && len(f.Map.Fields) == 0 && f.Map.Element != nil:
		return map[string]any{"type": "object", "additionalProperties": f.Map.Element.schema()}
	case f.Map != nil:
		properties := map[string]any{}
		for _, field := range f.Map.Fields {
			properties[field.Name] = field.Type.schema()
		}
		return map[string]any{"type": "object", "additionalProperties": false, "properties": properties}
	default:
		return map[string]any{}
	}
}

func kubernetesSchemas(t *testing.T, folder string) {
	t.Helper()
	source := read(t, filepath.Join(module(t, "../../deploy/local/tools/chart", "k8s.io/client-go"), "applyconfigurations/internal/internal.go"))
	_, source, _ = strings.Cut(source, "typed.YAMLObject(`")
	source, _, found := strings.Cut(source, "`)")
	if !found {
		t.Fatal("client-go describes its types elsewhere now")
	}
	var described struct {
		Types []fields `yaml:"types"`
	}
	if err := yaml.Unmarshal([]byte(source), &described); err != nil {
		t.Fatal(err)
	}
	definitions := map[string]any{}
	for _, each := range described.Types {
		definitions[each.Name] = each.schema()
	}
	for file, name := range map[string]string{
		"deployment-apps-v1": "apps.v1.Deployment", "daemonset-apps-v1": "apps.v1.DaemonSet", "service-v1": "core.v1.Service",
		"serviceaccount-v1": "core.v1.ServiceAccount", "configmap-v1": "core.v1.ConfigMap",
		"horizontalpodautoscaler-autoscaling-v2": "autoscaling.v2.HorizontalPodAutoscaler",
		"poddisruptionbudget-policy-v1":          "policy.v1.PodDisruptionBudget",
		"networkpolicy-networking-v1":            "networking.v1.NetworkPolicy", "ingress-networking-v1": "networking.v1.Ingress",
	} {
		if definitions["io.k8s.api."+name] == nil {
			t.Fatalf("client-go describes no %s", name)
		}
		writeSchema(t, folder, file, map[string]any{"$ref": "#/definitions/io.k8s.api." + name, "definitions": definitions})
	}
}

func daprSchemas(t *testing.T, folder string) {
	t.Helper()
	crds := asDecoded(t, filepath.Join(module(t, "../../deploy/local/dapr", "github.com/dapr/dapr"), "charts/dapr/crds"))
	for _, crd := range crds {
		for _, each := range crd.list("spec", "versions") {
			schema := asMap(at(each, "schema", "openAPIV3Schema"))
			tighten(schema)
			asMap(at(schema, "properties"))["metadata"] = map[string]any{"type": "object"}
			name := strings.ToLower(crd.text("spec", "names", "kind")) + "-dapr-" + at(each, "name").(string)
			writeSchema(t, folder, name, schema)
		}
	}
}

// tighten refuses what a schema does not name, as an API server under strict validation does.
func tighten(schema any) {
	if list, is := schema.([]any); is {
		for _, each := range list {
			tighten(each)
		}
		return
	}
	node := asMap(schema)
	if node["properties"] != nil && node["additionalProperties"] == nil && node["x-kubernetes-preserve-unknown-fields"] == nil {
		node["additionalProperties"] = false
	}
	for _, each := range node {
		tighten(each)
	}
}

func writeSchema(t *testing.T, folder, name string, schema any) {
	t.Helper()
	text, err := json.Marshal(schema)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(folder, name+".json"), text, 0o600); err != nil {
		t.Fatal(err)
	}
}
