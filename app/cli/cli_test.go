package cli_test

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"github.com/onda-serving/onda/app/cli"
	"github.com/onda-serving/onda/app/config"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const usage = `Onda scores ONNX models behind a Dapr sidecar.

Usage: onda <command>

Commands:
  serve      score requests until SIGTERM or SIGINT
  config     print every setting with its value and meaning, and check them
  version    print the version of this build

Settings come from the environment: see "onda config".
`

// run runs a command and compares everything that it shows.
func run(t *testing.T, args []string, code int, stdout, stderr string) {
	t.Helper()
	var out, errs bytes.Buffer
	if got := cli.Run(args, &out, &errs); got != code {
		t.Errorf("exit code: got %d, want %d", got, code)
	}
	if got := out.String(); got != stdout {
		t.Errorf("stdout:\ngot\n%s\nwant\n%s", got, stdout)
	}
	if got := errs.String(); got != stderr {
		t.Errorf("stderr:\ngot\n%s\nwant\n%s", got, stderr)
	}
}

// setenv makes env the only settings of the environment. The environment belongs to the
// whole process, so tests that call it cannot be parallel.
func setenv(t *testing.T, env map[string]string) {
	t.Helper()
	for _, s := range config.Settings() {
		t.Setenv(s.Name, "") // restores the value after the test
		if err := os.Unsetenv(s.Name); err != nil {
			t.Fatal(err)
		}
	}
	t.Setenv("ONDA_MODELS_DIR", t.TempDir())
	for name, value := range env {
		t.Setenv(name, value)
	}
}

func TestUsage(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name           string
		args           []string
		code           int
		stdout, stderr string
	}{
		{"no command", nil, 2, "", usage},
		{"help", []string{"help"}, 0, usage, ""},
		{"-h", []string{"-h"}, 0, "", usage},
		{"--help", []string{"--help"}, 0, "", usage},
		{"unknown command", []string{"server"}, 2, "", "onda: unknown command \"server\"\n\n" + usage},
		{"empty command", []string{""}, 2, "", "onda: unknown command \"\"\n\n" + usage},
		{"unknown flag", []string{"-port", "80", "serve"}, 2, "", "flag provided but not defined: -port\n" + usage},
		{"too much", []string{"serve", "now"}, 2, "", usage},
		{"flag after the command", []string{"version", "-v"}, 2, "", usage},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			run(t, test.args, test.code, test.stdout, test.stderr)
		})
	}
}

func TestVersion(t *testing.T) {
	// A test binary knows no version of its own.
	run(t, []string{"version"}, 0, "onda dev\n", "")
	before := cli.Version
	t.Cleanup(func() { cli.Version = before })
	cli.Version = "v1.2.3"
	run(t, []string{"version"}, 0, "onda v1.2.3\n", "")
}

func TestConfig(t *testing.T) {
	const secret = "hunter2"
	setenv(t, map[string]string{"ONDA_MAX_QUEUE": "17", "APP_API_TOKEN": secret, "ONDA_MAX_QUEU": "18"})
	var out, errs bytes.Buffer
	if code := cli.Run([]string{"config"}, &out, &errs); code != 0 {
		t.Errorf("exit code: got %d, want 0", code)
	}
	lines := strings.Split(strings.TrimSuffix(out.String(), "\n"), "\n")
	settings := config.Settings()
	if len(lines) != len(settings) {
		t.Fatalf("got %d lines, want one for each of %d settings", len(lines), len(settings))
	}
	for i, s := range settings {
		if !strings.HasPrefix(lines[i], s.Name+" ") || !strings.HasSuffix(lines[i], " "+s.Meaning) {
			t.Errorf("got the line %q, want %s and its meaning", lines[i], s.Name)
		}
	}
	for _, want := range []string{
		"ONDA_MAX_QUEUE             17                       rows that may wait for a model, in each lane; one more is refused with 429",
		"APP_API_TOKEN              (set)                    token that the sidecar must show to Onda; empty asks for none",
		"DAPR_API_TOKEN                                      token that Onda shows to its sidecar",
		"ONDA_LISTEN                127.0.0.1:8080           address of the one listener for HTTP/1.1, HTTP/2 and gRPC",
	} {
		if !strings.Contains(out.String(), want+"\n") {
			t.Errorf("got\n%s\nwant the line\n%s", out.String(), want)
		}
	}
	if strings.Contains(out.String()+errs.String(), secret) {
		t.Error("the token was printed, want it hidden")
	}
	if got, want := errs.String(), "onda: ONDA_MAX_QUEU is not a setting of Onda: misspelt?\n"; got != want {
		t.Errorf("stderr: got %q, want %q", got, want)
	}
}

// TestWrongSettings asks for both commands that need settings: neither goes on with some
// that are wrong, and the exit code tells them from a failure.
func TestWrongSettings(t *testing.T) {
	const wrong = "onda: wrong settings:\nONDA_MAX_QUEUE=\"many\": want a whole number\nONDA_DEVICE=\"gpu\": want one of cpu, cuda\n"
	for _, command := range []string{"serve", "config"} {
		t.Run(command, func(t *testing.T) {
			setenv(t, map[string]string{"ONDA_MAX_QUEUE": "many", "ONDA_DEVICE": "gpu"})
			run(t, []string{command}, 2, "", wrong)
		})
	}
}

// TestServeWithoutItsLibrary fails on the first thing that serving needs. It also shows
// that a misspelt setting is told before.
func TestServeWithoutItsLibrary(t *testing.T) {
	missing := filepath.Join(t.TempDir(), "libonnxruntime.so")
	setenv(t, map[string]string{"ONDA_ONNXRUNTIME_LIBRARY": missing, "ONDA_LOG_FORMAT": "json", "ONDA_LISTN": ":80", "ONDA_LISTEN": "127.0.0.1:0", "ONDA_METRICS_LISTEN": ""})
	var out, errs bytes.Buffer
	if code := cli.Run([]string{"serve"}, &out, &errs); code != 1 {
		t.Errorf("exit code: got %d, want 1", code)
	}
	lines := strings.Split(strings.TrimSpace(errs.String()), "\n")
	if len(lines) != 2 || out.Len() != 0 {
		t.Fatalf("got stdout %q, stderr %q, want two lines of log", out.String(), errs.String())
	}
	if want := `"variable":"ONDA_LISTN"`; !strings.Contains(lines[0], want) {
		t.Errorf("got %s, want a warning with %s", lines[0], want)
	}
	for _, want := range []string{missing, "ONDA_ONNXRUNTIME_LIBRARY", `"message":"could not start"`} {
		if !strings.Contains(lines[1], want) {
			t.Errorf("got %s, want an error with %s", lines[1], want)
		}
	}
}
