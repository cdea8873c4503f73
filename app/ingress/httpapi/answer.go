package httpapi

import (
	"fmt"
	"net/http"
	"strconv"
	"sync"

	"github.com/onda-serving/onda/app/wire"
)

// maxKept is the largest buffer that is kept for another answer: the memory of a few
// large ones must not stay taken.
const maxKept = 1 << 20

// buffers are for the JSON of answers. What is written to a connection is copied, so they
// can be used again as soon as the answer is written; not so where writing fails, because
// HTTP/2 may give up waiting for a frame that it still writes.
var buffers = sync.Pool{New: func() any { return new([]byte) }}

// keep puts a buffer back.
func keep(buffer *[]byte, used []byte) {
	if cap(used) <= maxKept {
		*buffer = used[:0]
		buffers.Put(buffer)
	}
}

// writeJSON writes v as the whole answer.
func writeJSON(w http.ResponseWriter, r *http.Request, status int, v any) error {
	body, err := wire.Marshal(v)
	if err != nil {
		return fmt.Errorf("encode answer: %w", err)
	}
	_ = write(w, r, status, wire.Answer{JSON: body})
	return nil
}

// write writes the whole answer, compressed where the caller likes it. An error means that
// the caller is gone: there is nobody left to tell.
func write(w http.ResponseWriter, r *http.Request, status int, answer wire.Answer) error {
	header := w.Header()
	header.Set("Content-Type", "application/json")
	header.Set("Vary", "Accept-Encoding")
	if answer.Binary {
		header.Set("Content-Type", "application/octet-stream")
		// It counts uncompressed bytes, whatever the encoding.
		header.Set(wire.BinaryHeader, strconv.Itoa(len(answer.JSON)))
	}
	parts := append([][]byte{answer.JSON}, answer.Blobs...)
	if encoding := encodingFor(r, answer.Size()); encoding != "" {
		header.Set("Content-Encoding", encoding)
		w.WriteHeader(status)
		return compressed(w, encoding, parts)
	}
	header.Set("Content-Length", strconv.Itoa(answer.Size()))
	w.WriteHeader(status)
	for _, part := range parts {
		if _, err := w.Write(part); err != nil {
			return err
		}
	}
	return nil
}
