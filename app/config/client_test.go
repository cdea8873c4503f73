package config_test

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/onda-serving/onda/app/config"
)

func TestClient(t *testing.T) {
	names := []string{"ONDA_SERVER", "ONDA_REGISTRY_TOKEN", "USER", "NO_COLOR", "TERM"}
	for _, name := range names {
		t.Setenv(name, "") // restores the value after the test
		if err := os.Unsetenv(name); err != nil {
			t.Fatal(err)
		}
	}
	if got, want := config.Client(), (config.ClientSettings{}); got != want {
		t.Errorf("without any: got %+v, want nothing", got)
	}
	for _, name := range names {
		t.Setenv(name, "value of "+name)
	}
	got := config.Client()
	want := config.ClientSettings{
		Server: "value of ONDA_SERVER", Token: "value of ONDA_REGISTRY_TOKEN", User: "value of USER",
		NoColor: "value of NO_COLOR", Terminal: "value of TERM",
	}
	if got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
	if strings.Contains(fmt.Sprintf("%+v", got), "value of ONDA_REGISTRY_TOKEN") {
		t.Error("the token was printed, want it hidden")
	}
}

// TestClientVariablesAreKnown exports what an operator's shell may have: the server must
// not call it misspelt.
func TestClientVariablesAreKnown(t *testing.T) {
	setenv(t, map[string]string{"ONDA_SERVER": "http://onda:8080", "ONDA_REGISTRY_TOKEN": "hunter2", "ONDA_SERVERS": "x"})
	_, unknown, err := config.Load()
	if want := []string{"ONDA_SERVERS"}; err != nil || !slices.Equal(unknown, want) {
		t.Errorf("got %v, %v, want %v", unknown, err, want)
	}
	for _, s := range config.Settings() {
		if s.Name == "ONDA_SERVER" {
			t.Error("ONDA_SERVER is listed as a setting of the server")
		}
	}
}

func TestThePlainEnvironmentHasNoSecrets(t *testing.T) {
	for _, name := range []string{"ONDA_REGISTRY_TOKEN", "DAPR_API_TOKEN", "AZURE_CLIENT_ID", "AWS_ACCESS_KEY_ID", "GOOGLE_APPLICATION_CREDENTIALS", "DB_PASSWORD", "client_secret"} {
		t.Setenv(name, "hidden")
	}
	t.Setenv("ONDA_LOG_LEVEL", "debug")
	plain := config.PlainEnvironment()
	if !slices.Contains(plain, "ONDA_LOG_LEVEL=debug") {
		t.Error("a setting is missing")
	}
	for _, pair := range plain {
		if strings.HasSuffix(pair, "=hidden") {
			t.Errorf("%s is there", pair)
		}
	}
}
