package dataref_test

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/onda-serving/onda/app/admit"
	"github.com/onda-serving/onda/app/dataref"
	"github.com/onda-serving/onda/app/scoring"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(tests{m}) }

// tests keeps the user's own settings out.
type tests struct{ m *testing.M }

func (t tests) Run() int {
	os.Setenv("AWS_EC2_METADATA_DISABLED", "true")
	os.Setenv("AWS_CONFIG_FILE", os.DevNull)
	os.Setenv("AWS_SHARED_CREDENTIALS_FILE", os.DevNull)
	return t.m.Run()
}

const text = "0123456789"

func sumOf(data string) string {
	sum := sha256.Sum256([]byte(data))
	return hex.EncodeToString(sum[:])
}

// tree writes files below a new folder.
func tree(tb testing.TB, files map[string]string) string {
	tb.Helper()
	dir := tb.TempDir()
	for name, text := range files {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			tb.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			tb.Fatal(err)
		}
	}
	return dir
}

// fetcher reads below allowed, objects of up to 100 bytes.
func fetcher(tb testing.TB, allowed ...string) *dataref.Fetcher {
	tb.Helper()
	f := &dataref.Fetcher{Allowed: allowed, MaxBytes: 100, Bytes: admit.NewBytes(1000), Timeout: 10 * time.Second}
	tb.Cleanup(func() {
		if err := f.Close(); err != nil {
			tb.Error(err)
		}
		if used := f.Bytes.Used(); used != 0 {
			tb.Errorf("%d bytes are still booked", used)
		}
	})
	return f
}

// fetch gives what was fetched.
func fetch(tb testing.TB, f *dataref.Fetcher, uri, sum string) (string, error) {
	tb.Helper()
	body, release, err := f.Fetch(tb.Context(), uri, sum)
	if err != nil {
		return "", err
	}
	defer release()
	return string(body), nil
}

// refused checks code and public text of an error.
func refused(t *testing.T, err error, code scoring.Code, texts ...string) {
	t.Helper()
	if scoring.CodeOf(err) != code {
		t.Errorf("got %v, want the code %s", err, code)
		return
	}
	for _, text := range texts {
		if message := scoring.AsError(err).Message; !strings.Contains(message, text) {
			t.Errorf("got %q, want %q in it", message, text)
		}
	}
}

// storage is one that speaks as much of S3 as a reader needs: whatever is asked for, it
// announces ten bytes, and has as many as its name says.
func storage(t *testing.T) (allowed string) {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		has, err := strconv.Atoi(filepath.Base(r.URL.Path))
		if err != nil {
			w.WriteHeader(http.StatusNotFound)
			fmt.Fprint(w, `<Error><Code>NoSuchKey</Code></Error>`)
			return
		}
		w.Header().Set("Content-Length", strconv.Itoa(len(text)))
		fmt.Fprint(w, text[:has])
		if has < len(text) {
			http.NewResponseController(w).Flush()
			panic(http.ErrAbortHandler)
		}
	}))
	t.Cleanup(server.Close)
	return s3URL(server.URL)
}

func s3URL(address string) string {
	return "s3://inputs?region=eu-west-1&use_path_style=true&anonymous=true&endpoint=" + url.QueryEscape(address)
}
