package jpeg

import "encoding/binary"

// bits reads coded data from which the stuffed bytes are gone.
type bits struct {
	buf []byte // with padding behind it
	pos int    // bytes taken into acc
	acc uint64 // the next bits, the first one topmost
	n   int    // bits of acc that count; those below are right too, or 0
}

// fill takes in bytes until at least 56 bits are there. Seven bytes are counted at most,
// and the rest of the eighth is read again the next time: it then meets its own bits.
func (b *bits) fill() {
	b.acc |= binary.BigEndian.Uint64(b.buf[b.pos:]) >> uint(b.n)
	b.pos += (63 - b.n) >> 3
	b.n |= 56
}

// used is how many bits of buf have been read.
func (b *bits) used() int { return 8*b.pos - b.n }

// seek goes to the byte at pos.
func (b *bits) seek(pos int) { b.pos, b.acc, b.n = pos, 0, 0 }

// overrun says that more has been read than there is; what was read then is not the
// file's. After each block there is padding enough for another, if this is false.
func (b *bits) overrun() bool { return b.pos > len(b.buf)-padding+8 }

// take reads n bits, 1 to 16. 16 must be there.
func (b *bits) take(n int) uint32 {
	v := uint32(b.acc >> (64 - uint(n)))
	b.acc <<= uint(n)
	b.n -= n
	return v
}

// symbol reads a code. 16 bits must be there.
func (b *bits) symbol(h *huffman) (byte, bool) {
	c := h.codes[b.acc>>(64-fastBits)]
	symbol, n := byte(c), int(c>>8)
	if n == 0 {
		if symbol, n = h.long(b.acc); n == 0 {
			return 0, false
		}
	}
	b.acc <<= uint(n)
	b.n -= n
	return symbol, true
}

// dc reads the difference of a DC coefficient to the one before (T.81, F.2.2.1).
func (b *bits) dc(h *huffman) (int32, bool) {
	if b.n < 32 {
		b.fill()
	}
	size, ok := b.symbol(h)
	if !ok || size > 15 {
		return 0, false
	}
	if size == 0 {
		return 0, true
	}
	value := extend(b.acc, int(size))
	b.acc <<= uint(size)
	b.n -= int(size)
	return value, true
}

// bigEndian reads the eight bytes at pos.
func bigEndian(buf []byte, pos int) uint64 { return binary.BigEndian.Uint64(buf[pos:]) }
