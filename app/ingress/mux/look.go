package mux

import (
	"bytes"
	"errors"
	"io"
	"net"
	"os"
	"strings"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

const (
	// maxLooked bounds what is read of a connection before it is given away.
	maxLooked = 128 << 10
	// maxHeader bounds the headers of the first request, in bytes.
	maxHeader = 64 << 10
	// maxFrame is the size of a frame that everybody must accept.
	maxFrame = 16 << 10
	// headerTable is the size of a table of headers before any settings.
	headerTable = 4096
)

// settings is an empty SETTINGS frame.
var settings = []byte{0, 0, 0, byte(http2.FrameSettings), 0, 0, 0, 0, 0}

// look finds out what a connection carries, and gives it as if nobody had read of it. kind
// is nil for one that is closed, or silent.
func (m *Mux) look(conn net.Conn) (looked net.Conn, kind *part) {
	var seen bytes.Buffer
	tee := io.TeeReader(io.LimitReader(conn, maxLooked), &seen)
	isHTTP2, err := greeted(tee)
	switch {
	case err != nil:
		return nil, nil
	case !isHTTP2:
		return &replayed{Conn: conn, head: seen.Bytes()}, m.http
	}
	if _, err := conn.Write(settings); err != nil {
		return nil, nil
	}
	m.limit(conn, requestPatience)
	isGRPC, err := asksGRPC(tee)
	switch {
	case isGRPC, errors.Is(err, os.ErrDeadlineExceeded):
		return &replayed{Conn: conn, head: seen.Bytes()}, m.grpc
	case err != nil && !isProtocol(err):
		return nil, nil
	default:
		// Where it broke the protocol, net/http says so.
		return newUnacknowledged(&replayed{Conn: conn, head: seen.Bytes()}), m.http
	}
}

// greeted says whether a connection begins as HTTP/2 does. It reads no further than it has
// to: HTTP/1 may be shorter than the greeting.
func greeted(r io.Reader) (bool, error) {
	var greeting [len(http2.ClientPreface)]byte
	for n := 0; n < len(greeting); {
		got, err := r.Read(greeting[n:])
		if n += got; !bytes.Equal(greeting[:n], []byte(http2.ClientPreface[:n])) {
			return false, nil
		}
		if err != nil {
			return false, err
		}
	}
	return true, nil
}

// asksGRPC reads frames up to the first request and says whether it is one of gRPC.
func asksGRPC(r io.Reader) (bool, error) {
	framer := http2.NewFramer(io.Discard, r)
	framer.ReadMetaHeaders = hpack.NewDecoder(headerTable, nil)
	framer.MaxHeaderListSize = maxHeader
	framer.SetMaxReadFrameSize(maxFrame)
	for {
		frame, err := framer.ReadFrame()
		if err != nil {
			return false, err
		}
		if headers, ok := frame.(*http2.MetaHeadersFrame); ok {
			return carriesGRPC(headers), nil
		}
	}
}

func carriesGRPC(headers *http2.MetaHeadersFrame) bool {
	for _, field := range headers.Fields {
		if field.Name == "content-type" {
			return strings.HasPrefix(field.Value, "application/grpc")
		}
	}
	return false
}

// isProtocol says whether an error is about what was read, not about the reading.
func isProtocol(err error) bool {
	var connection http2.ConnectionError
	var stream http2.StreamError
	return errors.As(err, &connection) || errors.As(err, &stream) || errors.Is(err, http2.ErrFrameTooLarge)
}
