package e2e_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/onda-serving/onda/app/catalog"
)

// operator changes the registry, by one way to Onda.
type operator struct {
	way

	// token is shown with every change; "" shows none.
	token string
}

// anyhow accepts whatever can be accepted: for changes whose comparison is not what the test
// is about.
var anyhow = []string{catalog.AcceptDivergence, catalog.AcceptRolledBack, catalog.AcceptSignature, catalog.AcceptSlower}

// document is what the registry tells of a model.
type document struct {
	Name     string                    `json:"name"`
	Revision int64                     `json:"revision"`
	Versions map[int64]catalog.Version `json:"versions"`

	catalog.State

	Serving struct {
		Revision int64            `json:"revision"`
		InSync   bool             `json:"in_sync"`
		Reason   string           `json:"reason"`
		Labels   map[string]int64 `json:"labels"`
		Versions []struct {
			Version     int64  `json:"version"`
			State       string `json:"state"`
			Reason      string `json:"reason"`
			MemoryBytes int64  `json:"memory_bytes"`
		} `json:"versions"`
	} `json:"serving"`
	Report struct {
		Samples   int `json:"samples"`
		Failed    int `json:"failed"`
		Disagreed int `json:"disagreed"`
	} `json:"report"`
}

// refusal is the answer to a change that was not made.
type refusal struct {
	Error   string         `json:"error"`
	Yours   *stateRevision `json:"yours"`
	Current *stateRevision `json:"current"`
}

type stateRevision struct {
	Revision int64 `json:"revision"`

	catalog.State
}

// asks sends a change, or reads where body is nil and the method GET. Further headers come
// as names and values in turn.
func (o operator) asks(method, path string, body any, headers ...string) reply {
	r := request{method: method, path: "/registry/v1/" + path, contentType: "application/json", header: map[string]string{"X-Onda-Actor": "tests"}}
	if o.token != "" {
		r.header["Authorization"] = "Bearer " + o.token
	}
	for i := 0; i+1 < len(headers); i += 2 {
		r.header[headers[i]] = headers[i+1]
	}
	if method != http.MethodGet {
		text, err := json.Marshal(body)
		if err != nil {
			return reply{err: err}
		}
		r.body = text
	}
	return r.send(o.way)
}

// changes makes a change and gives the document after it.
func (o operator) changes(t *testing.T, method, path string, body any, headers ...string) (d document) {
	t.Helper()
	got := o.asks(method, path, body, headers...)
	if got.err != nil || got.status != http.StatusOK && got.status != http.StatusCreated {
		t.Fatalf("%s %s %s: %d %s (%v)", method, path, o.name, got.status, clip(got.body), got.err)
	}
	if err := json.Unmarshal([]byte(got.body), &d); err != nil {
		// The answer to a registration is of another form, which who wants it reads itself.
		d = document{}
	}
	return d
}

// isRefused asks for a change that must not be made, and wants the reason to match all of
// pattern.
func (o operator) isRefused(t *testing.T, status int, pattern, method, path string, body any, headers ...string) (why refusal) {
	t.Helper()
	got := o.asks(method, path, body, headers...)
	if err := json.Unmarshal([]byte(got.body), &why); err != nil {
		t.Errorf("%s %s %s: %d %s (%v, %v)", method, path, o.name, got.status, clip(got.body), got.err, err)
		return why
	}
	if got.status != status || !matches(pattern, why.Error) {
		t.Errorf("%s %s %s: %d %q\nwant %d and %s", method, path, o.name, got.status, why.Error, status, pattern)
	}
	return why
}

// matches says whether all of text is as the pattern has it.
func matches(pattern, text string) bool {
	return regexp.MustCompile(`(?s)\A(?:` + pattern + `)\z`).MatchString(text)
}

// label moves a label, whatever the comparison says.
func (o operator) label(t *testing.T, model, label string, version int64) document {
	t.Helper()
	return o.changes(t, http.MethodPut, "models/"+model+"/labels/"+label, map[string]any{"version": version, "accept": anyhow})
}

// document reads a model's document.
func (o operator) document(t *testing.T, model string) (d document) {
	t.Helper()
	o.asks(http.MethodGet, "models/"+model, nil).into(t, &d)
	return d
}

// registers waits until every version of a models folder is in the registry.
func (o operator) registers(t *testing.T, models string) {
	t.Helper()
	versions, err := filepath.Glob(filepath.Join(models, "*", "[1-9]*"))
	if err != nil || len(versions) == 0 {
		t.Fatalf("there are no versions in %s (%v)", models, err)
	}
	for _, dir := range versions {
		eventually(t, "the versions of the models folder are registered", func() error {
			return wants(http.StatusOK, o.asks(http.MethodGet, "models/"+filepath.Base(filepath.Dir(dir))+"/versions/"+filepath.Base(dir), nil))
		})
	}
}

// history reads a model's whole history, the oldest entry first. The document must be what
// it gives.
func (o operator) history(t *testing.T, model string) []catalog.Entry {
	t.Helper()
	var answer struct {
		Entries []catalog.Entry `json:"entries"`
	}
	d := o.document(t, model)
	o.asks(http.MethodGet, "models/"+model+"/history?limit=1000", nil).into(t, &answer)
	slices.Reverse(answer.Entries)
	folded, err := catalog.Fold(model, answer.Entries)
	if err != nil {
		t.Fatal(err)
	}
	if folded.Revision != d.Revision || !sameJSON(t, folded.State, d.State) || !sameJSON(t, folded.Versions, d.Versions) {
		t.Errorf("the history of %s gives revision %d, %s\nthe document is at revision %d, %s", model,
			folded.Revision, asJSON(t, folded.State), d.Revision, asJSON(t, d.State))
	}
	return answer.Entries
}

// upload puts the files of a version into the artifact store, and gives the body that
// registers them.
func (o operator) upload(t *testing.T, version int64, files map[string][]byte) map[string]any {
	t.Helper()
	body, err := o.uploads(version, files)
	if err != nil {
		t.Fatal(err)
	}
	return body
}

// uploads is upload for who goes on where it fails.
func (o operator) uploads(version int64, files map[string][]byte) (map[string]any, error) {
	listed := map[string]catalog.File{}
	for name, data := range files {
		sum := sumOfFile(data)
		listed[name] = catalog.File{SHA256: sum, Size: int64(len(data))}
		r := request{method: http.MethodPut, path: "/registry/v1/blobs/" + sum, contentType: "application/octet-stream", body: data}
		if o.token != "" {
			r.header = map[string]string{"Authorization": "Bearer " + o.token}
		}
		if got := r.send(o.way); got.err != nil || got.status != http.StatusCreated && got.status != http.StatusOK {
			return nil, fmt.Errorf("upload %s %s: %d %s (%w)", name, o.name, got.status, clip(got.body), got.err)
		}
	}
	return map[string]any{"version": version, "location": catalog.InStore, "files": listed}, nil
}

// register uploads and registers a version.
func (o operator) register(t *testing.T, model string, version int64, files map[string][]byte) {
	t.Helper()
	body := o.upload(t, version, files)
	body["accept"] = anyhow
	o.changes(t, http.MethodPost, "models/"+model+"/versions", body)
}

// command is the end of a run of `onda models`.
type command struct {
	stdout, stderr string
	code           int
}

// runs `onda models` against this way to Onda.
func (o operator) runs(t *testing.T, args ...string) command {
	t.Helper()
	return o.runsCommand(t, append([]string{"models", "--actor", "tests", "--server", o.url}, args...)...)
}

// runsCommand runs any command of Onda's with the operator's token.
func (o operator) runsCommand(t *testing.T, args ...string) command {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), ondaBinary, args...)
	cmd.Dir = t.TempDir()
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + cmd.Dir, "ONDA_REGISTRY_TOKEN=" + o.token}
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	return command{stdout.String(), stderr.String(), cmd.ProcessState.ExitCode()}
}

// says runs `onda models`, which must succeed and print what the pattern has.
func (o operator) says(t *testing.T, pattern string, args ...string) string {
	t.Helper()
	got := o.runs(t, args...)
	if got.code != 0 || !matches(pattern, got.stdout) {
		t.Errorf("onda models %s: exit code %d\n%s%s\nwant 0 and %s", strings.Join(args, " "), got.code, got.stdout, got.stderr, pattern)
	}
	return got.stdout
}

// metric adds up the series of one of Onda's metrics that have these labels, each as
// `name="value"`; 0 where there are none.
func metric(t *testing.T, port int, name string, labels ...string) (sum float64) {
	t.Helper()
	got := get("http://" + local(port) + "/metrics")
	if err := wants(http.StatusOK, got); err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(got.body) {
		series, text, _ := strings.Cut(strings.TrimSpace(line), " ")
		found, with, _ := strings.Cut(series, "{")
		if found != name || slices.ContainsFunc(labels, func(label string) bool { return !strings.Contains(with, label) }) {
			continue
		}
		value, err := strconv.ParseFloat(text, 64)
		if err != nil {
			t.Fatalf("%s: %s", line, err)
		}
		sum += value
	}
	return sum
}

// follows says whether a replica does what the newest document of a model wants, and that it
// is at least at a revision.
func (o operator) follows(model string, revision int64) error {
	var d document
	got := o.asks(http.MethodGet, "models/"+model, nil)
	if err := wants(http.StatusOK, got); err != nil {
		return err
	}
	if err := json.Unmarshal([]byte(got.body), &d); err != nil {
		return err
	}
	if !d.Serving.InSync || d.Serving.Revision != d.Revision || d.Revision < revision {
		return fmt.Errorf("%s %s: revision %d of %d is in force, in sync: %t %s", model, o.name, d.Serving.Revision, d.Revision, d.Serving.InSync, d.Serving.Reason)
	}
	return nil
}
