package jpeg

// fastBits is how many bits of the data the tables are indexed with. Most codes together
// with the value that follows them are shorter; two tables for luma and chroma of this
// size still leave half of a first-level cache free.
const fastBits = 10

// endOfBlock is an advance beyond any that leads to a coefficient.
const endOfBlock = 128

// huffman decodes the codes of one table (T.81, annex C and F.2.2.3).
type huffman struct {
	// coefs tell from the next fastBits bits everything about a coefficient:
	//
	//	bits 0-7    how many bits the code and the value take; 0 if that does not fit
	//	bits 8-15   how far it is from the coefficient before, or endOfBlock
	//	bits 16-31  the value, signed
	coefs [1 << fastBits]int32
	// codes tell the code alone: its length in bits 8-15, its symbol in bits 0-7; 0 for
	// codes of more than fastBits bits.
	codes [1 << fastBits]uint16
	// limit and offset find longer codes: one of n bits is less than limit[n], which is
	// aligned to 16 bits, and its symbol is at offset[n] plus the code.
	limit   [17]uint32
	offset  [17]int32
	symbols [256]byte
}

// huffmanTables are those that scans select from (T.81, B.2.4.2).
type huffmanTables struct{ dc, ac [4]*huffman }

// define reads a DHT segment.
func (t *huffmanTables) define(s []byte) error {
	for len(s) > 0 {
		if len(s) < 17 || s[0]>>4 > 1 || s[0]&15 > 3 {
			return UnreadError("Huffman table")
		}
		n := 0
		for _, count := range s[1:17] {
			n += int(count)
		}
		if n == 0 || n > 256 || len(s) < 17+n {
			return UnreadError("Huffman table")
		}
		h := new(huffman)
		if !h.build(s[1:17], s[17:17+n]) {
			return UnreadError("Huffman table with too many codes")
		}
		if class := s[0] >> 4; class == 0 {
			t.dc[s[0]&15] = h
		} else {
			t.ac[s[0]&15] = h
		}
		s = s[17+n:]
	}
	return nil
}

// build makes the tables from the number of codes of each length and their symbols in
// ascending order (T.81, C.2). It is false where the lengths leave no prefix code.
func (h *huffman) build(counts, symbols []byte) bool {
	copy(h.symbols[:], symbols)
	code, next := uint32(0), 0
	for n := 1; n <= 16; n++ {
		h.offset[n] = int32(next) - int32(code)
		for range counts[n-1] {
			if n <= fastBits && code < 1<<n {
				h.enter(code, n, symbols[next])
			}
			code++
			next++
		}
		if code > 1<<n {
			return false
		}
		h.limit[n] = code << (16 - n)
		code <<= 1
	}
	return true
}

// enter fills the places of the fast tables that begin with a code of n bits.
func (h *huffman) enter(code uint32, n int, symbol byte) {
	run, size := int32(symbol>>4), int(symbol&15)
	rest := fastBits - n
	first := code << rest
	for i := range uint32(1) << rest {
		h.codes[first+i] = uint16(n)<<8 | uint16(symbol)
		switch {
		case symbol == 0:
			h.coefs[first+i] = endOfBlock<<8 | int32(n)
		case symbol == 0xf0: // sixteen zeros: as good as a coefficient of 0 behind fifteen
			h.coefs[first+i] = 16<<8 | int32(n)
		case size > 0 && size <= rest:
			value := extend(uint64(i)<<(64-rest), size)
			h.coefs[first+i] = value<<16 | (run+1)<<8 | int32(n+size)
		}
	}
}

// extend reads a value of size bits, 1 to 15, from the top of acc: positive if its first
// bit is set (EXTEND of T.81, F.2.2.1, figure F.12).
func extend(acc uint64, size int) int32 {
	value := int32(acc >> (64 - uint(size)))
	negative := ^(int64(acc) >> 63) // all ones where the first bit is 0
	return value + int32(negative)&(1-1<<uint(size))
}

// long finds a code of any length at the top of acc. The length is 0 where there is none.
func (h *huffman) long(acc uint64) (symbol byte, length int) {
	top := uint32(acc >> 48)
	for n := 1; n <= 16; n++ {
		if top < h.limit[n] {
			return h.symbols[byte(h.offset[n]+int32(top>>(16-n)))], n
		}
	}
	return 0, 0
}
