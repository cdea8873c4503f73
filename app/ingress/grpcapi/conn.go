package grpcapi

import (
	"bufio"
	"errors"
	"net"
	"os"
	"sync"
	"time"

	"google.golang.org/grpc/credentials"

	"github.com/onda-serving/onda/app/scoring"
)

const (
	// readBuffer is how much is read from a connection at once. It is ours and not gRPC's,
	// so that no byte of a frame passes here before gRPC asks for that frame.
	readBuffer = 32 << 10
	// sweepFrom is the number of open calls of a connection from which it is worth looking
	// for those that gRPC ended without us.
	sweepFrom = 256
)

// conn is a connection whose frames are followed on their way from and to gRPC, so that the
// memory of messages is booked, and what may not arrive is refused, before gRPC holds it;
// and so that an answer that its caller does not read is broken off.
//
// gRPC reads a frame and acts on it in the same goroutine, and it reads from here directly.
// So when it asks [Server.tap] about a call, that call is the one of the latest HEADERS
// frame that passed.
type conn struct {
	net.Conn

	reader   *bufio.Reader
	in, out  frames
	patience time.Duration
	// stream is that of the latest HEADERS frame, and over says that it has no data.
	stream uint32
	over   bool
	// injected is what gRPC reads next as if the caller had sent it.
	injected []byte

	mu    sync.Mutex
	calls map[uint32]*call
	// sweepAt is the number of calls at which the next sweep is due.
	sweepAt int
	// watching says that a look at answers that do not leave is due.
	watching bool
	// broken are streams to be broken off, and woken says that the reader was woken for it.
	broken []uint32
	woken  bool
}

func newConn(raw net.Conn, patience time.Duration) *conn {
	c := &conn{Conn: raw, reader: bufio.NewReaderSize(raw, readBuffer), patience: patience, calls: map[uint32]*call{}, sweepAt: sweepFrom}
	c.in = frames{
		preface: prefaceSize,
		opened:  func(stream uint32, last bool) { c.stream, c.over = stream, last },
		data: func(stream uint32, piece []byte) {
			if call := c.find(stream); call != nil {
				call.arrive(piece)
			}
		},
		ended: func(stream uint32) {
			if call := c.find(stream); call != nil {
				call.end()
			}
		},
		reset: c.remove,
	}
	c.out = frames{
		opened: func(stream uint32, last bool) {
			if last {
				c.remove(stream)
			}
		},
		reset: c.remove,
	}
	return c
}

// Read implements net.Conn.
func (c *conn) Read(b []byte) (int, error) {
	for {
		if len(c.injected) > 0 || c.inject() {
			n := copy(b, c.injected)
			c.injected = c.injected[n:]
			return n, nil
		}
		n, err := c.reader.Read(b)
		if n == 0 && errors.Is(err, os.ErrDeadlineExceeded) && c.waken() {
			continue
		}
		c.in.follow(b[:n])
		return n, err
	}
}

// Write implements net.Conn.
func (c *conn) Write(b []byte) (int, error) {
	c.out.follow(b)
	return c.Conn.Write(b)
}

// Close implements net.Conn.
func (c *conn) Close() error {
	err := c.Conn.Close()
	c.sweep(true)
	return err
}

// AuthType implements credentials.AuthInfo, which is how gRPC hands a call its connection.
func (*conn) AuthType() string { return "plaintext" }

func (c *conn) find(stream uint32) *call {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.calls[stream]
}

// add puts a call under the stream that has just been opened.
func (c *conn) add(call *call) {
	call.conn, call.stream, call.ended = c, c.stream, c.over
	c.mu.Lock()
	c.calls[c.stream] = call
	due := len(c.calls) >= c.sweepAt
	c.mu.Unlock()
	if due {
		c.sweep(false)
	}
}

// remove forgets a call whose last frame has passed. One that nobody has begun was answered
// by gRPC itself.
func (c *conn) remove(stream uint32) {
	c.mu.Lock()
	call := c.calls[stream]
	delete(c.calls, stream)
	c.mu.Unlock()
	if call != nil && call.claim() {
		call.finish(refusedByTransport(call))
	}
}

// sweep ends the calls that will not begin: those whose time was over before gRPC looked at
// them or, with all, those of a connection that is gone.
func (c *conn) sweep(all bool) {
	c.mu.Lock()
	var stale []*call
	for stream, call := range c.calls {
		if all || call.Err() != nil && !call.begun.Load() {
			stale = append(stale, call)
			delete(c.calls, stream)
		}
	}
	c.sweepAt = max(sweepFrom, 2*len(c.calls))
	c.mu.Unlock()
	for _, call := range stale {
		if call.claim() {
			call.finish(refusedByTransport(call))
		}
	}
}

// refusedByTransport is the error of a call that never came to us.
func refusedByTransport(c *call) error {
	if e := scoring.AsError(c.Err()); e != nil && e.Code == scoring.Expired {
		return e
	}
	return scoring.Errorf(scoring.Invalid, "the call does not follow the protocol, or its caller broke it off at once")
}

// leaving notes that the answer of a call waits to leave. Flow control lets a caller that
// does not read hold it for ever.
func (c *conn) leaving(call *call) {
	c.mu.Lock()
	defer c.mu.Unlock()
	call.answered = time.Now()
	if !c.watching {
		c.watching = true
		time.AfterFunc(c.patience, c.look)
	}
}

// look breaks off the streams whose answers have waited for too long.
func (c *conn) look() {
	c.mu.Lock()
	c.watching = false
	defer c.mu.Unlock()
	oldest := time.Duration(-1)
	for stream, call := range c.calls {
		if call.answered.IsZero() {
			continue
		}
		waited := time.Since(call.answered)
		if waited >= c.patience {
			call.answered = time.Time{}
			c.breakOffLocked(stream)
			continue
		}
		oldest = max(oldest, waited)
	}
	if oldest >= 0 {
		c.watching = true
		time.AfterFunc(c.patience-oldest, c.look)
	}
}

// breakOff ends a stream whose answers its caller does not read.
func (c *conn) breakOff(stream uint32) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.breakOffLocked(stream)
}

func (c *conn) breakOffLocked(stream uint32) {
	c.broken = append(c.broken, stream)
	if !c.woken {
		// The reader waits for the caller: this ends the wait.
		c.woken = true
		_ = c.Conn.SetReadDeadline(time.Unix(1, 0))
	}
}

// inject makes gRPC read that the caller broke the protocol on the streams to be broken
// off: it has no other way to drop an answer that its handler has given.
func (c *conn) inject() bool {
	if !c.in.between() {
		return false
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, stream := range c.broken {
		c.injected = append(c.injected, brokenFrame(stream)...)
	}
	c.broken = nil
	return len(c.injected) > 0
}

// waken says that a read ended only because streams are to be broken off.
func (c *conn) waken() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	woken := c.woken
	c.woken = false
	return woken && c.Conn.SetReadDeadline(time.Time{}) == nil
}

// handshake puts a [conn] around every connection. gRPC knows it as the credentials of the
// server; the connection stays as it is: encryption is the sidecar's.
type handshake struct {
	credentials.TransportCredentials

	patience time.Duration
}

// ServerHandshake implements credentials.TransportCredentials.
func (h handshake) ServerHandshake(raw net.Conn) (net.Conn, credentials.AuthInfo, error) {
	c := newConn(raw, h.patience)
	return c, c, nil
}

// Clone implements credentials.TransportCredentials.
func (h handshake) Clone() credentials.TransportCredentials { return h }
