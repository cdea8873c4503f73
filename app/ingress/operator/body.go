package operator

import (
	"errors"
	"io"
	"mime"
	"net/http"
	"os"
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

// Watched gives a request that notes how far its body was read: see [Abandon].
func Watched(r *http.Request) *http.Request {
	if r.Body == nil || r.Body == http.NoBody {
		return r
	}
	other := r.WithContext(r.Context())
	other.Body = &incoming{ReadCloser: r.Body}
	return other
}

// Abandon tells net/http not to wait for a body that was not read to its end: the rest may
// never come, and nobody will look at it. The request must be one of [Watched].
func Abandon(w http.ResponseWriter, r *http.Request) {
	if body, ok := r.Body.(*incoming); ok && !body.ended {
		w.Header().Set("Connection", "close")
	}
}

// Read reads a whole body within the bounds on size, in bytes, and time; nil for none. The
// error is a [http.MaxBytesError] where it is too large, and otherwise as that of
// [Door.BodyError].
func (d *Door) Read(w http.ResponseWriter, r *http.Request, most int64) ([]byte, error) {
	if r.Body == nil || r.Body == http.NoBody {
		return nil, nil
	}
	d.Bound(w)
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, most))
	if large, ok := errors.AsType[*http.MaxBytesError](err); ok {
		return nil, large
	}
	if err != nil {
		return nil, d.BodyError(r, err)
	}
	Unbound(w)
	return body, nil
}

// Bound gives a body its time to arrive. Not every connection has deadlines (tests, other
// listeners): the others' bounds hold.
func (d *Door) Bound(w http.ResponseWriter) {
	_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(d.ReadTimeout))
}

// Unbound takes the deadline off: it would end the connection while the request is answered.
func Unbound(w http.ResponseWriter) {
	_ = http.NewResponseController(w).SetReadDeadline(time.Time{})
}

// BodyError words the failure of reading a body.
func (d *Door) BodyError(r *http.Request, err error) error {
	switch {
	case errors.Is(err, os.ErrDeadlineExceeded):
		return scoring.Errorf(scoring.Expired, "the body did not arrive within %s", d.ReadTimeout).WithCause(err)
	case errors.Is(err, io.ErrUnexpectedEOF):
		return scoring.Errorf(scoring.Invalid, "the body is cut off: fewer bytes arrived than were announced").WithCause(err)
	case r.Context().Err() != nil:
		return scoring.AsError(r.Context().Err())
	default:
		return scoring.Errorf(scoring.Invalid, "the body could not be read: it is damaged").WithCause(err)
	}
}

// CheckJSON refuses a body that does not say that it is JSON. A page of another site can send
// a form or a text on behalf of whoever looks at it, but no JSON.
func CheckJSON(r *http.Request) error {
	text := r.Header.Get("Content-Type")
	kind, _, err := mime.ParseMediaType(text)
	if err != nil || kind != "application/json" {
		return scoring.Errorf(scoring.UnsupportedMedia, "content-type %q is not supported here: send application/json", Clip(text))
	}
	return nil
}
