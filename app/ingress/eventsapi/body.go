package eventsapi

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"io"
	"mime"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/onda-serving/onda/app/scoring"
)

// maxAsk bounds the body of an operator's request, in bytes.
const maxAsk = 64 << 10

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

// ask reads the JSON body of an operator's request into a value. No body is an empty object.
// Keys that nobody knows are refused: a request must not do more than its text says.
func (h *Handler) ask(w http.ResponseWriter, r *http.Request, into any) error {
	body, err := h.read(w, r, maxAsk)
	if large, ok := errors.AsType[*http.MaxBytesError](err); ok {
		return scoring.Errorf(scoring.TooLarge, "the body is too large: at most %d bytes are allowed here", large.Limit)
	}
	if err != nil {
		return h.bodyError(r, err)
	}
	if len(bytes.TrimSpace(body)) == 0 {
		return nil
	}
	// A page of another site can send a form or a text, but no JSON.
	if kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || kind != "application/json" {
		return scoring.Errorf(scoring.UnsupportedMedia, "content-type %q is not supported here: send application/json", clip(r.Header.Get("Content-Type")))
	}
	decoder := json.NewDecoder(bytes.NewReader(body))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(into); err != nil {
		text := strings.TrimPrefix(err.Error(), "json: ")
		return scoring.Errorf(scoring.Invalid, "the body: %s", clip(text)).WithCause(err)
	}
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
		return scoring.Errorf(scoring.Invalid, "the body: there is more after the JSON object")
	}
	return nil
}

// delivery reads what the sidecar delivers. Of what is too large it gives the size and the
// hash alone.
func (h *Handler) delivery(w http.ResponseWriter, r *http.Request) (body []byte, size int64, sum [sha256.Size]byte, err error) {
	h.bound(w)
	most := h.config.MaxLetter
	body, err = io.ReadAll(io.LimitReader(r.Body, most+1))
	if err != nil {
		return nil, 0, sum, h.bodyError(r, err)
	}
	size = int64(len(body))
	if size > most {
		hash := sha256.New()
		hash.Write(body)
		rest, err := io.Copy(hash, r.Body)
		if err != nil {
			return nil, 0, sum, h.bodyError(r, err)
		}
		body, size, sum = nil, size+rest, [sha256.Size]byte(hash.Sum(nil))
	}
	h.unbound(w)
	return body, size, sum, nil
}

// read reads a whole body within the bounds on size and time.
func (h *Handler) read(w http.ResponseWriter, r *http.Request, most int64) ([]byte, error) {
	if r.Body == nil || r.Body == http.NoBody {
		return nil, nil
	}
	h.bound(w)
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, most))
	if err == nil {
		h.unbound(w)
	}
	return body, err
}

// bound gives a body a time to arrive. Not every connection has deadlines: the others' bounds
// hold.
func (h *Handler) bound(w http.ResponseWriter) {
	_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(h.config.ReadTimeout))
}

// unbound takes the deadline off: it would end the connection while the request is answered.
func (h *Handler) unbound(w http.ResponseWriter) {
	_ = http.NewResponseController(w).SetReadDeadline(time.Time{})
}

func (h *Handler) bodyError(r *http.Request, err error) error {
	switch {
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
