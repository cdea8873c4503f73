package chart_test

import (
	"flag"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
)

var update = flag.Bool("update", false, "write components/azure, the descriptions of values.schema.json and the table in README.md again")

// azureFiles says which template makes which file of components/azure.
var azureFiles = map[string]string{
	"components.yaml": "dapr-components.yaml", "configuration.yaml": "dapr-configuration.yaml",
	"resiliency.yaml": "dapr-resiliency.yaml", "subscription.yaml": "dapr-subscriptions.yaml",
}

// TestComponentsForAzureAreWhatTheChartRenders keeps components/azure and the chart from differing.
func TestComponentsForAzureAreWhatTheChartRenders(t *testing.T) {
	t.Parallel()
	const folder, example = "../../components/azure", "deploy/chart/examples/azure.yaml"
	entries, err := os.ReadDir(folder)
	if err != nil && !*update {
		t.Fatal(err)
	}
	for _, entry := range entries {
		if _, made := azureFiles[entry.Name()]; !made {
			t.Errorf("%s is made by nothing", filepath.Join(folder, entry.Name()))
		}
	}
	for _, name := range slices.Sorted(maps.Keys(azureFiles)) {
		source := azureFiles[name]
		rendered, problems, err := run(t, tool(t, "helm"), "template", "onda", chart, "--namespace", "onda",
			"-f", filepath.Join("../..", example), "--show-only", "templates/"+source)
		if err != nil {
			t.Fatalf("%v\n%s", err, problems)
		}
		want := "# Made of deploy/chart/templates/" + source + " with " + example + ":\n" +
			"# go test ./tests/chart -run Azure -update. The chart installs these; here they are to be read, or applied without it.\n" + plain(rendered)
		path := filepath.Join(folder, name)
		if *update {
			if err := os.MkdirAll(folder, 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(path, []byte(want), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		if got := read(t, path); got != want {
			t.Errorf("%s is not what the chart renders: run go test ./tests/chart -update", path)
		}
	}
}

var (
	sourceLine   = regexp.MustCompile(`(?m)^---\n# Source: .*\n`)
	labelsOfHelm = regexp.MustCompile(`(?m)^  labels:\n(    .*\n)+`)
)

// plain takes away what Helm adds for itself.
func plain(manifests string) string {
	parts := sourceLine.Split(manifests, -1)
	for i, part := range parts {
		parts[i] = strings.TrimSpace(labelsOfHelm.ReplaceAllString(part, ""))
	}
	return strings.Join(slices.DeleteFunc(parts, func(part string) bool { return part == "" }), "\n---\n") + "\n"
}

// TestBrokersAreSetAsWithoutKubernetes compares each broker's settings with those of components/, which have been tried with
// crashes and backlogs. Addresses and credentials differ by nature.
func TestBrokersAreSetAsWithoutKubernetes(t *testing.T) {
	t.Parallel()
	const scopes = "publishingScopes subscriptionScopes allowedTopics "
	for name, test := range map[string]struct{ folder, differ string }{
		"events-redis":      {"redis", "redisHost enableTLS redisPassword"},
		"events-kafka":      {"kafka", "brokers saslUsername saslPassword"},
		"events-rabbitmq":   {"rabbitmq", "connectionString"},
		"events-servicebus": {"azure-servicebus", "namespaceName disableEntityManagement"},
		"events-eventhubs":  {"azure-eventhubs", "eventHubNamespace storageAccountName storageContainerName"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			all := render(t, "", profile(t, name)...)
			own := asDecoded(t, "../../components/"+test.folder)
			for _, component := range []string{"pubsub", "deadletters"} {
				got, want := all.one(t, "Component", "onda-"+component), own.one(t, "Component", component)
				if got.text("spec", "type") != want.text("spec", "type") {
					t.Errorf("%s is a %s, want %s", component, got.text("spec", "type"), want.text("spec", "type"))
				}
				compare(t, component, metadata(got), metadata(want), strings.Fields(scopes+test.differ))
			}
			for _, subscription := range all.find("Subscription") {
				same := own.one(t, "Subscription", "scoring-"+strings.TrimPrefix(subscription.name(), "onda-"))
				for _, key := range []string{"topic", "routes", "deadLetterTopic", "bulkSubscribe", "metadata"} {
					compareText(t, "subscription "+subscription.name()+" "+key, subscription.at("spec", key), same.at("spec", key))
				}
			}
			if got, want := len(all.find("Subscription")), len(own.find("Subscription")); got != want {
				t.Errorf("%d subscriptions, want %d", got, want)
			}
			got, want := all.one(t, "Resiliency", "onda"), own.one(t, "Resiliency", "onda")
			compareText(t, "retries", got.at("spec", "policies"), want.at("spec", "policies"))
			compareText(t, "what is done for events", got.at("spec", "targets", "components", "onda-pubsub"), want.at("spec", "targets", "components", "pubsub"))
		})
	}
}

func TestRedisStateIsSetAsWithoutKubernetes(t *testing.T) {
	t.Parallel()
	all := render(t, "", profile(t, "events-redis")...)
	own := asDecoded(t, "../../components/redis")
	compare(t, "statestore", metadata(all.one(t, "Component", "onda-statestore")), metadata(own.one(t, "Component", "statestore")),
		[]string{"redisHost", "enableTLS", "redisPassword"})
}

func asDecoded(t *testing.T, folder string) (all objects) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(folder, "*.yaml"))
	if err != nil || len(files) == 0 {
		t.Fatalf("%s: %d files, %v", folder, len(files), err)
	}
	for _, file := range files {
		all = append(all, decode(t, read(t, file))...)
	}
	return all
}

func compare(t *testing.T, what string, got, want map[string]string, differ []string) {
	t.Helper()
	for _, name := range differ {
		delete(got, name)
		delete(want, name)
	}
	for name, value := range want {
		if got[name] != value {
			t.Errorf("%s: %s is %q, want %q", what, name, got[name], value)
		}
	}
	for name := range got {
		if _, there := want[name]; !there {
			t.Errorf("%s: %s is set here alone", what, name)
		}
	}
}

func compareText(t *testing.T, what string, got, want any) {
	t.Helper()
	texts := [2]string{}
	for i, value := range []any{got, want} {
		text, err := yaml.Marshal(value)
		if err != nil {
			t.Fatal(err)
		}
		texts[i] = string(text)
	}
	if texts[0] != texts[1] {
		t.Errorf("%s is\n%swant\n%s", what, texts[0], texts[1])
	}
}
