package jpeg

import mathbits "math/bits"

// acRefine reads one more bit of AC coefficients, and coefficients that are new at this
// precision (T.81, G.1.2.3).
func (d *decoder) acRefine(s *scan, p *part, c *coefs, _ *int32) bool {
	b := &d.bits
	k := s.first
	bit := int16(1) << s.low
	for d.run == 0 && k <= s.last {
		if b.n < 32 {
			b.fill()
		}
		symbol, ok := b.symbol(p.ac)
		if !ok {
			return false
		}
		fresh := int16(0)
		switch {
		case symbol&15 == 1:
			fresh = bit
			if b.take(1) == 0 {
				fresh = -bit
			}
		case symbol&15 != 0:
			return false
		case symbol != 0xf0:
			d.run = 1 << (symbol >> 4)
			if symbol > 0 {
				d.run += int(b.take(int(symbol >> 4)))
			}
			continue
		}
		// The bits of coefficients on the way come before the new one is placed.
		if k = b.correct(c, k, s.last, int(symbol>>4), bit); k > s.last {
			return false
		}
		if fresh != 0 {
			c.values[k&63] = fresh
			c.present |= 1 << (k & 63)
		}
		k++
	}
	if d.run > 0 {
		d.run--
		b.correct(c, k, s.last, blockArea, bit)
	}
	return true
}

// correct goes from k over zeros coefficients that are zero, up to last at most, and reads
// a bit for each on the way that is not. It gives the place behind: that of one more zero.
func (b *bits) correct(c *coefs, k, last, zeros int, bit int16) int {
	for k <= last {
		next := k + mathbits.TrailingZeros64(c.present>>(k&63)) // of those that are not zero
		if next-k > zeros {
			return min(k+zeros, last+1)
		}
		if next > last {
			return last + 1
		}
		zeros -= next - k
		k = next + 1
		if b.n < 16 {
			b.fill()
		}
		if b.take(1) == 0 {
			continue
		}
		if v := &c.values[next&63]; *v > 0 {
			*v += bit
		} else {
			*v -= bit
		}
	}
	return k
}
