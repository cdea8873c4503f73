package e2e_test

import (
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestSettings starts Onda with settings that it must refuse, and says why.
func TestSettings(t *testing.T) {
	group(t)
	taken, err := net.Listen("tcp", local(0))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = taken.Close() })
	for _, c := range []struct {
		name string
		env  map[string]string
		code int
		// log holds what the output must say.
		log []string
	}{
		{"address", map[string]string{"ONDA_LISTEN": "8080"}, 2, []string{`ONDA_LISTEN="8080": want "host:port", such as "127.0.0.1:8080"`}},
		{"duration", map[string]string{"ONDA_TIMEOUT": "30"}, 2, []string{`ONDA_TIMEOUT="30": want a duration, such as "30s" or "500ms"`}},
		{"size", map[string]string{"ONDA_MAX_BODY": "32MB"}, 2, []string{`ONDA_MAX_BODY="32MB": want a size, such as "32Mi", "512Ki" or a number of bytes`}},
		{"choice", map[string]string{"ONDA_DEVICE": "tpu"}, 2, []string{`ONDA_DEVICE="tpu": want one of cpu, cuda`}},
		{"folder", map[string]string{"ONDA_MODELS_DIR": "/no/such/folder"}, 2, []string{`ONDA_MODELS_DIR="/no/such/folder": no such folder; want the folder that holds <model>/<version>/model.onnx`}},
		{"several", map[string]string{"ONDA_DEVICE": "tpu", "ONDA_MAX_INSTANCES": "0", "ONDA_PUBSUB": " "}, 2, []string{`ONDA_DEVICE="tpu"`, "ONDA_MAX_INSTANCES=0: want at least 1", "ONDA_PUBSUB"}},
		{"port in use", map[string]string{"ONDA_LISTEN": taken.Addr().String()}, 1, []string{"ONDA_LISTEN=" + taken.Addr().String() + ": the port is in use by another process: stop it, or set another address"}},
		{"metrics port in use", map[string]string{"ONDA_METRICS_LISTEN": taken.Addr().String()}, 1, []string{"ONDA_METRICS_LISTEN=" + taken.Addr().String() + ": the port is in use"}},
		{"library", map[string]string{"ONDA_ONNXRUNTIME_LIBRARY": "/no/such/library.so"}, 1, []string{"/no/such/library.so", "ONDA_ONNXRUNTIME_LIBRARY sets the path"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			o := newOnda(t, t.TempDir(), c.env)
			o.start(t)
			if code := o.exitCode(t); code != c.code {
				t.Errorf("exit code %d, want %d", code, c.code)
			}
			for _, want := range c.log {
				if text := o.log.String(); !strings.Contains(text, want) && !strings.Contains(text, strings.ReplaceAll(want, `"`, `\"`)) {
					t.Errorf("the output does not say %s:\n%s", want, text)
				}
			}
		})
	}
	t.Run("misspelt", func(t *testing.T) {
		o := newOnda(t, t.TempDir(), map[string]string{"ONDA_DAPR": "off", "ONDA_MAX_BODDY": "1Mi", "ONDA_PORT": "tcp://10.0.0.1:80"})
		o.start(t)
		o.logs(t, "ONDA_MAX_BODDY")
		o.ready(t)
		if strings.Contains(o.log.String(), "ONDA_PORT") {
			t.Error("a variable that Kubernetes sets is called misspelt")
		}
	})
}

// TestListensOnLoopbackAlone looks at the sockets of a running Onda.
func TestListensOnLoopbackAlone(t *testing.T) {
	group(t)
	o := newOnda(t, t.TempDir(), map[string]string{"ONDA_DAPR": "off"})
	o.start(t)
	o.ready(t)
	got := listening(t, o.cmd.Process.Pid)
	for _, want := range []int{o.port, o.metricsPort} {
		if address := got[want]; address != "0100007F" {
			t.Errorf("port %d listens on %q, want 0100007F, which is 127.0.0.1", want, address)
		}
	}
	if len(got) != 2 {
		t.Errorf("onda listens on %v, want two ports", got)
	}
}

// listening gives the address of every port that a process listens on, as the kernel
// writes it.
func listening(t *testing.T, pid int) map[int]string {
	t.Helper()
	links, err := filepath.Glob(fmt.Sprintf("/proc/%d/fd/*", pid))
	if err != nil || len(links) == 0 {
		t.Skip("this system has no /proc")
	}
	sockets := map[string]bool{}
	for _, link := range links {
		if target, err := os.Readlink(link); err == nil && strings.HasPrefix(target, "socket:[") {
			sockets[strings.Trim(target, "socket:[]")] = true
		}
	}
	found := map[int]string{}
	for _, table := range []string{"tcp", "tcp6"} {
		lines := strings.Split(string(read(t, fmt.Sprintf("/proc/%d/net/%s", pid, table))), "\n")
		for _, line := range lines[1:] {
			const stateListening = "0A"
			fields := strings.Fields(line)
			if len(fields) < 10 || fields[3] != stateListening || !sockets[fields[9]] {
				continue
			}
			var port int
			address, hex, _ := strings.Cut(fields[1], ":")
			if _, err := fmt.Sscanf(hex, "%X", &port); err != nil {
				t.Fatal(err)
			}
			found[port] = address
		}
	}
	return found
}

// TestTokens sets APP_API_TOKEN on both sides: what does not come from the sidecar is
// turned away, and health is open to all.
func TestTokens(t *testing.T) {
	group(t)
	token := unique()
	s := newStack(t, map[string]string{"APP_API_TOKEN": token})
	s.own.env = map[string]string{"APP_API_TOKEN": token}
	s.start(t)
	s.onda.ready(t)
	s.own.outbound(t)
	s.other.outbound(t)
	r := predictOf(imageModel, "image/png", golden(t, imageModel).cases[0].picture)
	for _, w := range s.ways()[1:] {
		eventually(t, "Onda answers "+w.name, func() error { return wants(http.StatusOK, r.send(w)) })
	}
	letters := listen(t, s.own.grpcPort, pubsub, deadLetterTopic)
	s.eventsFlow(t, letters)

	const want = `{"error":"the header dapr-api-token is missing or wrong: call Onda through its sidecar, or send the token of APP_API_TOKEN"}`
	forged := map[string]any{"specversion": "1.0", "id": "forged", "source": "tests", "type": "onda.score.request.v1", "subject": "none", "data": map[string]any{}}
	for _, shown := range []string{"", "wrong", token + "x"} {
		for _, probe := range []string{"/v2/health/live", "/v2/health/ready", "/healthz"} {
			r := request{path: probe, header: map[string]string{"Dapr-Api-Token": shown}}
			if err := wants(http.StatusOK, r.to(t, s.direct())); err != nil {
				t.Errorf("%s with token %q: %v", probe, shown, err)
			}
		}
		for _, r := range []request{
			r,
			{path: "/v1/models"},
			{path: "/registry/v1/models"},
			{path: "/nothing"},
			{path: "/events/scoring", contentType: "application/cloudevents+json", body: asJSON(t, forged)},
		} {
			r.header = map[string]string{"Dapr-Api-Token": shown}
			if got := r.to(t, s.direct()); got.status != http.StatusUnauthorized || got.body != want {
				t.Errorf("%s %s with token %q: %d %s, want 401 %s", r.verb(), r.path, shown, got.status, clip(got.body), want)
			}
		}
	}
	if found := letters.about(t, "forged"); len(found) > 0 {
		t.Errorf("a forged event was answered: %+v", found)
	}
	// A caller's own token is no way around the sidecar's.
	r.header = map[string]string{"Dapr-Api-Token": "wrong"}
	if got := r.to(t, s.throughOther()); got.status != http.StatusOK {
		t.Errorf("through the sidecars with a token of the caller's: %d %s", got.status, clip(got.body))
	}
	r.header = map[string]string{"Dapr-Api-Token": token}
	if got := r.to(t, s.direct()); got.status != http.StatusOK {
		t.Errorf("directly with the token: %d %s", got.status, clip(got.body))
	}
	if got := get(s.onda.url() + "/healthz"); got.status != http.StatusOK {
		t.Errorf("GET /healthz without a token: %d %s", got.status, got.body)
	}
	if strings.Contains(s.onda.log.String(), token) {
		t.Error("the token is in the log")
	}
}
