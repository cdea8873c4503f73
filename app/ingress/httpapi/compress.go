package httpapi

import (
	"compress/gzip"
	"compress/zlib"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync"
)

// minCompressed is the size from which on an answer is worth compressing: a smaller one
// travels in one packet or two in any case.
const minCompressed = 2 << 10

// compressor is what the writers of both formats have in common.
type compressor interface {
	io.WriteCloser
	Reset(w io.Writer)
}

// gzips and deflates keep writers: each has about a megabyte of tables.
var (
	gzips = sync.Pool{New: func() any {
		w, _ := gzip.NewWriterLevel(nil, gzip.BestSpeed) // the level exists
		return w
	}}
	deflates = sync.Pool{New: func() any {
		w, _ := zlib.NewWriterLevel(nil, zlib.BestSpeed)
		return w
	}}
)

// compressed writes parts in the given encoding, "gzip" or "deflate".
func compressed(w io.Writer, encoding string, parts [][]byte) error {
	pool := &gzips
	if encoding == "deflate" {
		pool = &deflates
	}
	c, _ := pool.Get().(compressor)
	defer pool.Put(c)
	c.Reset(w)
	for _, part := range parts {
		if _, err := c.Write(part); err != nil {
			return err
		}
	}
	return c.Close()
}

// encodingFor chooses the content encoding of an answer of size bytes: "" for none.
func encodingFor(r *http.Request, size int) string {
	// Only answers of scorings: Triton's asyncio client asks for compression with every
	// request and undoes it for those alone.
	if path := strings.TrimSuffix(r.URL.Path, "/"); !strings.HasSuffix(path, "/infer") && !strings.HasSuffix(path, ":predict") {
		return ""
	}
	if size < minCompressed {
		return ""
	}
	accept := r.Header.Values("Accept-Encoding")
	if len(accept) == 1 && accept[0] == "gzip" && r.Header.Get(callerHeader) != "" {
		// So asks the HTTP client of a sidecar by itself, to undo it at once on the same host.
		return ""
	}
	return accepted(strings.Join(accept, ","))
}

// accepted chooses an encoding by Accept-Encoding (RFC 9110, section 12.5.3): the one with
// the highest weight. Of equal ones it takes gzip, then deflate, which both beat none. A
// caller that forbids all gets none: an answer it can try to read beats no answer.
func accepted(accept string) string {
	weights := map[string]float64{}
	for item := range strings.SplitSeq(accept, ",") {
		name, parameters, _ := strings.Cut(item, ";")
		name = strings.ToLower(strings.TrimSpace(name))
		if name == "x-gzip" {
			name = "gzip"
		}
		if weight, ok := weightOf(parameters); ok && name != "" {
			weights[name] = weight
		}
	}
	best, most := "", 0.0
	for _, name := range []string{"gzip", "deflate"} {
		weight, ok := weights[name]
		if !ok {
			weight = weights["*"]
		}
		if weight > most {
			best, most = name, weight
		}
	}
	if weights["identity"] > most {
		return ""
	}
	return best
}

// weightOf reads ";q=0.5"; a weight that is no number from 0 to 1 spoils its item.
func weightOf(parameters string) (weight float64, ok bool) {
	parameters = strings.TrimSpace(parameters)
	if parameters == "" {
		return 1, true
	}
	name, value, _ := strings.Cut(parameters, "=")
	weight, err := strconv.ParseFloat(strings.TrimSpace(value), 64)
	return weight, strings.EqualFold(strings.TrimSpace(name), "q") && err == nil && weight >= 0 && weight <= 1
}
