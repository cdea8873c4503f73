package httpapi

import (
	"bufio"
	"compress/gzip"
	"compress/zlib"
	"errors"
	"io"
	"strings"
	"sync"

	"github.com/onda-serving/onda/app/scoring"
)

// decompressor reads a compressed body. Its format's reader comes from a pool: each has
// tens of kilobytes of tables.
type decompressor struct {
	encoding string
	source   *bufio.Reader
	format   io.ReadCloser
	pool     *sync.Pool
}

var gunzips, inflates sync.Pool

// decompressed gives the plain form of a body with the given content encoding. The bound
// on its size is the caller's: the plain form of a small body can be very large.
func decompressed(encoding string, body io.ReadCloser) (io.ReadCloser, error) {
	d := &decompressor{encoding: strings.ToLower(strings.TrimSpace(encoding))}
	var open func(io.Reader) (io.ReadCloser, error)
	switch d.encoding {
	case "", "identity":
		return body, nil
	case "gzip", "x-gzip":
		d.pool, open = &gunzips, func(r io.Reader) (io.ReadCloser, error) { return gzip.NewReader(r) }
	case "deflate": // which is zlib's format (RFC 9110, section 8.4.1.2)
		d.pool, open = &inflates, zlib.NewReader
	default:
		return nil, scoring.Errorf(scoring.UnsupportedMedia, "content-encoding %q is not supported: send the body with gzip, deflate or uncompressed", clip(encoding))
	}
	d.source = bufio.NewReader(body)
	var err error
	switch kept := d.pool.Get().(type) {
	case *gzip.Reader:
		d.format, err = kept, kept.Reset(d.source)
	case zlib.Resetter:
		d.format, err = kept.(io.ReadCloser), kept.Reset(d.source, nil)
	default:
		d.format, err = open(d.source)
	}
	return d, d.explain(err)
}

// Read implements io.Reader.
func (d *decompressor) Read(p []byte) (int, error) {
	n, err := d.format.Read(p)
	if errors.Is(err, io.EOF) {
		if _, more := d.source.ReadByte(); !errors.Is(more, io.EOF) {
			if more == nil {
				more = scoring.Errorf(scoring.Invalid, "the body has bytes behind its %s data: send nothing else", d.encoding)
			}
			return n, more
		}
		return n, err
	}
	return n, d.explain(err)
}

// Close gives the tables back.
func (d *decompressor) Close() error {
	d.pool.Put(d.format)
	return nil
}

// explain gives the errors of the formats a public form, and leaves those of the
// connection as they are.
func (d *decompressor) explain(err error) error {
	damaged := errors.Is(err, gzip.ErrHeader) || errors.Is(err, gzip.ErrChecksum) ||
		errors.Is(err, zlib.ErrHeader) || errors.Is(err, zlib.ErrChecksum) || errors.Is(err, zlib.ErrDictionary) ||
		strings.HasPrefix(errorText(err), "flate: ")
	switch {
	case err == nil:
		return nil
	case damaged:
		return scoring.Errorf(scoring.Invalid, "the body is not valid %s, as its content-encoding says: it is damaged, or has another encoding", d.encoding).WithCause(err)
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return scoring.Errorf(scoring.Invalid, "the body is cut off: its %s data ends too early", d.encoding).WithCause(err)
	default:
		return err
	}
}

func errorText(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}
