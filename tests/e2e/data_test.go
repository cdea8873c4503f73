package e2e_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// sharedData is a folder of larger models and photos beside the repository, which not
// everybody has.
func sharedData(t *testing.T) string {
	t.Helper()
	dir := filepath.Join(root, "..", "shared", "data")
	if _, err := os.Stat(filepath.Join(dir, "imagenet", "golden_top5.json")); err != nil {
		t.Skip("there is no ../shared/data beside the repository: its models and photos widen this test")
	}
	return dir
}

// best is what a model's maker measured for a photo: the first two classes.
type best struct {
	index         int
	score, second float64
}

// closeCall is a margin between the first two classes below which another decoder or
// resampler may change their places.
const closeCall = 0.02

// TestPhotosOnSharedModels serves further models as versions of the image model and asks
// each about every photo.
func TestPhotosOnSharedModels(t *testing.T) {
	data := sharedData(t)
	group(t)
	models := t.TempDir()
	linkModel(t, models, imageModel)
	measured := measuredModels(t, data)
	files := sortedKeys(measured)
	for i, file := range files {
		addVersion(t, models, i+2, filepath.Join(data, "imagenet", file), filepath.Join(data, "labels", "imagenet-simple-labels.json"))
	}
	s := startStack(t, map[string]string{"ONDA_MODELS_DIR": models})
	for i, file := range files {
		t.Run(file, func(t *testing.T) {
			for photo, want := range measured[file] {
				s.recognises(t, fmt.Sprintf("%s/versions/%d", imageModel, i+2), filepath.Join(data, "photos", photo), want)
			}
		})
	}
}

// TestPhotosOnShippedModel asks the repository's own model about every photo.
func TestPhotosOnShippedModel(t *testing.T) {
	data := sharedData(t)
	group(t)
	var expected struct {
		Photos map[string]struct {
			Classes []class `json:"classes"`
		} `json:"photos"`
	}
	if err := json.Unmarshal(read(t, filepath.Join(root, "models", imageModel, "export", "expected_photos.json")), &expected); err != nil {
		t.Fatal(err)
	}
	models := t.TempDir()
	linkModel(t, models, imageModel)
	s := startStack(t, map[string]string{"ONDA_MODELS_DIR": models})
	for photo, want := range expected.Photos {
		got := s.recognises(t, imageModel, filepath.Join(data, "photos", photo), best{want.Classes[0].Index, want.Classes[0].Score, want.Classes[1].Score})
		// The shipped model's numbers come from the same resampling: they must agree.
		for i, c := range want.Classes[:min(len(want.Classes), len(got))] {
			if math.Abs(got[i].Score-c.Score) > 0.02 {
				t.Errorf("%s: score at rank %d is %v, want %v", photo, i, got[i].Score, c.Score)
			}
		}
	}
	checkAllPhotos(t, data, sortedKeys(expected.Photos))
}

// recognises asks about a photo, through the other app's sidecar, and compares the best
// class.
func (s *stack) recognises(t *testing.T, model, photo string, want best) []class {
	t.Helper()
	contentType := "image/png"
	if strings.HasSuffix(photo, ".jpg") {
		contentType = "image/jpeg"
	}
	var a answer
	predictOf(model, contentType, read(t, photo)).to(t, s.throughOther()).into(t, &a)
	classes := a.Predictions[0].Classes
	switch name := filepath.Base(photo); {
	case classes[0].Index == want.index:
	case want.score-want.second < closeCall:
		t.Logf("%s on %s: %d %q, measured %d by a margin of %.4f only: let pass", name, model, classes[0].Index, classes[0].Label, want.index, want.score-want.second)
	default:
		t.Errorf("%s on %s: %d %q with %.4f, want %d with %.4f", name, model, classes[0].Index, classes[0].Label, classes[0].Score, want.index, want.score)
	}
	return classes
}

// measuredModels reads what each model gives for each photo.
func measuredModels(t *testing.T, data string) map[string]map[string]best {
	t.Helper()
	var file struct {
		Models map[string]struct {
			Top5 map[string][]struct {
				Class int     `json:"class"`
				P     float64 `json:"p"`
			} `json:"top5"`
		} `json:"models"`
	}
	if err := json.Unmarshal(read(t, filepath.Join(data, "imagenet", "golden_top5.json")), &file); err != nil {
		t.Fatal(err)
	}
	measured := map[string]map[string]best{}
	for model, m := range file.Models {
		if model == "squeezenet1.1_fp16w.onnx" {
			// Measured on these weights widened; the file that is there holds them as they were.
			model = "SqueezeNet_fp16.onnx"
		}
		measured[model] = map[string]best{}
		for photo, top := range m.Top5 {
			measured[model][photo] = best{top[0].Class, top[0].P, top[1].P}
		}
		checkAllPhotos(t, data, sortedKeys(m.Top5))
	}
	return measured
}

// checkAllPhotos says whether there is a measurement for every photo.
func checkAllPhotos(t *testing.T, data string, measured []string) {
	t.Helper()
	photos, err := filepath.Glob(filepath.Join(data, "photos", "*"))
	if err != nil || len(photos) != len(measured) {
		t.Errorf("%d photos, of which %d are measured (%v)", len(photos), len(measured), err)
	}
}

// addVersion makes a version of the image model from an ONNX file, with its manifest.
func addVersion(t *testing.T, models string, version int, model, labels string) {
	t.Helper()
	dir := filepath.Join(models, imageModel, strconv.Itoa(version))
	makeDir(t, dir)
	files := map[string][]byte{"model.onnx": read(t, model), "labels.json": read(t, labels)}
	var sums, listed strings.Builder
	for _, name := range sortedBySum(files) {
		write(t, filepath.Join(dir, name), files[name])
		fmt.Fprintf(&sums, "%x  %s\n", sha256.Sum256(files[name]), name)
		fmt.Fprintf(&listed, "  %s: %x\n", name, sha256.Sum256(files[name]))
	}
	tensors := "{input: input, output: probabilities, colour: rgb, mean: [0, 0, 0],"
	if strings.Contains(model, "SqueezeNet") {
		tensors = "{input: data_0, output: softmaxout_1, colour: bgr, mean: [104, 117, 123],"
	}
	write(t, filepath.Join(dir, "model.yaml"), fmt.Appendf(nil, `schema: onda/v1
name: %s
version: %d
files:
%sdigest: sha256:%x
pipeline:
  image: %s
    scale: [1, 1, 1], size: 224, crop: 0.875, resize: bilinear, layout: nchw, labels: labels.json}
`, imageModel, version, listed.String(), sha256.Sum256([]byte(sums.String())), tensors))
}

// sortedBySum gives the names of files in the order in which sha256sum's lines sort.
func sortedBySum(files map[string][]byte) []string {
	names := sortedKeys(files)
	slices.SortFunc(names, func(a, b string) int {
		x, y := sha256.Sum256(files[a]), sha256.Sum256(files[b])
		return bytes.Compare(x[:], y[:])
	})
	return names
}

// sortedKeys are the keys of a map in order.
func sortedKeys[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for key := range m {
		keys = append(keys, key)
	}
	slices.Sort(keys)
	return keys
}
