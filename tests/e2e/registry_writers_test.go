package e2e_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
)

// TestWriters has several change one model at once, and some who may not.
func TestWriters(t *testing.T) {
	group(t)
	models := t.TempDir()
	for version := range int64(3) {
		addFiles(t, models, "times", version+1, modelFiles(times(float32(version+1))))
	}
	s := registryStack(t, models)
	t.Run("revisions", func(t *testing.T) { revisions(t, s) })
	t.Run("race", func(t *testing.T) { race(t, s) })
	t.Run("streams", func(t *testing.T) { streams(t, s) })
	t.Run("the token", func(t *testing.T) { rightToken(t, s) })
}

// revisions changes a model at the revision that was read, and then at one that is past.
func revisions(t *testing.T, s *stack) {
	first, second := s.operators()[1], s.operators()[2]
	first.label(t, "times", "live", 1)
	got := request{path: "/registry/v1/models/times"}.to(t, first.way)
	seen := first.document(t, "times").Revision
	if tag := strconv.Quote(strconv.FormatInt(seen, 10)); got.header.Get("ETag") != tag {
		t.Errorf("the ETag is %s, want %s", got.header.Get("ETag"), tag)
	}
	tag := strconv.Quote(strconv.FormatInt(seen, 10))
	made := first.changes(t, http.MethodPut, "models/times/labels/live", map[string]any{"version": 2, "accept": anyhow}, "If-Match", tag)
	if made.Revision != seen+1 || made.Labels["live"] != 2 {
		t.Errorf("after the change: revision %d, labels %v", made.Revision, made.Labels)
	}
	const text = `model "times" is at revision %d, and your change was made for revision %d: label of version 2 by tests on \d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC; look at the model again, and repeat the change if you still want it`
	why := second.isRefused(t, http.StatusConflict, fmt.Sprintf(text, seen+1, seen), http.MethodPut, "models/times/labels/live", map[string]any{"version": 3, "accept": anyhow}, "If-Match", tag)
	if why.Yours == nil || why.Current == nil || why.Yours.Revision != seen || why.Yours.Labels["live"] != 1 || why.Current.Revision != seen+1 || why.Current.Labels["live"] != 2 {
		t.Errorf("refused with yours %+v and current %+v", why.Yours, why.Current)
	}
	got409 := second.runs(t, "label", "times", "live", "3", "--revision", strconv.FormatInt(seen, 10))
	want := fmt.Sprintf(`.*onda: model "times" is at revision %d, and your change was made for revision %d: .*
  you wanted: live 3 \(from revision %d\)
  now:        live 2 by tests (just now|\d+ s ago) \(revision %d\)
Look at it with "onda models show times", and try again if you still want it\.
`, seen+1, seen, seen, seen+1)
	if got409.code != 1 || !matches(want, got409.stderr) {
		t.Errorf("the command: exit code %d\n%s\nwant %s", got409.code, got409.stderr, want)
	}
}

// race has two change a label at once, having read the same revision: one of them wins.
func race(t *testing.T, s *stack) {
	two := []operator{s.operators()[1], s.operators()[2]}
	two[0].label(t, "times", "live", 1)
	for range 10 {
		seen := two[0].document(t, "times")
		replies := make([]reply, len(two))
		var both sync.WaitGroup
		for i, o := range two {
			// The two versions that are not live, one for each.
			version := (seen.Labels["live"]+int64(i))%3 + 1
			both.Go(func() {
				replies[i] = o.asks(http.MethodPut, "models/times/labels/live", map[string]any{"version": version, "accept": anyhow}, "If-Match", strconv.Quote(strconv.FormatInt(seen.Revision, 10)))
			})
		}
		both.Wait()
		winner, loser := replies[0], replies[1]
		if winner.status != http.StatusOK {
			winner, loser = loser, winner
		}
		if winner.status != http.StatusOK || loser.status != http.StatusConflict {
			t.Fatalf("two at once: %d %s (%v)\nand %d %s (%v)", winner.status, clip(winner.body), winner.err, loser.status, clip(loser.body), loser.err)
		}
		checkRace(t, seen, winner, loser)
	}
}

// checkRace wants the loser to hear what it saw, and what there is now.
func checkRace(t *testing.T, seen document, winner, loser reply) {
	t.Helper()
	var made document
	var why refusal
	winner.into(t, &made)
	loser.status = http.StatusOK // which is not what its body is about
	loser.into(t, &why)
	if why.Yours == nil || why.Current == nil || why.Yours.Revision != seen.Revision || why.Yours.Labels["live"] != seen.Labels["live"] ||
		why.Current.Revision != seen.Revision+1 || why.Current.Labels["live"] != made.Labels["live"] || made.Revision != seen.Revision+1 {
		t.Errorf("of two at revision %d the loser hears %s", seen.Revision, loser.body)
	}
}

// streams makes changes that tell how far they are. Each stream must come whole, by every way,
// through the sidecars too.
func streams(t *testing.T, s *stack) {
	s.operators()[0].label(t, "times", "live", 1)
	for _, o := range s.operators() {
		broken := 0
		const changes = 30
		for i := range changes {
			got := o.asks(http.MethodPut, "models/times/shadow", map[string]any{"version": i%2 + 2, "share": 0.5}, "Accept", "application/x-ndjson")
			lines := strings.Split(strings.TrimSpace(got.body), "\n")
			var end struct{ Result document }
			err := json.Unmarshal([]byte(lines[len(lines)-1]), &end)
			if got.status != http.StatusOK || err != nil || !strings.HasPrefix(lines[0], `{"progress":{"stage":"waiting",`) || end.Result.Shadow == nil || end.Result.Shadow.Version != int64(i%2+2) {
				broken++
				t.Logf("%s: change %d: %d %s (%v)", o.name, i+1, got.status, clip(got.body), got.err)
			}
		}
		if broken > 0 {
			t.Errorf("%s: %d of %d streams did not end with a result", o.name, broken, changes)
		}
	}
}

// everyChange is a request for each kind of change.
var everyChange = []struct{ method, path string }{
	{http.MethodPost, "models/times/versions"},
	{http.MethodPut, "models/times/labels/live"},
	{http.MethodDelete, "models/times/labels/other"},
	{http.MethodPut, "models/times/traffic"},
	{http.MethodDelete, "models/times/traffic"},
	{http.MethodPut, "models/times/shadow"},
	{http.MethodDelete, "models/times/shadow"},
	{http.MethodPost, "models/times/rollout"},
	{http.MethodPost, "models/times/promote"},
	{http.MethodPost, "models/times/rollback"},
	{http.MethodPost, "models/times/versions/2/retire"},
	{http.MethodPut, "models/times/pin"},
	{http.MethodPut, "blobs/" + sumOfFile([]byte("a file"))},
}

// rightToken shows the wrong token, none, and the right one.
func rightToken(t *testing.T, s *stack) {
	const refused = `the header authorization is missing or wrong: send "Bearer " and the token of ONDA_REGISTRY_TOKEN`
	before := s.operators()[0].document(t, "times")
	for _, o := range s.operators() {
		for _, wrong := range []string{"", "another token", token + "x", strings.ToUpper(token)} {
			o.token = wrong
			for _, c := range everyChange {
				o.isRefused(t, http.StatusUnauthorized, refused, c.method, c.path, map[string]any{"version": 2})
			}
		}
		got := o.asks(http.MethodPut, "models/times/pin", map[string]any{"pinned": true})
		if challenge := got.header.Get("WWW-Authenticate"); challenge != `Bearer realm="onda registry"` {
			t.Errorf("%s: WWW-Authenticate is %q", o.name, challenge)
		}
		o.token = ""
		if d := o.document(t, "times"); d.Revision != before.Revision { // to read is free
			t.Errorf("%s: revision %d after refused changes, %d before", o.name, d.Revision, before.Revision)
		}
		got401 := o.runs(t, "pin", "times")
		if got401.code != 1 || !matches(`onda: the token is missing or wrong`+"\nShow the server's token: export ONDA_REGISTRY_TOKEN=\\.\\.\\., or add --token\\.\n", got401.stderr) {
			t.Errorf("%s: exit code %d without a token, %s", o.name, got401.code, got401.stderr)
		}
		o.token = token
		o.says(t, `times: pinned no -> yes \(revision \d+\)\n`, "pin", "times")
		o.says(t, `times: pinned yes -> no \(revision \d+\)\n`, "pin", "times", "--off")
		before = o.document(t, "times")
	}
}

// TestNobodyChanges runs Onda so that nobody may change the registry.
func TestNobodyChanges(t *testing.T) {
	group(t)
	models := t.TempDir()
	addFiles(t, models, "times", 1, modelFiles(times(1)))
	for name, c := range map[string]struct {
		env     map[string]string
		refused string
	}{
		"no token": {
			map[string]string{},
			`the registry cannot be changed yet: set ONDA_REGISTRY_TOKEN to a token that those show who may, or ONDA_REGISTRY_CHANGES=open to let everybody`,
		},
		"off": {
			map[string]string{"ONDA_REGISTRY_CHANGES": "off", "ONDA_REGISTRY_TOKEN": token},
			`the registry is not changed over this door: set ONDA_REGISTRY_CHANGES=token, and ONDA_REGISTRY_TOKEN, to allow it`,
		},
	} {
		t.Run(name, func(t *testing.T) {
			c.env["ONDA_DAPR"], c.env["ONDA_MODELS_DIR"], c.env["ONDA_DRAIN_DELAY"] = "off", models, "0s"
			c.env["ONDA_ARTIFACT_STORE"] = filepath.Join(t.TempDir(), "store")
			onda := newOnda(t, t.TempDir(), c.env)
			onda.start(t)
			onda.ready(t)
			for _, shown := range []string{"", token} {
				o := operator{way{"directly", onda.url()}, shown}
				for _, change := range everyChange {
					o.isRefused(t, http.StatusForbidden, c.refused, change.method, change.path, map[string]any{"version": 1})
				}
			}
			asked(t, way{"directly", onda.url()}, "times", 1)
		})
	}
}
