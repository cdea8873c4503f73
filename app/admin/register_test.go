package admin_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/onda-serving/onda/app/admin"
	"github.com/onda-serving/onda/app/artifact"
	"github.com/onda-serving/onda/app/catalog"
	"github.com/onda-serving/onda/app/scoring"
	"github.com/onda-serving/onda/app/verify"
)

type report = verify.Report

func TestRegisterFromTheStore(t *testing.T) {
	t.Parallel()
	r := newRig()
	r.store.files[sum("a")] = 5
	want := admin.Registration{
		Location: "store:", Files: filesOf("a"), Description: "finds answers", Licence: "MIT", Framework: "torch 2",
		Source: catalog.Source{Commit: "c0ffee"}, Metrics: map[string]float64{"recall": 0.9}, Tags: map[string]string{"team": "search"},
	}
	got, err := r.Register(t.Context(), "m", want, admin.Ask{Actor: "ann", Reason: "first"})
	if err != nil {
		t.Fatal(err)
	}
	v := got.Version
	if !got.New || got.Model != "m" || got.Revision != 1 || got.Report == nil || got.Report.Digest != "sha256:"+sum("a") {
		t.Errorf("got %+v with the report %+v", got, got.Report)
	}
	if v.Version != 1 || v.Digest != "sha256:"+sum("a") || v.Location != "store:" || v.SizeBytes != 5 || v.Description != "finds answers" ||
		v.Licence != "MIT" || v.Framework != "torch 2" || v.Source.Commit != "c0ffee" || v.Metrics["recall"] != 0.9 || v.Tags["team"] != "search" ||
		v.RegisteredBy != "ann" || !v.RegisteredAt.Equal(noon) {
		t.Errorf("got the version %+v", v)
	}
	if entry := r.newest(t); entry.Action != catalog.ActionRegister || entry.Version != 1 || entry.Reason != "first" || entry.Registered == nil {
		t.Errorf("got the entry %+v", entry)
	}
	same(t, "asked of the replica", r.replica.asked(), []string{"inspect m@1", "follow m at 1"})
}

func TestRegisterFromAURL(t *testing.T) {
	t.Parallel()
	r := newRig()
	r.Hasher = hasher{"azblob://models/m/7": filesOf("b")}
	var heard []string
	ask := admin.Ask{Actor: "ann", Progress: func(p admin.Progress) { heard = append(heard, p.Stage) }}
	got, err := r.Register(t.Context(), "m", admin.Registration{Version: 7, Location: "azblob://models/m/7"}, ask)
	if err != nil || got.Version.Version != 7 || !maps.Equal(got.Version.Files, filesOf("b")) {
		t.Errorf("got %+v, %v, want version 7 with its files", got, err)
	}
	same(t, "stages", heard, []string{"waiting", "fetch", "check"})
}

func TestRegisterAgainChangesNothing(t *testing.T) {
	t.Parallel()
	for name, number := range map[string]int64{"by number": 1, "as the next one": 0} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig()
			r.register(t, 1, 2)
			clear(r.store.files) // it is not looked for again
			r.replica.calls = nil
			got, err := r.Register(t.Context(), "m", admin.Registration{Version: number, Location: "store:", Files: filesOf("1")}, by)
			if err != nil || got.New || got.Version.Version != 1 || got.Report != nil || got.Revision != 2 {
				t.Errorf("got %+v, %v, want version 1 as it was", got, err)
			}
			same(t, "asked of the replica", r.replica.asked(), nil)
			if got := r.model(t).Revision; got != 2 {
				t.Errorf("the document is at %d, want 2", got)
			}
		})
	}
}

// TestRegisterWhatWasRetired gives the files of a retired version a new number: the old one
// cannot be used any more.
func TestRegisterWhatWasRetired(t *testing.T) {
	t.Parallel()
	r := newRig()
	r.register(t, 1)
	if _, err := r.Retire(t.Context(), "m", 1, by); err != nil {
		t.Fatal(err)
	}
	got, err := r.Register(t.Context(), "m", admin.Registration{Location: "store:", Files: filesOf("1")}, by)
	if err != nil || !got.New || got.Version.Version != 2 {
		t.Errorf("got %+v, %v, want version 2", got, err)
	}
}

func TestRegisterRefuses(t *testing.T) {
	t.Parallel()
	files := func(name string, file catalog.File) map[string]catalog.File {
		return map[string]catalog.File{name: file}
	}
	many := map[string]catalog.File{}
	for i := range 257 {
		many[fmt.Sprintf("f%d", i)] = catalog.File{SHA256: sum("1")}
	}
	tests := []struct {
		name string
		want admin.Registration
		code scoring.Code
		text string
	}{
		{"no location", admin.Registration{}, scoring.Invalid, "location is missing"},
		{"models folder", admin.Registration{Location: "models:"}, scoring.Invalid, "registered by itself"},
		{"no URL", admin.Registration{Location: "/srv/models/m/1"}, scoring.Invalid, `location "/srv/models/m/1": want "store:"`},
		{"opaque", admin.Registration{Location: "file:m"}, scoring.Invalid, `location "file:m"`},
		{"password", admin.Registration{Location: "s3://key:secret@bucket/m"}, scoring.Invalid, "user name or password"},
		{"long", admin.Registration{Location: "s3://" + strings.Repeat("a", 1024)}, scoring.Invalid, "1029 bytes long"},
		{"unknown location", admin.Registration{Location: "s3://bucket/m"}, scoring.NotFound, "s3://bucket/m: not found"},
		{"files of a URL", admin.Registration{Location: "s3://bucket/m", Files: filesOf("1")}, scoring.Invalid, `files is for the location "store:"`},
		{"negative version", admin.Registration{Version: -1, Location: "store:", Files: filesOf("1")}, scoring.Invalid, "version is -1"},
		{"no files", admin.Registration{Location: "store:"}, scoring.Invalid, "has no files"},
		{"many files", admin.Registration{Location: "store:", Files: many}, scoring.Invalid, "257 files: at most 256"},
		{"path", admin.Registration{Location: "store:", Files: files("../model.onnx", catalog.File{SHA256: sum("1")})}, scoring.Invalid, `file "../model.onnx"`},
		{"backslash", admin.Registration{Location: "store:", Files: files(`a\b`, catalog.File{SHA256: sum("1")})}, scoring.Invalid, "want a path"},
		{"sum", admin.Registration{Location: "store:", Files: files("a", catalog.File{SHA256: "ABC"})}, scoring.Invalid, `sha256 is "ABC"`},
		{"size", admin.Registration{Location: "store:", Files: files("a", catalog.File{SHA256: sum("1"), Size: -1})}, scoring.Invalid, "size is -1"},
		{"large", admin.Registration{Location: "store:", Files: files("a", catalog.File{SHA256: sum("1"), Size: 2<<30 + 1})}, scoring.Invalid, `file "a" has 2147483649 bytes: at most 2147483648`},
		{"other size than the file's", admin.Registration{Location: "store:", Files: files("a", catalog.File{SHA256: sum("1"), Size: 6})}, scoring.Invalid, "the file with that sum has 5 bytes"},
		{"not uploaded", admin.Registration{Location: "store:", Files: filesOf("9")}, scoring.Invalid, "not in the artifact store: model.onnx (" + sum("9") + "): PUT each"},
		{"long texts", admin.Registration{Location: "store:", Files: filesOf("1"), Description: strings.Repeat("a", 40000)}, scoring.TooLarge, "at most 32768"},
		{"number taken", admin.Registration{Version: 1, Location: "store:", Files: filesOf("2")}, scoring.Conflict, "with another model.onnx (SHA-256 " + sum("1") + ", here " + sum("2")},
		{"fewer files", admin.Registration{Version: 1, Location: "store:", Files: files("b", catalog.File{SHA256: sum("1"), Size: 5})}, scoring.Conflict, "with a file model.onnx that is missing here"},
	}
	r := newRig()
	r.register(t, 1)
	r.store.files[sum("2")] = 5
	r.replica.calls = nil
	for _, test := range tests {
		_, err := r.Register(t.Context(), "m", test.want, by)
		if err == nil {
			t.Errorf("%s: got no error, want %q", test.name, test.text)
			continue
		}
		refused(t, err, test.code, test.text)
	}
	same(t, "asked of the replica", r.replica.asked(), nil)
}

func TestRegisterNamesFewOfManyMissing(t *testing.T) {
	t.Parallel()
	files := map[string]catalog.File{}
	for i := range 8 {
		files[fmt.Sprintf("f%d", i)] = catalog.File{SHA256: sum(strconv.Itoa(i))}
	}
	_, err := newRig().Register(t.Context(), "m", admin.Registration{Location: "store:", Files: files}, by)
	refused(t, err, scoring.Invalid, "f4 ("+sum("4")+") and 3 more: PUT each")
}

func TestRegisterAtARevision(t *testing.T) {
	t.Parallel()
	r := newRig()
	r.register(t, 1)
	_, err := r.Register(t.Context(), "m", admin.Registration{Location: "store:", Files: filesOf("2")}, admin.Ask{Actor: "ann", Revision: 7})
	var conflict *catalog.ConflictError
	if !errors.As(err, &conflict) || conflict.Current.Revision != 1 {
		t.Errorf("got %v, want a conflict with revision 1", err)
	}
}

func TestRegisterWithoutAStore(t *testing.T) {
	t.Parallel()
	r := newRig()
	r.Store = nil
	_, err := r.Register(t.Context(), "m", admin.Registration{Location: "store:", Files: filesOf("1")}, by)
	refused(t, err, scoring.Unimplemented, "ONDA_ARTIFACT_STORE")
}

func TestRegisterWhatFailsItsCheck(t *testing.T) {
	t.Parallel()
	r := newRig()
	r.store.files[sum("1")] = 5
	r.replica.inspect = func(string, catalog.Version) (report, error) {
		return report{}, scoring.Errorf(scoring.Invalid, "model.onnx is no ONNX model")
	}
	_, err := r.Register(t.Context(), "m", admin.Registration{Location: "store:", Files: filesOf("1")}, by)
	refused(t, err, scoring.Invalid, "model.onnx is no ONNX model")
	if m, err := r.Book.Read(t.Context(), "m"); err != nil || m != nil {
		t.Errorf("got the document %+v, %v, want none", m, err)
	}
}

func TestRegisterABreakingSignature(t *testing.T) {
	t.Parallel()
	r := newRig()
	r.replica.inspect = func(_ string, v catalog.Version) (report, error) {
		found := reportOf(v)
		found.Inputs = []catalog.Tensor{{Name: fmt.Sprintf("x%d", v.Version), Datatype: "FP32", Shape: []int64{-1, 4}}}
		return found, nil
	}
	r.register(t, 1)
	r.store.files[sum("2")] = 5
	want := admin.Registration{Location: "store:", Files: filesOf("2")}
	_, err := r.Register(t.Context(), "m", want, by)
	refused(t, err, scoring.Conflict, `input "x1"`, "signature")
	got, err := r.Register(t.Context(), "m", want, admin.Ask{Actor: "ann", Accept: catalog.Accept{"signature"}})
	if err != nil || got.Version.Inputs[0].Name != "x2" {
		t.Errorf("got %+v, %v, want version 2 with input x2", got, err)
	}
}

// TestRegisterAnotherVersionUnderItsNumber has a copied folder: what says the number is to be
// changed, and a free one is named.
func TestRegisterAnotherVersionUnderItsNumber(t *testing.T) {
	t.Parallel()
	r := newRig()
	r.register(t, 1, 2)
	want := admin.Registration{Version: 1, Location: "store:", Files: filesOf("2")}
	_, err := r.Register(t.Context(), "m", want, by)
	refused(t, err, scoring.Conflict, "versions never change, register it under another number (3 is free)")
	want.Files["model.yaml"] = catalog.File{SHA256: sum("3"), Size: 5}
	_, err = r.Register(t.Context(), "m", want, by)
	refused(t, err, scoring.Conflict, "versions never change, set version: in model.yaml to the new number (3 is free)")
}

// TestNextNumberIsEverybodysOwn registers on several replicas at once.
func TestNextNumberIsEverybodysOwn(t *testing.T) {
	t.Parallel()
	r := newRig()
	const replicas = 6
	var mu sync.Mutex
	numbers := map[int64]bool{}
	var ready, group sync.WaitGroup
	ready.Add(replicas)
	for i := range replicas {
		r.store.files[sum(strconv.Itoa(i))] = 5
	}
	for i := range replicas {
		digit := strconv.Itoa(i)
		other := &replica{inspect: func(_ string, v catalog.Version) (report, error) {
			ready.Done()
			ready.Wait() // all of them saw the same document
			return reportOf(v), nil
		}}
		one := &admin.Admin{Book: r.Book, Replica: other, Store: r.store, Now: r.Now}
		group.Go(func() {
			got, err := one.Register(t.Context(), "m", admin.Registration{Location: "store:", Files: filesOf(digit)}, by)
			if err != nil {
				t.Error(err)
				return
			}
			mu.Lock()
			defer mu.Unlock()
			numbers[got.Version.Version] = true
		})
	}
	group.Wait()
	if m := r.model(t); len(numbers) != replicas || len(m.Versions) != replicas || !numbers[1] || !numbers[replicas] {
		t.Errorf("got the numbers %v and %d versions, want 1 to %d", numbers, len(m.Versions), replicas)
	}
}

// TestNumberOfAManifestIsItsOwn has a version whose model.yaml names the number that somebody
// else took.
func TestNumberOfAManifestIsItsOwn(t *testing.T) {
	t.Parallel()
	r := newRig()
	files := filesOf("1")
	files["model.yaml"] = catalog.File{SHA256: sum("2"), Size: 5}
	r.store.files[sum("1")], r.store.files[sum("2")] = 5, 5
	r.replica.inspect = func(_ string, v catalog.Version) (report, error) {
		_, err := r.Book.Commit(context.Background(), "m", catalog.Change{Actor: "bob", Action: catalog.ActionRegister, Apply: func(m *catalog.Model) error {
			return m.Register(catalog.Version{Version: v.Version, Digest: "sha256:0", Location: "models:"}, nil)
		}})
		return reportOf(v), err
	}
	_, err := r.Register(t.Context(), "m", admin.Registration{Location: "store:", Files: files}, by)
	refused(t, err, scoring.Conflict, "version 1", "give model.yaml the next number")
}

func TestManifestFillsWhatWasNotSaid(t *testing.T) {
	t.Parallel()
	r := newRig()
	r.store.files[sum("1")], r.store.files[sum("2")] = 5, 5
	r.replica.inspect = func(_ string, v catalog.Version) (report, error) {
		found := reportOf(v)
		found.MemoryBytes, found.Pipeline, found.Golden.Cases = 99, "text", 3
		found.Framework, found.Description, found.Licence, found.Metrics = "f", "d", "l", map[string]float64{"m": 1}
		found.Provenance = artifact.Provenance{Source: "o", Script: "s", Created: "2026-11-23", Framework: "other"}
		return found, nil
	}
	got, err := r.Register(t.Context(), "m", admin.Registration{Location: "store:", Files: filesOf("1"), Source: catalog.Source{Commit: "c"}}, by)
	if err != nil {
		t.Fatal(err)
	}
	v := got.Version
	if v.MemoryBytes != 99 || v.Pipeline != "text" || v.Golden != 3 || v.Framework != "f" || v.Description != "d" || v.Licence != "l" || v.Metrics["m"] != 1 ||
		v.Source != (catalog.Source{Commit: "c", Origin: "o", Script: "s", Created: "2026-11-23"}) {
		t.Errorf("got %+v, want what model.yaml says", v)
	}
	said := admin.Registration{
		Location: "store:", Files: filesOf("2"), Framework: "F", Description: "D", Licence: "L", Metrics: map[string]float64{"M": 2},
		Source: catalog.Source{Dataset: "x", Origin: "O", Script: "S", Created: "2026-01-01"},
	}
	if got, err = r.Register(t.Context(), "m", said, by); err != nil {
		t.Fatal(err)
	}
	v = got.Version
	if v.Framework != "F" || v.Description != "D" || v.Licence != "L" || len(v.Metrics) != 1 || v.Metrics["M"] != 2 || v.Source != said.Source {
		t.Errorf("got %+v, want what was said", v)
	}
}

func TestRegisterTheNumberOfAModelsFolder(t *testing.T) {
	t.Parallel()
	r := newRig()
	if _, err := r.Book.Commit(t.Context(), "m", catalog.Change{Actor: "onda", Action: catalog.ActionRegister, Apply: func(m *catalog.Model) error {
		return m.Register(catalog.Version{Version: 1, Digest: "sha256:0", Location: catalog.InModelsFolder}, nil)
	}}); err != nil {
		t.Fatal(err)
	}
	_, err := r.Register(t.Context(), "m", admin.Registration{Version: 1, Location: "store:", Files: filesOf("1")}, by)
	refused(t, err, scoring.Conflict, "version 1 of model \"m\" is registered, with the digest sha256:0, from a models folder: versions never change")
}

func TestRegisterWithOneFileMore(t *testing.T) {
	t.Parallel()
	r := newRig()
	r.register(t, 1)
	files := filesOf("1")
	files["labels.txt"] = catalog.File{SHA256: sum("2"), Size: 5}
	_, err := r.Register(t.Context(), "m", admin.Registration{Version: 1, Location: "store:", Files: files}, by)
	refused(t, err, scoring.Conflict, "without some of the files here")
}
