package mux

import (
	"bufio"
	"errors"
	"io"
	"net"

	"golang.org/x/net/http2"
)

// replayed is a connection whose first bytes were read before.
type replayed struct {
	net.Conn

	head []byte
}

// Read implements net.Conn.
func (c *replayed) Read(b []byte) (int, error) {
	if len(c.head) == 0 {
		return c.Conn.Read(b)
	}
	n := copy(b, c.head)
	if c.head = c.head[n:]; len(c.head) == 0 {
		c.head = nil // it may be large
	}
	return n, nil
}

// CloseWrite ends the sending side. net/http does so when it refuses a request before it has
// read all of it: a caller that is still sending would otherwise meet a reset, and lose the
// answer.
func (c *replayed) CloseWrite() error {
	half, ok := c.Conn.(interface{ CloseWrite() error })
	if !ok {
		return errors.ErrUnsupported
	}
	return half.CloseWrite()
}

// frameHead is the size of a frame's head: its length, type, flags and stream.
const frameHead = 9

// unacknowledged is an HTTP/2 connection without its caller's first acknowledgement of
// settings: that is for the settings of the mux, and net/http counts those of its own.
type unacknowledged struct {
	net.Conn

	reader *bufio.Reader
	// left is how much there is of what passes before the next frame.
	left int
	done bool
}

func newUnacknowledged(conn net.Conn) *unacknowledged {
	return &unacknowledged{Conn: conn, reader: bufio.NewReader(conn), left: len(http2.ClientPreface)}
}

// Read implements net.Conn.
func (c *unacknowledged) Read(b []byte) (int, error) {
	if !c.done && c.left == 0 {
		if err := c.next(); err != nil {
			return 0, err
		}
	}
	if c.done {
		if c.reader.Buffered() > 0 {
			return c.reader.Read(b)
		}
		return c.Conn.Read(b)
	}
	n, err := c.reader.Read(b[:min(len(b), c.left)])
	c.left -= n
	return n, err
}

// next looks at the head of the next frame, and drops the frame if it is the one.
func (c *unacknowledged) next() error {
	head, err := c.reader.Peek(frameHead)
	if err != nil {
		if len(head) > 0 && err == io.EOF {
			err = io.ErrUnexpectedEOF
		}
		return err
	}
	if http2.FrameType(head[3]) == http2.FrameSettings && http2.Flags(head[4]).Has(http2.FlagSettingsAck) {
		c.done = true
		_, err = c.reader.Discard(frameHead)
		return err
	}
	c.left = frameHead + (int(head[0])<<16 | int(head[1])<<8 | int(head[2]))
	return nil
}
