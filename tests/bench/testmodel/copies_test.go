package testmodel_test

import (
	"testing"

	"github.com/onda-serving/onda/app/artifact"
	"github.com/onda-serving/onda/tests/bench/testmodel"
)

// opened reads every version of a models folder, as Onda would.
func opened(t *testing.T, folder string) []*artifact.Artifact {
	t.Helper()
	refs, passed, err := artifact.Scan(folder)
	if err != nil || len(passed) > 0 {
		t.Fatalf("scan: %v, passed over %v", err, passed)
	}
	all := make([]*artifact.Artifact, 0, len(refs))
	for _, ref := range refs {
		a, err := artifact.Open(ref)
		if err != nil {
			t.Fatal(err)
		}
		if a.Name != ref.Name || a.Version != ref.Version {
			t.Errorf("%s says that it is %s@%d", ref, a.Name, a.Version)
		}
		all = append(all, a)
	}
	return all
}

func TestVersions(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	for range 2 { // the second time over what the first left
		if err := testmodel.Versions(folder, "../../../models", testmodel.FAQ, 3); err != nil {
			t.Fatal(err)
		}
	}
	all := opened(t, folder)
	if len(all) != 3 {
		t.Fatalf("there are %d versions, want 3", len(all))
	}
	for i, a := range all {
		if a.Version != int64(i+1) || a.Manifest.Digest != all[0].Manifest.Digest {
			t.Errorf("version %d has digest %s: want that of the first, %s", a.Version, a.Manifest.Digest, all[0].Manifest.Digest)
		}
	}
	if err := testmodel.Versions(t.TempDir(), "../../../models", "nothing", 1); err == nil {
		t.Error("a model that is not there was copied")
	}
}

func TestMany(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	if err := testmodel.Many(folder, testmodel.Synthetics[0], 12); err != nil {
		t.Fatal(err)
	}
	all := opened(t, folder)
	if len(all) != 12 || all[3].Name != testmodel.NameOf(3) || all[11].Name != "m0011" {
		t.Errorf("there are %d models, the fourth is %s", len(all), all[3].Name)
	}
}
