package azure_test

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// usage is what Azure says of quotas: %CPU% and %GPU% are the limits of the two families.
const usage = `[
 {"name": {"value": "cores", "localizedValue": "Total Regional vCPUs"}, "limit": "200", "currentValue": 0},
 {"name": {"value": "standardDDSv5Family", "localizedValue": "Standard DDSv5 Family vCPUs"}, "limit": "%CPU%", "currentValue": 10},
 {"name": {"value": "lowPriorityCores", "localizedValue": "Total Regional Low-priority vCPUs"}, "limit": "3", "currentValue": 0},
 {"name": {"value": "Standard NCASv3_T4 Family", "localizedValue": "Standard NCASv3_T4 Family vCPUs"}, "limit": "%GPU%", "currentValue": 0}
]`

// tools are the programs that the scripts use beside those that are faked.
var tools = []string{"bash", "env", "cat", "sed", "grep", "tail", "head", "dirname", "basename", "mkdir", "rm", "touch", "jq", "git", "ls", "cut", "tr", "sleep"}

// machine is a checkout of its own whose PATH has the tools, and fakes of what talks to Azure.
type machine struct{ root, fake, bin string }

func newMachine(t *testing.T) machine {
	t.Helper()
	dir, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	m := machine{root: filepath.Join(dir, "root"), fake: filepath.Join(dir, "fake"), bin: filepath.Join(dir, "bin")}
	if err := os.CopyFS(filepath.Join(m.root, "deploy", "azure"), os.DirFS("../../deploy/azure")); err != nil {
		t.Fatal(err)
	}
	for _, d := range []string{m.fake, m.bin} {
		if err := os.Mkdir(d, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range tools {
		path, err := exec.LookPath(name)
		if err != nil {
			t.Skipf("%s is not installed: %v", name, err)
		}
		link(t, path, filepath.Join(m.bin, name))
	}
	fake, err := filepath.Abs("testdata/fake.sh")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"az", "tofu", "helm", "kubectl", "kubelogin", "curl"} {
		link(t, fake, filepath.Join(m.bin, name))
	}
	m.quotas(t, "100", "4")
	return m
}

func link(t *testing.T, from, to string) {
	t.Helper()
	if err := os.Symlink(from, to); err != nil {
		t.Fatal(err)
	}
}

// quotas sets the limits of the CPU and the GPU family, in cores.
func (m machine) quotas(t *testing.T, cpu, gpu string) {
	t.Helper()
	m.write(t, filepath.Join(m.fake, "usage.json"), strings.NewReplacer("%CPU%", cpu, "%GPU%", gpu).Replace(usage))
}

func (machine) write(t *testing.T, path, content string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}

// variables writes onda.tfvars as up.sh does the first time, with more lines behind.
func (m machine) variables(t *testing.T, more string) {
	t.Helper()
	m.write(t, filepath.Join(m.root, ".local/azure/onda.tfvars"),
		"subscription_id = \"00000000-0000-0000-0000-000000000000\"\nlocation = \"westeurope\"\n"+more)
}

// made puts a cluster into the state, as after up.sh.
func (m machine) made(t *testing.T) {
	t.Helper()
	m.variables(t, "")
	m.write(t, filepath.Join(m.fake, "state"), "azurerm_kubernetes_cluster.this\n")
}

// run runs a command line in the checkout and returns what it printed, its exit code, and the calls of the fakes.
func (m machine) run(t *testing.T, input string, env []string, line string) (output string, code int, calls []string) {
	t.Helper()
	log := filepath.Join(m.fake, "log")
	if err := os.RemoveAll(log); err != nil {
		t.Fatal(err)
	}
	command := exec.CommandContext(t.Context(), filepath.Join(m.bin, "bash"), "-c", line)
	command.Dir, command.Stdin = m.root, strings.NewReader(input)
	command.Env = append([]string{"PATH=" + m.bin, "HOME=" + m.root, "FAKE=" + m.fake, "FAKE_ROOT=" + m.root}, env...)
	all, err := command.CombinedOutput()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	text, err := os.ReadFile(log)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		t.Fatal(err)
	}
	return string(all), command.ProcessState.ExitCode(), strings.Split(strings.TrimSpace(string(text)), "\n")
}

// inOrder fails unless calls that begin so came in this order.
func inOrder(t *testing.T, calls []string, want ...string) {
	t.Helper()
	at := 0
	for _, call := range calls {
		if at < len(want) && strings.HasPrefix(call, want[at]) {
			at++
		}
	}
	if at < len(want) {
		t.Errorf("no call %q (in its place) among:\n%s", want[at], strings.Join(calls, "\n"))
	}
}

// never fails where a call begins so.
func never(t *testing.T, calls []string, prefix string) {
	t.Helper()
	for _, call := range calls {
		if strings.HasPrefix(call, prefix) {
			t.Errorf("unwanted call %q", call)
		}
	}
}

// says fails unless the output has all of this.
func says(t *testing.T, output string, want ...string) {
	t.Helper()
	for _, w := range want {
		if !strings.Contains(output, w) {
			t.Errorf("no %q in:\n%s", w, output)
		}
	}
}
