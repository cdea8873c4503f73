package setup_test

import (
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

func TestPortInUse(t *testing.T) {
	t.Parallel()

	m := newMachine(t)
	addresses := []string{"127.0.0.1:0", ":0"}
	if l, err := net.Listen("tcp", "[::1]:0"); err == nil {
		l.Close()
		addresses = append(addresses, "[::1]:0")
	}
	for _, address := range addresses {
		t.Run(address, func(t *testing.T) {
			t.Parallel()
			taken, err := net.Listen("tcp", address)
			if err != nil {
				t.Fatal(err)
			}
			defer taken.Close()
			_, port, _ := net.SplitHostPort(taken.Addr().String())
			env, _ := portSettings(t)
			output, code := m.run(t, append(env, "PORTAL_DAPR_GRPC_PORT="+port), "run.sh")
			checkErrorLine(t, output, code, "port "+port, "gRPC API of the sidecar of portal",
				"in use by ", "(process "+strconv.Itoa(os.Getpid())+")", "make run PORTAL_DAPR_GRPC_PORT=")
		})
	}
}

func TestSenselessPort(t *testing.T) {
	t.Parallel()

	m := newMachine(t)
	for _, tt := range []struct{ name, setting, want string }{
		{"no number", "ONDA_PORT=http", "ONDA_PORT=http is not a port"},
		{"too large", "ONDA_PORT=65536", "ONDA_PORT=65536 is not a port"},
		{"zero", "ONDA_PORT=0", "ONDA_PORT=0 is not a port"},
		{"given twice", "ONDA_PORT=%[1]d", "port %[1]d is wanted twice"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			env, ports := portSettings(t)
			fill := func(s string) string { return strings.ReplaceAll(s, "%[1]d", strconv.Itoa(ports["PORTAL_PORT"])) }
			output, code := m.run(t, append(env, fill(tt.setting)), "run.sh")
			checkErrorLine(t, output, code, fill(tt.want))
		})
	}
}

// The run file with other ports is dapr.yaml in all but the ports and the paths, which no longer depend on where it stands.
func TestRunFile(t *testing.T) {
	t.Parallel()

	m := newMachine(t)
	if got, want := m.bash(t, nil, "run_file"), filepath.Join(m.root, "dapr.yaml"); got != want {
		t.Errorf("with the ports as they are: got %s, want %s", got, want)
	}

	// Two that change places would end as one, if one replacement saw the result of another.
	path := m.bash(t, []string{"ONDA_PORT=8090", "PORTAL_PORT=8080", "DAPR_HTTP_PORT=13500"}, "run_file")
	got, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	original, err := os.ReadFile(filepath.Join(m.root, "dapr.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	want := regexp.MustCompile(`(?m)(:\s*|:)(8080|8090|3500)$`).ReplaceAllStringFunc(string(original), func(s string) string {
		return strings.NewReplacer("8080", "8090", "8090", "8080", "3500", "13500").Replace(s)
	})
	want = strings.ReplaceAll(want, ": ./", ": "+m.root+"/")
	want = strings.ReplaceAll(want, "appDirPath: .\n", "appDirPath: "+m.root+"\n")
	if string(got) != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

// What the shell sets goes before dapr.yaml, whose env would win otherwise, and nothing else is lost of it.
func TestRunFileLeavesSettingsToTheShell(t *testing.T) {
	t.Parallel()

	m := newMachine(t)
	for _, tt := range []struct {
		name  string
		env   []string
		taken []string
	}{
		{"the token", []string{"ONDA_REGISTRY_CHANGES=token", "ONDA_REGISTRY_TOKEN=sekret"}, []string{"ONDA_REGISTRY_CHANGES"}},
		{"a store, and no cache", []string{"ONDA_ARTIFACT_STORE=/x", "ONDA_ARTIFACT_CACHE="}, []string{"ONDA_ARTIFACT_STORE", "ONDA_ARTIFACT_CACHE"}},
		{"an address, which has names of its own", []string{"ONDA_LISTEN=127.0.0.1:1", "ONDA_ARTIFACT_STORE=/x"}, []string{"ONDA_ARTIFACT_STORE"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			local := []string{"ONDA_LOCAL_DIR=" + t.TempDir()}
			file, err := os.ReadFile(m.bash(t, append(local, tt.env...), "run_file"))
			if err != nil {
				t.Fatal(err)
			}
			original, err := os.ReadFile(filepath.Join(m.root, "dapr.yaml"))
			if err != nil {
				t.Fatal(err)
			}
			want := strings.ReplaceAll(string(original), ": ./", ": "+m.root+"/")
			want = strings.ReplaceAll(want, "appDirPath: .\n", "appDirPath: "+m.root+"\n")
			for _, name := range tt.taken {
				shorter := regexp.MustCompile(`(?m)^ +`+name+`: .*\n`).ReplaceAllString(want, "")
				if shorter == want {
					t.Fatalf("dapr.yaml does not set %s", name)
				}
				want = shorter
			}
			if string(file) != want {
				t.Errorf("got\n%s\nwant\n%s", file, want)
			}
		})
	}
	if got, want := m.bash(t, []string{"ONDA_REGISTRY_TOKEN=sekret", "ONDA_LISTEN=127.0.0.1:1"}, "run_file"), filepath.Join(m.root, "dapr.yaml"); got != want {
		t.Errorf("with nothing that dapr.yaml sets: got %s, want %s", got, want)
	}
}

// What ended a program is said by its own last error, or by how it ended; a line of another level that tells of an error
// is no reason.
func TestLastWords(t *testing.T) {
	t.Parallel()

	m := newMachine(t)
	const (
		innocent = `== APP - onda == {"level":"info","error":"the caller left","time":"2026-11-23T16:35:00Z","message":"change refused"}`
		failed   = `{"level":"error","error":"listen tcp 127.0.0.1:8080: address already in use","message":"failed"}`
		exited   = "The App process exited with error code: exit status 1"
	)
	for _, tt := range []struct {
		name string
		log  []string
		want string
	}{
		{"killed", []string{"== APP - onda == " + failed, innocent, "The App process exited with error code: signal: killed"}, "killed by signal 9"},
		{"another signal", []string{innocent, "The App process exited with error code: signal: aborted"}, "ended by a signal (aborted)"},
		{"JSON", []string{"== APP - onda == " + failed, innocent, exited}, failed},
		{"console", []string{"== APP - onda == 16:35:00 ERR failed error=\"no room\"", "== APP - onda == 16:35:01 INF an ERR in an error", exited}, `16:35:00 ERR failed error="no room"`},
		{"console in colours", []string{"== APP - onda == \x1b[90m16:35:00\x1b[0m \x1b[1m\x1b[31mFTL\x1b[0m\x1b[0m no room", exited}, "16:35:00 FTL no room"},
		{"sidecar", []string{
			`time="2026-11-23T16:35:00Z" level=fatal msg="Fatal error from runtime: no \"port\"" app_id=onda scope=dapr.runtime`,
			`time="2026-11-23T16:35:01Z" level=info msg="an error, level=error" app_id=onda`, "The daprd process exited with error code: exit status 1",
		}, `Fatal error from runtime: no \"port\"`},
		{"command line", []string{"== APP - portal == portal: PORTAL_TIMEOUT: want a time", "The App process exited with error code: exit status 2"}, "portal: PORTAL_TIMEOUT: want a time"},
		{"panic", []string{"== APP - onda == panic: index out of range", "== APP - onda == goroutine 1 [running]:", "The App process exited with error code: exit status 2"}, "panic: index out of range"},
		{"nothing said", []string{innocent, "The App process exited with error code: exit status 3"}, "exit code 3"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			log := filepath.Join(t.TempDir(), "onda_app.log")
			write(t, log, strings.Join(tt.log, "\n")+"\n")
			if got := m.bash(t, nil, "last_words "+log); got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}

// Every port of ports.sh stands in dapr.yaml once for a listener, so that a change of it changes something.
func TestPortsOfRunFile(t *testing.T) {
	t.Parallel()

	m := newMachine(t)
	file, err := os.ReadFile(filepath.Join(m.root, "dapr.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range portNames {
		number := m.bash(t, nil, "port "+name)
		if !regexp.MustCompile(`(?m)[^0-9]` + number + `$`).Match(file) {
			t.Errorf("%s is %s, which dapr.yaml has nowhere", name, number)
		}
	}
}

// All of it, for real: ready, told where to look, and gone without a trace when it is told to stop.
func TestRunLeavesNothingBehind(t *testing.T) {
	m := newMachine(t, prerequisites...)
	m.setUp(t)
	env, ports := portSettings(t)
	cmd, _ := m.command(t, env, filepath.Join(m.bin, "bash"), "deploy/local/run.sh")
	log, err := os.Create(filepath.Join(t.TempDir(), "run.log"))
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	cmd.Stdout, cmd.Stderr = log, log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	t.Cleanup(func() { _ = cmd.Process.Signal(syscall.SIGTERM) })

	printed := func() string {
		text, err := os.ReadFile(log.Name())
		if err != nil {
			t.Fatal(err)
		}

		return string(text)
	}
	eventually(t, 90*time.Second, "Onda is ready", func() bool {
		select {
		case err := <-ended:
			t.Fatalf("ended before it was ready: %v\n%s", err, printed())
		default:
		}

		return strings.Contains(printed(), "Onda is ready")
	})

	for name, path := range map[string]string{
		"ONDA_PORT":             "/v2/health/live",
		"DAPR_HTTP_PORT":        "/v1.0/healthz",
		"PORTAL_PORT":           "/healthz",
		"PORTAL_DAPR_HTTP_PORT": "/v1.0/healthz",
	} {
		url := fmt.Sprintf("http://127.0.0.1:%d%s", ports[name], path)
		resp, err := http.Get(url)
		if err != nil {
			t.Error(err)

			continue
		}
		resp.Body.Close()
		if resp.StatusCode >= http.StatusBadRequest {
			t.Errorf("GET %s: got %s", url, resp.Status)
		}
	}
	checkLoopbackOnly(t, ports)

	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := <-ended; err != nil {
		t.Errorf("stopped with %v, want success\n%s", err, printed())
	}
	for name, port := range ports {
		if conn, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", port)); err == nil {
			conn.Close()
			t.Errorf("%s %d is still in use", name, port)
		}
	}
}

// checkLoopbackOnly asks every port by an address of this machine that is not loopback, where it has one.
func checkLoopbackOnly(t *testing.T, ports map[string]int) {
	t.Helper()
	addresses, err := net.InterfaceAddrs()
	if err != nil {
		t.Fatal(err)
	}
	for _, address := range addresses {
		network, ok := address.(*net.IPNet)
		if !ok || network.IP.IsLoopback() || network.IP.To4() == nil {
			continue
		}
		for name, port := range ports {
			if conn, err := net.Dial("tcp", net.JoinHostPort(network.IP.String(), strconv.Itoa(port))); err == nil {
				conn.Close()
				t.Errorf("%s listens on %s", name, network.IP)
			}
		}
	}
}
