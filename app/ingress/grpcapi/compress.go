package grpcapi

import (
	"bytes"
	"compress/gzip"
	"compress/zlib"
	"errors"
	"io"
	"sync"

	"google.golang.org/grpc/encoding"
	// Registers gzip with gRPC, which answers with it where the request came with it.
	_ "google.golang.org/grpc/encoding/gzip"

	"github.com/onda-serving/onda/app/scoring"
)

// unpacked leaves gRPC's hands off compressed messages: it would give them as much memory as
// the largest message may take without asking. [envelope.decompress] reads them.
type unpacked struct{}

// Do implements grpc.Decompressor. The size of the message is bounded by then.
func (unpacked) Do(r io.Reader) ([]byte, error) { return io.ReadAll(r) }

// Type implements grpc.Decompressor.
func (unpacked) Type() string { return "gzip" }

// decompress reads a message that came compressed, within the size that a message of this
// call may have, and books the memory before it takes it.
func (e *envelope) decompress(data []byte) ([]byte, error) {
	reader, err := unpack(data)
	if err != nil {
		return nil, e.damaged(err)
	}
	var out []byte
	for {
		if len(out) == cap(out) {
			if out, err = e.grow(out, 4*int64(len(data))); err != nil {
				return nil, err
			}
		}
		n, err := reader.Read(out[len(out):cap(out)])
		out = out[:len(out)+n]
		switch {
		case int64(len(out)) > e.call.server.limit(e.call.method):
			return nil, e.bomb()
		case errors.Is(err, io.EOF):
			return out, nil
		case err != nil:
			return nil, e.damaged(err)
		}
	}
}

// unpack reads gzip and deflate, which gRPC means zlib by: the first byte tells them apart.
func unpack(data []byte) (io.Reader, error) {
	const gzipMagic = 0x1f
	if len(data) > 0 && data[0] != gzipMagic {
		return zlib.NewReader(bytes.NewReader(data))
	}
	return gzip.NewReader(bytes.NewReader(data))
}

// deflate is the other encoding that the clients of gRPC's core (Python, C++, Ruby) offer.
type deflate struct{}

// Name implements encoding.Compressor.
func (deflate) Name() string { return "deflate" }

// Compress implements encoding.Compressor.
func (deflate) Compress(w io.Writer) (io.WriteCloser, error) { return zlib.NewWriter(w), nil }

// Decompress implements encoding.Compressor. As for gzip, [envelope.decompress] does it.
func (deflate) Decompress(r io.Reader) (io.Reader, error) { return r, nil }

// registerDeflate makes deflate known to gRPC, which has one table for the process.
var registerDeflate = sync.OnceFunc(func() { encoding.RegisterCompressor(deflate{}) })

// grow gives a full slice, which is not too large yet, more room: the double, and least to
// begin with.
func (e *envelope) grow(full []byte, least int64) ([]byte, error) {
	const smallest = 512
	most, have := e.call.server.limit(e.call.method), int64(cap(full))
	// One byte more than the most shows that there is more.
	want := min(most+1, max(smallest, least, 2*have))
	if !e.call.take(want - have) {
		return nil, overloaded()
	}
	e.decoded += want - have
	return append(make([]byte, 0, want), full...), nil
}

func (e *envelope) bomb() error {
	m := e.call.method
	return scoring.Errorf(scoring.TooLarge, "the message is too large once it is decompressed: at most %d bytes are allowed%s", e.call.server.limit(m), m.setting())
}

func (e *envelope) damaged(err error) error {
	return scoring.Errorf(scoring.Invalid, "the message of %s is not valid gzip or deflate data", e.call.method.name).WithCause(err)
}
