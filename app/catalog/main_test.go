package catalog_test

import (
	"encoding/json"
	"flag"
	"fmt"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/onda-serving/onda/app/catalog"
	"github.com/onda-serving/onda/app/scoring"
)

var update = flag.Bool("update", false, "write the golden files anew")

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// noon is when the tests play.
var noon = time.Date(2026, 9, 1, 12, 0, 0, 0, time.UTC)

// version is a version with some signature.
func version(n int64) catalog.Version {
	return catalog.Version{
		Version:      n,
		Digest:       fmt.Sprintf("sha256:%064d", n),
		Location:     catalog.InModelsFolder,
		SizeBytes:    1000 + n,
		Inputs:       []catalog.Tensor{{Name: "x", Datatype: "FP32", Shape: []int64{-1, 4}}},
		Outputs:      []catalog.Tensor{{Name: "y", Datatype: "FP32", Shape: []int64{-1, 2}}},
		Pipeline:     "none",
		RegisteredBy: "ann",
		RegisteredAt: noon,
	}
}

// unmanaged is the document of the model "faq" with the versions 1 to n.
func unmanaged(t *testing.T, n int64) *catalog.Model {
	t.Helper()
	m := catalog.New("faq")
	for i := range n {
		must(t, m.Register(version(i+1), nil))
	}
	return m
}

// managed is the document of the model "faq" with the versions 1 to n, of which 1 is live.
func managed(t *testing.T, n int64) *catalog.Model {
	t.Helper()
	m := unmanaged(t, n)
	must(t, m.SetLabel(scoring.LabelLive, 1, nil))
	return m
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// text is the JSON of anything.
func text(t *testing.T, v any) string {
	t.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// same compares the JSON of two things.
func same(t *testing.T, what string, got, want any) {
	t.Helper()
	if g, w := text(t, got), text(t, want); g != w {
		t.Errorf("%s:\ngot  %s\nwant %s", what, g, w)
	}
}

// fails checks the code of an error, and that its public text holds all of parts.
func fails(t *testing.T, err error, code scoring.Code, parts ...string) {
	t.Helper()
	e := scoring.AsError(err)
	if e == nil || e.Code != code {
		t.Fatalf("got error %v, want one with the code %s", err, code)
	}
	for _, part := range parts {
		if !strings.Contains(e.Message, part) {
			t.Errorf("the error does not hold %q: %s", part, e.Message)
		}
	}
}

// refuses checks that a change fails, how, and that it leaves the document alone.
func refuses(t *testing.T, m *catalog.Model, change func() error, code scoring.Code, parts ...string) {
	t.Helper()
	before := text(t, m)
	err := change()
	fails(t, err, code, parts...)
	if after := text(t, m); after != before {
		t.Errorf("the change failed and left something behind:\nbefore %s\nafter  %s", before, after)
	}
}

// overTheRegistry makes m one whose versions came over the registry: none answers by itself.
func overTheRegistry(m *catalog.Model) *catalog.Model {
	for number, v := range m.Versions {
		v.Location = catalog.InStore
		m.Versions[number] = v
	}
	return m
}
