package blobs_test

import (
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/onda-serving/onda/app/scoring"
)

// fakeGoogle speaks as much of Google's protocol as reading takes.
func fakeGoogle(objects map[string]string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if strings.HasSuffix(r.URL.Path, "/b/models/o") {
			var items []string
			for name, text := range objects {
				if strings.HasPrefix(name, r.URL.Query().Get("prefix")) {
					items = append(items, fmt.Sprintf(`{"name": %q, "size": "%d"}`, name, len(text)))
				}
			}
			w.Header().Set("Content-Type", "application/json")
			fmt.Fprintf(w, `{"items": [%s]}`, strings.Join(items, ","))
			return
		}
		text, ok := objects[strings.TrimPrefix(r.URL.Path, "/models/")]
		if !ok {
			http.Error(w, "not found", http.StatusNotFound)
			return
		}
		http.ServeContent(w, r, "", time.Unix(1, 0), strings.NewReader(text))
	}
}

// The library finds the emulator by the environment, so this test does not run beside others.
func TestGoogleSource(t *testing.T) {
	server := httptest.NewServer(fakeGoogle(map[string]string{"faq/3/model.onnx": "0123456789", "faq/4/other": "x"}))
	defer server.Close()
	t.Setenv("STORAGE_EMULATOR_HOST", server.Listener.Addr().String())
	s := open(t, "gs://models/faq/3", "gs://models?anonymous=true")
	wantFile(t, s, "model.onnx", 0, []byte("0123456789"))
	wantFile(t, s, "model.onnx", 4, []byte("456789"))
	got, err := s.List(t.Context())
	if want := map[string]int64{"model.onnx": 10}; err != nil || !maps.Equal(got, want) {
		t.Errorf("got %v, %v; want %v", got, err, want)
	}
	_, err = readAll(t, s, "labels.txt", 0)
	refused(t, err, scoring.NotFound, "gs://models/faq/3: file labels.txt: not found")
}

func TestGoogleWithoutCredentials(t *testing.T) {
	t.Setenv("GOOGLE_APPLICATION_CREDENTIALS", filepath.Join(t.TempDir(), "none.json"))
	_, err := openError(t, "gs://models/faq", "gs://models")
	refused(t, err, scoring.Unavailable, "gs://models: the storage cannot be reached")
}
