package gcs

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
)

// names are such that could be taken apart, or be escaped once too often or too rarely.
var names = []string{
	"faq/3/model.onnx", "a b", "a+b", "100%", "a%2Fb", "a%20b", "sub//double", "ends/", "/begins", "größe/模型/🙂.onnx",
	"?query=1", "#fragment", "a&b=c;d", "!$'()*,:@[]~", `quote"`, `back\slash`, "../up", "...",
}

func TestNames(t *testing.T) {
	t.Parallel()
	s := serve(t)
	c := connect(t, s, "models")
	for i, name := range names {
		want := []byte(strconv.Itoa(i))
		if err := c.Write(t.Context(), name, bytes.NewReader(want)); err != nil {
			t.Errorf("write %q: %v", name, err)
		}
		if got, ok := s.Get("models", name); !ok || !bytes.Equal(got, want) {
			t.Errorf("%q: got %q (there: %v) in the bucket, want %q", name, got, ok, want)
		}
		if got, _, err := read(t, c, name, 0); err != nil || !bytes.Equal(got, want) {
			t.Errorf("read %q: got %q, %v; want %q", name, got, err, want)
		}
		if size, err := c.Size(t.Context(), name); err != nil || size != int64(len(want)) {
			t.Errorf("size of %q: got %d, %v", name, size, err)
		}
		var listed []string
		for object, err := range c.List(t.Context(), name) {
			listed = append(listed, object.Name)
			if err != nil {
				t.Errorf("list %q: %v", name, err)
			}
		}
		if !slices.Contains(listed, name) {
			t.Errorf("list %q: got %q", name, listed)
		}
	}
}

func TestOpen(t *testing.T) {
	t.Parallel()
	s := serve(t)
	c := connect(t, s, "models")
	data := random(3 << 20)
	s.Put("models", "model", data)
	s.Put("models", "empty", nil)
	s.PutEncoded("models", "packed", "gzip", []byte("not to be unpacked"))
	for _, tt := range []struct {
		name   string
		offset int64
		want   []byte
		size   int64
	}{
		{"model", 0, data, 3 << 20},
		{"model", 1, data[1:], 3 << 20},
		{"model", 3<<20 - 1, data[3<<20-1:], 3 << 20},
		{"empty", 0, nil, 0},
		{"packed", 0, []byte("not to be unpacked"), 18},
		{"packed", 7, []byte("be unpacked"), 18},
	} {
		got, size, err := read(t, c, tt.name, tt.offset)
		if err != nil || !bytes.Equal(got, tt.want) || size != tt.size {
			t.Errorf("%s from %d: got %d bytes of %d, %v; want %d of %d", tt.name, tt.offset, len(got), size, err, len(tt.want), tt.size)
		}
	}
	_, _, err := read(t, c, "model", 3<<20+1)
	refused(t, err, http.StatusRequestedRangeNotSatisfiable, "cannot be satisfied")
	_, _, err = read(t, c, "none", 0)
	refused(t, err, http.StatusNotFound, "No such object: models/none")
	_, _, err = read(t, connect(t, s, "other"), "model", 0)
	refused(t, err, http.StatusNotFound, "bucket does not exist")
	if answer, ok := errors.AsType[*Error](err); !ok || !answer.NoBucket() {
		t.Errorf("got %v, want to be told that it is the bucket", err)
	}
}

// breaking sends answers to downloads only up to so many bytes, and then ends the connection.
// between is called before the connection ends, unless it is nil.
func breaking(after int, between func()) func(http.ResponseWriter, *http.Request, http.Handler) {
	return func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		if r.URL.Query().Get("alt") != "media" {
			next.ServeHTTP(w, r)
			return
		}
		next.ServeHTTP(&short{ResponseWriter: w, left: after, between: between}, r)
	}
}

type short struct {
	http.ResponseWriter

	left    int
	between func()
}

func (s *short) Write(p []byte) (int, error) {
	n, err := s.ResponseWriter.Write(p[:min(len(p), s.left)])
	if n < len(p) {
		_ = http.NewResponseController(s.ResponseWriter).Flush()
		if s.between != nil {
			s.between()
		}
		panic(http.ErrAbortHandler)
	}
	return n, err
}

// A connection that breaks again and again does no harm as long as each one brings something.
func TestResume(t *testing.T) {
	t.Parallel()
	s := serve(t)
	data := random(20 << 20)
	s.Put("models", "model", data)
	var asked atomic.Int64
	cut := breaking(1<<20+100, nil)
	s.Intercept = func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		if asked.Add(1) > 1 && !r.URL.Query().Has("generation") {
			t.Errorf("got %s without a generation", r.URL)
		}
		cut(w, r, next)
	}
	c := connect(t, s, "models")
	for _, offset := range []int64{0, 5} {
		asked.Store(0)
		got, _, err := read(t, c, "model", offset)
		if err != nil || !bytes.Equal(got, data[offset:]) {
			t.Errorf("from %d: got %d bytes, %v; want %d", offset, len(got), err, len(data)-int(offset))
		}
		if n := asked.Load(); n != 20 {
			t.Errorf("from %d: asked %d times, want 20", offset, n)
		}
	}
}

// Where each connection brings next to nothing, there is an end.
func TestResumeGivesUp(t *testing.T) {
	t.Parallel()
	s := serve(t)
	s.Put("models", "model", random(1<<20))
	s.Intercept = breaking(100, nil)
	got, _, err := read(t, connect(t, s, "models"), "model", 0)
	if !errors.Is(err, io.ErrUnexpectedEOF) || len(got) != tries*100 {
		t.Errorf("got %d bytes, %v; want %d and that it broke off", len(got), err, tries*100)
	}
}

// An object that is replaced while it is read is never mixed with the new one.
func TestReplacedWhileItIsRead(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(put func([]byte), remove func()){
		"same size": func(put func([]byte), _ func()) { put(bytes.Repeat([]byte("b"), 1000)) },
		"longer":    func(put func([]byte), _ func()) { put(bytes.Repeat([]byte("b"), 2000)) },
		"deleted":   func(_ func([]byte), remove func()) { remove() },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := serve(t)
			s.Put("models", "model", bytes.Repeat([]byte("a"), 1000))
			var once atomic.Bool
			s.Intercept = func(w http.ResponseWriter, r *http.Request, next http.Handler) {
				if once.CompareAndSwap(false, true) {
					// Answered from a copy, so that the server can change its own in the meantime.
					w.Header().Set("X-Goog-Generation", "1700000000000001")
					w.Header().Set("Content-Length", "1000")
					_, _ = w.Write(bytes.Repeat([]byte("a"), 500))
					_ = http.NewResponseController(w).Flush()
					change(func(data []byte) { s.Put("models", "model", data) }, func() { s.Remove("models", "model") })
					panic(http.ErrAbortHandler)
				}
				next.ServeHTTP(w, r)
			}
			got, _, err := read(t, connect(t, s, "models"), "model", 0)
			if !errors.Is(err, errReplaced) || strings.Contains(string(got), "b") {
				t.Errorf("got %d bytes, %v", len(got), err)
			}
			if answer, ok := errors.AsType[*Error](err); ok {
				t.Errorf("got the status %d, as if there were none", answer.Status)
			}
		})
	}
}

// Answers that are not what was asked for are no object.
func TestAnswersThatAreOthers(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name   string
		offset int64
		header map[string]string
		status int
		body   string
		want   string
	}{
		{"damaged", 0, map[string]string{"X-Goog-Hash": "crc32c=AAAAAA==", "X-Goog-Generation": "1"}, 200, "abc", "the CRC32C of what was read is not that of the object"},
		{"the whole for a part", 1, nil, 200, "abc", "from 1 on has the status 200: want 206"},
		{"another part", 1, map[string]string{"Content-Range": "bytes 0-2/3"}, 206, "abc", `has the range "bytes 0-2/3"`},
		{"not to the end", 1, map[string]string{"Content-Range": "bytes 1-2/9"}, 206, "bc", `has the range "bytes 1-2/9"`},
		{"no range", 1, nil, 206, "bc", `has the range ""`},
		{"unpacked on the way", 0, map[string]string{"X-Goog-Stored-Content-Length": "2"}, 200, "abc", `3 bytes of an object that is kept as "2"`},
		{"elsewhere", 0, map[string]string{"Location": "https://elsewhere.example/"}, 302, "", "Google answered 302 Found"},
		{"broken without a generation", 0, map[string]string{"Content-Length": "9"}, 200, "abc", "unexpected EOF"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s := serve(t)
			s.Intercept = func(w http.ResponseWriter, _ *http.Request, _ http.Handler) {
				for name, value := range tt.header {
					w.Header().Set(name, value)
				}
				w.WriteHeader(tt.status)
				_, _ = io.WriteString(w, tt.body)
			}
			if _, _, err := read(t, connect(t, s, "models"), "model", tt.offset); err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v, want %q", err, tt.want)
			}
		})
	}
}

func TestNoSize(t *testing.T) {
	t.Parallel()
	s := serve(t)
	s.Intercept = func(w http.ResponseWriter, _ *http.Request, _ http.Handler) {
		_ = http.NewResponseController(w).Flush() // so that it comes in chunks
		_, _ = io.WriteString(w, "abc")
	}
	if _, _, err := read(t, connect(t, s, "models"), "model", 0); err == nil || !strings.Contains(err.Error(), "does not tell the size") {
		t.Errorf("got %v", err)
	}
}

// A caller who leaves ends what is read, and nothing is tried again for them.
func TestCallerLeaves(t *testing.T) {
	t.Parallel()
	s := serve(t)
	s.Put("models", "model", random(1<<20))
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var asked atomic.Int64
	left := make(chan struct{})
	cut := breaking(1000, func() { <-left })
	s.Intercept = func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		asked.Add(1)
		cut(w, r, next)
	}
	r, err := connect(t, s, "models").Open(ctx, "model", 0)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if _, err := io.ReadFull(r, make([]byte, 1000)); err != nil {
		t.Error(err)
	}
	cancel()
	close(left)
	if _, err := io.ReadAll(r); !errors.Is(err, context.Canceled) && !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("got %v, want it to end", err)
	}
	if n := asked.Load(); n != 1 {
		t.Errorf("asked %d times, want 1", n)
	}
}
