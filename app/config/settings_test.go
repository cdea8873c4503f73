package config_test

import (
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/onda-serving/onda/app/config"
)

func TestSettingsAreDescribed(t *testing.T) {
	t.Parallel()
	seen := map[string]bool{}
	for _, s := range config.Settings() {
		own := strings.HasPrefix(s.Name, "ONDA_")
		if !own && !strings.HasPrefix(s.Name, "DAPR_") && !strings.HasPrefix(s.Name, "OTEL_") && s.Name != "APP_API_TOKEN" {
			t.Errorf("got the variable %q, want ONDA_..., or a name of Dapr's or OpenTelemetry's", s.Name)
		}
		if s.Name != strings.ToUpper(s.Name) {
			t.Errorf("got the variable %q, want it in capitals: envconfig reads no other", s.Name)
		}
		if seen[s.Name] {
			t.Errorf("%s is there twice", s.Name)
		}
		seen[s.Name] = true
		if s.Meaning == "" || strings.Contains(s.Meaning, "|") {
			t.Errorf("%s: got the meaning %q, want some words that fit into a table", s.Name, s.Meaning)
		}
	}
}

func TestSettingValue(t *testing.T) {
	t.Parallel()
	cfg := config.Config{Listen: "a:1", MaxBody: 32 << 20, AppAPIToken: "hunter2"}
	want := map[string]string{"ONDA_LISTEN": "a:1", "ONDA_MAX_BODY": "32Mi", "APP_API_TOKEN": "(set)", "DAPR_API_TOKEN": "", "ONDA_TIMEOUT": "0s"}
	for _, s := range config.Settings() {
		if value, ok := want[s.Name]; ok && s.Value(cfg) != value {
			t.Errorf("%s: got %q, want %q", s.Name, s.Value(cfg), value)
		}
	}
}

func TestMarkdown(t *testing.T) {
	t.Parallel()
	table := config.Markdown()
	for _, line := range []string{
		"| variable | default | meaning |",
		"| `ONDA_LISTEN` | `127.0.0.1:8080` | address of the one listener for HTTP/1.1, HTTP/2 and gRPC |",
		"| `DAPR_GRPC_PORT` |  | gRPC port of the sidecar; set by Dapr |",
	} {
		if !strings.Contains(table, line+"\n") {
			t.Errorf("got the table\n%s\nwant the line %s", table, line)
		}
	}
	if got, want := strings.Count(table, "\n"), len(config.Settings())+2; got != want {
		t.Errorf("got %d lines, want %d", got, want)
	}
}

// TestReadme compares the table of settings in README.md with the code's.
func TestReadme(t *testing.T) {
	t.Parallel()
	readme, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(readme), config.Markdown()) {
		t.Errorf("the table of settings in README.md is not the code's, which is\n%s", config.Markdown())
	}
}

func TestSecrets(t *testing.T) {
	setenv(t, nil)
	for name, value := range map[string]string{
		"AZURE_CLIENT_SECRET": "from-azure", "AWS_SECRET_ACCESS_KEY": "from-aws", "OTEL_EXPORTER_OTLP_HEADERS": "api-key=from-otel", "SOME_PASSWORD": "short",
		"AZURE_FEDERATED_TOKEN_FILE": "/var/run/token", "AZURE_STORAGE_CONNECTION_STRING": "from-storage", "KEYBOARD": "qwertyuiop",
	} {
		t.Setenv(name, value)
	}
	got := config.Config{RegistryToken: "registry", AppAPIToken: "app", DaprAPIToken: ""}.Secrets()
	for _, want := range []string{"from-azure", "from-aws", "api-key=from-otel", "from-storage", "registry", "app"} {
		if !slices.Contains(got, want) {
			t.Errorf("got %q, want %q among them", got, want)
		}
	}
	for _, other := range []string{"short", "/var/run/token", "qwertyuiop", ""} {
		if slices.Contains(got, other) {
			t.Errorf("got %q, want no %q among them", got, other)
		}
	}
}
