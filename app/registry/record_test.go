package registry_test

import (
	"encoding/json"
	"errors"
	"strings"
	"sync"
	"testing"

	"github.com/rs/zerolog"

	"github.com/onda-serving/onda/app/artifact"
	"github.com/onda-serving/onda/app/registry"
	"github.com/onda-serving/onda/app/scoring"
	"github.com/onda-serving/onda/app/sidecar"
	"github.com/onda-serving/onda/app/sidecar/sidecartest"
)

func store(t *testing.T, fake *sidecartest.Sidecar) *sidecar.Client {
	t.Helper()
	c, err := sidecar.New(sidecar.Config{GRPCAddress: fake.GRPCAddress, HTTPAddress: fake.HTTPAddress, StateStore: "statestore"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

// models gives a registry's models: m with version 1 loaded and 2 failed, and one that
// has no version to show.
func models(t *testing.T, digest string) []registry.Model {
	t.Helper()
	r := registry.New()
	s := newSession()
	s.signature = scoring.Signature{
		Inputs:  []scoring.TensorSpec{{Name: "x", Datatype: scoring.FP32, Shape: []int64{-1, 4}}},
		Outputs: []scoring.TensorSpec{{Name: "y", Datatype: scoring.Int64, Shape: []int64{-1}}},
	}
	v := version("m", 1, s)
	v.ID.Digest = digest
	v.Size = 77
	v.Manifest = artifact.Manifest{Description: "a model", Licence: "MIT", Provenance: artifact.Provenance{Source: "here"}, Metrics: map[string]float64{"accuracy": 0.5}}
	if err := r.Add(ref("m", 1), v); err != nil {
		t.Fatal(err)
	}
	r.Fail(ref("m", 2), errors.New("broken"))
	r.Fail(ref("other", 1), errors.New("broken"))
	return r.Models()
}

func TestRecordAllWritesWhatIsLoaded(t *testing.T) {
	t.Parallel()
	fake := sidecartest.Start(t)
	if err := (registry.Recorder{Store: store(t, fake)}).RecordAll(t.Context(), models(t, "sha256:a")); err != nil {
		t.Fatal(err)
	}
	if got, want := fake.Document("statestore", "models"), `{"models":["m"]}`; got != want {
		t.Errorf("index %s, want %s", got, want)
	}
	if got := fake.Document("statestore", "model:other"); got != "" {
		t.Errorf("a model without a loaded version was recorded: %s", got)
	}
	var got map[string]any
	if err := json.Unmarshal([]byte(fake.Document("statestore", "model:m")), &got); err != nil {
		t.Fatal(err)
	}
	versions, _ := got["versions"].(map[string]any)
	one, _ := versions["1"].(map[string]any)
	if one["registered_at"] == "" {
		t.Error("registered_at is missing")
	}
	delete(one, "registered_at")
	want := `{"labels":{"live":1},"name":"m","versions":{"1":{"description":"a model","digest":"sha256:a","inputs":[{"datatype":"FP32","name":"x","shape":[-1,4]}],"licence":"MIT","metrics":{"accuracy":0.5},"outputs":[{"datatype":"INT64","name":"y","shape":[-1]}],"pipeline":"none","provenance":{"created":"","framework":"","script":"","source":"here"},"size_bytes":77,"version":1}}}`
	text, err := json.Marshal(got)
	if err != nil {
		t.Fatal(err)
	}
	if string(text) != want {
		t.Errorf("document\n%s\nwant\n%s", text, want)
	}
}

func TestRecordAllAgainWritesNothing(t *testing.T) {
	t.Parallel()
	fake := sidecartest.Start(t)
	recorder := registry.Recorder{Store: store(t, fake)}
	for range 2 {
		if err := recorder.RecordAll(t.Context(), models(t, "sha256:a")); err != nil {
			t.Fatal(err)
		}
	}
	if got := fake.Saves(); got != 2 {
		t.Errorf("%d documents were saved, want 2: the model and the index, once", got)
	}
}

func TestRecordAllKeepsWhatOthersWrote(t *testing.T) {
	t.Parallel()
	fake := sidecartest.Start(t)
	fake.SetDocument("statestore", "models", `{"models":["z"]}`)
	fake.SetDocument("statestore", "model:m", `{"name":"m","labels":{"live":7},"versions":{"7":{"version":7,"digest":"sha256:7","registered_at":"2026-01-02T03:04:05Z"}}}`)
	s := store(t, fake)
	if err := (registry.Recorder{Store: s}).RecordAll(t.Context(), models(t, "sha256:a")); err != nil {
		t.Fatal(err)
	}
	record, ok, err := registry.ReadModel(t.Context(), s, "m")
	if err != nil || !ok {
		t.Fatalf("read: %v %v", ok, err)
	}
	if len(record.Versions) != 2 || record.Versions["7"].Digest != "sha256:7" || record.Versions["1"].Digest != "sha256:a" {
		t.Errorf("versions %+v, want 7 kept and 1 added", record.Versions)
	}
	if got := fake.Document("statestore", "models"); got != `{"models":["m","z"]}` {
		t.Errorf("index %s", got)
	}
}

func TestReplicasThatStartTogetherAllSucceed(t *testing.T) {
	t.Parallel()
	fake := sidecartest.Start(t)
	loaded := models(t, "sha256:a")
	var replicas sync.WaitGroup
	for range 8 {
		s := store(t, fake)
		replicas.Go(func() {
			if err := (registry.Recorder{Store: s}).RecordAll(t.Context(), loaded); err != nil {
				t.Error(err)
			}
		})
	}
	replicas.Wait()
	if got := fake.Document("statestore", "models"); got != `{"models":["m"]}` {
		t.Errorf("index %s", got)
	}
}

func TestChangedVersionIsWarnedAbout(t *testing.T) {
	t.Parallel()
	fake := sidecartest.Start(t)
	s := store(t, fake)
	var log strings.Builder
	recorder := registry.Recorder{Store: s, Log: zerolog.New(&log)}
	for _, digest := range []string{"sha256:a", "sha256:b"} {
		if err := recorder.RecordAll(t.Context(), models(t, digest)); err != nil {
			t.Fatal(err)
		}
	}
	if !strings.Contains(log.String(), `"recorded":"sha256:a","served":"sha256:b"`) {
		t.Errorf("log %q, want a warning with both digests", log.String())
	}
	record, _, err := registry.ReadModel(t.Context(), s, "m")
	if err != nil || record.Versions["1"].Digest != "sha256:b" {
		t.Errorf("recorded %q (%v), want the digest that is served", record.Versions["1"].Digest, err)
	}
}

func TestDamagedDocumentsAreNamed(t *testing.T) {
	t.Parallel()
	fake := sidecartest.Start(t)
	fake.SetDocument("statestore", "model:m", `{`)
	err := (registry.Recorder{Store: store(t, fake)}).RecordAll(t.Context(), models(t, "sha256:a"))
	if err == nil || !strings.Contains(err.Error(), `document "model:m" in the state store: `) {
		t.Errorf("got %v, want it to name the document", err)
	}
	if got := fake.Document("statestore", "model:m"); got != `{` {
		t.Errorf("the damaged document was overwritten with %s", got)
	}
}

func TestReadPassesOverNamesWithoutDocument(t *testing.T) {
	t.Parallel()
	fake := sidecartest.Start(t)
	s := store(t, fake)
	if records, err := registry.Read(t.Context(), s); err != nil || len(records) != 0 {
		t.Errorf("empty store: got %v %v", records, err)
	}
	fake.SetDocument("statestore", "models", `{"models":["gone","m"]}`)
	fake.SetDocument("statestore", "model:m", `{"name":"m"}`)
	records, err := registry.Read(t.Context(), s)
	if err != nil || len(records) != 1 || records[0].Name != "m" {
		t.Errorf("got %v %v, want m alone", records, err)
	}
}
