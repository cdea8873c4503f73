package client

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// transport answers requests without a network, so that time can be made up.
type transport func(*http.Request) (*http.Response, error)

func (t transport) RoundTrip(r *http.Request) (*http.Response, error) {
	defer func() {
		if r.Body != nil {
			r.Body.Close()
		}
	}()
	return t(r)
}

func reply(status int, body string) (*http.Response, error) {
	return &http.Response{StatusCode: status, Header: http.Header{}, Body: io.NopCloser(strings.NewReader(body))}, nil
}

// uploader is a client and what it sends where.
func uploader(t *testing.T, answer transport) (*Client, *[]string) {
	t.Helper()
	c, err := New(Options{Server: "onda:8080", Timeout: time.Minute})
	if err != nil {
		t.Fatal(err)
	}
	var calls []string
	start := time.Now()
	c.http.Transport = transport(func(r *http.Request) (*http.Response, error) {
		calls = append(calls, fmt.Sprintf("%s after %s", r.Method, time.Since(start)))
		return answer(r)
	})
	return c, &calls
}

func blob(content string) Blob {
	return Blob{SHA256: strings.Repeat("a", 64), Size: int64(len(content)), Open: func() (io.ReadCloser, error) { return io.NopCloser(strings.NewReader(content)), nil }}
}

var errBroken = &net.OpError{Op: "write", Err: errors.New("broken pipe")}

func TestUploadGivesUp(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c, calls := uploader(t, func(r *http.Request) (*http.Response, error) {
			if r.Method == http.MethodHead {
				return reply(404, "")
			}
			return nil, errBroken
		})
		b, told := blob("content"), 0
		b.Again = func(error) { told++ }
		err := c.Upload(t.Context(), b)
		lost, ok := errors.AsType[*LostError](err)
		if !ok || lost.Error() != "the connection to http://onda:8080 broke: broken pipe" || told != 3 {
			t.Errorf("got %v after %d times, want a lost connection after 3", err, told)
		}
		want := []string{"PUT after 0s", "HEAD after 500ms", "PUT after 500ms", "HEAD after 1.5s", "PUT after 1.5s", "HEAD after 3.5s", "PUT after 3.5s"}
		if !slices.Equal(*calls, want) {
			t.Errorf("got %q, want %q", *calls, want)
		}
	})
}

// TestUploadAgain says which failures are worth another attempt.
func TestUploadAgain(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name   string
		answer transport
		again  bool
	}{
		{"busy", func(*http.Request) (*http.Response, error) { return reply(429, `{"error": "busy"}`) }, true},
		{"away", func(*http.Request) (*http.Response, error) { return reply(503, `{"error": "draining"}`) }, true},
		{"sidecar", func(*http.Request) (*http.Response, error) { return reply(500, `{"errorCode": "ERR_DIRECT_INVOKE"}`) }, true},
		{"nobody", func(*http.Request) (*http.Response, error) {
			return nil, &net.OpError{Op: "dial", Err: errors.New("connection refused")}
		}, true},
		{"other sum", func(*http.Request) (*http.Response, error) {
			return reply(400, `{"error": "SHA-256 is a, the path says b"}`)
		}, false},
		{"no store", func(*http.Request) (*http.Response, error) { return reply(501, `{"error": "no store"}`) }, false},
		{"full store", func(*http.Request) (*http.Response, error) { return reply(507, `{"error": "it is full"}`) }, false},
		{"sidecar itself", func(*http.Request) (*http.Response, error) { return reply(404, `{"errorCode": "ERR_DIRECT_INVOKE"}`) }, false},
		{"somebody else", func(*http.Request) (*http.Response, error) { return reply(404, `<html>`) }, false},
		{"too slow", func(r *http.Request) (*http.Response, error) { <-r.Context().Done(); return nil, r.Context().Err() }, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				first := true
				c, _ := uploader(t, func(r *http.Request) (*http.Response, error) {
					switch {
					case r.Method == http.MethodHead:
						return reply(404, "")
					case !first:
						return reply(201, "{}")
					}
					first = false
					return test.answer(r)
				})
				if err := c.Upload(t.Context(), blob("content")); (err == nil) != test.again {
					t.Errorf("got %v, want a second attempt: %v", err, test.again)
				}
			})
		})
	}
}

func TestUploadEndsWithItsContext(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		cause := errors.New("enough")
		ctx, cancel := context.WithCancelCause(t.Context())
		c, calls := uploader(t, func(*http.Request) (*http.Response, error) { return nil, errBroken })
		time.AfterFunc(100*time.Millisecond, func() { cancel(cause) })
		if err := c.Upload(ctx, blob("content")); !errors.Is(err, cause) || len(*calls) != 1 {
			t.Errorf("got %v after %q, want the end of the context in the first pause", err, *calls)
		}
	})
}

// TestUploadTellsHowMuch counts what was sent, anew in each attempt.
func TestUploadTellsHowMuch(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		attempt := 0
		c, _ := uploader(t, func(r *http.Request) (*http.Response, error) {
			if r.Method == http.MethodHead {
				return reply(404, "")
			}
			if attempt++; attempt == 1 {
				_, _ = io.CopyN(io.Discard, r.Body, 3)
				return nil, errBroken
			}
			got, _ := io.ReadAll(r.Body)
			if string(got) != "content" || r.ContentLength != 7 {
				t.Errorf("got %q of %d bytes, want the whole content", got, r.ContentLength)
			}
			return reply(201, "{}")
		})
		var sent []int64
		b := blob("content")
		b.Sent = func(n int64) { sent = append(sent, n) }
		if err := c.Upload(t.Context(), b); err != nil {
			t.Fatal(err)
		}
		if want := []int64{3, 7}; !slices.Equal(sent, want) {
			t.Errorf("got %v, want %v", sent, want)
		}
	})
}

// TestUploadOfUnreadable ends with the file's own error, not with one of the network.
func TestUploadOfUnreadable(t *testing.T) {
	t.Parallel()
	damaged := errors.New("input/output error")
	c, calls := uploader(t, func(r *http.Request) (*http.Response, error) {
		_, err := io.Copy(io.Discard, r.Body)
		return nil, err
	})
	b := blob("content")
	b.Open = func() (io.ReadCloser, error) {
		return io.NopCloser(io.MultiReader(bytes.NewReader([]byte("con")), broken{damaged})), nil
	}
	if err := c.Upload(t.Context(), b); !errors.Is(err, damaged) || err.Error() != "read file: input/output error" || len(*calls) != 1 {
		t.Errorf("got %v after %q, want the file's error at once", err, *calls)
	}
}

type broken struct{ err error }

func (b broken) Read([]byte) (int, error) { return 0, b.err }

func TestHasBlob(t *testing.T) {
	t.Parallel()
	for status, want := range map[int]string{200: "true <nil>", 404: "false <nil>", 503: "false ask for blob abc: status 503 Service Unavailable"} {
		c, _ := uploader(t, func(*http.Request) (*http.Response, error) { return reply(status, "") })
		has, err := c.HasBlob(t.Context(), "abc")
		if got := fmt.Sprint(has, " ", err); got != want {
			t.Errorf("%d: got %s, want %s", status, got, want)
		}
	}
}
