package models_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
)

// TestChanges makes every change, one after the other, and looks at what was sent and said.
func TestChanges(t *testing.T) {
	t.Parallel()
	o := newOnda(t)
	o.faq(3)
	for _, step := range []struct {
		args           string
		call           string
		stdout, stderr string
	}{
		{
			"label faq-matching live 2 --reason better --accept slower --accept divergence", `PUT /models/faq-matching/labels/live {"accept":["slower","divergence"],"reason":"better","version":2}`,
			"faq-matching: live 1 -> 2 (revision 5)\n", "",
		},
		{"label faq-matching live 2", `PUT /models/faq-matching/labels/live {"version":2}`, "faq-matching: nothing to change (revision 5)\n", ""},
		{"label faq-matching stable 1", `PUT /models/faq-matching/labels/stable {"version":1}`, "faq-matching: label stable none -> 1 (revision 6)\n", ""},
		{"label faq-matching stable --remove", `DELETE /models/faq-matching/labels/stable {}`, "faq-matching: label stable 1 -> none (revision 7)\n", ""},
		{
			"traffic faq-matching 2=90 1=10 --sticky caller", `PUT /models/faq-matching/traffic {"sticky":"caller","weights":{"1":10,"2":90}}`,
			"faq-matching: traffic none -> 1:10 2:90 by caller (revision 8)\n", "",
		},
		{"traffic faq-matching --clear", `DELETE /models/faq-matching/traffic {}`, "faq-matching: traffic 1:10 2:90 by caller -> none (revision 9)\n", ""},
		{"shadow faq-matching 3", `PUT /models/faq-matching/shadow {"share":0.1,"version":3}`, "faq-matching: shadow none -> 3 at 10 % (revision 10)\n", ""},
		{"shadow faq-matching 3 --share 0.025", `PUT /models/faq-matching/shadow {"share":0.025,"version":3}`, "faq-matching: shadow 3 at 10 % -> 3 at 2.5 % (revision 11)\n", ""},
		{"shadow faq-matching --clear", `DELETE /models/faq-matching/shadow {}`, "faq-matching: shadow 3 at 2.5 % -> none (revision 12)\n", ""},
		{
			"rollout faq-matching 3", `POST /models/faq-matching/rollout {"version":3}`,
			"faq-matching: canary none -> 3, rollout none -> 3 at 5 % (revision 13)\n", "Follow it with \"onda models rollout faq-matching --watch\".\n",
		},
		{"promote faq-matching", `POST /models/faq-matching/promote {}`, "faq-matching: live 2 -> 3, rollout 3 at 5 % -> 3 promoted, canary 3 -> none (revision 14)\n", ""},
		{"rollback faq-matching", `POST /models/faq-matching/rollback {}`, "faq-matching: live 3 -> 2, version 3 fine -> rolled back (revision 15)\n", ""},
		{"promote faq-matching 1", `POST /models/faq-matching/promote {"version":1}`, "faq-matching: live 2 -> 1 (revision 16)\n", ""},
		{"retire faq-matching 3", `POST /models/faq-matching/versions/3/retire {}`, "faq-matching: version 3 rolled back -> retired (revision 17)\n", ""},
		{"pin faq-matching", `PUT /models/faq-matching/pin {"pinned":true}`, "faq-matching: pinned no -> yes (revision 18)\n", ""},
		{"pin faq-matching --off", `PUT /models/faq-matching/pin {"pinned":false}`, "faq-matching: pinned yes -> no (revision 19)\n", ""},
		{
			"rollout faq-matching 2 --steps 1,10 --max-error-rate 0.02 --max-p99-ratio 2 --max-divergence 0.05 --min-samples 50 --min-compared 5 --step-time 90s --compare 0.5 --sticky caller",
			`POST /models/faq-matching/rollout {"rule":{"compare":0.5,"max_divergence":0.05,"max_error_rate":0.02,"max_p99_ratio":2,"min_compared":5,"min_samples":50,"step_time":"1m30s"},"steps":[1,10],"sticky":"caller","version":2}`,
			"faq-matching: canary none -> 2, rollout 3 promoted -> 2 at 1 % (revision 20)\n", "Follow it with \"onda models rollout faq-matching --watch\".\n",
		},
	} {
		o.want(strings.Fields(step.args), 0, step.stdout, step.stderr)
		if got := o.last(); got != step.call {
			t.Errorf("%s:\nsent %s\nwant %s", step.args, got, step.call)
		}
	}
}

// TestStagesAreToldOnce where lines stay: a change tries several versions, each in all stages.
func TestStagesAreToldOnce(t *testing.T) {
	t.Parallel()
	o := newOnda(t)
	o.faq(2)
	o.with(func() {
		for _, stage := range []string{"waiting", "check", "waiting", "load", "check", "waiting", "load", "compare"} {
			o.progress = append(o.progress, `{"stage": "`+stage+`", "done": 0, "total": 3}`)
		}
	})
	o.want([]string{"label", "faq-matching", "live", "2"}, 0, "faq-matching: live 1 -> 2 (revision 4)\n", `the server checks the files
the server is busy with other changes or loads, this one waits
the server loads the version and tries it
the server compares answers with those of the live version
`)
}

// TestTrafficHelp says what a weight is: people take it for percent.
func TestTrafficHelp(t *testing.T) {
	t.Parallel()
	code, stdout, stderr := newOnda(t).run("traffic", "--help")
	if code != 0 || stderr != "" {
		t.Errorf("exit code %d, stderr %q", code, stderr)
	}
	for _, want := range []string{"Weights are relative", "1=90 2=10 and 1=9 2=1", "--clear"} {
		if !strings.Contains(stdout, want) {
			t.Errorf("got\n%s\nwant %q in it", stdout, want)
		}
	}
}

func TestChangeTellsTheReport(t *testing.T) {
	t.Parallel()
	o := newOnda(t)
	o.faq(2)
	o.with(func() {
		o.report = `{"samples": 120, "disagreed": 3, "text": "3 of 120 recent requests get another answer than from version 1"}`
		o.progress = []string{
			`{"stage": "waiting", "done": 0, "total": 0}`, `{"stage": "waiting", "done": 0, "total": 0}`,
			`{"stage": "fetch", "done": 512, "total": 1024}`, `{"stage": "fetch", "done": 1024, "total": 1024}`, `{"stage": "load", "done": 0, "total": 0}`,
			`{"stage": "compare", "done": 0, "total": 120}`, `{"stage": "compare", "done": 120, "total": 120}`, `{"stage": "polish", "done": 0, "total": 0}`,
		}
	})
	o.want([]string{"label", "faq-matching", "live", "2"}, 0,
		"faq-matching: live 1 -> 2 (revision 4)\n3 of 120 recent requests get another answer than from version 1\n",
		`the server is busy with other changes or loads, this one waits
the server fetches the files
the server loads the version and tries it
the server compares answers with those of the live version
the server: polish
`)
}

// TestConflict has alice decide on what carol has changed since.
func TestConflict(t *testing.T) {
	t.Parallel()
	o := newOnda(t)
	o.faq(3)
	o.overtake(func() { o.does("--actor", "carol", "label", "faq-matching", "live", "3", "--reason", "hurry") })
	code, stdout, stderr := o.run("label", "faq-matching", "live", "2")
	const head = `onda: model "faq-matching" is at revision 5, and your change was made for revision 4: label of version 3 by carol on `
	const tail = `; look at the model again, and repeat the change if you still want it
  you wanted: live 2 (from revision 4)
  now:        live 3 by carol 2 h ago (revision 5)
Look at it with "onda models show faq-matching", and try again if you still want it.
`
	if code != 1 || stdout != "" || !strings.HasPrefix(stderr, head) || !strings.HasSuffix(stderr, tail) {
		t.Errorf("got %d, %q and\n%s\nwant 1, nothing and\n%s...%s", code, stdout, stderr, head, tail)
	}
	code, _, stderr = o.run("traffic", "faq-matching", "1=90", "2=10", "--revision", "4")
	if want := "  you wanted: traffic 1:90 2:10 (from revision 4)\n  now:        live 3 by carol 2 h ago (revision 5)\n"; code != 1 || !strings.Contains(stderr, want) {
		t.Errorf("got %d and\n%s\nwant 1 and\n%s", code, stderr, want)
	}
	if got := o.headers.Get("if-match"); got != "" {
		t.Errorf("the history was asked with If-Match %s", got)
	}
}

// overtake makes somebody faster than the next change: once, between its look and its change.
func (o *onda) overtake(other func()) {
	o.with(func() {
		o.hook = func(_ http.ResponseWriter, r *http.Request) bool {
			if r.Method != http.MethodGet {
				o.with(func() { o.hook = nil })
				other()
			}
			return false
		}
	})
}

// TestHarmlessConflict has somebody register a version meanwhile: that is no reason to ask.
func TestHarmlessConflict(t *testing.T) {
	t.Parallel()
	o := newOnda(t)
	o.faq(2)
	o.overtake(func() { o.does("register", "faq-matching", "--location", "azblob://models/faq/3") })
	o.want([]string{"label", "faq-matching", "live", "2"}, 0, "faq-matching: live 1 -> 2 (revision 5)\n", "")
	o.overtake(func() { o.does("register", "faq-matching", "--location", "azblob://models/faq/4") })
	code, _, stderr := o.run("label", "faq-matching", "live", "1", "--revision", "5")
	if want := "you wanted: live 1 (from revision 5)"; code != 1 || !strings.Contains(stderr, want) {
		t.Errorf("with --revision: got %d and\n%s\nwant 1 and %s", code, stderr, want)
	}
}

// TestRollbackInsistsOnNothing looks at If-Match: with a revision of its own, a rollback that
// comes after another one would go back twice.
func TestRollbackInsistsOnNothing(t *testing.T) {
	t.Parallel()
	o := newOnda(t)
	o.faq(3)
	o.does("promote", "faq-matching", "2")
	matches := map[string]string{}
	o.with(func() {
		o.hook = func(_ http.ResponseWriter, r *http.Request) bool {
			matches[r.Method+" "+r.URL.Path] = r.Header.Get("if-match")
			return false
		}
	})
	o.does("promote", "faq-matching", "3")
	o.does("rollback", "faq-matching")
	for call, want := range map[string]string{"POST /registry/v1/models/faq-matching/promote": `"5"`, "POST /registry/v1/models/faq-matching/rollback": ""} {
		if got, ok := matches[call]; !ok || got != want {
			t.Errorf("%s: got If-Match %s (asked: %v), want %q", call, got, ok, want)
		}
	}
	o.does("promote", "faq-matching", "1")
	o.does("rollback", "faq-matching", "--revision", "8")
	if got := matches["POST /registry/v1/models/faq-matching/rollback"]; got != `"8"` {
		t.Errorf("with --revision: got %s", got)
	}
}

// TestRollbackNeedsNoLook rolls back although the model cannot be read.
func TestRollbackNeedsNoLook(t *testing.T) {
	t.Parallel()
	o := newOnda(t)
	o.faq(2)
	o.does("promote", "faq-matching", "2")
	o.with(func() {
		o.hook = func(w http.ResponseWriter, r *http.Request) bool {
			if r.Method == http.MethodGet {
				answer(w, 503, map[string]string{"error": "draining"})
				return true
			}
			return false
		}
	})
	o.want([]string{"rollback", "faq-matching"}, 0, "faq-matching: now live 1, version 2 rolled back (revision 5)\n", "")
}

// TestBreakingChange is told with the flag that confirms it.
func TestBreakingChange(t *testing.T) {
	t.Parallel()
	o := newOnda(t)
	o.faq(1)
	o.with(func() { o.inputs[0].Name = "question" })
	args := []string{"register", "faq-matching", "--location", "azblob://models/faq/2"}
	code, _, stderr := o.run(args...)
	const head = `onda: version 2 of "faq-matching" breaks what callers of version 1 rely on: `
	const tail = `if they know, confirm with accept "signature"` + "\nIf that is meant, add --accept signature.\n"
	if code != 1 || !strings.HasPrefix(stderr, head) || !strings.HasSuffix(stderr, tail) {
		t.Errorf("got %d and\n%s\nwant 1 and\n%s...%s", code, stderr, head, tail)
	}
	if code, _, stderr := o.run(append(args, "--accept", "signature")...); code != 0 {
		t.Errorf("with the flag: got %d and %s", code, stderr)
	}
}

// TestAcceptance has the other refusals that can be confirmed, in the server's words.
func TestAcceptance(t *testing.T) {
	t.Parallel()
	for message, advice := range map[string]string{
		`version 2 of "faq" was rolled back on Monday: confirm with accept "rolled-back"`:                                                 "If that is meant, add --accept rolled-back.",
		`version 3 disagrees with version 2: more than 10 % is refused unless it is meant; confirm with "divergence" in "accept"`:         "If that is meant, add --accept divergence.",
		`version 3 takes 30 ms, version 2 takes 1 ms: more than 3 times is refused unless it is meant; confirm with "slower" in "accept"`: "If that is meant, add --accept slower.",
	} {
		o := newOnda(t)
		o.hook = func(w http.ResponseWriter, _ *http.Request) bool {
			answer(w, 409, map[string]string{"error": message})
			return true
		}
		o.want([]string{"pin", "faq"}, 1, "", fmt.Sprintf("onda: %s\n%s\n", message, advice))
	}
}

// TestPercentages takes shares as people write them.
func TestPercentages(t *testing.T) {
	t.Parallel()
	o := newOnda(t)
	o.faq(3)
	o.does("rollout", "faq-matching", "2", "--steps", "5%,25 %,50")
	if got, want := o.last(), `"steps":[5,25,50]`; !strings.Contains(got, want) {
		t.Errorf("sent %s, want %s in it", got, want)
	}
	for text, want := range map[string]string{"10%": `"share":0.1`, "12.5 %": `"share":0.125`, "0.05": `"share":0.05`, "1": `"share":1`} {
		o.does("shadow", "faq-matching", "3", "--share", text)
		if got := o.last(); !strings.Contains(got, want) {
			t.Errorf("%s: sent %s, want %s in it", text, got, want)
		}
	}
}
