package models_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/onda-serving/onda/app/catalog"
	"github.com/onda-serving/onda/app/cli/models"
)

func TestNoModels(t *testing.T) {
	t.Parallel()
	newOnda(t).want([]string{"list"}, 0, "", "There is no model yet: register one with \"onda models register NAME --from DIR\".\n")
}

func TestList(t *testing.T) {
	t.Parallel()
	o := newOnda(t)
	o.faq(3)
	o.does("traffic", "faq-matching", "1=90", "2=10")
	o.does("shadow", "faq-matching", "3", "--share", "0.05")
	for _, version := range []string{"1", "2", "7"} {
		o.does("register", "image-classification", "--version", version, "--location", "azblob://models/image/"+version)
	}
	o.does("label", "image-classification", "live", "2")
	o.does("rollout", "image-classification", "7", "--steps", "25,50")
	o.with(func() { o.behind["image-classification"] = "version 7 is loading" })
	o.does("register", "new", "--location", "azblob://models/new/1")
	o.does("register", "new", "--location", "azblob://models/new/2")
	o.does("retire", "new", "2")
	o.want([]string{"list"}, 0, `NAME                  LIVE  CANARY  VERSIONS  TRAFFIC    SHADOW    ROLLOUT    IN SYNC
faq-matching          1     -       1-3       1:90 2:10  3 at 5 %  -          yes
image-classification  2     7       1-2, 7    -          -         7 at 25 %  no: version 7 is loading
new                   -     -       1         -          -         -          yes

image-classification version 7 is not ready: version 7 is loading
`, "")
}

// TestUnknownModel names those that there are.
func TestUnknownModel(t *testing.T) {
	t.Parallel()
	o := newOnda(t)
	o.want([]string{"show", "faq"}, 1, "", "onda: model \"faq\" is not in the registry\nThere is no model yet.\n")
	o.faq(1)
	o.does("register", "new", "--location", "azblob://models/new/1")
	for _, args := range []string{"show faq", "label faq live 2", "promote faq 1"} {
		o.want(strings.Fields(args), 1, "", "onda: model \"faq\" is not in the registry\nThere are faq-matching, new.\n")
	}
}

// TestNotReady says of each version that is not ready why: also where the replica does what the
// document asks for, as with a version of the models folder that does not load.
func TestNotReady(t *testing.T) {
	t.Parallel()
	o := newOnda(t)
	model := map[string]any{
		"name": "faq", "revision": 3, "standing": map[string]string{"2": "retired"}, "labels": map[string]int{"live": 1},
		"versions": map[string]any{"1": map[string]any{}, "2": map[string]any{}, "6": map[string]any{}},
		"serving": map[string]any{"in_sync": true, "labels": map[string]int{"live": 1}, "versions": []any{
			map[string]any{"version": 1, "state": "available"},
			map[string]any{"version": 2, "state": "unloaded", "reason": "retired"},
			map[string]any{"version": 3, "state": "failed", "reason": "model.onnx is cut off\x1b[2J after 3 bytes"},
			map[string]any{"version": 4, "state": "loading"},
			map[string]any{"version": 5, "state": "cold"},
			map[string]any{"version": 7, "state": "unloaded", "reason": "unloaded"},
		}},
	}
	o.hook = func(w http.ResponseWriter, r *http.Request) bool {
		if strings.HasSuffix(r.URL.Path, "/models") {
			answer(w, 200, map[string]any{"models": []any{model}})
		} else {
			answer(w, 200, model)
		}
		return true
	}
	for command, name := range map[string]string{"list": "faq version", "show faq": "version"} {
		_, stdout, _ := o.run(strings.Fields(command)...)
		want := "\nNAME version 3 is not ready: model.onnx is cut off\ufffd[2J after 3 bytes\n" +
			"NAME version 4 is not ready: it is being loaded\n" +
			"NAME version 6 is not ready: this replica does not know it yet\n" +
			"NAME version 7 is not ready: it was unloaded by hand\n"
		if !strings.HasSuffix(stdout, strings.ReplaceAll(want, "NAME version", name)) {
			t.Errorf("%s: got\n%s\nwant at its end\n%s", command, stdout, want)
		}
	}
}

// TestListUnmanaged has a model that is only in a models folder: nobody has moved a label.
func TestListUnmanaged(t *testing.T) {
	t.Parallel()
	o := newOnda(t)
	o.hook = func(w http.ResponseWriter, _ *http.Request) bool {
		answer(w, 200, map[string]any{"models": []any{map[string]any{"name": "faq", "versions": map[string]any{}, "serving": map[string]any{
			"in_sync": true, "labels": map[string]int{"live": 2}, "versions": []any{map[string]any{"version": 1}, map[string]any{"version": 2}},
		}}}})
		return true
	}
	o.want([]string{"list"}, 0, `NAME  LIVE        CANARY  VERSIONS  TRAFFIC  SHADOW  ROLLOUT  IN SYNC
faq   newest (2)  -       1-2       -        -       -        yes
`, "")
}

func TestShow(t *testing.T) {
	t.Parallel()
	o := newOnda(t)
	o.faq(4)
	o.does("label", "faq-matching", "live", "2")
	o.does("label", "faq-matching", "stable", "1")
	o.does("retire", "faq-matching", "4")
	o.does("rollout", "faq-matching", "3", "--steps", "5,25,50", "--max-divergence", "0.02", "--step-time", "90s")
	o.with(func() {
		o.behind["faq-matching"] = "the file model.onnx is damaged"
		o.evidence["faq-matching"] = `{"rollout": "r9", "step": 0, "candidate": {"requests": 1204, "errors": 2, "p99_ms": 12.14},
			"baseline": {"requests": 22876, "errors": 31, "p99_ms": 11.5}, "compared": 241, "disagreed": 1, "max_difference": 0.00083,
			"decision": {"action": "wait", "reason": "step 1 of 3 (5 %): 1204 requests, 0.17 % failed: waiting for 48.2s"}}`
	})
	o.want([]string{"show", "faq-matching"}, 0, `faq-matching  revision 9: live 2 (before: 1), canary 3, label stable 1, rollout 3 at 5 %, version 4 retired
this replica is not in sync: the file model.onnx is damaged

VERSION  STATE      LABELS  SHARE  SIZE   MEMORY  REGISTERED  BY     DIGEST
1        available  stable  -      1 MiB  14 MiB  2 h ago     alice  9b20c0c17262
2        available  live    95 %   1 MiB  14 MiB  2 h ago     alice  00025dd2f1fe
3        failed     canary  5 %    1 MiB  -       2 h ago     alice  b3cc0a58fa98
4        retired    -       -      1 MiB  -       2 h ago     alice  044615a95739

version 3 is not ready: the file model.onnx is damaged

Signature of version 2, pipeline text
          NAME    DATATYPE  SHAPE
  input   text    BYTES     [-1]
  output  scores  FP32      [-1, 64]

Rollout r9: version 3 in place of 2, step 1 of 3 (5 %) begun 2 h ago
  rule     errors up to 1 % above the baseline's; p99 up to 1.5 times; up to 2 % of answers differ; each step at least 1m30s, 100 requests, 20 compared
  judge    wait: step 1 of 3 (5 %): 1204 requests, 0.17 % failed: waiting for 48.2s
             VERSION  REQUESTS  ERRORS        P99
  candidate  3        1204      2 (0.166 %)   12.1 ms
  baseline   2        22876     31 (0.136 %)  11.5 ms
  241 answers compared, 1 differs (0.415 %), largest difference 0.00083
`, "")
}

// TestShowEndedRollout has no evidence any more; the verdict is in the document.
func TestShowEndedRollout(t *testing.T) {
	t.Parallel()
	o := newOnda(t)
	o.faq(2)
	o.does("rollout", "faq-matching", "2", "--steps", "10")
	o.does("rollback", "faq-matching")
	o.want([]string{"show", "faq-matching"}, 0, `faq-matching  revision 5: live 1, rollout 2 rolled back, version 2 rolled back

VERSION  STATE        LABELS  SHARE  SIZE   MEMORY  REGISTERED  BY     DIGEST
1        available    live    100 %  1 MiB  14 MiB  2 h ago     alice  9b20c0c17262
2        rolled back  -       -      1 MiB  -       2 h ago     alice  00025dd2f1fe

Signature of version 1, pipeline text
          NAME    DATATYPE  SHAPE
  input   text    BYTES     [-1]
  output  scores  FP32      [-1, 64]

Rollout r4: version 2 in place of 1, rolled back 2 h ago
  rule     errors up to 1 % above the baseline's; p99 up to 1.5 times; up to 10 % of answers differ; each step at least 30s, 100 requests, 20 compared
  verdict  rolled back by alice
`, "")
}

func TestShowUnmanaged(t *testing.T) {
	t.Parallel()
	o := newOnda(t)
	o.does("register", "faq-matching", "--location", "azblob://models/faq/1")
	o.want([]string{"show", "faq-matching"}, 0, `faq-matching  not managed: no version answers yet: give one the label live

VERSION  STATE     LABELS  SHARE  SIZE   MEMORY  REGISTERED  BY     DIGEST
1        unloaded  -       -      1 MiB  -       2 h ago     alice  9b20c0c17262
`, "")
}

func TestHistory(t *testing.T) {
	t.Parallel()
	o := newOnda(t)
	o.faq(3)
	at := func(ago time.Duration) { o.with(func() { o.now = time.Now().Add(-ago) }) }
	at(72 * time.Hour)
	o.does("traffic", "faq-matching", "1=90", "2=10", "--sticky", "caller", "--reason", "a tenth of the shops")
	at(59 * time.Minute)
	o.does("promote", "faq-matching", "2")
	at(5*time.Minute + time.Second)
	o.does("rollout", "faq-matching", "3", "--steps", "5,50")
	o.does("promote", "faq-matching")
	o.does("rollback", "faq-matching", "--reason", "wrong answers")
	o.does("pin", "faq-matching")
	o.does("pin", "faq-matching", "--off")
	//nolint:dupword // the action stands beside what it changed
	o.want([]string{"history", "faq-matching", "--limit", "9"}, 0, `REVISION  WHEN        ACTOR  ACTION    CHANGE                                                         REASON
11        5 min ago   alice  pin       pinned yes -> no                                               -
10        5 min ago   alice  pin       pinned no -> yes                                               -
9         5 min ago   alice  rollback  live 3 -> 2, version 3 fine -> rolled back                     wrong answers
8         5 min ago   alice  promote   live 2 -> 3, rollout 3 at 5 % -> 3 promoted, canary 3 -> none  -
7         5 min ago   alice  rollout   canary none -> 3, rollout none -> 3 at 5 %                     -
6         59 min ago  alice  promote   live 1 -> 2, traffic 1:90 2:10 by caller -> none               -
5         3 d ago     alice  traffic   traffic none -> 1:90 2:10 by caller                            a tenth of the shops
4         2 h ago     alice  label     live none -> 1                                                 first one
3         2 h ago     alice  register  version 3 added                                                -
`, "")
}

// TestStatusBehind says how far a replica is behind.
func TestStatusBehind(t *testing.T) {
	t.Parallel()
	o := newOnda(t)
	o.hook = func(w http.ResponseWriter, r *http.Request) bool {
		if strings.HasSuffix(r.URL.Path, "/models") {
			answer(w, 200, map[string]any{"models": []any{
				map[string]any{"name": "a", "revision": 36}, map[string]any{"name": "b", "revision": 36}, map[string]any{"name": "c", "revision": 9}, map[string]any{"name": "d", "revision": 5},
			}})
			return true
		}
		answer(w, 200, map[string]any{"replica": "onda-1", "store": map[string]any{"reachable": true}, "models": map[string]any{
			"a": map[string]any{"revision": 35, "reason": "version 3 is loading"}, "b": map[string]any{"revision": 0},
			"c": map[string]any{"revision": 8, "in_sync": true}, "d": map[string]any{"revision": 5, "reason": "the file is damaged"},
		}})
		return true
	}
	_, stdout, _ := o.run("status")
	want := `MODEL  REVISION  IN SYNC
a      35 of 36  no: version 3 is loading
b      - of 36   no
c      8         yes
d      5         no: the file is damaged
`
	if !strings.HasSuffix(stdout, want) {
		t.Errorf("got\n%s\nwant at its end\n%s", stdout, want)
	}
}

func TestStatus(t *testing.T) {
	t.Parallel()
	o := newOnda(t)
	o.want([]string{"status"}, 0, `REPLICA  IN SYNC  REVISION  STORE                                        MEMORY
onda-0   no       12        lost 3 min ago: the sidecar does not answer  1.2 GiB of 4 GiB

MODEL                 REVISION  IN SYNC
faq-matching          7         no: version 3 is loading
image-classification  3         yes
`, "")
	o.hook = func(w http.ResponseWriter, _ *http.Request) bool {
		answer(w, 200, map[string]any{"replica": "onda-1", "in_sync": true, "store": map[string]any{"reachable": true}, "revision": 3, "memory": map[string]any{"used": 2048}})
		return true
	}
	o.want([]string{"status"}, 0, "REPLICA  IN SYNC  REVISION  STORE      MEMORY\nonda-1   yes      3         reachable  2 KiB\n", "")
}

// TestJSON wants what the server wrote, byte by byte, and nothing else on stdout.
func TestJSON(t *testing.T) {
	t.Parallel()
	const document = `{"name": "faq-matching",  "revision":7,"labels":{"live": 1}, "new": [1, 2.50]}`
	tests := []struct {
		name, content, body, stdout string
		args                        []string
	}{
		{"list", "application/json", `{"models": [ ` + document + " ]}\n", `{"models": [ ` + document + " ]}\n", []string{"list"}},
		{"show", "application/json; charset=utf-8", document, document + "\n", []string{"show", "faq-matching"}},
		{"history", "application/json", `{"entries": []}`, `{"entries": []}` + "\n", []string{"history", "faq-matching"}},
		{"status", "application/json", `{"replica": "a"}`, `{"replica": "a"}` + "\n", []string{"status"}},
		{"change", "application/json", document, document + "\n", []string{"pin", "faq-matching"}},
		{
			"streamed change", "application/x-ndjson", `{"progress": {"stage": "load"}}` + "\n" + `{"result": ` + document + "}\n", document + "\n",
			[]string{"label", "faq-matching", "live", "1"},
		},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			o := newOnda(t)
			o.hook = func(w http.ResponseWriter, r *http.Request) bool {
				w.Header().Set("content-type", test.content)
				if r.Method == http.MethodGet && strings.Contains(test.content, "ndjson") {
					answer(w, 404, map[string]string{"error": "not there"})
					return true
				}
				_, _ = w.Write([]byte(test.body))
				return true
			}
			code, stdout, stderr := o.run(append(test.args, "-o", "json")...)
			if code != 0 || stdout != test.stdout {
				t.Errorf("got %d and\n%s\nwant 0 and\n%s\n(stderr %s)", code, stdout, test.stdout, stderr)
			}
		})
	}
}

// TestHostileTexts has control characters in what others wrote: no terminal may obey them,
// and no table may break.
func TestHostileTexts(t *testing.T) {
	t.Parallel()
	o := newOnda(t)
	o.does("register", "faq", "--location", "azblob://a")
	o.does("label", "faq", "live", "1", "--reason", "one\ntwo\x1b[2J\u202ethree")
	_, stdout, _ := o.run("history", "faq", "--limit", "1")
	if want := "one two\ufffd[2J\ufffdthree\n"; !strings.HasSuffix(stdout, want) || strings.Count(stdout, "\n") != 2 {
		t.Errorf("got %q, want a line that ends in %q", stdout, want)
	}
	o.hook = func(w http.ResponseWriter, _ *http.Request) bool {
		answer(w, 400, map[string]string{"error": "bad \x1b]0;title\x07\nsecond line"})
		return true
	}
	o.want([]string{"list"}, 1, "", "onda: bad \ufffd]0;title\ufffd\nsecond line\n")
}

// TestOddDocuments must not end the program, whatever a server says.
func TestOddDocuments(t *testing.T) {
	t.Parallel()
	o := newOnda(t)
	rollout := map[string]any{"id": "r1", "status": catalog.Running, "steps": []int{}, "step": 3}
	o.hook = func(w http.ResponseWriter, _ *http.Request) bool {
		answer(w, 200, map[string]any{"name": "faq", "labels": map[string]int{"live": 4}, "versions": map[string]any{"4": map[string]any{"digest": "x"}}, "rollout": rollout})
		return true
	}
	code, stdout, _ := o.run("show", "faq")
	if want := "Rollout r1: version 0 in place of 0, step 4 of 0 (?) begun"; code != 0 || !strings.Contains(stdout, want) {
		t.Errorf("got %d and\n%s\nwant %q in it", code, stdout, want)
	}
}

// TestWhoAsks looks at what the client says of itself.
func TestWhoAsks(t *testing.T) {
	t.Parallel()
	o := newOnda(t)
	if code, _, stderr := run(models.Defaults{Server: o.URL, User: "bob", Token: "secret", Version: "v1.2.3"}, "models", "list"); code != 0 {
		t.Fatal(stderr)
	}
	if got := o.headers.Get("x-onda-actor"); !strings.HasPrefix(got, "bob@") && got != "bob" {
		t.Errorf("actor: got %q, want bob at this machine", got)
	}
	for name, want := range map[string]string{"authorization": "Bearer secret", "user-agent": "onda/v1.2.3"} {
		if got := o.headers.Get(name); got != want {
			t.Errorf("%s: got %q, want %q", name, got, want)
		}
	}
	if code, _, stderr := run(models.Defaults{Server: o.URL, Token: "secret"}, "models", "--token", "other", "--actor", "carol", "list"); code != 0 {
		t.Fatal(stderr)
	}
	if got := o.headers.Get("authorization") + " " + o.headers.Get("x-onda-actor"); got != "Bearer other carol" {
		t.Errorf("got %q, want what the flags say", got)
	}
	_, stdout, _ := run(models.Defaults{Server: o.URL, Token: "secret"}, "models", "--help")
	if strings.Contains(stdout, "secret") {
		t.Error("the help prints the token")
	}
}
