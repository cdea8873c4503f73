package catalog_test

import (
	"bytes"
	"encoding/json"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/onda-serving/onda/app/catalog"
	"github.com/onda-serving/onda/app/catalog/catalogtest"
	"github.com/onda-serving/onda/app/scoring"
)

const golden = "testdata/model.json"

// TestGolden writes a document with a change of each kind and compares its JSON text: what
// was written by one release must be read by all others.
func TestGolden(t *testing.T) {
	t.Parallel()
	store := &catalogtest.Store{}
	at := noon
	book := &catalog.Book{Store: store, Now: func() time.Time { at = at.Add(time.Minute); return at }}
	full := stored(2, "model.onnx", "model.yaml")
	full.MemoryBytes, full.Golden, full.Pipeline = 2048, 3, "text"
	first := version(1)
	first.Pipeline = "text"
	full.Framework, full.Description, full.Licence = "PyTorch 2.8", "Finds <answers> & scores", "Apache-2.0"
	full.Source = catalog.Source{Commit: "c0ffee", Dataset: "faq-2026-08", Origin: "e5-small", Script: "models/faq.py", Created: "2026-08-30"}
	full.Metrics, full.Tags = map[string]float64{"recall@5": 0.93}, map[string]string{"team": "search"}
	for _, c := range []catalog.Change{
		{Action: catalog.ActionRegister, Apply: func(m *catalog.Model) error { return m.Register(first, nil) }},
		{Action: catalog.ActionLabel, Version: 1, Reason: "first", Apply: func(m *catalog.Model) error { return m.SetLabel(scoring.LabelLive, 1, nil) }},
		{Action: catalog.ActionRegister, Apply: func(m *catalog.Model) error {
			return m.Register(full, catalog.Accept{catalog.AcceptSignature})
		}},
		{Action: catalog.ActionTraffic, Apply: func(m *catalog.Model) error {
			return m.SetTraffic(&catalog.Traffic{Weights: map[int64]int{1: 9, 2: 1}})
		}},
		{Action: catalog.ActionShadow, Version: 2, Apply: func(m *catalog.Model) error { return m.SetShadow(&catalog.Shadow{Version: 2, Share: 0.1}) }},
		{Action: catalog.ActionPin, Apply: func(m *catalog.Model) error { return m.SetPinned(true) }},
		{Action: catalog.ActionRollout, Version: 2, Apply: func(m *catalog.Model) error {
			return m.BeginRollout(2, nil, catalog.Rule{}, "", nil, at)
		}},
		{Action: catalog.ActionRollback, Version: 2, Reason: "error rate 0.2", Apply: func(m *catalog.Model) error { return m.RollBack("error rate 0.2", at) }},
	} {
		c.Actor = "ann"
		_, err := book.Commit(t.Context(), "faq", c)
		must(t, err)
	}
	var got bytes.Buffer
	must(t, json.Indent(&got, withoutIDs(t, store.Documents()[catalog.ModelKey("faq")]), "", "\t"))
	got.WriteByte('\n')
	if *update {
		must(t, os.WriteFile(golden, got.Bytes(), 0o600))
	}
	want, err := os.ReadFile(golden)
	must(t, err)
	if !bytes.Equal(got.Bytes(), want) {
		t.Errorf("the document's form changed. If that is meant, run this test with -update and think of the documents that are out there.\n%s", got.Bytes())
	}
}

// withoutIDs puts the same in place of each entry's random ID.
func withoutIDs(t *testing.T, document []byte) []byte {
	t.Helper()
	m, err := catalog.Decode(document)
	must(t, err)
	for _, e := range m.History {
		if len(e.ID) < 20 {
			t.Errorf("the ID %q is too short to be another for each change", e.ID)
		}
		document = bytes.ReplaceAll(document, []byte(e.ID), []byte("ID"))
	}
	return document
}

func TestDecodeGivesBackWhatWasWritten(t *testing.T) {
	t.Parallel()
	data, err := os.ReadFile(golden)
	must(t, err)
	m, err := catalog.Decode(data)
	must(t, err)
	var want bytes.Buffer
	must(t, json.Compact(&want, data))
	var got bytes.Buffer
	e := json.NewEncoder(&got)
	e.SetEscapeHTML(false)
	must(t, e.Encode(m))
	if strings.TrimSpace(got.String()) != want.String() {
		t.Errorf("got  %s\nwant %s", got.String(), want.String())
	}
	if m.Running() != nil || m.Rollout.Rule.StepTime != catalog.Duration(30*time.Second) || m.Versions[2].Metrics["recall@5"] != 0.93 {
		t.Errorf("got %+v", m)
	}
}

func TestDecodeMakesMaps(t *testing.T) {
	t.Parallel()
	m, err := catalog.Decode([]byte(`{"schema": 1, "name": "faq", "revision": 1, "of the future": {"a": [1]},
		"versions": null, "history": [{"revision": 1, "id": "x", "before": {}, "after": {"labels": null}}]}`))
	must(t, err)
	m.Versions[1], m.Labels["beta"], m.Standing[1] = version(1), 1, catalog.Retired
	m.History[0].Before.Labels["a"], m.History[0].After.Standing[1] = 1, catalog.Retired
	m, err = catalog.Decode([]byte(`{"schema": 1, "name": "faq"}`))
	must(t, err)
	same(t, "document", m, catalog.New("faq"))
}

func TestDecodeRefuses(t *testing.T) {
	t.Parallel()
	const known = `"versions": {"1": {"version": 1}}`
	tests := []struct {
		name, document string
		code           scoring.Code
		part           string
	}{
		{"nothing", ``, scoring.Internal, "damaged"},
		{"no JSON", `{"schema": 1, "name": "faq"`, scoring.Internal, "damaged"},
		{"something else", `[]`, scoring.Internal, "damaged"},
		{"no schema", `{"name": "faq"}`, scoring.Internal, `(of model "faq") in the registry is damaged, restore it from a backup of the state store: its schema is 0, want 1`},
		{"newer schema", `{"schema": 2, "name": "faq", "versions": "moved"}`, scoring.Unavailable, `(of model "faq") in the registry has schema 2, which a newer Onda wrote: this one reads schema 1, update it`},
		{"wrong type", `{"schema": 1, "name": "faq", "versions": []}`, scoring.Internal, "damaged"},
		{"no name", `{"schema": 1}`, scoring.Internal, "model name is empty"},
		{"number", `{"schema": 1, "name": "faq", "versions": {"1": {"version": 2}}}`, scoring.Internal, "version 2 stands in the place of version 1"},
		{"number 0", `{"schema": 1, "name": "faq", "versions": {"0": {"version": 0}}}`, scoring.Internal, "version 0"},
		{"revision", `{"schema": 1, "name": "faq", "revision": 3}`, scoring.Internal, "revision 3, but 0 entries"},
		{"archived", `{"schema": 1, "name": "faq", "revision": 3, "archived": 3}`, scoring.Internal, "3 archived ones"},
		{"gap", `{"schema": 1, "name": "faq", "revision": 2, "history": [{"revision": 1}, {"revision": 3}]}`, scoring.Internal, "revision 3 of the history stands where 2 belongs"},
		{"label", `{"schema": 1, "name": "faq", "labels": {"live": 1}}`, scoring.Internal, "label live names version 1, which is not registered"},
		{"previous", `{"schema": 1, "name": "faq", "previous": 4}`, scoring.Internal, "names version 4"},
		{"shadow", `{"schema": 1, "name": "faq", "shadow": {"version": 4}}`, scoring.Internal, "the shadow names version 4"},
		{"no weights", `{"schema": 1, "name": "faq", "traffic": {"weights": {}}}`, scoring.Internal, "no weights"},
		{"weight", `{"schema": 1, "name": "faq", ` + known + `, "traffic": {"weights": {"1": 0}}}`, scoring.Internal, "version 1 the weight 0"},
		{"traffic", `{"schema": 1, "name": "faq", ` + known + `, "traffic": {"weights": {"2": 1}}}`, scoring.Internal, "the traffic names version 2"},
		{"steps", `{"schema": 1, "name": "faq", ` + known + `, "rollout": {"status": "running", "candidate": 1, "baseline": 1}}`, scoring.Internal, "0 steps"},
		{"step", `{"schema": 1, "name": "faq", ` + known + `, "rollout": {"status": "running", "candidate": 1, "baseline": 1, "steps": [5], "step": 1}}`, scoring.Internal, "at step 1 of 1"},
		{"candidate", `{"schema": 1, "name": "faq", ` + known + `, "rollout": {"status": "running", "candidate": 2, "baseline": 1, "steps": [5]}}`, scoring.Internal, "candidate names version 2"},
		{"baseline", `{"schema": 1, "name": "faq", ` + known + `, "rollout": {"status": "running", "candidate": 1, "baseline": 2, "steps": [5]}}`, scoring.Internal, "baseline names version 2"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			m, err := catalog.Decode([]byte(test.document))
			if m != nil {
				t.Errorf("got the document %+v", m)
			}
			fails(t, err, test.code, test.part)
		})
	}
}

func TestKeys(t *testing.T) {
	t.Parallel()
	if got := catalog.ModelKey("faq"); got != "registry:model:faq" {
		t.Error(got)
	}
	if got := catalog.HistoryKey("faq", 12); got != "registry:history:faq:12" {
		t.Error(got)
	}
}

// FuzzDecode: what is decoded can be worked with, and is written as it was read.
func FuzzDecode(f *testing.F) {
	if data, err := os.ReadFile(golden); err == nil {
		f.Add(data)
	}
	f.Add([]byte(`{"schema": 1, "name": "faq", "revision": 1, "history": [{"revision": 1}], "labels": null}`))
	f.Add([]byte(`{"schema": 1, "name": "faq", "versions": {"1": {"version": 1}, "2": {"version": 2}}, "labels": {"live": 1, "canary": 2}, "rollout":
		{"status": "running", "candidate": 2, "baseline": 1, "steps": [5, 100], "step": 1}, "traffic": {"weights": {"1": 1000000}}, "shadow": {"version": 2}, "previous": 2}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		m, err := catalog.Decode(data)
		if err != nil {
			if scoring.AsError(err).Message == "" || m != nil {
				t.Errorf("error %v with document %v", err, m)
			}
			return
		}
		written := text(t, m)
		again, err := catalog.Decode([]byte(written))
		must(t, err)
		if got := text(t, again); got != written {
			t.Errorf("written as\n%s\nand then as\n%s", written, got)
		}
		route := m.Route()
		for _, v := range append(route.Versions(), route.Pick(m.Name, "key", "", 0.5), route.Pick(m.Name, "", "", 0.5)) {
			if _, ok := m.Versions[v]; !ok && m.Managed() {
				t.Errorf("the route leads to version %d, which is not registered", v)
			}
		}
		for _, change := range changes(m) {
			if err := change(); err != nil && scoring.CodeOf(err) == scoring.Internal {
				t.Errorf("a change failed with %v", err)
			}
		}
	})
}

// changes are all changes of a document, one after the other.
func changes(m *catalog.Model) []func() error {
	accept := catalog.Accept{catalog.AcceptRolledBack, catalog.AcceptSignature}
	return []func() error{
		func() error { return m.Register(version(1), nil) },
		func() error { return m.Register(version(99), accept) },
		func() error { return m.Advance("well", noon) },
		func() error { return m.Promote("well", noon) },
		func() error { return m.RollBack("bad", noon) },
		func() error { return m.SetLabel("beta", 2, accept) },
		func() error { return m.SetLabel(scoring.LabelLive, 2, accept) },
		func() error { return m.SetTraffic(&catalog.Traffic{Weights: map[int64]int{1: 1, 2: 3}}) },
		func() error { return m.SetShadow(&catalog.Shadow{Version: 1, Share: 1}) },
		func() error { return m.BeginRollout(1, nil, catalog.Rule{}, "", accept, noon) },
		func() error { return m.RollBack("bad", noon) },
		func() error { return m.RollBack("bad", noon) },
		func() error { return m.RemoveLabel("beta") },
		func() error { return m.Retire(1) },
		func() error { return m.SetPinned(true) },
	}
}
