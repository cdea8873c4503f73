package jpeg

import "sync"

// keptBytes is the largest buffer that is kept for the next picture. It holds the planes
// and coded data of all but the largest photos, and the coefficients of a progressive one
// of a megapixel; without a bound, one large picture would hold memory for ever.
const keptBytes = 4 << 20

// coefs are the coefficients of a block, not dequantised.
type coefs struct {
	present uint64           // bit k is set if coefficient k is not zero; not kept for 0
	values  [blockArea]int16 // in zigzag order
}

// coefsBytes is what a block takes.
const coefsBytes = 2*blockArea + 8

// memory is what decoding needs besides the tables. It is used by one picture at a time
// and then by the next.
type memory struct {
	coded  []byte
	ends   []int
	pix    []byte
	stored []coefs
}

var memories = sync.Pool{New: func() any { return new(memory) }}

func takeMemory() *memory { return memories.Get().(*memory) }

// release gives m back, without what is too large to keep.
func (m *memory) release() {
	if cap(m.coded) > keptBytes {
		m.coded = nil
	}
	if cap(m.ends)*8 > keptBytes {
		m.ends = nil
	}
	if cap(m.pix) > keptBytes {
		m.pix = nil
	}
	if cap(m.stored)*coefsBytes > keptBytes {
		m.stored = nil
	}
	memories.Put(m)
}

// bytes gives n bytes with whatever they held before.
func (m *memory) bytes(n int) []byte {
	if cap(m.pix) < n {
		m.pix = make([]byte, n)
	}
	return m.pix[:n]
}

// coefficients gives n blocks of zeros.
func (m *memory) coefficients(n int) []coefs {
	if cap(m.stored) < n {
		m.stored = make([]coefs, n)
		return m.stored
	}
	clear(m.stored[:n])
	return m.stored[:n]
}
