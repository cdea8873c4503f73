package blobs_test

import (
	"crypto/md5"
	"encoding/xml"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/onda-serving/onda/app/scoring"
)

// fakeS3 speaks as much of the protocol as a store needs, with path style URLs.
type fakeS3 struct {
	address string

	mu      sync.Mutex
	objects map[string][]byte // by /bucket/key
	parts   map[string][]byte // by upload and number
	uploads int
}

func newS3(t *testing.T) *fakeS3 {
	t.Helper()
	f := &fakeS3{objects: map[string][]byte{}, parts: map[string][]byte{}}
	server := httptest.NewServer(f)
	t.Cleanup(server.Close)
	f.address = server.URL
	return f
}

// url is that of a place in it. The user's own configuration takes no part.
func (f *fakeS3) url(place string) string {
	return "s3://" + place + "?region=eu-west-1&use_path_style=true&anonymous=true&endpoint=" + url.QueryEscape(f.address)
}

func (f *fakeS3) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return
	}
	if r.Header.Get("Content-Encoding") == "aws-chunked" {
		body = unchunk(body)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	q := r.URL.Query()
	switch {
	case r.Method == http.MethodGet && q.Has("list-type"):
		f.list(w, strings.TrimSuffix(r.URL.Path, "/"), q.Get("prefix"))
	case r.Method == http.MethodGet || r.Method == http.MethodHead:
		object, ok := f.objects[r.URL.Path]
		if !ok {
			w.WriteHeader(http.StatusNotFound)
			fmt.Fprint(w, `<Error><Code>NoSuchKey</Code></Error>`)
			return
		}
		http.ServeContent(w, r, "", time.Unix(1, 0), strings.NewReader(string(object)))
	case r.Method == http.MethodPost && q.Has("uploads"):
		f.uploads++
		fmt.Fprintf(w, `<InitiateMultipartUploadResult><UploadId>u%d</UploadId></InitiateMultipartUploadResult>`, f.uploads)
	case r.Method == http.MethodPut && q.Has("partNumber"):
		f.parts[q.Get("uploadId")+"/"+fmt.Sprintf("%05s", q.Get("partNumber"))] = body
		w.Header().Set("ETag", `"part"`)
	case r.Method == http.MethodPost && q.Has("uploadId"):
		for _, name := range slices.Sorted(maps.Keys(f.parts)) {
			if strings.HasPrefix(name, q.Get("uploadId")+"/") {
				f.objects[r.URL.Path] = append(f.objects[r.URL.Path], f.parts[name]...)
			}
		}
		fmt.Fprint(w, `<CompleteMultipartUploadResult><ETag>"all"</ETag></CompleteMultipartUploadResult>`)
	case r.Method == http.MethodPut:
		f.objects[r.URL.Path] = body
		w.Header().Set("ETag", `"one"`)
	case r.Method == http.MethodDelete:
		w.WriteHeader(http.StatusNoContent)
	}
}

func (f *fakeS3) list(w http.ResponseWriter, bucket, prefix string) {
	type object struct {
		Key          string
		Size         int
		LastModified string
		ETag         string
	}
	var result struct {
		XMLName  xml.Name `xml:"ListBucketResult"`
		Contents []object
	}
	for name, data := range f.objects {
		if key, ok := strings.CutPrefix(name, bucket+"/"); ok && strings.HasPrefix(key, prefix) {
			result.Contents = append(result.Contents, object{key, len(data), "2026-01-01T00:00:00Z", fmt.Sprintf("%q", fmt.Sprintf("%x", md5.Sum(data)))})
		}
	}
	_ = xml.NewEncoder(w).Encode(result)
}

// unchunk takes the chunks of the encoding aws-chunked apart.
func unchunk(body []byte) []byte {
	var data []byte
	for {
		head, rest, _ := strings.Cut(string(body[:min(len(body), 200)]), "\r\n")
		size, err := strconv.ParseInt(strings.Split(head, ";")[0], 16, 64)
		if err != nil || size == 0 {
			return data
		}
		_ = rest
		body = body[len(head)+2:]
		data = append(data, body[:size]...)
		body = body[size+2:]
	}
}

func TestS3Source(t *testing.T) {
	t.Parallel()
	f := newS3(t)
	f.objects["/models/faq/3/model.onnx"] = []byte("0123456789")
	f.objects["/models/faq/3/sub/a b.txt"] = []byte("abc")
	f.objects["/models/faq/3/sub/"] = nil  // as the console of S3 makes a folder
	f.objects["/models/faq/3/sub"] = nil   // as others do
	f.objects["/models/faq/3/empty"] = nil // a file
	f.objects["/models/faq/3/.DS_Store"] = []byte("x")
	f.objects["/models/faq/30/other"] = []byte("x")
	s := open(t, "s3://models/faq/3", f.url("models/faq"))
	got, err := s.List(t.Context())
	if want := map[string]int64{"model.onnx": 10, "sub/a b.txt": 3, "empty": 0}; err != nil || !maps.Equal(got, want) {
		t.Errorf("got %v, %v; want %v", got, err, want)
	}
	wantFile(t, s, "model.onnx", 0, []byte("0123456789"))
	wantFile(t, s, "model.onnx", 4, []byte("456789"))
	wantFile(t, s, "sub/a b.txt", 0, []byte("abc"))
	_, err = readAll(t, s, "model.onnx", 11)
	refused(t, err, scoring.Invalid, "the file is shorter than was expected")
	_, err = readAll(t, s, "labels.txt", 0)
	refused(t, err, scoring.NotFound, "s3://models/faq/3: file labels.txt: not found")

	f.objects["/models/faq/3/bad\nname"] = []byte("x")
	_, err = s.List(t.Context())
	refused(t, err, scoring.Invalid, `bad\nname`)
}

func TestS3Denies(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusForbidden)
		fmt.Fprint(w, `<Error><Code>SignatureDoesNotMatch</Code></Error>`)
	}))
	t.Cleanup(server.Close)
	f := &fakeS3{address: server.URL}
	_, err := readAll(t, open(t, "s3://models/faq", f.url("models")), "model.onnx", 0)
	refused(t, err, scoring.Denied, "s3://models/faq: file model.onnx: the storage denies it to the server")
}

func TestS3RefusesParameters(t *testing.T) {
	t.Parallel()
	_, err := openError(t, "s3://models", "s3://models?sig=secret")
	refused(t, err, scoring.Unavailable)
	if err == nil || strings.Contains(err.Error(), "secret") {
		t.Errorf("got %v, want no secret in it", err)
	}
}
