package jpeg

import (
	"context"
	mathbits "math/bits"
)

// band decodes what a scan says of one block.
type band func(d *decoder, s *scan, p *part, c *coefs, dc *int32) bool

// progressive decodes one scan of a progressive file into the stored coefficients (T.81,
// G.1.2).
func (d *decoder) progressive(ctx context.Context, s *scan) error {
	decode := (*decoder).acFirst
	switch {
	case s.first == 0 && s.high == 0:
		decode = (*decoder).dcFirst
	case s.first == 0:
		decode = (*decoder).dcRefine
	case s.high > 0:
		decode = (*decoder).acRefine
	}
	if len(s.parts) == 1 {
		return d.alone(ctx, s, decode)
	}
	return d.interleaved(ctx, s, decode)
}

// alone goes over the blocks of the only component of a scan, leaving out those that only
// fill up MCUs of several (T.81, A.2.2).
func (d *decoder) alone(ctx context.Context, s *scan, decode band) error {
	p := &s.parts[0]
	c := p.component
	var dc int32
	for y := range c.BlocksY {
		if err := ctx.Err(); err != nil {
			return err
		}
		row := p.coefs[y*c.storedX:][:c.BlocksX]
		for x := range row {
			if fresh, err := d.restart(s); err != nil {
				return err
			} else if fresh {
				dc = 0
			}
			if !decode(d, s, p, &row[x], &dc) || d.bits.overrun() {
				return UnreadError("bad code")
			}
		}
	}
	return d.endOfScan(s)
}

// interleaved goes over the MCUs of a scan of several components.
func (d *decoder) interleaved(ctx context.Context, s *scan, decode band) error {
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
				p := &s.parts[i]
				c := p.component
				for j := range c.h * c.v {
					at := (my*c.v+j/c.h)*c.storedX + mx*c.h + j%c.h
					if !decode(d, s, p, &p.coefs[at], &dc[i]) || d.bits.overrun() {
						return UnreadError("bad code")
					}
				}
			}
		}
	}
	return d.endOfScan(s)
}

// dcFirst reads the high bits of a DC coefficient.
func (d *decoder) dcFirst(s *scan, p *part, c *coefs, dc *int32) bool {
	diff, ok := d.bits.dc(p.dc)
	*dc += diff
	v := *dc << s.low
	c.values[0] = int16(v)
	return ok && v == int32(c.values[0]) && *dc == int32(int16(*dc))
}

// dcRefine reads one more bit of a DC coefficient.
func (d *decoder) dcRefine(s *scan, _ *part, c *coefs, _ *int32) bool {
	if d.bits.n < 16 {
		d.bits.fill()
	}
	c.values[0] |= int16(d.bits.take(1)) << s.low
	return true
}

// acFirst reads the high bits of AC coefficients (T.81, G.1.2.2).
func (d *decoder) acFirst(s *scan, p *part, c *coefs, _ *int32) bool {
	if d.run > 0 {
		d.run--
		return true
	}
	b := &d.bits
	for k := s.first - 1; k < s.last; {
		if b.n < 32 {
			b.fill()
		}
		e := p.ac.coefs[b.acc>>(64-fastBits)]
		bits := int(e & 0xff)
		if bits == 0 {
			if e, bits = p.ac.slow(b.acc); bits == 0 {
				return d.endOfBand(p.ac)
			}
		}
		b.acc <<= uint(bits & 63)
		b.n -= bits
		k += int(e >> 8 & 0xff)
		if k > s.last {
			return k >= endOfBlock
		}
		v := e >> 16 << s.low
		if v != int32(int16(v)) {
			return false
		}
		c.values[k&63] = int16(v)
		if v != 0 { // not the last of sixteen zeros
			c.present |= 1 << (k & 63)
		}
	}
	return true
}

// endOfBand reads for how many blocks, this one included, there is no more (EOBn of T.81,
// G.1.2.2). It is false where the next code is none of that kind.
func (d *decoder) endOfBand(h *huffman) bool {
	symbol, ok := d.bits.symbol(h)
	if !ok || symbol&15 != 0 || symbol == 0xf0 {
		return false
	}
	d.run = 1<<(symbol>>4) - 1
	if symbol > 0 {
		d.run += int(d.bits.take(int(symbol >> 4)))
	}
	return true
}

// finish makes the samples once all scans have been read.
func (d *decoder) finish(ctx context.Context) error {
	if !d.frame.Progressive {
		return nil
	}
	for i := range d.planes {
		if !d.begun[i] {
			return UnreadError("component without a scan")
		}
		p := &d.planes[i]
		c := &d.frame.Components[i]
		q := d.frame.quant[c.table]
		for y := p.Blocks.Min.Y; y < p.Blocks.Max.Y; y++ {
			if err := ctx.Err(); err != nil {
				return err
			}
			for x := p.Blocks.Min.X; x < p.Blocks.Max.X; x++ {
				if !d.reconstruct(p, x, y, &d.coefs[i][y*c.storedX+x], q) {
					return UnreadError("coefficient out of range")
				}
			}
		}
	}
	return nil
}

// reconstruct dequantises one block and makes its samples.
func (d *decoder) reconstruct(p *Plane, x, y int, c *coefs, q *quants) bool {
	d.block[0] = int32(c.values[0]) * q[0]
	seen := d.block[0] + wildBias
	last := 0
	if p.Scale > 1 {
		for left := c.present; left != 0; left &= left - 1 {
			last = mathbits.TrailingZeros64(left)
			v := int32(c.values[last&63]) * q[last&63]
			seen |= v + wildBias
			d.block[unzig[last&63]&63] = v
		}
	}
	p.transform(x, y, &d.block, last)
	if last > 0 {
		d.block = block{}
	}
	return !wild(seen)
}
