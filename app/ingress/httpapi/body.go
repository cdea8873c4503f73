package httpapi

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"os"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/onda-serving/onda/app/scoring"
)

// concurrentBodies is how many bodies of the largest size may be in memory at once.
// Bodies are read before the gate, so without this bound a few slow callers with large
// bodies could take all memory.
const concurrentBodies = 8

// bodyBudget counts the bytes of bodies in memory.
type bodyBudget struct {
	limit int64
	used  atomic.Int64
}

// take adds n bytes and says whether they fit.
func (b *bodyBudget) take(n int64) bool { return b.used.Add(n) <= b.limit }

// free gives n bytes back.
func (b *bodyBudget) free(n int64) { b.used.Add(-n) }

// readBody reads the whole body within the bounds on size, time and memory. release
// must be called when the body is no longer in use, whatever err is.
func (h *Handler) readBody(w http.ResponseWriter, r *http.Request) (body []byte, release func(), err error) {
	var held int64
	release = func() { h.bodies.free(held) }
	if encoding := r.Header.Get("Content-Encoding"); encoding != "" && !strings.EqualFold(encoding, "identity") {
		return nil, release, scoring.Errorf(scoring.UnsupportedMedia, "content-encoding %q is not supported: send the body uncompressed", clip(encoding))
	}
	if r.ContentLength > h.config.MaxBody {
		// Answered before a byte is read; the rest of the body is not worth waiting for.
		w.Header().Set("Connection", "close")
		return nil, release, h.tooLarge(strconv.FormatInt(r.ContentLength, 10) + " bytes")
	}
	// Not every connection has deadlines (tests, other listeners): the others' bounds hold.
	control := http.NewResponseController(w)
	_ = control.SetReadDeadline(time.Now().Add(h.config.ReadTimeout))
	var buffer bytes.Buffer
	// A claimed length is not trusted with much memory before the bytes are there.
	buffer.Grow(int(min(max(r.ContentLength, 512), 1<<20)))
	limited := http.MaxBytesReader(w, r.Body, h.config.MaxBody)
	for {
		n, err := io.CopyN(&buffer, limited, 64<<10)
		held += n
		if !h.bodies.take(n) {
			w.Header().Set("Connection", "close")
			return nil, release, scoring.Errorf(scoring.Overloaded, "the server holds as many request bodies as it may: try again").WithRetryAfter(time.Second)
		}
		switch {
		case errors.Is(err, io.EOF):
			_ = control.SetReadDeadline(time.Time{})
			return buffer.Bytes(), release, nil
		case err != nil:
			// The rest of the body may never come. The deadline stays, and the server
			// must not wait for that rest before it sends the answer.
			w.Header().Set("Connection", "close")
			return nil, release, h.bodyError(r, err)
		}
	}
}

func (h *Handler) bodyError(r *http.Request, err error) error {
	var tooLarge *http.MaxBytesError
	switch {
	case errors.As(err, &tooLarge):
		return h.tooLarge("more than that")
	case errors.Is(err, os.ErrDeadlineExceeded):
		return scoring.Errorf(scoring.Expired, "the body did not arrive within %s", h.config.ReadTimeout).WithCause(err)
	case errors.Is(err, io.ErrUnexpectedEOF):
		return scoring.Errorf(scoring.Invalid, "the body is cut off: fewer bytes arrived than were announced").WithCause(err)
	case r.Context().Err() != nil:
		return scoring.AsError(r.Context().Err())
	default:
		return scoring.Errorf(scoring.Invalid, "the body could not be read: it is damaged, or its encoding is").WithCause(err)
	}
}

func (h *Handler) tooLarge(size string) error {
	return scoring.Errorf(scoring.TooLarge, "the body is too large: at most %d bytes are allowed (ONDA_MAX_BODY), got %s", h.config.MaxBody, size)
}

// timeoutHeader is how a caller gives its budget over HTTP, in milliseconds.
const timeoutHeader = "X-Request-Timeout-Ms"

// budget gives the request's context its end: the caller's own budget, or ours.
func (h *Handler) budget(r *http.Request) (context.Context, context.CancelFunc, error) {
	timeout := h.config.Timeout
	if text := r.Header.Get(timeoutHeader); text != "" {
		ms, err := strconv.ParseInt(text, 10, 32)
		if err != nil || ms < 1 {
			return nil, nil, scoring.Errorf(scoring.Invalid, "header x-request-timeout-ms is %q: want a whole number of milliseconds, at least 1", clip(text))
		}
		// A budget longer than ours would hold a place for longer than any answer takes.
		timeout = min(timeout, time.Duration(ms)*time.Millisecond)
	}
	ctx, cancel := context.WithTimeout(r.Context(), timeout)
	return ctx, cancel, nil
}
