package blobs_test

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/onda-serving/onda/app/artifact/blobs"
	"github.com/onda-serving/onda/app/scoring"
)

// objects reads below allow.
func objects(t *testing.T, allow ...string) *blobs.Objects {
	t.Helper()
	o := &blobs.Objects{Allow: allow, Setting: "THE_SETTING"}
	t.Cleanup(func() {
		if err := o.Close(); err != nil {
			t.Error(err)
		}
	})
	return o
}

// object reads one to its end.
func object(t *testing.T, o *blobs.Objects, url string) (text string, size int64, err error) {
	t.Helper()
	r, err := o.Open(t.Context(), url)
	if err != nil {
		return "", 0, err
	}
	all, err := io.ReadAll(r)
	return string(all), r.Size, errors.Join(err, r.Close())
}

func TestObjects(t *testing.T) {
	t.Parallel()
	dir := tree(t, map[string]string{"in/2026/a b.txt": "0123456789", "in/empty": "", "in-not/x": "x", "secret": "x"})
	if err := os.Symlink("../secret", filepath.Join(dir, "in", "link")); err != nil {
		t.Fatal(err)
	}
	o, root := objects(t, dir+"/in"), "file://"+dir
	for _, url := range []string{root + "/in/2026/a%20b.txt", "file://localhost" + dir + "/in/2026/a b.txt"} {
		if text, size, err := object(t, o, url); text != "0123456789" || size != 10 || err != nil {
			t.Errorf("%s: got %q of %d bytes, %v", url, text, size, err)
		}
	}
	if text, size, err := object(t, o, root+"/in/empty"); text != "" || size != 0 || err != nil {
		t.Errorf("got %q of %d bytes, %v", text, size, err)
	}
	for _, tt := range []struct {
		url  string
		code scoring.Code
		text string
	}{
		{root + "/in/none", scoring.NotFound, "/in/none: not found"},
		{root + "/in/2026", scoring.Invalid, "want a regular file"},
		{root + "/in/2026/", scoring.Invalid, "want the URL of one object"},
		{root + "/in", scoring.Invalid, "want the URL of one object, below a folder that THE_SETTING names"},
		{root + "/in/link", scoring.Denied, "the storage denies it"},
		{root + "/in/../secret", scoring.Invalid, `no ".."`},
		{root + "/in/%2e%2e/secret", scoring.Invalid, `no ".."`},
		{root + "/in/..%2fsecret", scoring.Invalid, `no ".."`},
		{root + "/in-not/x", scoring.Denied, "not below a folder that is allowed: the operator of the server names them in THE_SETTING"},
		{root + "/secret", scoring.Denied, "THE_SETTING"},
		{"https://example.com/x", scoring.Invalid, `the scheme "https" is not known`},
		{"in/empty", scoring.Invalid, "want the URL"},
	} {
		_, _, err := object(t, o, tt.url)
		refused(t, err, tt.code, tt.text)
	}
}

// A storage is opened once, and its parameters are the operator's.
func TestObjectsOfAStorage(t *testing.T) {
	t.Parallel()
	s3 := newS3(t)
	s3.objects["/inputs/2026/a"] = []byte("0123456789")
	o := objects(t, s3.url("inputs/2026"))
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() {
			if text, size, err := object(t, o, "s3://inputs/2026/a"); text != "0123456789" || size != 10 || err != nil {
				t.Errorf("got %q of %d bytes, %v", text, size, err)
			}
		})
	}
	all.Wait()
	if text, _, err := object(t, o, s3.url("inputs/2026/a")); text != "0123456789" || err != nil {
		t.Errorf("got %q, %v: the same parameters are no others", text, err)
	}
	_, _, err := object(t, o, "s3://inputs/2026/none")
	refused(t, err, scoring.NotFound, "s3://inputs/2026/none: not found")
	_, _, err = object(t, o, "s3://inputs/2026/a?endpoint=https://elsewhere.example&sig=secret")
	refused(t, err, scoring.Denied, "the parameters after the question mark differ from those in THE_SETTING")
	if strings.Contains(err.Error(), "secret") || strings.Contains(err.Error(), "elsewhere") {
		t.Errorf("got %v, want no parameters in it", err)
	}
	_, _, err = object(t, o, "s3://key:secret@inputs/2026/a")
	refused(t, err, scoring.Invalid, "no user, no password")
	if strings.Contains(err.Error(), "secret") {
		t.Errorf("got %v, want no password in it", err)
	}
}

// A context that ends while an object is read ends the reading.
func TestObjectOfACallerWhoLeft(t *testing.T) {
	t.Parallel()
	dir := tree(t, map[string]string{"a": "0123456789"})
	ctx, cancel := context.WithCancel(t.Context())
	r, err := objects(t, dir).Open(ctx, "file://"+dir+"/a")
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	cancel()
	if n, err := r.Read(make([]byte, 4)); n != 0 || !errors.Is(err, context.Canceled) {
		t.Errorf("got %d bytes, %v", n, err)
	}
}
