package gcs

import (
	"errors"
	"io"
	"math/rand/v2"
	"net/http"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/onda-serving/onda/app/artifact/blobs/gcs/gcstest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// serve starts a server with the bucket "models".
func serve(t *testing.T) *gcstest.Server {
	t.Helper()
	s := gcstest.New("models")
	t.Cleanup(s.Close)
	return s
}

// connect gives a client of the server, which does not wait long between tries.
func connect(t *testing.T, s *gcstest.Server, bucket string) *Client {
	t.Helper()
	c, err := New(t.Context(), Config{Bucket: bucket, Emulator: s.Host()})
	if err != nil {
		t.Fatal(err)
	}
	c.first = time.Microsecond
	t.Cleanup(func() { c.Close() })
	return c
}

// times lets the first so many of the requests that it is about go wrong.
func times(n int, about func(*http.Request) bool, wrong http.HandlerFunc) func(http.ResponseWriter, *http.Request, http.Handler) {
	left := make(chan struct{}, n)
	for range n {
		left <- struct{}{}
	}
	return func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		if about(r) {
			select {
			case <-left:
				wrong(w, r)
				return
			default:
			}
		}
		next.ServeHTTP(w, r)
	}
}

func every(*http.Request) bool { return true }

// status answers with one, as a proxy of Google's does.
func status(code int) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "<html>try again</html>", code) }
}

// hangUp ends the connection.
func hangUp(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }

// random gives bytes that are the same each time.
func random(size int) []byte {
	data := make([]byte, size)
	_, _ = rand.NewChaCha8([32]byte{1}).Read(data)
	return data
}

// read reads an object from the offset on.
func read(t *testing.T, c *Client, key string, offset int64) (data []byte, size int64, err error) {
	t.Helper()
	r, err := c.Open(t.Context(), key, offset)
	if err != nil {
		return nil, 0, err
	}
	defer r.Close()
	data, err = io.ReadAll(r)
	return data, r.Size(), err
}

// refused checks that err is an answer of that status.
func refused(t *testing.T, err error, want int, text string) {
	t.Helper()
	answer, ok := errors.AsType[*Error](err)
	if !ok || answer.Status != want || !strings.Contains(err.Error(), text) {
		t.Errorf("got %v, want the status %d and %q", err, want, text)
	}
}
