package gcs

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"testing/iotest"

	"github.com/onda-serving/onda/app/artifact/blobs/gcs/gcstest"
)

// wantObject checks what is in the bucket, and that no upload was left open.
func wantObject(t *testing.T, s *gcstest.Server, want []byte) {
	t.Helper()
	if got, ok := s.Get("models", "model"); !ok || !bytes.Equal(got, want) {
		t.Errorf("got %d bytes (there: %v), want %d", len(got), ok, len(want))
	}
	if n := s.Uploads(); n != 0 {
		t.Errorf("%d uploads are still open", n)
	}
}

func TestWrite(t *testing.T) {
	t.Parallel()
	for _, size := range []int{0, 1, unit, chunkBytes - 1, chunkBytes, chunkBytes + 1, 2 * chunkBytes} {
		s := serve(t)
		data := random(size)
		// A reader whose end comes with its last bytes.
		if err := connect(t, s, "models").Write(t.Context(), "model", iotest.DataErrReader(bytes.NewReader(data))); err != nil {
			t.Errorf("%d bytes: %v", size, err)
		}
		wantObject(t, s, data)
	}
}

const unit = 256 << 10

func isPart(r *http.Request) bool {
	return r.Method == http.MethodPut && r.Header.Get("Content-Range") != "bytes */*"
}

// Whatever goes wrong on the way, the object is the one that was sent.
func TestWriteResumes(t *testing.T) {
	t.Parallel()
	data := random(2*chunkBytes + 12345)
	for name, prepare := range map[string]func(*gcstest.Server){
		"the begin is lost":       func(s *gcstest.Server) { s.Intercept = times(2, every, hangUp) },
		"nothing arrives":         func(s *gcstest.Server) { s.Intercept = times(2, isPart, hangUp) },
		"errors that pass":        func(s *gcstest.Server) { s.Intercept = times(4, isPart, status(503)) },
		"too many requests":       func(s *gcstest.Server) { s.Intercept = times(1, every, status(429)) },
		"only a part is taken":    func(s *gcstest.Server) { s.TakeBytes = 3 * unit },
		"the answers do not come": func(s *gcstest.Server) { s.Intercept = deaf(3) },
		"a part of a part":        func(s *gcstest.Server) { s.Intercept = cutting(2) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := serve(t)
			prepare(s)
			if err := connect(t, s, "models").Write(t.Context(), "model", bytes.NewReader(data)); err != nil {
				t.Error(err)
			}
			wantObject(t, s, data)
		})
	}
}

// deaf takes parts, and hangs up before it answers.
func deaf(n int) func(http.ResponseWriter, *http.Request, http.Handler) {
	var done atomic.Int64
	return func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		if isPart(r) && done.Add(1) <= int64(n) {
			next.ServeHTTP(discarded{header: http.Header{}}, r)
			panic(http.ErrAbortHandler)
		}
		next.ServeHTTP(w, r)
	}
}

type discarded struct{ header http.Header }

func (d discarded) Header() http.Header         { return d.header }
func (d discarded) Write(p []byte) (int, error) { return len(p), nil }
func (d discarded) WriteHeader(int)             {}

// cutting takes a bit more than one unit of a part, and hangs up.
func cutting(n int) func(http.ResponseWriter, *http.Request, http.Handler) {
	var done atomic.Int64
	return func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		if isPart(r) && done.Add(1) <= int64(n) {
			r.Body = io.NopCloser(io.MultiReader(io.LimitReader(r.Body, unit+5), iotest.ErrReader(io.ErrUnexpectedEOF)))
			next.ServeHTTP(discarded{header: http.Header{}}, r)
			panic(http.ErrAbortHandler)
		}
		next.ServeHTTP(w, r)
	}
}

var errGone = errors.New("the caller is gone")

// What is not complete is not there for anybody, and the upload does not stay open.
func TestWriteFails(t *testing.T) {
	t.Parallel()
	partly := func() io.Reader {
		return io.MultiReader(bytes.NewReader(random(chunkBytes+5)), iotest.ErrReader(errGone))
	}
	whole := func() io.Reader { return bytes.NewReader(random(chunkBytes + 5)) }
	for _, tt := range []struct {
		name      string
		from      func() io.Reader
		intercept func(http.ResponseWriter, *http.Request, http.Handler)
		want      string
	}{
		{"the reader", partly, nil, errGone.Error()},
		{"with the last bytes", func() io.Reader { return &atOnce{data: random(chunkBytes), err: errGone} }, nil, errGone.Error()},
		{"no right", whole, times(1, every, status(403)), "Google answered 403 Forbidden"},
		{"no right to a part", whole, times(1, isPart, status(403)), "Google answered 403 Forbidden"},
		{"errors that stay", whole, times(100, isPart, status(500)), "Google answered 500"},
		{"the upload is forgotten", whole, times(1, isPart, status(410)), "has to begin anew"},
		{"the upload is not known", whole, times(1, isPart, status(404)), "has to begin anew"},
		{"done too soon", whole, times(1, isPart, status(200)), "out of step"},
		{"nothing taken", whole, times(100, isPart, status(308)), "nothing was taken"},
		{"more than was sent", whole, times(1, isPart, taken("bytes=0-99999999")), "out of step"},
		{"less than before", whole, times(2, isPart, taken("bytes=0-8388607", "bytes=0-0")), "out of step"},
		{"no range", whole, times(1, isPart, taken("all")), `the range "all"`},
		{"nowhere to go on", whole, times(1, every, status(200)), "does not say where it goes on"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s := serve(t)
			s.Intercept = tt.intercept
			err := connect(t, s, "models").Write(t.Context(), "model", tt.from())
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v, want %q", err, tt.want)
			}
			if err != nil && strings.Contains(err.Error(), "upload_id") {
				t.Errorf("got %v, want no right to an upload in it", err)
			}
			if got, ok := s.Get("models", "model"); ok {
				t.Errorf("got an object of %d bytes", len(got))
			}
			if n := s.Uploads(); n != 0 {
				t.Errorf("%d uploads are still open", n)
			}
		})
	}
}

// atOnce is a reader whose error comes with its last bytes, and only then.
type atOnce struct {
	data []byte
	err  error
}

func (a *atOnce) Read(p []byte) (int, error) {
	n := copy(p, a.data)
	if a.data = a.data[n:]; len(a.data) == 0 {
		err := a.err
		a.err = io.EOF
		return n, err
	}
	return n, nil
}

// taken says of parts that so much of them is there, and drops them.
func taken(ranges ...string) http.HandlerFunc {
	var calls atomic.Int64
	return func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		w.Header().Set("Range", ranges[int(calls.Add(1)-1)%len(ranges)])
		w.WriteHeader(http.StatusPermanentRedirect)
	}
}

// What was damaged on its way is refused by the server, which is told the sum of the whole.
func TestWriteDamaged(t *testing.T) {
	t.Parallel()
	s := serve(t)
	s.Intercept = func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		if isPart(r) {
			body, _ := io.ReadAll(r.Body)
			body[0] ^= 1
			r.Body = io.NopCloser(bytes.NewReader(body))
		}
		next.ServeHTTP(w, r)
	}
	err := connect(t, s, "models").Write(t.Context(), "model", strings.NewReader("abc"))
	refused(t, err, http.StatusBadRequest, "CRC32C does not match")
	if _, ok := s.Get("models", "model"); ok {
		t.Error("got an object")
	}
}

// A caller who leaves ends the upload.
func TestWriteOfACallerWhoLeft(t *testing.T) {
	t.Parallel()
	s := serve(t)
	ctx, cancel := context.WithCancel(t.Context())
	s.Intercept = times(1, isPart, func(http.ResponseWriter, *http.Request) {
		cancel()
		panic(http.ErrAbortHandler)
	})
	if err := connect(t, s, "models").Write(ctx, "model", bytes.NewReader(random(1000))); err == nil {
		t.Error("no error")
	}
	if _, ok := s.Get("models", "model"); ok || s.Uploads() != 0 {
		t.Errorf("got an object (%v), or one of %d uploads", ok, s.Uploads())
	}
}
