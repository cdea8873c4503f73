package models_test

import (
	"bytes"
	"context"
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/rs/zerolog"
	"github.com/spf13/cobra"

	"github.com/onda-serving/onda/app/artifact"
	"github.com/onda-serving/onda/app/catalog"
	"github.com/onda-serving/onda/app/cli/command"
	"github.com/onda-serving/onda/app/cli/models"
	"github.com/onda-serving/onda/app/supply"
)

// node is a machine with a cache, whose files are where documents say.
type node struct {
	*onda

	t            *testing.T
	dir, sources string
	maxBytes     int64
	documents    []byte // that the server has, as list -o json prints them
}

// newNode makes a server with two models: faq with versions 1 to 4 (live 2, canary 3, retired 4)
// and image, which came with the app. The file of version 1 is not there.
func newNode(t *testing.T) *node {
	t.Helper()
	n := &node{onda: newOnda(t), t: t, dir: filepath.Join(t.TempDir(), "cache"), sources: t.TempDir()}
	faq := catalog.New("faq")
	for number := int64(1); number <= 4; number++ {
		text := strings.Repeat("model", int(number))
		dir := filepath.Join(n.sources, string(rune('0'+number)))
		if number > 1 {
			write(t, filepath.Join(dir, "model.onnx"), text)
		}
		faq.Versions[number] = catalog.Version{
			Version: number, Location: "file://" + dir, Files: map[string]catalog.File{"model.onnx": {SHA256: sum([]byte(text)), Size: int64(len(text))}},
			Digest: artifact.Digest(map[string]string{"model.onnx": sum([]byte(text))}),
		}
	}
	faq.Labels, faq.Standing = map[string]int64{"live": 2, "canary": 3}, map[int64]catalog.Standing{4: catalog.Retired}
	image := catalog.New("image")
	image.Versions[1] = catalog.Version{Version: 1, Digest: "sha256:1", Location: catalog.InModelsFolder}
	nothing := catalog.New("new")
	nothing.Versions[1] = faq.Versions[1]
	text, err := json.Marshal(map[string]any{"models": []*catalog.Model{faq, image, nothing}})
	if err != nil {
		t.Fatal(err)
	}
	n.documents = text
	n.hook = func(w http.ResponseWriter, _ *http.Request) bool {
		answer(w, http.StatusOK, json.RawMessage(text))
		return true
	}
	return n
}

func write(t *testing.T, name, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(name), 0o750); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func (n *node) prefetch(stdin string, args ...string) (code int, stdout, stderr string) {
	var out, errs bytes.Buffer
	root := command.Group("onda", "", models.New(models.Defaults{Server: n.URL, Version: "test", OpenCache: func(ctx context.Context, _ *cobra.Command) (models.Cache, error) {
		return supply.Open(ctx, supply.Config{Dir: n.dir, MaxBytes: n.maxBytes, Sources: []string{n.sources}, Log: zerolog.Nop()})
	}}))
	root.SetIn(strings.NewReader(stdin))
	code = command.Run(n.t.Context(), root, append([]string{"models", "prefetch"}, args...), &out, &errs)
	return code, out.String(), errs.String()
}

func TestPrefetch(t *testing.T) {
	t.Parallel()
	n := newNode(t)
	const two, three = ": 1 file of 10 B, every SHA-256 verified, digest DIGEST2\n", ": 1 file of 15 B, every SHA-256 verified, digest DIGEST3\n"
	for _, step := range []struct {
		name, args     string
		code           int
		stdout, stderr string
	}{
		{"a label", "faq@live", 0, "faq:2  fetched" + two, "fetching faq:2, 10 B\n1 version fetched (10 B), 0 there already\n"},
		{"again, as a number", "faq:2", 0, "faq:2  there already" + two, "0 versions fetched (0 B), 1 there already\n"},
		{"what requests can reach", "faq", 0, "faq:2  there already" + two + "faq:3  fetched" + three, "fetching faq:3, 15 B\n1 version fetched (15 B), 1 there already\n"},
		{"twice named", "faq faq:3 faq@canary", 0, "faq:2  there already" + two + "faq:3  there already" + three, "0 versions fetched (0 B), 2 there already\n"},
		{"models folder", "image", 0, "image:1  is in the models folder of its replicas: nothing to fetch\n", "0 versions fetched (0 B), 1 there already\n"},
		{"some unknown", "nope faq:9 faq:4 faq@none new faq:3", 1, "faq:3  there already" + three, `nope  failed: there is no such model: there are faq, image, new
faq:9  failed: it has no version 9: there are 1-3
faq:4  failed: version 4 is retired, and no replica loads it: there are 1-3
faq  failed: it has no label "none": there are canary, live
new  failed: no label leads to any of its versions: name one, such as new:1 (there are 1)
onda: 0 versions fetched (0 B), 1 there already, 5 failed
`},
		{
			"all", "--all", 0, "faq:2  there already" + two + "faq:3  there already" + three + "image:1  is in the models folder of its replicas: nothing to fetch\n" +
				"new  no label leads to any of its versions: nothing to fetch\n",
			"0 versions fetched (0 B), 3 there already\n",
		},
		{"programs", "faq:2 nope -o json", 1, `{"model":"faq","version":2,"outcome":"there already","files":1,"bytes":10,"digest":"sha256:FULL2"}
{"model":"nope","outcome":"failed","error":"there is no such model: there are faq, image, new"}
`, "onda: 0 versions fetched (0 B), 1 there already, 1 failed\n"},
	} {
		code, stdout, stderr := n.prefetch("", strings.Fields(step.args)...)
		digest := func(number int) string {
			return strings.TrimPrefix(artifact.Digest(map[string]string{"model.onnx": sum([]byte(strings.Repeat("model", number)))}), "sha256:")
		}
		want := strings.NewReplacer("FULL2", digest(2), "DIGEST2", digest(2)[:12], "DIGEST3", digest(3)[:12]).Replace(step.stdout)
		t.Log(step.name)
		compare(t, code, stdout, stderr, step.code, want, step.stderr)
	}
}

// TestPrefetchFails says why for each version, and goes on with the others.
func TestPrefetchFails(t *testing.T) {
	t.Parallel()
	n := newNode(t)
	write(t, filepath.Join(n.sources, "2", "model.onnx"), "something else")
	code, stdout, stderr := n.prefetch("", "faq:1", "faq:2", "faq:3")
	if code != 1 || strings.Count(stdout, "\n") != 1 || !strings.HasPrefix(stdout, "faq:3  fetched") ||
		!strings.Contains(stderr, "\nfaq:1  failed: ") || !strings.Contains(stderr, "\nfaq:2  failed: file \"model.onnx\": ") || !strings.HasSuffix(stderr, "onda: 1 version fetched (15 B), 0 there already, 2 failed\n") {
		t.Errorf("got %d\n%s\n%s", code, stdout, stderr)
	}
	// What comes later takes no room from what this run has fetched.
	n.dir, n.maxBytes = t.TempDir(), 20
	write(t, filepath.Join(n.sources, "2", "model.onnx"), "modelmodel")
	if code, stdout, stderr := n.prefetch("", "faq"); code != 1 || !strings.HasPrefix(stdout, "faq:2  fetched") || !strings.Contains(stderr, "faq:3  failed: the artifact cache has no room") {
		t.Errorf("got %d\n%s\n%s", code, stdout, stderr)
	}
}

// TestPrefetchFrom takes what other commands print, and what replicas keep, without a server.
func TestPrefetchFrom(t *testing.T) {
	t.Parallel()
	n := newNode(t)
	n.hook = func(_ http.ResponseWriter, r *http.Request) bool {
		t.Errorf("%s was asked", r.URL)
		return false
	}
	var all struct{ Models []json.RawMessage }
	if err := json.Unmarshal(n.documents, &all); err != nil {
		t.Fatal(err)
	}
	snapshot := bytes.Replace(n.documents, []byte(`"models"`), []byte(`"documents"`), 1)
	future := `{"models": [{"schema": 9, "name": "faq"}]}`
	for _, tt := range []struct {
		name, text string
		code       int
		stderr     string // what is in it
	}{
		{"list", string(n.documents), 0, "1 version fetched"},
		{"show", string(all.Models[0]), 0, "1 version fetched"},
		{"snapshot", string(snapshot), 0, "1 version fetched"},
		{"nothing", "", 1, `is no JSON document: want what "onda models list -o json" prints`},
		{"another thing", `{"a": 1}`, 1, `has no models: want what "onda models list -o json" prints`},
		{"no model", `{"models": []}`, 1, "faq:2  failed: there is no such model: there is none"},
		{"a newer Onda's", future, 1, "faq:2  failed: a model's document (of model \"faq\") in the registry has schema 9"},
	} {
		n.dir = t.TempDir()
		file := filepath.Join(t.TempDir(), "documents.json")
		write(t, file, tt.text)
		for _, from := range []string{file, "-"} {
			n.dir = t.TempDir()
			code, _, stderr := n.prefetch(tt.text, "faq:2", "--from", from)
			if code != tt.code || !strings.Contains(stderr, tt.stderr) {
				t.Errorf("%s from %s: got %d %s\nwant %s", tt.name, from, code, stderr, tt.stderr)
			}
		}
	}
	if code, _, stderr := n.prefetch("", "faq", "--from", "/no/such/file"); code != 1 || !strings.Contains(stderr, "/no/such/file: no such file") {
		t.Errorf("got %d %s", code, stderr)
	}
}

func TestPrefetchWrongCommandLines(t *testing.T) {
	t.Parallel()
	n := newNode(t)
	for args, want := range map[string]string{
		"":          "which models? Want their names, or --all",
		"faq --all": "--all takes no names",
		"faq:0":     `version "0": want a positive whole number`,
		"../faq":    `model name ".."`,
	} {
		if code, _, stderr := n.prefetch("", strings.Fields(args)...); code != command.Usage || !strings.HasPrefix(stderr, "onda: "+want) {
			t.Errorf("%q: got %d %s", args, code, stderr)
		}
	}
	if _, err := os.Stat(n.dir); err == nil {
		t.Error("the cache was opened before the command line was checked")
	}
}
