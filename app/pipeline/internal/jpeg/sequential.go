package jpeg

import "context"

// block holds dequantised coefficients in natural order: row by row, each row one
// vertical frequency.
type block [blockArea]int32

// unzig is the place in a block of each coefficient of the file (T.81, figure A.6). The
// places behind stand for a run that leads out of the block.
var unzig = [blockArea]uint8{
	0, 1, 8, 16, 9, 2, 3, 10, 17, 24, 32, 25, 18, 11, 4, 5,
	12, 19, 26, 33, 40, 48, 41, 34, 27, 20, 13, 6, 7, 14, 21, 28,
	35, 42, 49, 56, 57, 50, 43, 36, 29, 22, 15, 23, 30, 37, 44, 51,
	58, 59, 52, 45, 38, 31, 39, 46, 53, 60, 61, 54, 47, 55, 62, 63,
}

// wildBits find coefficients beyond +-4096, four times what 8-bit samples can give. Only
// damaged or hostile files have them, and integer transforms overflow on them.
const (
	wildBias = 4096
	wildBits = ^int32(2*wildBias - 1)
)

// wild says whether any of the biased coefficients that were united in seen was too large.
func wild(seen int32) bool { return seen&wildBits != 0 }

// sequential decodes the only scan of a baseline or extended sequential file, all
// components interleaved (T.81, F.2).
func (d *decoder) sequential(ctx context.Context, s *scan) error {
	if len(s.parts) != len(d.frame.Components) {
		return UnreadError("sequential file in several scans")
	}
	var dc [maxComponents]int32
	for my := range d.frame.mcusY {
		if err := ctx.Err(); err != nil {
			return err
		}
		for mx := range d.frame.mcusX {
			if fresh, err := d.restart(s); err != nil {
				return err
			} else if fresh {
				dc = [maxComponents]int32{}
			}
			for i := range s.parts {
				if err := d.mcu(&s.parts[i], &dc[i], mx, my); err != nil {
					return err
				}
			}
			if d.bits.overrun() {
				return UnreadError("coded data end too early")
			}
		}
	}
	return d.endOfScan(s)
}

// mcu decodes the blocks of one component in an MCU.
func (d *decoder) mcu(p *part, dc *int32, mx, my int) error {
	c := p.component
	for v := range c.v {
		for h := range c.h {
			diff, ok := d.bits.dc(p.dc)
			*dc += diff
			if !ok || *dc != int32(int16(*dc)) {
				return UnreadError("bad DC coefficient")
			}
			if !d.sequentialBlock(p, *dc, mx*c.h+h, my*c.v+v) {
				return UnreadError("bad AC coefficient")
			}
		}
	}
	return nil
}

// sequentialBlock reads the AC coefficients of a block, and makes its samples if it lies in
// the window.
func (d *decoder) sequentialBlock(p *part, dc int32, x, y int) bool {
	if !p.plane.has(x, y) {
		return d.bits.skip(p.ac)
	}
	p.block[0] = dc * p.quants[0]
	last, ok := 0, !wild(p.block[0]+wildBias)
	if p.plane.Scale == 1 {
		ok = d.bits.skip(p.ac) && ok
	} else if ok {
		last, ok = d.bits.coefficients(p.ac, p)
	}
	if !ok {
		return false
	}
	p.plane.transform(x, y, &p.block, last)
	if last > 0 {
		p.block = block{}
	}
	return true
}

// coefficients reads the AC coefficients of a block (T.81, F.2.2.2) and dequantises them.
// last is the zigzag index of the last one; all behind it are zero.
func (b *bits) coefficients(h *huffman, p *part) (last int, ok bool) {
	acc, n, pos, buf := b.acc, b.n, b.pos, b.buf
	k := 0
	for k < blockArea-1 {
		if n < 32 {
			acc |= bigEndian(buf, pos) >> uint(n&63)
			pos += (63 - n) >> 3
			n |= 56
		}
		e := h.coefs[acc>>(64-fastBits)]
		size := int(e & 0xff)
		if size == 0 {
			if e, size = h.slow(acc); size == 0 {
				return 0, false
			}
		}
		acc <<= uint(size & 63)
		n -= size
		k += int(e >> 8 & 0xff)
		if k >= blockArea {
			break
		}
		p.block[unzig[k]&63] = e >> 16 * p.quants[k]
		last = k
	}
	b.acc, b.n, b.pos = acc, n, pos
	return last, k < blockArea || k >= endOfBlock
}

// skip reads over the AC coefficients of a block.
func (b *bits) skip(h *huffman) bool {
	acc, n, pos, buf := b.acc, b.n, b.pos, b.buf
	k := 0
	for k < blockArea-1 {
		if n < 32 {
			acc |= bigEndian(buf, pos) >> uint(n&63)
			pos += (63 - n) >> 3
			n |= 56
		}
		e := h.coefs[acc>>(64-fastBits)]
		bits := int(e & 0xff)
		if bits == 0 {
			if e, bits = h.slow(acc); bits == 0 {
				return false
			}
		}
		acc <<= uint(bits & 63)
		n -= bits
		k += int(e >> 8 & 0xff)
	}
	b.acc, b.n, b.pos = acc, n, pos
	return k < blockArea || k >= endOfBlock
}

// maxSize is how many bits a coefficient of 8-bit samples has at most (T.81, table F.2).
const maxSize = 10

// slow is for codes and values that together are longer than fastBits, and gives an entry
// as huffman.coefs has them, without the bits. There are none if the code is not one of a
// sequential file.
func (h *huffman) slow(acc uint64) (entry int32, bits int) {
	symbol, n := h.long(acc)
	run, size := int32(symbol>>4), int(symbol&15)
	switch {
	case n == 0:
		return 0, 0
	case symbol == 0:
		return endOfBlock << 8, n
	case symbol == 0xf0:
		return 16 << 8, n
	case size == 0 || size > maxSize:
		return 0, 0
	}
	return extend(acc<<uint(n), size)<<16 | (run+1)<<8, n + size
}
