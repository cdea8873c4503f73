package grpcapi

import "encoding/binary"

// The parts of HTTP/2 that are looked at or written here: RFC 9113, sections 3.4, 4.1 and 6.
const (
	prefaceSize       = 24
	frameHead         = 9
	frameData         = 0x0
	frameHeaders      = 0x1
	frameReset        = 0x3
	frameWindowUpdate = 0x8
	frameContinuation = 0x9
	flagEndStream     = 0x1
	flagEndHeaders    = 0x4
	flagPadded        = 0x8
)

// frames follows the frames of one direction of a connection, without keeping any of them.
// It hears of every byte in the order of passing and in pieces of any size.
type frames struct {
	// opened is called for the head of a HEADERS frame; last says that it ends its side of
	// the stream.
	opened func(stream uint32, last bool)
	// data is called for each piece of a stream's data, padding left out.
	data func(stream uint32, piece []byte)
	// ended is called when a stream's data is over.
	ended func(stream uint32)
	// reset is called for a stream that is broken off.
	reset func(stream uint32)

	// preface is how much of the connection's greeting has not passed.
	preface int
	head    [frameHead]byte
	// headed counts the bytes of head that have passed, left those of the payload that have
	// not, of which the last padding are padding.
	headed, left, padding int
	// padded says that the payload begins with the number of bytes of padding.
	padded bool
	// continued says that the next frame goes on with a list of headers.
	continued bool
}

// follow takes the next bytes.
func (f *frames) follow(b []byte) {
	n := min(len(b), f.preface)
	f.preface -= n
	for b = b[n:]; len(b) > 0; b = b[n:] {
		if f.headed < frameHead {
			n = copy(f.head[f.headed:], b)
			f.begin(n)
		} else {
			n = min(len(b), f.left)
			f.payload(b[:n])
		}
	}
}

// between says that another frame could stand before the next byte.
func (f *frames) between() bool { return f.preface == 0 && f.headed == 0 && !f.continued }

func (f *frames) kind() byte         { return f.head[3] }
func (f *frames) has(flag byte) bool { return f.head[4]&flag != 0 }
func (f *frames) stream() uint32     { return binary.BigEndian.Uint32(f.head[5:]) &^ (1 << 31) }
func (f *frames) length() int        { return int(f.head[0])<<16 | int(f.head[1])<<8 | int(f.head[2]) }

// begin takes n more bytes of a frame's head.
func (f *frames) begin(n int) {
	if f.headed += n; f.headed < frameHead {
		return
	}
	f.left, f.padding = f.length(), 0
	f.padded = f.kind() == frameData && f.has(flagPadded)
	switch f.kind() {
	case frameHeaders:
		f.continued = !f.has(flagEndHeaders)
		f.opened(f.stream(), f.has(flagEndStream))
	case frameContinuation:
		f.continued = !f.has(flagEndHeaders)
	case frameReset:
		f.reset(f.stream())
	}
	f.finish()
}

// payload takes the next bytes of a frame's payload.
func (f *frames) payload(b []byte) {
	f.left -= len(b)
	if f.kind() == frameData && f.data != nil {
		if f.padded {
			// More padding than payload is for gRPC to refuse; it is none of the data.
			f.padding, f.padded, b = int(b[0]), false, b[1:]
		}
		if own := f.left + len(b) - f.padding; own > 0 && len(b) > 0 {
			f.data(f.stream(), b[:min(own, len(b))])
		}
	}
	f.finish()
}

// finish ends the frame if all of it has passed.
func (f *frames) finish() {
	if f.left > 0 {
		return
	}
	f.headed = 0
	if f.kind() == frameData && f.has(flagEndStream) && f.ended != nil {
		f.ended(f.stream())
	}
}

// brokenFrame is a frame that no caller may send, so that whoever reads it breaks its
// stream off: a window that grows by nothing.
func brokenFrame(stream uint32) []byte {
	const payload = 4
	frame := make([]byte, frameHead+payload)
	frame[2], frame[3] = payload, frameWindowUpdate
	binary.BigEndian.PutUint32(frame[5:], stream)
	return frame
}
