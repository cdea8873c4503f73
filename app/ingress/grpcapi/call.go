package grpcapi

import (
	"context"
	"encoding/binary"
	"sync"
	"sync/atomic"
	"time"

	"github.com/onda-serving/onda/app/scoring"
	"github.com/onda-serving/onda/app/telemetry/spans"
)

const (
	// messageHead is the number of bytes in front of a message: a flag and the length.
	messageHead = 5
	// streamWindow is how much of a stream gRPC takes in before anybody reads it.
	streamWindow = 64 << 10
	// pulled is the size from which a message may not fit into the window, so that somebody
	// has to be reading for all of it to arrive.
	pulled = streamWindow / 2
)

// call follows a call from its headers to its answer. It is the context of the call.
//
// The connection's reader tells it what arrives ([call.arrive], [call.end]), its handler
// waits for messages ([call.next]).
type call struct {
	context.Context //nolint:containedctx // a call is a context: one thing less to make for each

	server *Server
	method *method
	conn   *conn
	stream uint32
	start  time.Time
	// caller is the app that the sidecar says is calling, and key what that app wants to be
	// told apart by.
	caller, key string
	lane        string
	// strict says that a failed request ends its stream.
	strict bool
	// span is that of the call, or of none for a stream, whose requests have their own.
	span spans.Span
	// traceparent and tracestate are its metadata of these names.
	traceparent, tracestate string
	// deadline is when its time is over; shortened says that its context goes on for longer.
	deadline  time.Time
	shortened bool
	// begun is set by whoever ends the call: its handler, or its connection.
	begun atomic.Bool
	// answered is when its handler was done; conn guards it.
	answered time.Time

	// wake is signalled after every change of the fields below.
	wake chan struct{}

	mu sync.Mutex
	// head is that of the message that is arriving; headed counts its bytes.
	head   [messageHead]byte
	headed int
	// missing is how much of the message is still to come.
	missing int64
	// arrived are messages that can be read, in order.
	arrived []arrival
	// ended says that the caller sends no more.
	ended bool
	// held is how much of the server's memory for messages the call has booked.
	held    int64
	failure *scoring.Error
}

// arrival is a message whose head has arrived.
type arrival struct {
	size       int64
	compressed bool
}

type callKey struct{}

// callOf finds the call of a context. Contexts of no call get one that nobody follows.
func callOf(ctx context.Context) *call {
	if c, ok := ctx.Value(callKey{}).(*call); ok {
		return c
	}
	return &call{Context: ctx, start: time.Now()}
}

// Value implements context.Context.
func (c *call) Value(key any) any {
	if key == (callKey{}) {
		return c
	}
	return c.Context.Value(key)
}

// arrive books a piece of the call's data and follows its messages. It comes from the
// connection's reader, before gRPC has the piece.
func (c *call) arrive(piece []byte) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.takeLocked(int64(len(piece))) {
		return
	}
	for len(piece) > 0 && c.failure == nil {
		if c.headed < messageHead {
			n := copy(c.head[c.headed:], piece)
			piece = piece[n:]
			if c.headed += n; c.headed == messageHead {
				c.announceLocked(int64(binary.BigEndian.Uint32(c.head[1:])))
			}
			continue
		}
		n := min(int64(len(piece)), c.missing)
		piece = piece[n:]
		if c.missing -= n; c.missing == 0 {
			c.completeLocked()
		}
	}
}

// announceLocked takes the size that a message's head gives. It is a claim: nothing is
// booked for it, but a claim of too much is refused here.
func (c *call) announceLocked(size int64) {
	c.missing = size
	switch {
	case size > c.server.limit(c.method):
		c.failLocked(c.server.tooLarge(c.method, size))
	case size == 0:
		c.completeLocked()
	case size > pulled:
		c.signal()
	}
}

func (c *call) completeLocked() {
	c.arrived = append(c.arrived, c.arrivingLocked())
	c.headed = 0
	c.signal()
}

func (c *call) arrivingLocked() arrival {
	return arrival{size: int64(binary.BigEndian.Uint32(c.head[1:])) + messageHead, compressed: c.head[0] == 1}
}

// end notes that the caller sends no more.
func (c *call) end() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.ended = true
	c.signal()
}

func (c *call) signal() {
	select {
	case c.wake <- struct{}{}:
	default: // a signal that nobody has taken says the same
	}
}

// take books n bytes of memory and says whether there was room for them.
func (c *call) take(n int64) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.takeLocked(n)
}

func (c *call) takeLocked(n int64) bool {
	if c.failure != nil {
		return false // what is booked now would stay booked
	}
	c.held += n
	if c.server.parts.Bodies.Take(n) {
		return true
	}
	c.failLocked(overloaded())
	return false
}

// free gives back n bytes, or all that the call holds if there are fewer.
func (c *call) free(n int64) {
	c.mu.Lock()
	n = min(n, c.held)
	c.held -= n
	c.mu.Unlock()
	c.server.parts.Bodies.Free(n)
}

func overloaded() *scoring.Error {
	return scoring.Errorf(scoring.Overloaded, "the server holds as many request messages as it may: try again").WithRetryAfter(time.Second).WithReason(scoring.ReasonBodies)
}

func (c *call) failLocked(err *scoring.Error) {
	if c.failure == nil {
		c.failure = err
	}
	c.signal()
}

// claim says whether the caller of claim is the one who ends the call.
func (c *call) claim() bool { return c.begun.CompareAndSwap(false, true) }

// finish gives back what the call holds and notes its end. Whoever has claimed the call
// calls it once.
func (c *call) finish(err error) {
	c.mu.Lock()
	held := c.held
	c.held = 0
	c.failure = gone // what arrives from now on is nobody's
	c.mu.Unlock()
	c.server.parts.Bodies.Free(held)
	c.server.answered(c, err)
}

// gone is the failure of a call that is over.
var gone = scoring.Errorf(scoring.Canceled, "the call is over")
