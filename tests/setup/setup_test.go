package setup_test

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"
)

// prerequisites are all that a user must have; as and ld belong to the compiler.
var prerequisites = []string{"go", "gcc", "cc", "as", "ld", "npm", "node"}

func TestMissingPrerequisite(t *testing.T) {
	t.Parallel()

	for _, tt := range []struct {
		name    string
		missing string
		instead string // a program of that name, where it is there but will not do
		want    []string
	}{
		{name: "no Go", missing: "go", want: []string{"Go is missing", "install Go 1.26.4 or newer"}},
		{name: "old Go", missing: "go", instead: "echo go1.24.2", want: []string{"Go 1.24.2 is too old", "install Go 1.26.4 or newer"}},
		{name: "no npm", missing: "npm", want: []string{"npm is missing", "install Node.js"}},
		{name: "npm without node", missing: "node", want: []string{"npm is missing", "install Node.js"}},
		{name: "no C compiler", missing: "gcc", want: []string{"C compiler (gcc) is missing", "apt-get install gcc"}},
		{name: "no C headers", missing: "gcc", instead: "exit 1", want: []string{"finds no C headers", "apt-get install libc6-dev"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			m := newMachine(t, prerequisites...)
			m.env = append(m.env, "CC=gcc")
			if err := os.Remove(filepath.Join(m.bin, tt.missing)); err != nil {
				t.Fatal(err)
			}
			if tt.instead != "" {
				m.script(t, tt.missing, tt.instead)
			}
			output, code := m.run(t, nil, "setup.sh", "run")
			checkErrorLine(t, output, code, append(tt.want, "then run make again")...)
		})
	}
}

func TestNoNetwork(t *testing.T) {
	t.Parallel()
	closed := fmt.Sprintf("http://127.0.0.1:%d", freePorts(t, 1)[0])

	t.Run("npm", func(t *testing.T) {
		t.Parallel()
		m := newMachine(t, prerequisites...)
		output, code := m.run(t, []string{"npm_config_registry=" + closed}, "setup.sh", "run")
		checkErrorLine(t, output, code, "cannot reach the npm registry", "check the network or the proxy", "log/onnxruntime.log")
	})
	t.Run("Go", func(t *testing.T) {
		t.Parallel()
		m := newMachine(t, prerequisites...)
		output, code := m.run(t, []string{"GOPROXY=" + closed, "GOMODCACHE=" + t.TempDir(), "GOFLAGS=-modcacherw"}, "setup.sh", "vuln")
		checkErrorLine(t, output, code, "cannot reach the Go module proxy", "check the network or the proxy", "log/govulncheck.log")
	})
}

func TestCorruptDownload(t *testing.T) {
	t.Parallel()

	m := newMachine(t, prerequisites...)
	m.script(t, "npm", `while [[ $1 != --pack-destination ]]; do shift; done; echo garbage >"$2/onnxruntime-node-1.30.0.tgz"`)
	output, code := m.run(t, nil, "setup.sh", "run")
	// The second sum is that of "garbage".
	checkErrorLine(t, output, code, "onnxruntime-node 1.30.0 is corrupt", "SHA-512 expected b7086cd4", "got ", "was removed", "run make again")
	checkNothingLeft(t, m)
}

// A library that was damaged after it was fetched is noticed and fetched again.
func TestDamagedLibrary(t *testing.T) {
	t.Parallel()

	m := newMachine(t, prerequisites...)
	library := m.bash(t, nil, "onnxruntime_library")
	write(t, library, "half a library")
	m.script(t, "npm", "echo npm error code ENOTFOUND; exit 1")
	output, code := m.run(t, nil, "setup.sh", "run")
	checkErrorLine(t, output, code, "cannot reach the npm registry")
	if !strings.Contains(output, "is damaged: fetching it again") {
		t.Errorf("got %q, want it to say that the library is damaged", output)
	}
	if _, err := os.Stat(library); err == nil {
		t.Error("the damaged library is still there")
	}
}

func TestKilledSetup(t *testing.T) {
	t.Parallel()

	for _, signal := range []syscall.Signal{syscall.SIGINT, syscall.SIGTERM, syscall.SIGKILL} {
		t.Run(signal.String(), func(t *testing.T) {
			t.Parallel()
			m := newMachine(t, prerequisites...)
			started := filepath.Join(m.local, "started")
			m.script(t, "npm", `printf '%s' $$ >`+started+`.part; mv `+started+`.part `+started+`; exec sleep 30`)
			cmd, _ := m.command(t, nil, filepath.Join(m.bin, "bash"), "deploy/local/setup.sh", "run")
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			eventually(t, 30*time.Second, "the download began", func() bool { _, err := os.Stat(started); return err == nil })
			if err := cmd.Process.Signal(signal); err != nil {
				t.Fatal(err)
			}
			_ = cmd.Wait()

			if signal == syscall.SIGKILL {
				// It could not tidy up: the next one does.
				_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
				m.script(t, "npm", "exit 1")
				m.run(t, nil, "setup.sh", "run")
			} else {
				pid, err := os.ReadFile(started)
				if err != nil {
					t.Fatal(err)
				}
				eventually(t, 30*time.Second, "the download ended", func() bool { return !alive(string(pid)) })
			}
			checkNothingLeft(t, m)
		})
	}
}

// A machine that is set up needs neither npm nor a build, and next to no time.
func TestSecondSetupDoesNothing(t *testing.T) {
	t.Parallel()

	m := newMachine(t, "gcc", "cc", "go")
	m.setUp(t)
	path, err := os.Readlink(filepath.Join(m.bin, "go"))
	if err != nil {
		t.Fatal(err)
	}
	m.script(t, "go", `[[ $1 == env ]] || { echo "error: go $* was called"; exit 1; }; exec `+path+` "$@"`)
	began := time.Now()
	output, code := m.run(t, nil, "setup.sh", "test")
	if code != 0 || output != "" {
		t.Errorf("got exit code %d and output %q, want 0 and none", code, output)
	}
	// A fraction of a second on an idle machine; this bound only tells it from a build.
	if took := time.Since(began); took > 20*time.Second {
		t.Errorf("took %v", took)
	}
}

func TestInstalledDapr(t *testing.T) {
	t.Parallel()

	for _, tt := range []struct {
		name, cli, daprd string
		want             bool
	}{
		{name: "as old as ours", cli: "1.12.0", daprd: "1.18.1", want: true},
		{name: "newer command, other patch", cli: "1.18.3", daprd: "1.18.4", want: true},
		{name: "old command", cli: "1.11.0", daprd: "1.18.1", want: false},
		{name: "old daprd", cli: "1.18.0", daprd: "1.17.9", want: false},
		{name: "newer daprd", cli: "1.18.0", daprd: "1.19.0", want: false},
		{name: "daprd built by hand", cli: "1.18.0", daprd: "edge", want: false},
		{name: "no daprd", cli: "1.18.0", want: false},
		{name: "no command", daprd: "1.18.1", want: false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			m := newMachine(t)
			home := t.TempDir()
			if tt.cli != "" {
				m.script(t, "dapr", "echo 'CLI version: "+tt.cli+" '; echo 'Runtime version: n/a'")
			}
			daprd := filepath.Join(home, ".dapr", "bin", "daprd")
			if tt.daprd != "" {
				write(t, daprd, "#!"+filepath.Join(m.bin, "bash")+"\necho "+tt.daprd+"\n")
			}
			got := m.bash(t, []string{"HOME=" + home}, `choose_dapr; printf '%s' "$DAPRD"`)
			if tt.want != (got == daprd) {
				t.Errorf("got %s, want the installed one: %v", got, tt.want)
			}
		})
	}
}

// The pins that stand in two places are the same in both.
func TestPins(t *testing.T) {
	t.Parallel()

	m := newMachine(t)
	for _, tt := range []struct{ variable, module, path string }{
		{"DAPR_VERSION", "dapr", "github.com/dapr/dapr"},
		{"DAPR_CLI_VERSION", "cli", "github.com/dapr/cli"},
	} {
		want := m.bash(t, nil, "pinned "+tt.module+" "+tt.path)
		if got := m.bash(t, nil, "printf %s $"+tt.variable); got == "" || got != want {
			t.Errorf("versions.env has %s=%q, %s/go.mod has %q", tt.variable, got, tt.module, want)
		}
	}
}

// Every target of the Makefile that a person may call is documented.
func TestMakefileIsDocumented(t *testing.T) {
	t.Parallel()

	makefile, err := os.ReadFile("../../Makefile")
	if err != nil {
		t.Fatal(err)
	}
	targets := regexp.MustCompile(`(?m)^\.PHONY: (.*)$`).FindAllStringSubmatch(string(makefile), -1)
	if len(targets) < 15 {
		t.Fatalf("found only %d targets", len(targets))
	}
	for _, target := range targets {
		if !regexp.MustCompile(`(?m)^` + target[1] + `:.* ## \S`).Match(makefile) {
			t.Errorf("target %s has no ## comment", target[1])
		}
	}
}

// checkNothingLeft: neither half an item nor a scratch folder.
func checkNothingLeft(t *testing.T, m *machine) {
	t.Helper()
	for _, pattern := range []string{"tmp/*", "onnxruntime/*/*", "dapr/*", "tools/*"} {
		if left, _ := filepath.Glob(filepath.Join(m.local, pattern)); len(left) > 0 {
			t.Errorf("left behind: %v", left)
		}
	}
}

func alive(pid string) bool {
	stat, err := os.ReadFile("/proc/" + pid + "/stat")

	return err == nil && !strings.Contains(string(stat), ") Z ")
}
