package eventsapi

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strings"

	"github.com/onda-serving/onda/app/ingress/operator"
	"github.com/onda-serving/onda/app/scoring"
)

// maxAsk bounds the body of an operator's request, in bytes.
const maxAsk = 64 << 10

// ask reads the JSON body of an operator's request into a value. No body is an empty object.
// Keys that nobody knows are refused: a request must not do more than its text says.
func (h *Handler) ask(w http.ResponseWriter, r *http.Request, into any) error {
	body, err := h.door.Read(w, r, maxAsk)
	if large, ok := errors.AsType[*http.MaxBytesError](err); ok {
		return scoring.Errorf(scoring.TooLarge, "the body is too large: at most %d bytes are allowed here", large.Limit)
	}
	if err != nil {
		return err
	}
	if len(bytes.TrimSpace(body)) == 0 {
		return nil
	}
	if err := operator.CheckJSON(r); err != nil {
		return err
	}
	decoder := json.NewDecoder(bytes.NewReader(body))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(into); err != nil {
		text := strings.TrimPrefix(err.Error(), "json: ")
		return scoring.Errorf(scoring.Invalid, "the body: %s", operator.Clip(text)).WithCause(err)
	}
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
		return scoring.Errorf(scoring.Invalid, "the body: there is more after the JSON object")
	}
	return nil
}

// delivery reads what the sidecar delivers. Of what is too large it gives the size and the
// hash alone.
func (h *Handler) delivery(w http.ResponseWriter, r *http.Request) (body []byte, size int64, sum [sha256.Size]byte, err error) {
	h.door.Bound(w)
	most := h.config.MaxLetter
	body, err = io.ReadAll(io.LimitReader(r.Body, most+1))
	if err != nil {
		return nil, 0, sum, h.door.BodyError(r, err)
	}
	size = int64(len(body))
	if size > most {
		hash := sha256.New()
		hash.Write(body)
		rest, err := io.Copy(hash, r.Body)
		if err != nil {
			return nil, 0, sum, h.door.BodyError(r, err)
		}
		body, size, sum = nil, size+rest, [sha256.Size]byte(hash.Sum(nil))
	}
	operator.Unbound(w)
	return body, size, sum, nil
}
