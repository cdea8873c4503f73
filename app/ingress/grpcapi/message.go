package grpcapi

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"os"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/onda-serving/onda/app/scoring"
)

// messageHead is the number of bytes in front of a message: a flag and the length.
const messageHead = 5

// readMessage checks the size of the message before the message itself is read, and
// makes its end the end of the body: gRPC goes on reading a body while a call runs, and
// would hold whatever a caller sends after its message.
func (s *Server) readMessage(w http.ResponseWriter, r *http.Request) (release func(), err error) {
	release = func() {}
	control := http.NewResponseController(w)
	// Not every connection has deadlines (tests, other listeners): the budget holds there.
	_ = control.SetReadDeadline(time.Now().Add(s.config.ReadTimeout))
	var head [messageHead]byte
	if _, err := io.ReadFull(r.Body, head[:]); err != nil {
		return release, s.headError(r, err)
	}
	_ = control.SetReadDeadline(time.Time{})
	size := int64(head[1])<<24 | int64(head[2])<<16 | int64(head[3])<<8 | int64(head[4])
	if size > s.config.MaxBody {
		return release, scoring.Errorf(scoring.TooLarge, "the message is too large: at most %d bytes are allowed (ONDA_MAX_BODY), got %d", s.config.MaxBody, size)
	}
	release = func() { s.bodies.free(size) }
	if !s.bodies.take(size) {
		return release, scoring.Errorf(scoring.Overloaded, "the server holds as many request messages as it may: try again").WithRetryAfter(time.Second)
	}
	r.Body = message{Reader: io.MultiReader(bytes.NewReader(head[:]), io.LimitReader(r.Body, size)), Closer: r.Body}
	return release, nil
}

// headError says why a message did not begin.
func (s *Server) headError(r *http.Request, err error) error {
	switch {
	case errors.Is(err, os.ErrDeadlineExceeded):
		return scoring.Errorf(scoring.Expired, "the message did not begin within %s", s.config.ReadTimeout).WithCause(err)
	case r.Context().Err() != nil:
		return scoring.AsError(r.Context().Err())
	default:
		return scoring.Errorf(scoring.Invalid, "the call has no message: want exactly one").WithCause(err)
	}
}

// message is a body that ends with its first message.
type message struct {
	io.Reader
	io.Closer
}

// concurrentBodies is how many messages of the largest size may be in memory at once.
// They are read before the gate, so without this bound a few callers with large messages
// could take all memory.
const concurrentBodies = 8

// bodyBudget counts the bytes of messages in memory.
type bodyBudget struct {
	limit int64
	used  atomic.Int64
}

// take adds n bytes and says whether they fit.
func (b *bodyBudget) take(n int64) bool { return b.used.Add(n) <= b.limit }

// free gives n bytes back.
func (b *bodyBudget) free(n int64) { b.used.Add(-n) }

// timeoutHeader is how gRPC carries a deadline: up to eight digits and a unit.
const timeoutHeader = "Grpc-Timeout"

// bound gives a call that has no deadline one, and shortens one that is too long: it
// would hold a place for longer than any answer takes. Doing so in the header makes it
// hold for everything that gRPC does, the arrival of the message included. What is no
// timeout at all stays, for gRPC to refuse.
func bound(header http.Header, most time.Duration) {
	text := header.Get(timeoutHeader)
	given, ok := parseTimeout(text)
	if text != "" && (!ok || given <= most) {
		return
	}
	const digits = 99_999_999
	if ms := (most + time.Millisecond - 1).Milliseconds(); ms <= digits {
		header.Set(timeoutHeader, strconv.FormatInt(ms, 10)+"m")
		return
	}
	header.Set(timeoutHeader, strconv.FormatInt(min(int64(most/time.Second), digits), 10)+"S")
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
