package blobs_test

import (
	"errors"
	"maps"
	"net/http"
	"path/filepath"
	"strings"
	"testing"

	"github.com/onda-serving/onda/app/artifact/blobs"
	"github.com/onda-serving/onda/app/artifact/blobs/gcs/gcstest"
	"github.com/onda-serving/onda/app/scoring"
)

// googles are the buckets of the emulator of this process, which the environment names.
var googles = []string{"stores"}

// newGoogle gives a bucket of one's own: the driver finds it by the environment, so those who
// call this do not run beside others.
func newGoogle(t *testing.T) *gcstest.Server {
	t.Helper()
	s := gcstest.New("models")
	t.Cleanup(s.Close)
	t.Setenv("STORAGE_EMULATOR_HOST", s.Host())
	return s
}

func TestGoogleSource(t *testing.T) {
	s := newGoogle(t)
	s.Put("models", "faq/3/model.onnx", []byte("0123456789"))
	s.Put("models", "faq/3/größe/a b%.txt", []byte("abc"))
	s.Put("models", "faq/3/sub/", nil) // as the console makes a folder
	s.Put("models", "faq/3/.DS_Store", []byte("x"))
	s.Put("models", "faq/30/other", []byte("x"))
	s.PageObjects = 2
	for _, query := range []string{"", "?anonymous=true", "?anonymous=false"} {
		source := open(t, "gs://models/faq/3", "gs://models"+query)
		wantFile(t, source, "model.onnx", 0, []byte("0123456789"))
		wantFile(t, source, "model.onnx", 4, []byte("456789"))
		wantFile(t, source, "größe/a b%.txt", 0, []byte("abc"))
		got, err := source.List(t.Context())
		if want := map[string]int64{"model.onnx": 10, "größe/a b%.txt": 3}; err != nil || !maps.Equal(got, want) {
			t.Errorf("got %v, %v; want %v", got, err, want)
		}
		_, err = readAll(t, source, "labels.txt", 0)
		refused(t, err, scoring.NotFound, "gs://models/faq/3: file labels.txt: not found")
		_, err = readAll(t, source, "model.onnx", 11)
		refused(t, err, scoring.Invalid, "the file is shorter than was expected")
	}
}

// The errors are those of S3 and Azure.
func TestGoogleErrors(t *testing.T) {
	s := newGoogle(t)
	_, err := open(t, "gs://elsewhere/faq", "gs://elsewhere").List(t.Context())
	refused(t, err, scoring.NotFound, "gs://elsewhere/faq: there is no such container or bucket")
	_, err = readAll(t, open(t, "gs://elsewhere/faq", "gs://elsewhere"), "model.onnx", 0)
	refused(t, err, scoring.NotFound, "there is no such container or bucket")
	store := openStore(t, "gs://elsewhere")
	_, _, err = store.Has(t.Context(), sumOf(nil))
	refused(t, err, scoring.NotFound, "there is no such container or bucket")
	err = store.Put(t.Context(), sumOf(nil), 0, strings.NewReader(""))
	refused(t, err, scoring.NotFound, "there is no such container or bucket")
	for code, want := range map[int]string{
		http.StatusForbidden:    "gs://models/faq: file model.onnx: the storage denies it to the server",
		http.StatusUnauthorized: "gs://models/faq: file model.onnx: the storage denies it to the server",
	} {
		denying := newGoogle(t)
		denying.Intercept = func(w http.ResponseWriter, _ *http.Request, _ http.Handler) { w.WriteHeader(code) }
		_, err = readAll(t, open(t, "gs://models/faq", "gs://models"), "model.onnx", 0)
		refused(t, err, scoring.Denied, want)
	}
	s.Close()
	t.Setenv("STORAGE_EMULATOR_HOST", s.Host())
	_, err = readAll(t, open(t, "gs://models/faq", "gs://models"), "model.onnx", 0)
	refused(t, err, scoring.Unavailable, "gs://models/faq: file model.onnx: the storage cannot be reached")
}

func TestGoogleObjects(t *testing.T) {
	s := newGoogle(t)
	s.Put("models", "inputs/a b", []byte("0123456789"))
	s.Put("models", "inputs/empty", nil)
	o := objects(t, "gs://models/inputs")
	for url, want := range map[string]string{"gs://models/inputs/a%20b": "0123456789", "gs://models/inputs/empty": ""} {
		if text, size, err := object(t, o, url); text != want || size != int64(len(want)) || err != nil {
			t.Errorf("%s: got %q of %d bytes, %v", url, text, size, err)
		}
	}
	_, _, err := object(t, o, "gs://models/inputs/none")
	refused(t, err, scoring.NotFound, "gs://models/inputs/none: not found")
}

// What is not sent to its end leaves no upload behind.
func TestGoogleUploadBreaksOff(t *testing.T) {
	s := newGoogle(t)
	data := random(2, 10<<20)
	err := openStore(t, "gs://models").Put(t.Context(), sumOf(data), int64(len(data)), failing{strings.NewReader(string(data[:9<<20])), errGone})
	if !errors.Is(err, errGone) {
		t.Errorf("got %v, want %v", err, errGone)
	}
	if n := s.Uploads(); n != 0 {
		t.Errorf("%d uploads are still open", n)
	}
}

func TestGoogleWithoutCredentials(t *testing.T) {
	t.Setenv("STORAGE_EMULATOR_HOST", "")
	t.Setenv("GOOGLE_APPLICATION_CREDENTIALS", filepath.Join(t.TempDir(), "none.json"))
	_, err := openError(t, "gs://models/faq", "gs://models")
	refused(t, err, scoring.Unavailable, "gs://models: the storage cannot be reached")
	if _, err := blobs.Open(t.Context(), "gs://models/faq", []string{"gs://models?anonymous=true"}); err != nil {
		t.Errorf("got %v, want none to be needed", err)
	}
}

func TestGoogleRefusesParameters(t *testing.T) {
	t.Parallel()
	for _, query := range []string{"access_id=secret", "anonymous=secret", "anonymous=true&anonymous=false", "anonymous=true&endpoint=https://elsewhere.example"} {
		_, err := openError(t, "gs://models", "gs://models?"+query)
		refused(t, err, scoring.Unavailable, "gs://models: the URL in the server's settings can have one parameter, anonymous=true")
		if err == nil || strings.Contains(err.Error(), "secret") || strings.Contains(err.Error(), "elsewhere") {
			t.Errorf("got %v, want no parameter in it", err)
		}
	}
}
