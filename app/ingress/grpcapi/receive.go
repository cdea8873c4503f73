package grpcapi

import (
	"context"
	"errors"
	"io"
	"time"

	"google.golang.org/grpc"

	"github.com/onda-serving/onda/app/scoring"
)

// envelope is what a message is read into: see [codec.Unmarshal].
type envelope struct {
	call    *call
	message any
	arrival arrival
	// decoded is how much was booked for the message beyond its size on the wire.
	decoded int64
	// err says why the message cannot be read. gRPC would make a status of its own of an
	// error of the codec, and send it at once.
	err error
}

// held is how much memory is booked for the message.
func (e *envelope) held() int64 { return e.arrival.size + e.decoded }

// receive reads the next message into message, within the bounds of w. At the end of the
// caller's messages the error is io.EOF. With an envelope it is about the message alone, and
// the next one can be read.
//
// It waits here and not in gRPC's RecvMsg, which would answer the caller by itself when the
// wait ends.
func (c *call) receive(stream grpc.ServerStream, message any, w *waiting) (*envelope, error) {
	e := &envelope{call: c, message: message}
	var reading chan error
	for {
		state, next, err := c.look()
		if err != nil {
			return nil, err
		}
		if reading == nil {
			e.arrival = next
		}
		if state == complete {
			break
		}
		if state == pulling && reading == nil {
			// It goes on after the handler where that gives up, and ends with the call. The
			// envelope belongs to it until then.
			reading = make(chan error, 1)
			go func() { reading <- stream.RecvMsg(e) }()
		}
		if err := w.wait(c, state != absent); err != nil {
			return nil, err
		}
	}
	if reading != nil {
		return e.read(<-reading)
	}
	return e.read(stream.RecvMsg(e))
}

// read says what became of the reading of a message that is here.
func (e *envelope) read(err error) (*envelope, error) {
	switch {
	case err == nil:
		return e, e.err
	case e.call.Err() != nil:
		return nil, scoring.AsError(e.call.Err())
	default:
		return nil, scoring.Errorf(scoring.Invalid, "the message of %s cannot be read: %s", e.call.method.name, textOf(err)).WithCause(err)
	}
}

// state is where the next message stands.
type state int

// The states of a message.
const (
	absent   state = iota // nothing of it has arrived
	arriving              // a part of it
	pulling               // a part of it, and the rest comes only to a reader
	complete              // all of it
)

// look says where the next message stands and, if enough of it is here, what it is. It takes
// one that is complete.
func (c *call) look() (state, arrival, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.failure != nil:
		return absent, arrival{}, c.failure
	case len(c.arrived) > 0:
		next := c.arrived[0]
		c.arrived = c.arrived[1:]
		return complete, next, nil
	case c.ended && c.headed == 0:
		return absent, arrival{}, io.EOF
	case c.ended && c.headed < messageHead:
		return absent, arrival{}, scoring.Errorf(scoring.Invalid, "the message is cut off within the 5 bytes of its head")
	case c.ended:
		return absent, arrival{}, scoring.Errorf(scoring.Invalid, "the message is cut off: fewer bytes arrived than its head announces")
	case c.headed == messageHead && c.missing > 0 && c.arrivingLocked().size > pulled:
		return pulling, c.arrivingLocked(), nil
	case c.headed > 0:
		return arriving, arrival{}, nil
	default:
		return absent, arrival{}, nil
	}
}

// waiting bounds the wait for a message.
type waiting struct {
	// most is how long a message may take from its first byte to its last.
	most time.Duration
	// idle says that there may be no message for any time; otherwise most counts for its
	// beginning too.
	idle bool
	// since is when that time began; zero for the first byte.
	since time.Time
	// until is what ends an idle wait; nil for nothing.
	until func() error

	timer *time.Timer
}

// wait waits for a change. begun says that a part of the message is here.
func (w *waiting) wait(c *call, begun bool) error {
	if w.idle && !begun {
		return w.waitIdle(c)
	}
	if w.timer == nil {
		if w.since.IsZero() {
			w.since = time.Now()
		}
		w.timer = time.NewTimer(max(w.most-time.Since(w.since), 0))
	}
	select {
	case <-c.wake:
		return nil
	case <-w.timer.C:
		return w.expired(nil)
	case <-c.Done():
		if errors.Is(c.Err(), context.DeadlineExceeded) {
			return w.expired(c.Err())
		}
		return scoring.AsError(c.Err())
	}
}

func (w *waiting) expired(cause error) error {
	return scoring.Errorf(scoring.Expired, "the message did not arrive within %s", w.most.Round(time.Millisecond)).WithCause(cause)
}

// waitIdle waits while there is no message, and looks from time to time whether the wait
// is to end.
func (w *waiting) waitIdle(c *call) error {
	if err := w.until(); err != nil {
		return err
	}
	tick := time.NewTimer(watchInterval)
	defer tick.Stop()
	select {
	case <-c.wake:
		return nil
	case <-tick.C:
		return nil
	case <-c.Done():
		return scoring.AsError(c.Err())
	}
}

// stop ends the wait's timer.
func (w *waiting) stop() {
	if w.timer != nil {
		w.timer.Stop()
		w.timer = nil
	}
}
