package cli_test

import (
	"bytes"
	"net/http"
	"net/http/httptest"
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
  serve       score requests until SIGTERM or SIGINT
  score       answer the rows of a file without a server
  models      register, inspect and roll out the models of a running Onda
  events      look at the events that a running Onda could not answer
  config      print every setting with its value and meaning, and check them
  version     print the version of this build
  completion  print what completes commands and names of models in a shell

Settings come from the environment: see "onda config".
`

// leaf is what a wrong command line of a command without commands of its own shows.
func leaf(name, text string) string {
	return "onda: " + text + "\n\nUsage: onda " + name + "\n\nSee \"onda " + name + " --help\".\n"
}

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
		{"no command", nil, 2, "", "onda: which command?\n\n" + usage},
		{"help", []string{"help"}, 0, usage, ""},
		{"-h", []string{"-h"}, 0, usage, ""},
		{"--help", []string{"--help"}, 0, usage, ""},
		{"help of a command", []string{"help", "serve"}, 0, "Score requests until SIGTERM or SIGINT.\n\nUsage: onda serve\n", ""},
		{"--help of a command", []string{"serve", "--help"}, 0, "Score requests until SIGTERM or SIGINT.\n\nUsage: onda serve\n", ""},
		{"help of nothing", []string{"help", "server"}, 2, "", "onda: unknown command \"server\"\n\n" + usage},
		{"unknown command", []string{"server"}, 2, "", "onda: unknown command \"server\": did you mean serve?\n\n" + usage},
		{"help of an unknown command", []string{"server", "--help"}, 2, "", "onda: unknown command \"server\": did you mean serve?\n\n" + usage},
		{"--version", []string{"--version"}, 0, "onda dev\n", ""},
		{"empty command", []string{""}, 2, "", "onda: unknown command \"\"\n\n" + usage},
		{"unknown flag", []string{"-port", "80", "serve"}, 2, "", "onda: unknown shorthand flag: 'p' in -port\n\n" + usage},
		{"too much", []string{"serve", "now"}, 2, "", leaf("serve", `unexpected "now"`)},
		{"flag after the command", []string{"version", "-v"}, 2, "", leaf("version", "unknown shorthand flag: 'v' in -v")},
		{"models without a command", []string{"models", "lst"}, 2, "", "onda: unknown command \"lst\": did you mean list?\n\n"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			if test.args != nil && test.args[0] == "models" {
				var out, errs bytes.Buffer // whose help has the name of this machine
				code := cli.Run(test.args, &out, &errs)
				if code != test.code || out.Len() != 0 || !strings.HasPrefix(errs.String(), test.stderr+"Change and inspect") {
					t.Errorf("got %d, %q and\n%s\nwant %d and %q first", code, out.String(), errs.String(), test.code, test.stderr)
				}
				return
			}
			run(t, test.args, test.code, test.stdout, test.stderr)
		})
	}
}

// TestModelsTakeTheEnvironment has the settings of a client in the environment.
func TestModelsTakeTheEnvironment(t *testing.T) {
	setenv(t, nil)
	asked := make(chan *http.Request, 1)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked <- r
		_, _ = w.Write([]byte(`{"models": []}`))
	}))
	defer server.Close()
	for name, value := range map[string]string{"ONDA_SERVER": server.URL, "ONDA_REGISTRY_TOKEN": "hunter2", "USER": "alice"} {
		t.Setenv(name, value)
	}
	run(t, []string{"models", "list", "-o", "json"}, 0, "{\"models\": []}\n", "")
	r := <-asked
	if got := r.Header.Get("authorization"); got != "Bearer hunter2" {
		t.Errorf("authorization: got %q, want the token", got)
	}
	if got := r.Header.Get("x-onda-actor"); got != "alice" && !strings.HasPrefix(got, "alice@") {
		t.Errorf("actor: got %q, want alice", got)
	}
	if got := r.Header.Get("user-agent"); got != "onda/dev" {
		t.Errorf("user-agent: got %q, want the version", got)
	}
}

// TestPrefetchWantsACache: a temporary one would be gone before a replica starts. Where there is
// one it is made, and filled with what the settings let in.
func TestPrefetchWantsACache(t *testing.T) {
	setenv(t, nil)
	run(t, []string{"models", "prefetch", "faq"}, 1, "", "onda: ONDA_ARTIFACT_CACHE is not set, so that no start finds anything: give it, ONDA_ARTIFACT_STORE and ONDA_ARTIFACT_SOURCES the values that the replica has\n")
	t.Setenv("ONDA_ARTIFACT_CACHE", filepath.Join(t.TempDir(), "cache"))
	file := filepath.Join(t.TempDir(), "models.json")
	if err := os.WriteFile(file, []byte(`{"models": []}`), 0o600); err != nil {
		t.Fatal(err)
	}
	run(t, []string{"models", "prefetch", "faq", "--from", file}, 1, "", "faq  failed: there is no such model: there is none\nonda: 0 versions fetched (0 B), 0 there already, 1 failed\n")
}

// TestCompletionScripts only looks whether there is one for each shell: what they complete is
// tested in package models.
func TestCompletionScripts(t *testing.T) {
	t.Parallel()
	for shell, want := range map[string]string{"bash": "__start_onda", "zsh": "#compdef onda", "fish": "complete -c onda", "powershell": "Register-ArgumentCompleter -CommandName 'onda'"} {
		var out, errs bytes.Buffer
		if code := cli.Run([]string{"completion", shell}, &out, &errs); code != 0 || !strings.Contains(out.String(), want) || errs.Len() != 0 {
			t.Errorf("%s: got %d, %d bytes without %q, and %q", shell, code, out.Len(), want, errs.String())
		}
	}
	const line = "completion bash|zsh|fish|powershell"
	run(t, []string{"completion", "csh"}, 2, "", "onda: shell \"csh\": want one of bash, zsh, fish, powershell\n\nUsage: onda "+line+"\n\nSee \"onda completion --help\".\n")
	run(t, []string{"__complete", "completion", "z"}, 0, "zsh\n:4\n", "Completion ended with directive: ShellCompDirectiveNoFileComp\n")
	run(t, []string{"__complete", "m"}, 0, "models\tregister, inspect and roll out the models of a running Onda\n:4\n", "Completion ended with directive: ShellCompDirectiveNoFileComp\n")
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
