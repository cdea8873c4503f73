package dataref_test

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/onda-serving/onda/app/admit"
	"github.com/onda-serving/onda/app/dataref"
	"github.com/onda-serving/onda/app/scoring"
)

func TestFetch(t *testing.T) {
	t.Parallel()
	dir := tree(t, map[string]string{"in/2026/a b.txt": text, "in/empty": ""})
	f := fetcher(t, filepath.Join(dir, "nowhere"), "file://"+dir+"/in", storage(t))
	for _, tt := range []struct{ uri, sum, want string }{
		{"file://" + dir + "/in/2026/a%20b.txt", sumOf(text), text},
		{"file://" + dir + "/in/2026/a%20b.txt", strings.ToUpper(sumOf(text)), text},
		{"file://" + dir + "/in/empty", sumOf(""), ""},
		{"s3://inputs/10", sumOf(text), text},
		{"s3://inputs/2026/10", sumOf(text), text},
	} {
		body, release, err := f.Fetch(t.Context(), tt.uri, tt.sum)
		if err != nil {
			t.Errorf("%s: %v", tt.uri, err)
			continue
		}
		if string(body) != tt.want || f.Bytes.Used() != int64(len(tt.want)) {
			t.Errorf("%s: got %q with %d bytes booked, want %q", tt.uri, body, f.Bytes.Used(), tt.want)
		}
		release()
		release() // as often as anybody likes
		if f.Bytes.Used() != 0 {
			t.Errorf("%s: %d bytes are still booked", tt.uri, f.Bytes.Used())
		}
	}
}

func TestRefuses(t *testing.T) {
	t.Parallel()
	dir := tree(t, map[string]string{"in/a": text, "in/large": strings.Repeat("x", 101), "in-not/a": text, "secret": text})
	if err := os.Symlink("../secret", filepath.Join(dir, "in", "link")); err != nil {
		t.Fatal(err)
	}
	f, in := fetcher(t, dir+"/in", storage(t)), "file://"+dir+"/in"
	for _, tt := range []struct {
		name, uri, sum string
		code           scoring.Code
		text           string
	}{
		{"another sum", in + "/a", sumOf("x"), scoring.Invalid, "the SHA-256 of the object is " + sumOf(text) + ", and datarefsha256 is " + sumOf("x")},
		{"no sum", in + "/a", "", scoring.Invalid, "datarefsha256 has 0 characters: want the SHA-256 of what the reference names, in 64 hexadecimal digits"},
		{"no hexadecimal sum", in + "/a", strings.Repeat("g", 64), scoring.Invalid, "datarefsha256 is not hexadecimal"},
		{"too large", in + "/large", sumOf(""), scoring.TooLarge, "the object has 101 bytes: at most 100 are allowed"},
		{"missing", in + "/none", sumOf(text), scoring.NotFound, "/in/none: not found"},
		{"missing in a storage", "s3://inputs/none", sumOf(text), scoring.NotFound, "s3://inputs/none: not found"},
		{"cut off", "s3://inputs/4", sumOf(text), scoring.Unavailable, "s3://inputs/4: the storage"},
		{"cut off at once", "s3://inputs/0", sumOf(text), scoring.Unavailable, "s3://inputs/0: the storage"},
		{"folder", in, sumOf(text), scoring.Invalid, "want the URL of one object"},
		{"not allowed", "file://" + dir + "/in-not/a", sumOf(text), scoring.Denied, "ONDA_EVENT_SOURCES"},
		{"another bucket", "s3://other/10", sumOf(text), scoring.Denied, "ONDA_EVENT_SOURCES"},
		{"another storage", "gs://inputs/10", sumOf(text), scoring.Denied, "ONDA_EVENT_SOURCES"},
		{"another endpoint", "s3://inputs/10?endpoint=http://127.0.0.1:1", sumOf(text), scoring.Denied, "leave them out"},
		{"link that leads out", in + "/link", sumOf(text), scoring.Denied, "the storage denies it"},
		{"dots", in + "/../secret", sumOf(text), scoring.Invalid, `no ".."`},
		{"encoded dots", in + "/%2e%2e/secret", sumOf(text), scoring.Invalid, `no ".."`},
		{"encoded slash", in + "/..%2fsecret", sumOf(text), scoring.Invalid, `no ".."`},
		{"backslashes", in + `/..\secret`, sumOf(text), scoring.Invalid, "without backslashes"},
		{"http", "http://169.254.169.254/latest", sumOf(text), scoring.Invalid, `the scheme "http" is not known: want azblob, file, gs, s3`},
		{"path", dir + "/in/a", sumOf(text), scoring.Invalid, "want the URL"},
		{"password", "s3://key:hunter2@inputs/10", sumOf(text), scoring.Invalid, "no password"},
		{"signature", "s3://inputs/10?X-Amz-Signature=hunter2", sumOf(text), scoring.Denied, "leave them out"},
		{"signature for a file", in + "/a?sig=hunter2", sumOf(text), scoring.Invalid, "a file URL has no parameters"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			_, err := fetch(t, f, tt.uri, tt.sum)
			refused(t, err, tt.code, tt.text)
			if err != nil && strings.Contains(err.Error(), "hunter2") {
				t.Errorf("got %v, want no credentials in it", err)
			}
		})
	}
}

// TestRefusedCredentials: a storage that does not take what Onda shows of itself is for another
// try, as while an identity is renewed.
func TestRefusedCredentials(t *testing.T) {
	t.Parallel()
	for _, code := range []int{http.StatusUnauthorized, http.StatusForbidden} {
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(code)
			fmt.Fprint(w, `<Error><Code>AccessDenied</Code></Error>`)
		}))
		t.Cleanup(server.Close)
		_, err := fetch(t, fetcher(t, s3URL(server.URL)), "s3://inputs/10", sumOf(text))
		refused(t, err, scoring.Unavailable, "s3://inputs/10: the storage denies it to the server")
		if errors.Unwrap(err) == nil {
			t.Error("the log does not hear why")
		}
	}
}

// TestRefusedObject: a storage that gives other objects, and this one never, denies this one.
func TestRefusedObject(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasSuffix(r.URL.Path, "/mine") {
			http.ServeContent(w, r, "mine", time.Time{}, strings.NewReader(text))
			return
		}
		w.WriteHeader(http.StatusForbidden)
		fmt.Fprint(w, `<Error><Code>AccessDenied</Code></Error>`)
	}))
	t.Cleanup(server.Close)
	f := fetcher(t, s3URL(server.URL))
	get := func(name string) error {
		_, err := fetch(t, f, "s3://inputs/"+name, sumOf(text))
		return err
	}
	// What was read before the refusal says nothing: the identity may have ended in between.
	if err := get("mine"); err != nil {
		t.Fatal(err)
	}
	refused(t, get("theirs"), scoring.Unavailable, "the storage denies it to the server")
	refused(t, get("theirs"), scoring.Unavailable, "the storage denies it to the server")
	if err := get("mine"); err != nil {
		t.Fatal(err)
	}
	refused(t, get("theirs"), scoring.Denied, "the storage denies it to the server")
	refused(t, get("another"), scoring.Unavailable, "the storage denies it to the server")
}

func TestNothingIsAllowed(t *testing.T) {
	t.Parallel()
	_, err := fetch(t, fetcher(t), "file:///etc/passwd", sumOf(""))
	refused(t, err, scoring.Unimplemented, "send the data in the event, or have its operator name the place in ONDA_EVENT_SOURCES")
}

func TestSpentBudget(t *testing.T) {
	t.Parallel()
	dir := tree(t, map[string]string{"a": text})
	f := fetcher(t, dir)
	f.Bytes = admit.NewBytes(15)
	_, release, err := f.Fetch(t.Context(), "file://"+dir+"/a", sumOf(text))
	if err != nil {
		t.Fatal(err)
	}
	_, err = fetch(t, f, "file://"+dir+"/a", sumOf(text))
	refused(t, err, scoring.Overloaded, "as much data of requests as it may")
	if got := scoring.AsError(err).RetryAfter; got != time.Second {
		t.Errorf("got a retry after %s", got)
	}
	if f.Bytes.Used() != 10 {
		t.Errorf("%d bytes are booked, want those of the first alone", f.Bytes.Used())
	}
	release()
	if got, err := fetch(t, f, "file://"+dir+"/a", sumOf(text)); got != text || err != nil {
		t.Errorf("got %q, %v", got, err)
	}
}

// TestStorageThatIsSilent tells a storage that takes too long from a caller that waits no longer.
func TestStorageThatIsSilent(t *testing.T) {
	t.Parallel()
	silent, err := net.Listen("tcp", "127.0.0.1:0") // takes connections, and says nothing
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	f := fetcher(t, s3URL("http://"+silent.Addr().String()))
	f.Timeout = 100 * time.Millisecond
	_, err = fetch(t, f, "s3://inputs/a", sumOf(text))
	refused(t, err, scoring.Unavailable, "the storage did not answer within the time given")

	short, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	_, _, err = f.Fetch(short, "s3://inputs/a", sumOf(text))
	refused(t, err, scoring.Expired)
	left, leave := context.WithCancel(t.Context())
	leave()
	_, _, err = f.Fetch(left, "s3://inputs/a", sumOf(text))
	refused(t, err, scoring.Canceled)
}

// TestLargeObject takes the memory of the object, and little more. It measures, so nothing runs
// beside it.
func TestLargeObject(t *testing.T) {
	const size = 100 << 20
	dir := tree(t, map[string]string{"large": "begin"})
	if err := os.Truncate(filepath.Join(dir, "large"), size); err != nil {
		t.Fatal(err)
	}
	hash, zeros := sha256.New(), make([]byte, 1<<20)
	copy(zeros, "begin")
	for range size >> 20 {
		hash.Write(zeros)
		clear(zeros[:5])
	}
	f := &dataref.Fetcher{Allowed: []string{dir}, MaxBytes: size, Bytes: admit.NewBytes(size), Timeout: time.Minute}
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	body, release, err := f.Fetch(t.Context(), "file://"+dir+"/large", hex.EncodeToString(hash.Sum(nil)))
	runtime.ReadMemStats(&after)
	if err != nil || len(body) != size || string(body[:6]) != "begin\x00" {
		t.Fatalf("got %d bytes, %v", len(body), err)
	}
	release()
	if extra := int64(after.TotalAlloc-before.TotalAlloc) - size; extra > 1<<20 {
		t.Errorf("%d bytes were allocated beside the object's", extra)
	}
}

// FuzzFetch looks for a reference that reads what is not below the allowed folder, and for
// errors that are not for callers.
func FuzzFetch(f *testing.F) {
	dir := tree(f, map[string]string{"in/a": "allowed", "in/sub/b": "allowed", "in-not/a": text, "secret": text})
	if err := os.Symlink("../secret", filepath.Join(dir, "in", "link")); err != nil {
		f.Fatal(err)
	}
	for _, seed := range []string{"/a", "/sub/b", "", "/", "/../secret", "/%2e%2e/secret", "-not/a", "/link", "/a?sig=x", "/a#x", "//a", "/a/", "/\x00", "/%zz", `/..\secret`} {
		f.Add(seed)
	}
	fetcher := fetcher(f, dir+"/in")
	f.Fuzz(func(t *testing.T, end string) {
		_, err := fetch(t, fetcher, "file://"+dir+"/in"+end, sumOf(text))
		if err == nil {
			t.Fatalf("%q: read what is not allowed", end)
		}
		e := scoring.AsError(err)
		switch e.Code {
		case scoring.Invalid, scoring.Denied, scoring.NotFound, scoring.Unavailable:
		default:
			t.Errorf("%q: got %v", end, err)
		}
		if !utf8.ValidString(e.Message) || len(e.Message) > 8<<10 {
			t.Errorf("%q: got %d bytes, %q", end, len(e.Message), e.Message)
		}
	})
}
