// Package setup_test runs the scripts of deploy/local as a user's machine would: with
// things missing, damaged, taken or out of reach. Each failure must be one clear line.
package setup_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// machine is a make-believe machine: the programs on its PATH and an empty set-up folder.
type machine struct {
	root  string // the repository
	bin   string // the only folder on PATH
	local string // stands for .local
	env   []string
}

// userland is what any Unix has. What the scripts need beyond it is a prerequisite.
var userland = []string{
	"awk", "bash", "cat", "cksum", "cut", "dirname", "basename", "env", "find", "grep", "head", "ln", "mkdir",
	"mv", "printf", "readlink", "rm", "sed", "sha256sum", "sha512sum", "shasum", "sleep", "tail", "tar", "gzip", "uname",
}

// newMachine has the userland and the prerequisites named.
func newMachine(t *testing.T, prerequisites ...string) *machine {
	t.Helper()
	root, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	m := &machine{root: root, bin: t.TempDir(), local: t.TempDir()}
	for _, name := range append(userland, prerequisites...) {
		if path, err := exec.LookPath(name); err == nil {
			m.link(t, path, name)
		}
	}
	// Go's caches stay where they are: nothing here is about them.
	for _, name := range []string{"GOCACHE", "GOMODCACHE"} {
		m.env = append(m.env, name+"="+goEnv(t, name))
	}
	home := t.TempDir()
	// Go counts its own use in files of the home folder, from a process that may outlive the test.
	for _, config := range []string{".config", "Library/Application Support"} {
		write(t, filepath.Join(home, config, "go", "telemetry", "mode"), "off")
	}
	m.env = append(m.env, "PATH="+m.bin, "HOME="+home, "ONDA_LOCAL_DIR="+m.local, "GOTOOLCHAIN=local")

	return m
}

func (m *machine) link(t *testing.T, path, name string) {
	t.Helper()
	if err := os.Symlink(path, filepath.Join(m.bin, name)); err != nil {
		t.Fatal(err)
	}
}

// script puts a program of our own on the PATH, in place of any that is there.
func (m *machine) script(t *testing.T, name, body string) {
	t.Helper()
	path := filepath.Join(m.bin, name)
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		t.Fatal(err)
	}
	write(t, path, "#!"+filepath.Join(m.bin, "bash")+"\n"+body)
}

// setUp lends the machine the finished set-up of this repository.
func (m *machine) setUp(t *testing.T) {
	t.Helper()
	for _, name := range []string{"onnxruntime", "dapr", "tools", "bin", "azurite"} {
		from := filepath.Join(m.root, ".local", name)
		if _, err := os.Stat(from); err != nil {
			t.Fatalf("%v: run make setup build first, or all tests with make test", err)
		}
		if err := os.Symlink(from, filepath.Join(m.local, name)); err != nil {
			t.Fatal(err)
		}
	}
}

// command is not started yet. Its processes are one group, and none of it outlives the test.
func (m *machine) command(t *testing.T, env []string, name string, args ...string) (*exec.Cmd, *bytes.Buffer) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	t.Cleanup(cancel)
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir = m.root
	cmd.Env = append(append([]string{}, m.env...), env...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.WaitDelay = time.Second
	var output bytes.Buffer
	cmd.Stdout, cmd.Stderr = &output, &output

	return cmd, &output
}

// run runs a script of deploy/local to its end.
func (m *machine) run(t *testing.T, env []string, script string, args ...string) (output string, code int) {
	t.Helper()
	cmd, buf := m.command(t, env, filepath.Join(m.bin, "bash"), append([]string{filepath.Join("deploy/local", script)}, args...)...)
	err := cmd.Run()
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		return buf.String(), exit.ExitCode()
	}
	if err != nil {
		t.Fatalf("%s: %v", script, err)
	}

	return buf.String(), 0
}

// bash runs a line in the scripts' own functions and gives its output without the last line break.
func (m *machine) bash(t *testing.T, env []string, line string) string {
	t.Helper()
	const parts = `set -euo pipefail; cd deploy/local/lib; for part in common onnxruntime gotools ports logs; do source ./$part.sh; done; `
	cmd, output := m.command(t, env, filepath.Join(m.bin, "bash"), "-c", parts+line)
	if err := cmd.Run(); err != nil {
		t.Fatalf("%s: %v\n%s", line, err, output)
	}

	return strings.TrimSuffix(output.String(), "\n")
}

// checkErrorLine wants one line, and only one, that tells the user what to do, with all of these parts.
func checkErrorLine(t *testing.T, output string, code int, want ...string) {
	t.Helper()
	var lines []string
	for line := range strings.Lines(output) {
		if strings.HasPrefix(line, "error: ") {
			lines = append(lines, line)
		}
	}
	if code != 1 || len(lines) != 1 {
		t.Fatalf("got exit code %d and %d error lines, want 1 and 1; output:\n%s", code, len(lines), output)
	}
	for _, part := range want {
		if !strings.Contains(lines[0], part) {
			t.Errorf("got %q, want it to say %q", lines[0], part)
		}
	}
}

func write(t *testing.T, path, content string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(content), 0o755); err != nil {
		t.Fatal(err)
	}
}

func goEnv(t *testing.T, name string) string {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), "go", "env", name).Output()
	if err != nil {
		t.Fatal(err)
	}

	return strings.TrimSpace(string(out))
}

// freePorts are free on all addresses now.
func freePorts(t *testing.T, n int) []int {
	t.Helper()
	ports := make([]int, n)
	for i := range ports {
		l, err := net.Listen("tcp", ":0")
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		addr, ok := l.Addr().(*net.TCPAddr)
		if !ok {
			t.Fatalf("%v is no TCP address", l.Addr())
		}
		ports[i] = addr.Port
	}

	return ports
}

// portNames are the variables that change the ports, as deploy/local/lib/ports.sh has them.
var portNames = []string{
	"ONDA_PORT", "ONDA_METRICS_PORT", "DAPR_HTTP_PORT", "DAPR_GRPC_PORT", "DAPR_INTERNAL_PORT", "DAPR_METRICS_PORT",
	"PORTAL_PORT", "PORTAL_DAPR_HTTP_PORT", "PORTAL_DAPR_GRPC_PORT", "PORTAL_DAPR_INTERNAL_PORT", "PORTAL_DAPR_METRICS_PORT",
}

// portSettings give every port a number that is free, so that a running Onda disturbs no test.
func portSettings(t *testing.T) (env []string, byName map[string]int) {
	t.Helper()
	byName = map[string]int{}
	for i, number := range freePorts(t, len(portNames)) {
		byName[portNames[i]] = number
		env = append(env, fmt.Sprintf("%s=%d", portNames[i], number))
	}

	return env, byName
}

// eventually gives a condition some time.
func eventually(t *testing.T, within time.Duration, what string, holds func() bool) {
	t.Helper()
	for began := time.Now(); !holds(); time.Sleep(50 * time.Millisecond) {
		if time.Since(began) > within {
			t.Fatalf("not so after %v: %s", within, what)
		}
	}
}
