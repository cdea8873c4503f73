package load

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"

	"github.com/onda-serving/onda/tests/bench/stats"
)

// The frames of HTTP/2 that a unary call meets, and their flags.
const (
	frameData         = 0x0
	frameHeaders      = 0x1
	frameReset        = 0x3
	frameSettings     = 0x4
	framePing         = 0x6
	frameGoAway       = 0x7
	frameWindowUpdate = 0x8
	frameContinuation = 0x9

	flagEndStream  = 0x1
	flagAck        = 0x1
	flagEndHeaders = 0x4

	frameHead    = 9
	maxFrame     = 16 << 10 // what every peer takes without asking
	firstWindow  = 64<<10 - 1
	settingTable = 0x1
	settingPush  = 0x2
	settingFirst = 0x4
	wide         = 1 << 30 // a window that one call never fills
)

// grpcClient is as much of gRPC as one unary call that never changes needs, one call at
// a time on a connection. It does not read the headers of answers, so it knows an answer
// by its message: a call that failed has none.
type grpcClient struct {
	address string
	headers []byte // the header block
	message []byte // with the five bytes before it that gRPC wants
	conn    net.Conn
	in      *bufio.Reader
	out     []byte
	stream  uint32
	// window is what the server still takes on the connection; first on a new stream.
	window, first int
	// eaten is what was read and the server was not told of yet.
	eaten int
}

func newGRPCClient(r Request) *grpcClient {
	pairs := [][2]string{
		{":method", "POST"},
		{":scheme", "http"},
		{":path", r.Path},
		{":authority", r.Address},
		{"content-type", "application/grpc"},
		{"te", "trailers"},
	}
	for _, name := range sortedNames(r.Headers) {
		pairs = append(pairs, [2]string{name, r.Headers[name]})
	}
	c := &grpcClient{address: r.Address}
	for _, p := range pairs {
		c.headers = appendLiteral(c.headers, p[0], p[1])
	}
	c.message = append(binary.BigEndian.AppendUint32([]byte{0}, uint32(len(r.Body))), r.Body...)
	return c
}

// appendLiteral adds a header that no table remembers, so that the same bytes always
// mean the same.
func appendLiteral(b []byte, name, value string) []byte {
	b = append(b, 0)
	b = append(appendLength(b, len(name)), name...)
	return append(appendLength(b, len(value)), value...)
}

// appendLength adds a length as HPACK has it, with a prefix of seven bits.
func appendLength(b []byte, n int) []byte {
	const most = 127
	if n < most {
		return append(b, byte(n))
	}
	b = append(b, most)
	for n -= most; n >= 128; n >>= 7 {
		b = append(b, byte(n)|128)
	}
	return append(b, byte(n))
}

func (c *grpcClient) close() {
	if c.conn != nil {
		_ = c.conn.Close()
		c.conn = nil
	}
}

// do implements client.
func (c *grpcClient) do() (stats.Outcome, error) {
	ok, err := c.call()
	if err != nil {
		c.close()
		return stats.Failed, err
	}
	if !ok {
		return stats.Failed, errors.New("the call failed")
	}
	return stats.OK, nil
}

// connect opens the connection and says what is wanted of it: no table of headers that
// an answer would depend on, and wide windows.
func (c *grpcClient) connect() (err error) {
	if c.conn, err = dial(c.address); err != nil {
		return err
	}
	c.in = bufio.NewReaderSize(c.conn, 32<<10)
	c.stream, c.window, c.first, c.eaten = 1, firstWindow, firstWindow, 0
	b := []byte("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
	b = appendFrame(b, frameSettings, 0, 0, 3*6)
	for _, s := range [][2]uint32{{settingTable, 0}, {settingPush, 0}, {settingFirst, wide}} {
		b = binary.BigEndian.AppendUint32(binary.BigEndian.AppendUint16(b, uint16(s[0])), s[1])
	}
	b = appendFrame(b, frameWindowUpdate, 0, 0, 4)
	b = binary.BigEndian.AppendUint32(b, wide)
	_, err = c.conn.Write(b)
	return err
}

// appendFrame adds the head of a frame.
func appendFrame(b []byte, kind, flags byte, stream uint32, length int) []byte {
	b = append(b, byte(length>>16), byte(length>>8), byte(length), kind, flags)
	return binary.BigEndian.AppendUint32(b, stream)
}

// call makes the call; ok says whether a message came back.
func (c *grpcClient) call() (ok bool, err error) {
	if c.conn == nil {
		if err := c.connect(); err != nil {
			return false, err
		}
	}
	id := c.stream
	c.stream += 2
	c.out = appendFrame(c.out[:0], frameHeaders, flagEndHeaders, id, len(c.headers))
	c.out = append(c.out, c.headers...)
	answered, ended := false, false
	left, window := c.message, c.first
	for len(left) > 0 && !ended {
		n := min(len(left), c.window, window, maxFrame)
		if n > 0 {
			flags := byte(0)
			if n == len(left) {
				flags = flagEndStream
			}
			c.out = append(appendFrame(c.out, frameData, flags, id, n), left[:n]...)
			left, c.window, window = left[n:], c.window-n, window-n
			continue
		}
		// The server has to make room first.
		if err := c.flush(); err != nil {
			return false, err
		}
		e, err := c.read(id)
		if err != nil {
			return false, err
		}
		window += e.room
		answered, ended = answered || e.data, ended || e.end
	}
	if err := c.flush(); err != nil {
		return false, err
	}
	for !ended {
		e, err := c.read(id)
		if err != nil {
			return false, err
		}
		answered, ended = answered || e.data, e.end
	}
	return answered, nil
}

func (c *grpcClient) flush() error {
	if len(c.out) == 0 {
		return nil
	}
	_, err := c.conn.Write(c.out)
	c.out = c.out[:0]
	return err
}

// event is what a frame means for the call.
type event struct {
	data, end bool
	room      int
}

// read reads one frame and answers those that want an answer.
func (c *grpcClient) read(id uint32) (event, error) {
	head, err := c.in.Peek(frameHead)
	if err != nil {
		return event{}, err
	}
	length := int(head[0])<<16 | int(head[1])<<8 | int(head[2])
	kind, flags := head[3], head[4]
	stream := binary.BigEndian.Uint32(head[5:]) &^ (1 << 31)
	mine := stream == id
	_, _ = c.in.Discard(frameHead) // it is in the buffer
	var e event
	switch kind {
	case frameData:
		e = event{data: mine && length > 0, end: mine && flags&flagEndStream != 0}
		c.eat(length)
	case frameHeaders, frameContinuation:
		e.end = mine && flags&flagEndStream != 0
	case frameReset:
		e.end = mine
	case frameWindowUpdate:
		return c.widen(stream, id)
	case frameSettings:
		return event{}, c.settings(flags, length)
	case framePing:
		return event{}, c.pong(flags, length)
	case frameGoAway:
		return event{}, errors.New("the server ended the connection")
	}
	_, err = c.in.Discard(length)
	return e, err
}

// eat counts what was read, and gives the window back before it is used up.
func (c *grpcClient) eat(n int) {
	if c.eaten += n; c.eaten > wide/2 {
		c.out = binary.BigEndian.AppendUint32(appendFrame(c.out, frameWindowUpdate, 0, 0, 4), uint32(c.eaten))
		c.eaten = 0
	}
}

// widen reads how much more the server takes: on the connection, or on the call's stream.
// News of streams that are over does not matter any more.
func (c *grpcClient) widen(stream, id uint32) (e event, err error) {
	var b [4]byte
	if _, err := io.ReadFull(c.in, b[:]); err != nil {
		return event{}, err
	}
	switch n := int(binary.BigEndian.Uint32(b[:])); stream {
	case 0:
		c.window += n
	case id:
		e.room = n
	}
	return e, nil
}

// settings reads the server's settings and acknowledges them.
func (c *grpcClient) settings(flags byte, length int) error {
	for ; length >= 6; length -= 6 {
		var b [6]byte
		if _, err := io.ReadFull(c.in, b[:]); err != nil {
			return err
		}
		if binary.BigEndian.Uint16(b[:]) == settingFirst {
			c.first = int(binary.BigEndian.Uint32(b[2:]))
		}
	}
	if flags&flagAck == 0 {
		c.out = appendFrame(c.out, frameSettings, flagAck, 0, 0)
	}
	return c.flush()
}

// pong answers a ping, by which servers measure the connection.
func (c *grpcClient) pong(flags byte, length int) error {
	if length != 8 {
		return fmt.Errorf("a ping of %d bytes", length)
	}
	var b [8]byte
	if _, err := io.ReadFull(c.in, b[:]); err != nil {
		return err
	}
	if flags&flagAck != 0 {
		return nil
	}
	c.out = append(appendFrame(c.out, framePing, flagAck, 0, 8), b[:]...)
	return c.flush()
}
