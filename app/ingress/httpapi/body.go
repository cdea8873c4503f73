package httpapi

import (
	"context"
	"errors"
	"io"
	"net/http"
	"os"
	"strconv"
	"time"

	"github.com/onda-serving/onda/app/scoring"
)

// incoming is a request's body that knows whether it was read to its end.
type incoming struct {
	io.ReadCloser

	ended bool
}

// Read implements io.Reader.
func (b *incoming) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	b.ended = b.ended || errors.Is(err, io.EOF)
	return n, err
}

// watchBody gives the body of r a time to arrive, whoever reads it, and returns a request
// that notes how far it was read. Without a deadline, net/http would wait for ever for
// the rest of a body that a handler refused, before it sends the answer. r itself keeps
// its body: net/http looks there to tell whether a caller still sends when it closes a
// connection, and waits a moment then, so that the caller reads the answer and not a reset.
func (h *Handler) watchBody(w http.ResponseWriter, r *http.Request) *http.Request {
	if r.Body == nil || r.Body == http.NoBody {
		return r
	}
	watched := r.WithContext(r.Context())
	watched.Body = &incoming{ReadCloser: r.Body}
	// Not every connection has deadlines (tests, other listeners): the others' bounds hold.
	_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(h.config.ReadTimeout))
	return watched
}

// abandon tells net/http not to wait for a body that was not read to its end: the rest
// may never come, and nobody will look at it.
func abandon(w http.ResponseWriter, r *http.Request) {
	if body, ok := r.Body.(*incoming); ok && !body.ended {
		w.Header().Set("Connection", "close")
	}
}

// readBody reads the whole body within the bounds on size, time and memory, and
// uncompressed, where it is compressed. release must be called when the body is no longer
// in use, whatever err is. Whatever can be refused without the body should be refused
// before: a caller that waits for "100 Continue" does not even send it then.
//
// The body's memory is never used again for another request: tensors refer to it, and a
// batch can outlast the caller who gave up waiting for it.
func (h *Handler) readBody(w http.ResponseWriter, r *http.Request) (body []byte, release func(), err error) {
	var held int64
	release = func() { h.parts.Bodies.Free(held) }
	if r.ContentLength > h.config.MaxBody {
		return nil, release, h.tooLarge(strconv.FormatInt(r.ContentLength, 10) + " bytes")
	}
	plain, err := decompressed(r.Header.Get("Content-Encoding"), http.MaxBytesReader(w, r.Body, h.config.MaxBody))
	if err != nil {
		return nil, release, h.bodyError(r, err)
	}
	defer plain.Close()
	// A claimed length is not trusted with much memory before the bytes are there.
	buffer := make([]byte, 0, min(max(r.ContentLength+1, 512), 1<<20))
	for {
		buffer = roomFor(buffer, r.ContentLength)
		n, err := plain.Read(buffer[len(buffer):cap(buffer)])
		buffer = buffer[:len(buffer)+n]
		held += int64(n)
		switch fits := h.parts.Bodies.Take(int64(n)); {
		case !fits:
			return nil, release, scoring.Errorf(scoring.Overloaded, "the server holds as many request bodies as it may: try again").WithRetryAfter(time.Second).WithReason(scoring.ReasonBodies)
		case held > h.config.MaxBody:
			return nil, release, h.tooLarge("more than that, uncompressed")
		case errors.Is(err, io.EOF):
			_ = http.NewResponseController(w).SetReadDeadline(time.Time{})
			return buffer, release, nil
		case err != nil:
			return nil, release, h.bodyError(r, err)
		}
	}
}

// roomFor gives a full buffer room. It doubles, but not beyond the length that the body
// is known to have.
func roomFor(buffer []byte, length int64) []byte {
	if len(buffer) < cap(buffer) {
		return buffer
	}
	size := int64(2 * cap(buffer))
	if length >= int64(len(buffer)) {
		size = min(size, length+1) // one more, to see the end
	}
	return append(make([]byte, 0, size), buffer...)
}

func (h *Handler) bodyError(r *http.Request, err error) error {
	var tooLarge *http.MaxBytesError
	var known *scoring.Error
	switch {
	case errors.As(err, &known):
		return err
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
	timeout, err := timeoutOf(r)
	if err != nil {
		return nil, nil, err
	}
	if timeout == 0 || timeout > h.config.Timeout {
		// A budget longer than ours would hold a place for longer than any answer takes.
		timeout = h.config.Timeout
	}
	ctx, cancel := context.WithTimeout(r.Context(), timeout)
	return ctx, cancel, nil
}

// timeoutOf reads the caller's own budget; 0 if it gave none.
func timeoutOf(r *http.Request) (time.Duration, error) {
	text := r.Header.Get(timeoutHeader)
	if text == "" {
		return 0, nil
	}
	ms, err := strconv.ParseInt(text, 10, 32)
	if err != nil || ms < 1 {
		return 0, scoring.Errorf(scoring.Invalid, "header x-request-timeout-ms is %q: want a whole number of milliseconds, at least 1", clip(text))
	}
	return time.Duration(ms) * time.Millisecond, nil
}
