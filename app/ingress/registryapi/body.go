package registryapi

import (
	"errors"
	"net/http"
	"strconv"
	"strings"

	"github.com/onda-serving/onda/app/ingress/operator"
	"github.com/onda-serving/onda/app/scoring"
)

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
	body, err := h.door.Read(w, r, most)
	if _, ok := errors.AsType[*http.MaxBytesError](err); ok {
		return nil, tooLarge(most, "more than that")
	}
	if err != nil || len(body) == 0 {
		return nil, err
	}
	return body, operator.CheckJSON(r)
}

func checkEncoding(r *http.Request) error {
	switch encoding := strings.ToLower(strings.TrimSpace(r.Header.Get("Content-Encoding"))); encoding {
	case "", "identity":
		return nil
	default:
		return scoring.Errorf(scoring.UnsupportedMedia, "content-encoding %q is not supported here: send the body uncompressed", operator.Clip(encoding))
	}
}

func tooLarge(most int64, size string) error {
	return scoring.Errorf(scoring.TooLarge, "the body is too large: at most %d bytes are allowed for a change, got %s", most, size)
}
