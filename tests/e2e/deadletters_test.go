package e2e_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/onda-serving/onda/tests/internal/ondatest"
)

// The suite below does what operators do: events fail, their letters are looked at with the
// command line, the cause is mended, and the letters are put back.

// TestDeadLettersInMemory runs the suite on the broker that users begin with.
func TestDeadLettersInMemory(t *testing.T) {
	group(t)
	backend := ondatest.SQLite(filepath.Join(t.TempDir(), "state.db"))
	startMending(t, backend, nil, pubsub).suite(t)
}

// TestDeadLettersRedis runs it on Redis, which keeps the letters as well.
func TestDeadLettersRedis(t *testing.T) {
	group(t)
	startMending(t, ondatest.Redis(t).Backend(), addListener, listenerComponent).suite(t)
}

// mending is Onda with somebody who mends what failed.
type mending struct {
	*broker

	replica  *ondatest.Replica
	operator operator
}

// startMending starts Onda as startBroker does, with the brittle model alone, and with what lets
// its operator mend it.
func startMending(t *testing.T, backend ondatest.Backend, change func(t *testing.T, components string), heardBy string) *mending {
	t.Helper()
	models := t.TempDir()
	addFiles(t, models, brittleModel, 1, modelFiles(brittle()))
	appID := "mending-" + unique()
	components := ondatest.Components(t, appID, backend)
	if change != nil {
		change(t, components)
	}
	m := mendable(t, ondatest.ReplicaOptions{AppID: appID, Models: models, Components: components, Settings: map[string]string{
		"ONDA_ARTIFACT_STORE": filepath.Join(t.TempDir(), "store"), "ONDA_ARTIFACT_CACHE": filepath.Join(t.TempDir(), "cache"),
	}}, heardBy)
	m.replica.Sidecar.Reaches(appID)
	m.operator.registers(t, models)
	return m
}

// mendable starts a replica whose operator has a token, listens to the named component, and
// waits until events arrive, which the brittle model must be there for.
func mendable(t *testing.T, options ondatest.ReplicaOptions, heardBy string) *mending {
	t.Helper()
	metrics := freePort(t)
	options.Binary = ondaBinary
	options.Settings["ONDA_METRICS_LISTEN"], options.Settings["ONDA_REGISTRY_TOKEN"] = local(metrics), token
	r := ondatest.StartReplica(t, options)
	m := &mending{
		broker: &broker{
			url: r.Onda.URL, publishURL: r.Sidecar.URL("publish/" + pubsub + "/" + requestsTopic), metricsPort: metrics,
			results: listen(t, r.Sidecar.GRPCPort, heardBy, resultsTopic), letters: listen(t, r.Sidecar.GRPCPort, heardBy, deadLetterTopic),
		},
		replica: r, operator: operator{way{"directly", r.Onda.URL}, token},
	}
	m.flows(t)
	return m
}

func (m *mending) suite(t *testing.T) {
	t.Helper()
	var id string
	t.Run("poison", func(t *testing.T) { id = m.poisoned(t) })
	if t.Failed() {
		t.FailNow() // all that follows is about its letter
	}
	t.Run("kept", func(t *testing.T) { m.kept(t, id) })
	t.Run("replayed too early", func(t *testing.T) { m.tooEarly(t, id) })
	t.Run("mended", func(t *testing.T) { m.mended(t, id) })
	t.Run("replayed once more", func(t *testing.T) { m.again(t, id) })
	t.Run("replayed by filter", m.byFilter)
}

// keptLetter is a letter as the command line has it in JSON.
type keptLetter struct {
	ID            string          `json:"id"`
	Code          string          `json:"code"`
	Error         string          `json:"error"`
	Model         string          `json:"model"`
	RequestID     string          `json:"request_id"`
	RequestSource string          `json:"request_source"`
	By            string          `json:"by"`
	Replay        int             `json:"replay"`
	State         string          `json:"state"`
	Replays       int             `json:"replays"`
	LastReplay    int             `json:"last_replay"`
	Original      json.RawMessage `json:"original"`
}

// replayed is what came of putting a letter back.
type replayed struct {
	ID      string `json:"id"`
	Outcome string `json:"outcome"`
	Replay  int    `json:"replay"`
}

// runs `onda events deadletters`.
func (m *mending) runs(t *testing.T, o operator, args ...string) command {
	t.Helper()
	return o.runsCommand(t, append([]string{"events", "deadletters", "--server", o.url, "-o", "json"}, args...)...)
}

// list gives the letters that the flags choose, the newest first.
func (m *mending) list(t *testing.T, o operator, flags ...string) []keptLetter {
	t.Helper()
	got := m.runs(t, o, append([]string{"list"}, flags...)...)
	var page struct {
		Letters []keptLetter `json:"letters"`
		Cursor  string       `json:"cursor"`
	}
	if err := json.Unmarshal([]byte(got.stdout), &page); err != nil || got.code != 0 || page.Cursor != "" {
		t.Fatalf("list %v: exit code %d (%v)\n%s%s", flags, got.code, err, got.stdout, got.stderr)
	}
	return page.Letters
}

// listed waits for a number of letters: they are kept a moment after they are on their topic.
func (m *mending) listed(t *testing.T, count int, flags ...string) (letters []keptLetter) {
	t.Helper()
	eventually(t, fmt.Sprintf("%d dead letters %v", count, flags), func() error {
		if letters = m.list(t, m.operator, flags...); len(letters) != count {
			return fmt.Errorf("there are %d: %+v", len(letters), letters)
		}
		return nil
	})
	return letters
}

// replays puts letters back, and gives what came of each.
func (m *mending) replays(t *testing.T, args ...string) []replayed {
	t.Helper()
	all, err := readReplayed(m.runs(t, m.operator, append([]string{"replay"}, args...)...))
	if err != nil {
		t.Fatalf("replay %v: %s", args, err)
	}
	return all
}

func readReplayed(got command) (all []replayed, err error) {
	if got.code != 0 {
		return nil, fmt.Errorf("exit code %d\n%s%s", got.code, got.stdout, got.stderr)
	}
	for line := range strings.Lines(got.stdout) {
		var one replayed
		if err := json.Unmarshal([]byte(line), &one); err != nil {
			return nil, fmt.Errorf("%w: %s", err, line)
		}
		all = append(all, one)
	}
	return all, nil
}

// counts waits until Onda has counted so many letters of each outcome.
func (m *mending) counts(t *testing.T, want map[string]float64) {
	t.Helper()
	eventually(t, "the metric of dead letters moves", func() error {
		got := map[string]float64{}
		for outcome := range want {
			got[outcome] = metric(t, m.metricsPort, "onda_dead_letters_total", `outcome="`+outcome+`"`)
		}
		if !maps.Equal(got, want) {
			return fmt.Errorf("%v, want %v", got, want)
		}
		return nil
	})
}

// kept looks at the letter of the poison: it is the only one, has its reason and its event, is
// there after a restart, and is for those alone who may see it.
func (m *mending) kept(t *testing.T, id string) {
	m.counts(t, map[string]float64{"kept": 1, "repeated": 0, "retry": 0, "replayed": 0, "skipped": 0, "failed": 0})
	l := m.listed(t, 1)[0]
	if l.Code != "Invalid" || !strings.Contains(l.Error, "rejects") || l.Model != brittleModel || l.RequestID != id || l.RequestSource != brokerSource ||
		l.By != "onda" || l.State != "waiting" || l.Replay != 0 || l.Replays != 0 || l.LastReplay != 0 || len(l.Original) != 0 {
		t.Errorf("the letter of request %s is listed as %+v", id, l)
	}
	m.checkShown(t, l.ID, id)
	m.replica.Onda.Restart()
	m.replica.Onda.Ready()
	if after := m.listed(t, 1)[0]; !sameJSON(t, after, l) {
		t.Errorf("after a restart the letter is %+v, before it was %+v", after, l)
	}
	m.flows(t)
	through := operator{way{"through the sidecar", m.replica.URL()}, token}
	if got := m.list(t, through, "--code", "Invalid", "--since", "1h"); len(got) != 1 || got[0].ID != l.ID {
		t.Errorf("through the sidecar the letters are %+v", got)
	}
	if got := m.list(t, through, "--code", "NotFound"); len(got) != 0 {
		t.Errorf("letters of another code: %+v", got)
	}
	for _, shown := range []string{"", "wrong"} {
		for _, args := range [][]string{{"list"}, {"show", l.ID}, {"replay", l.ID}, {"replay", "--all", "--yes"}} {
			if got := m.runs(t, operator{m.operator.way, shown}, args...); got.code != 1 || got.stdout != "" || !strings.Contains(got.stderr, "the header authorization is missing or wrong") {
				t.Errorf("%v with token %q: exit code %d\n%s%s", args, shown, got.code, got.stdout, got.stderr)
			}
		}
	}
}

// checkShown holds what is shown of a letter against the event as it was sent.
func (m *mending) checkShown(t *testing.T, letterID, id string) {
	t.Helper()
	got := m.runs(t, m.operator, "show", letterID)
	var l keptLetter
	var original event
	if err := json.Unmarshal([]byte(got.stdout), &l); err != nil || got.code != 0 {
		t.Fatalf("show: exit code %d (%v)\n%s%s", got.code, err, got.stdout, got.stderr)
	}
	if err := json.Unmarshal(l.Original, &original); err != nil {
		t.Fatalf("the original is %s: %s", clip(string(l.Original)), err)
	}
	if l.ID != letterID || l.Code != "Invalid" || original.ID != id || original.Source != brokerSource || original.Type != "onda.score.request.v1" ||
		original.Subject != brittleModel || !sameValue(t, original.Data, asJSON(t, number(limit + 5)["data"])) {
		t.Errorf("letter %s of request %s is shown as\n%s", letterID, id, got.stdout)
	}
	none := m.runs(t, m.operator, "show", strings.Repeat("0", len(letterID)))
	if none.code != 1 || none.stdout != "" || !strings.Contains(none.stderr, "there is no dead letter") {
		t.Errorf("a letter that is not there: exit code %d\n%s%s", none.code, none.stdout, none.stderr)
	}
}

// sameValue says whether two JSON texts are of the same value.
func sameValue(t *testing.T, a, b []byte) bool {
	t.Helper()
	var one, other any
	if err := errors.Join(json.Unmarshal(a, &one), json.Unmarshal(b, &other)); err != nil {
		t.Fatal(err)
	}
	return reflect.DeepEqual(one, other)
}

// waiting gives the one letter that waits.
func (m *mending) waiting(t *testing.T) keptLetter {
	t.Helper()
	return m.listed(t, 1, "--state", "waiting")[0]
}

// tooEarly puts the letter back while its cause is still there: it fails again, and that is a
// new letter.
func (m *mending) tooEarly(t *testing.T, id string) {
	first := m.waiting(t)
	if got, want := m.replays(t, first.ID), []replayed{{first.ID, "replayed", 1}}; !slices.Equal(got, want) {
		t.Errorf("putting back gives %+v, want %+v", got, want)
	}
	letters := m.listed(t, 2)
	second, before := letters[0], letters[1]
	if before.ID != first.ID || before.State != "replayed" || before.Replays != 1 || before.LastReplay != 1 {
		t.Errorf("the letter that was put back is %+v", before)
	}
	if second.ID == first.ID || second.State != "waiting" || second.Replay != 1 || second.RequestID != id || second.Code != "Invalid" {
		t.Errorf("the new letter is %+v", second)
	}
	m.checkShown(t, second.ID, id)
	for _, got := range m.letters.waitFor(t, id, 2) {
		checkTyped(t, got, id, "Invalid", "rejects")
	}
	// The first one was put back, and is not put back twice.
	if got, want := m.replays(t, first.ID), []replayed{{first.ID, "skipped", 1}}; !slices.Equal(got, want) {
		t.Errorf("putting back twice gives %+v, want %+v", got, want)
	}
	// The counters began anew with the restart.
	m.counts(t, map[string]float64{"kept": 1, "replayed": 1, "skipped": 1, "failed": 0})
	if got := m.results.about(t, id); len(got) != 0 {
		t.Errorf("the poison has a result: %s", got[0].text)
	}
}

// mended registers a version that takes the number, and puts the letter back: the request is
// answered, by two who do it at once as by one.
func (m *mending) mended(t *testing.T, id string) {
	m.operator.register(t, brittleModel, 2, modelFiles(table(2*limit, 1)))
	m.operator.label(t, brittleModel, "live", 2)
	eventually(t, "the mended version is live", func() error {
		_, err := ask(client, m.operator.way, brittleModel, limit+5)
		return err
	})
	l := m.waiting(t)
	// Of two who do it at once, one takes the next number; it may leave one out.
	number := 0
	outcomes := make([]command, 2)
	var all sync.WaitGroup
	for i := range outcomes {
		all.Go(func() { outcomes[i] = m.runs(t, m.operator, "replay", l.ID) })
	}
	all.Wait()
	done := 0.0
	for _, got := range outcomes {
		one, err := readReplayed(got)
		if err != nil || len(one) != 1 || one[0].ID != l.ID || one[0].Replay < 2 || number != 0 && one[0].Replay != number {
			t.Fatalf("putting back gives %+v (%v), to another %d", one, err, number)
		}
		number = one[0].Replay
		if one[0].Outcome == "replayed" {
			done++
		}
	}
	if done == 0 {
		t.Errorf("nobody put the letter back: %+v", outcomes)
	}
	got := m.results.wait(t, id)
	m.checkMended(t, got, id, limit+5)
	if got := m.replays(t, l.ID); !slices.Equal(got, []replayed{{l.ID, "skipped", number}}) {
		t.Errorf("putting back once more gives %+v", got)
	}
	m.counts(t, map[string]float64{"kept": 1, "replayed": 1 + done, "skipped": 4 - done, "failed": 0})
	m.settled(t)
	for _, other := range m.results.about(t, id) {
		if first, second := asPublished(t, got), asPublished(t, other); first != second {
			t.Errorf("the letter was answered by\n%s\nand by\n%s", first, second)
		}
	}
	if letters := m.letters.about(t, id); len(letters) != 2 {
		t.Errorf("%d error events about %s, want the two from before", len(letters), id)
	}
	if l := m.list(t, m.operator, "--state", "replayed"); len(l) != 2 || len(m.list(t, m.operator)) != 2 {
		t.Errorf("the letters that were put back are %+v", l)
	}
}

// checkMended holds the result of a request that was put back against it.
func (m *mending) checkMended(t *testing.T, got event, id string, y float64) {
	t.Helper()
	s, err := readScored(got.Data)
	if err != nil || s.y != y || !strings.HasPrefix(got.ID, brokerSource+"#"+id+"/result") || got.Type != "onda.score.result.v1" || got.RequestID != id || got.RequestSource != brokerSource {
		t.Errorf("request %s is answered by %s (%v), want %v", id, got.text, err, y)
	}
	if got.Subject == brittleModel && (s.version != 2 || got.ModelVersion != "2") {
		t.Errorf("request %s is answered by version %s, want the mended one, 2", id, got.ModelVersion)
	}
}

// settled waits until what was published before has been seen.
func (m *mending) settled(t *testing.T) {
	t.Helper()
	m.results.wait(t, m.publish(t, number(1)))
	time.Sleep(100 * time.Millisecond)
}

// again puts a letter back that was put back, as only who says so does: the request is answered
// anew, and the same.
func (m *mending) again(t *testing.T, id string) {
	before := len(m.results.about(t, id))
	l := m.list(t, m.operator, "--state", "replayed", "--source", brokerSource)[0]
	if got := m.replays(t, l.ID, "--again"); len(got) != 1 || got[0].ID != l.ID || got[0].Outcome != "replayed" || got[0].Replay <= l.LastReplay {
		t.Errorf("putting back again gives %+v, and it was replay %d before", got, l.LastReplay)
	}
	all := m.results.waitFor(t, id, before+1)
	m.checkMended(t, all[before], id, limit+5)
	if a, b := all[0].Data, all[before].Data; !bytes.Equal(a, b) {
		t.Errorf("the request is answered by\n%s\nand anew by\n%s", a, b)
	}
}

// byFilter lets several events fail for a model that is missing, and one for its data. When the
// model is there, the letters of that model alone are put back.
func (m *mending) byFilter(t *testing.T) {
	const missing, factor = "late", 3
	xs := map[string]float64{}
	for x := range 3 {
		attributes := number(float64(x))
		attributes["subject"] = missing
		xs[m.publish(t, attributes)] = float64(x)
	}
	wrong := m.publish(t, map[string]any{"subject": brittleModel, "data": map[string]any{"instance": "x"}})
	choice := []string{"--code", "NotFound", "--model", missing}
	for _, l := range m.listed(t, len(xs), choice...) {
		if _, ours := xs[l.RequestID]; !ours || l.Code != "NotFound" || l.Model != missing || !strings.Contains(l.Error, "unknown model") {
			t.Errorf("a letter for a missing model is %+v", l)
		}
	}
	m.listed(t, len(xs)+1, "--state", "waiting")

	m.operator.register(t, missing, 1, modelFiles(times(factor)))
	m.operator.label(t, missing, "live", 1)
	eventually(t, "the missing model is there", func() error {
		_, err := ask(client, m.operator.way, missing, 1)
		return err
	})
	// Many are not put back without a yes, which nobody says here.
	if got := m.runs(t, m.operator, append([]string{"replay"}, choice...)...); got.code != 1 || got.stdout != "" || !strings.Contains(got.stderr, "3 dead letters would be put back") {
		t.Errorf("without a yes: exit code %d\n%s%s", got.code, got.stdout, got.stderr)
	}
	for _, outcome := range []string{"replayed", "skipped"} {
		got := m.replays(t, append([]string{"--yes"}, choice...)...)
		if len(got) != len(xs) || slices.ContainsFunc(got, func(r replayed) bool { return r.Outcome != outcome || r.Replay != 1 }) {
			t.Errorf("putting the letters of a model back gives %+v, want %d that are %s", got, len(xs), outcome)
		}
		for id, x := range xs {
			m.checkMended(t, m.results.wait(t, id), id, factor*x)
		}
	}
	m.settled(t)
	for id := range xs {
		if got := m.results.about(t, id); len(got) != 1 {
			t.Errorf("%d results of %s, want 1", len(got), id)
		}
	}
	if got := m.waiting(t); got.RequestID != wrong {
		t.Errorf("what waits is %+v, want the letter of %s", got, wrong)
	}
	// What nothing has mended can be put back, and is a letter again.
	outcomes := map[string]int{}
	for _, r := range m.replays(t, "--all", "--yes") {
		outcomes[r.Outcome]++
	}
	if want := map[string]int{"replayed": 1, "skipped": len(xs) + 2}; !maps.Equal(outcomes, want) {
		t.Errorf("putting all letters back gives %v, want %v", outcomes, want)
	}
	if got := m.waiting(t); got.RequestID != wrong || got.Replay != 1 || got.Code != "Invalid" {
		t.Errorf("what waits after that is %+v, want a new letter of %s", got, wrong)
	}
}
