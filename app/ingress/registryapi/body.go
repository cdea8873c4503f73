package registryapi

import (
	"errors"
	"io"
	"mime"
	"net/http"
	"os"
	"strconv"
	"strings"
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

// watched gives a request that notes how far its body was read.
func watched(r *http.Request) *http.Request {
	if r.Body == nil || r.Body == http.NoBody {
		return r
	}
	other := r.WithContext(r.Context())
	other.Body = &incoming{ReadCloser: r.Body}
	return other
}

// abandon tells net/http not to wait for a body that was not read to its end: the rest may
// never come, and nobody will look at it.
func abandon(w http.ResponseWriter, r *http.Request) {
	if body, ok := r.Body.(*incoming); ok && !body.ended {
		w.Header().Set("Connection", "close")
	}
}

// maxChange bounds the body of a change, in bytes. It is held in memory.
const maxChange = 1 << 20

// readBody reads the whole body of a change, which is JSON or nothing.
func (h *Handler) readBody(w http.ResponseWriter, r *http.Request) ([]byte, error) {
	if r.Body == nil || r.Body == http.NoBody {
		return nil, nil
	}
	if err := checkEncoding(r); err != nil {
		return nil, err
	}
	most := min(h.config.MaxBody, maxChange)
	if r.ContentLength > most {
		return nil, tooLarge(most, strconv.FormatInt(r.ContentLength, 10)+" bytes")
	}
	deadlines := http.NewResponseController(w)
	// Not every connection has deadlines (tests, other listeners): the others' bounds hold.
	_ = deadlines.SetReadDeadline(time.Now().Add(h.config.ReadTimeout))
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, most))
	if err != nil {
		return nil, h.bodyError(r, most, err)
	}
	// The deadline would end the connection while the change is made.
	_ = deadlines.SetReadDeadline(time.Time{})
	if len(body) == 0 {
		return nil, nil
	}
	return body, checkContentType(r)
}

// checkContentType refuses what does not say that it is JSON. A page of another site can send
// a form or a text on behalf of whoever looks at it, but no JSON.
func checkContentType(r *http.Request) error {
	text := r.Header.Get("Content-Type")
	kind, _, err := mime.ParseMediaType(text)
	if err != nil || kind != "application/json" {
		return scoring.Errorf(scoring.UnsupportedMedia, "content-type %q is not supported here: send application/json", clip(text))
	}
	return nil
}

func checkEncoding(r *http.Request) error {
	switch encoding := strings.ToLower(strings.TrimSpace(r.Header.Get("Content-Encoding"))); encoding {
	case "", "identity":
		return nil
	default:
		return scoring.Errorf(scoring.UnsupportedMedia, "content-encoding %q is not supported here: send the body uncompressed", clip(encoding))
	}
}

func (h *Handler) bodyError(r *http.Request, most int64, err error) error {
	var large *http.MaxBytesError
	switch {
	case errors.As(err, &large):
		return tooLarge(most, "more than that")
	case errors.Is(err, os.ErrDeadlineExceeded):
		return scoring.Errorf(scoring.Expired, "the body did not arrive within %s", h.config.ReadTimeout).WithCause(err)
	case errors.Is(err, io.ErrUnexpectedEOF):
		return scoring.Errorf(scoring.Invalid, "the body is cut off: fewer bytes arrived than were announced").WithCause(err)
	case r.Context().Err() != nil:
		return scoring.AsError(r.Context().Err())
	default:
		return scoring.Errorf(scoring.Invalid, "the body could not be read: it is damaged").WithCause(err)
	}
}

func tooLarge(most int64, size string) error {
	return scoring.Errorf(scoring.TooLarge, "the body is too large: at most %d bytes are allowed for a change, got %s", most, size)
}
