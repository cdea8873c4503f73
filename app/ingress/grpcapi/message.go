package grpcapi

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"net/http"
	"os"
	"strconv"
	"time"

	"google.golang.org/grpc/mem"

	"github.com/onda-serving/onda/app/ingress/inferencepb"
	"github.com/onda-serving/onda/app/scoring"
)

const (
	// messageHead is the number of bytes in front of a message: a flag and the length.
	messageHead = 5
	// smallMessage bounds the messages of all calls but ModelInfer: they hold names.
	smallMessage = 64 << 10
	// chunkSize is how much of a message is read at once: gRPC reads a body in such pieces.
	chunkSize = 16 << 10
)

// readMessage reads the message, within at most wait, and makes its end the end of the
// body: gRPC goes on reading a body while a call runs, and would hold whatever a caller
// sends after its message. It is read here and not by gRPC because a message that does not
// arrive must not hold a call for longer, and because its memory is booked as it arrives:
// the length in front of it is a claim that costs a caller nothing.
//
// release gives the memory back. It must be called, whatever err is.
func (s *Server) readMessage(w http.ResponseWriter, r *http.Request, wait time.Duration) (release func(), err error) {
	var held int64
	release = func() { s.parts.Bodies.Free(held) }
	control := http.NewResponseController(w)
	// Not every connection has deadlines (tests, other listeners): the caller's end holds there.
	_ = control.SetReadDeadline(time.Now().Add(wait))
	var head [messageHead]byte
	if _, err := io.ReadFull(r.Body, head[:]); err != nil {
		return release, unread(r, err, wait, "the call has no message: want exactly one")
	}
	size := int64(binary.BigEndian.Uint32(head[1:]))
	if err := s.checkSize(r.URL.Path, size); err != nil {
		return release, err
	}
	var chunks mem.BufferSlice
	// Only the reader's own hold on the chunks is left then: each goes back to the pool once
	// gRPC has copied it, so that the message is not in memory twice.
	defer func() { chunks.Free() }()
	for pool := mem.DefaultBufferPool(); held < size; {
		chunk := pool.Get(int(min(size-held, chunkSize)))
		chunks = append(chunks, mem.NewBuffer(chunk, pool))
		n, err := io.ReadFull(r.Body, *chunk)
		held += int64(n)
		if !s.parts.Bodies.Take(int64(n)) {
			return release, scoring.Errorf(scoring.Overloaded, "the server holds as many request messages as it may: try again").WithRetryAfter(time.Second)
		}
		if err != nil {
			return release, unread(r, err, wait, "the message is cut off: fewer bytes arrived than its head announces")
		}
	}
	_ = control.SetReadDeadline(time.Time{})
	r.Body = message{Reader: io.MultiReader(bytes.NewReader(head[:]), chunks.Reader()), Closer: r.Body}
	return release, nil
}

// checkSize bounds what a call's message may claim to be.
func (s *Server) checkSize(method string, size int64) error {
	infer := method == inferencepb.GRPCInferenceService_ModelInfer_FullMethodName
	switch most := min(smallMessage, s.config.MaxBody); {
	case infer && size > s.config.MaxBody:
		return scoring.Errorf(scoring.TooLarge, "the message is too large: at most %d bytes are allowed (ONDA_MAX_BODY), got %d", s.config.MaxBody, size)
	case !infer && size > most:
		return scoring.Errorf(scoring.TooLarge, "the message is too large: at most %d bytes are allowed for this call, got %d", most, size)
	default:
		return nil
	}
}

// unread says why a message was not read to its end. cut is the text for one that ends
// too early.
func unread(r *http.Request, err error, wait time.Duration, cut string) error {
	switch {
	case errors.Is(err, os.ErrDeadlineExceeded):
		return scoring.Errorf(scoring.Expired, "the message did not arrive within %s", wait.Round(time.Millisecond)).WithCause(err)
	case r.Context().Err() != nil:
		return scoring.AsError(r.Context().Err())
	default:
		return scoring.Errorf(scoring.Invalid, "%s", cut).WithCause(err)
	}
}

// message is a body that ends with its first message.
type message struct {
	io.Reader
	io.Closer
}

// timeoutHeader is how gRPC carries a deadline: up to eight digits and a unit.
const timeoutHeader = "Grpc-Timeout"

// bound gives a call that has no deadline one, and shortens one that is too long: it
// would hold a place for longer than any answer takes. What is no timeout at all stays,
// for gRPC to refuse. The result is the time that the call has.
func bound(header http.Header, most time.Duration) time.Duration {
	text := header.Get(timeoutHeader)
	given, ok := parseTimeout(text)
	if ok && given <= most {
		return given
	}
	if text != "" && !ok {
		return most
	}
	const digits = 99_999_999
	if ms := (most + time.Millisecond - 1).Milliseconds(); ms <= digits {
		header.Set(timeoutHeader, strconv.FormatInt(ms, 10)+"m")
	} else {
		header.Set(timeoutHeader, strconv.FormatInt(min(int64(most/time.Second), digits), 10)+"S")
	}
	return most
}

// timeoutUnits are gRPC's units of time.
var timeoutUnits = map[byte]time.Duration{
	'H': time.Hour, 'M': time.Minute, 'S': time.Second, 'm': time.Millisecond, 'u': time.Microsecond, 'n': time.Nanosecond,
}

func parseTimeout(text string) (d time.Duration, ok bool) {
	if len(text) < 2 || len(text) > 9 {
		return 0, false
	}
	unit, ok := timeoutUnits[text[len(text)-1]]
	n, err := strconv.ParseUint(text[:len(text)-1], 10, 32)
	if !ok || err != nil {
		return 0, false
	}
	if n > uint64(1<<63-1)/uint64(unit) {
		return 1<<63 - 1, true
	}
	return time.Duration(n) * unit, true
}
