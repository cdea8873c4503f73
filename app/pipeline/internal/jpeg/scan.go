package jpeg

import "context"

// part is what a scan holds of one component.
type part struct {
	component *Component
	plane     *Plane
	dc, ac    *huffman
	quants    quants
	block     block   // all zero but for the first, between blocks
	coefs     []coefs // of all blocks, of progressive files
}

// scan is one pass over the picture (T.81, B.2.3).
type scan struct {
	parts []part
	// first and last are the zigzag indices of the coefficients that it holds, high and
	// low the bit positions before and after it: successive approximation (G.1.1.1.2).
	first, last, high, low int
	mcus                   int // in the whole scan
	done                   int // MCUs until now
}

// decoder decodes one file.
type decoder struct {
	frame  *Frame
	memory *memory
	planes []Plane
	coefs  [maxComponents][]coefs // of all blocks, of progressive files

	bits  bits
	block block // as that of a part
	part  int   // of the coded data, between restart markers
	run   int   // blocks that have ended already (EOBRUN of T.81, G.1.2.2)
	scans int
	begun [maxComponents]bool // whose DC coefficients have come
}

// decode goes over the scans and what stands between them until the end of the file.
func (d *decoder) decode(ctx context.Context) error {
	p := d.frame.parser
	for {
		marker, segment, err := p.next()
		switch {
		case err != nil:
			return err
		case marker == markerEOI:
			if d.scans == 0 {
				return UnreadError("no scan")
			}
			return d.finish(ctx)
		case marker == markerSOS:
			if err := d.scan(ctx, &p, segment); err != nil {
				return err
			}
		default:
			if err := d.frame.miscellaneous(marker, segment); err != nil {
				return err
			}
		}
	}
}

// scan decodes one scan. p stands behind its header.
func (d *decoder) scan(ctx context.Context, p *parser, header []byte) error {
	s, err := d.scanHeader(header)
	if err != nil {
		return err
	}
	parts := 1
	if n := d.frame.restart; n > 0 {
		parts = divUp(s.mcus, n)
	}
	m := d.memory
	m.coded, m.ends, err = p.entropy(m.coded, m.ends, parts)
	if err != nil {
		return err
	}
	d.bits.buf, d.part, d.run = m.coded, 0, 0
	d.bits.seek(0)
	if d.scans++; d.frame.Progressive {
		return d.progressive(ctx, s)
	}
	if d.scans > 1 {
		return UnreadError("sequential file in several scans")
	}
	return d.sequential(ctx, s)
}

// scanHeader reads an SOS segment (T.81, B.2.3).
func (d *decoder) scanHeader(h []byte) (*scan, error) {
	f := d.frame
	if len(h) < 1 || len(h) != 4+2*int(h[0]) || h[0] < 1 || int(h[0]) > len(f.Components) {
		return nil, UnreadError("length of SOS")
	}
	n := int(h[0])
	s := &scan{parts: make([]part, n), mcus: f.mcusX * f.mcusY}
	at := -1
	for i := range s.parts {
		selector, tables := h[1+2*i], h[2+2*i]
		at++ // components come in the order of the frame (B.2.3)
		for at < len(f.Components) && f.Components[at].id != selector {
			at++
		}
		if at >= len(f.Components) || tables>>4 > 3 || tables&15 > 3 {
			return nil, UnreadError("component or table of SOS")
		}
		c := &f.Components[at]
		s.parts[i] = part{
			component: c, plane: &d.planes[at], quants: *f.quant[c.table],
			dc: f.tables.dc[tables>>4], ac: f.tables.ac[tables&15],
		}
		if f.Progressive {
			s.parts[i].coefs = d.coefs[at]
		}
		d.begun[at] = d.begun[at] || h[1+2*n] == 0
	}
	if n == 1 { // not interleaved: an MCU is one block (A.2.2)
		c := s.parts[0].component
		s.mcus = c.BlocksX * c.BlocksY
	}
	s.first, s.last, s.high, s.low = int(h[1+2*n]), int(h[2+2*n]), int(h[3+2*n]>>4), int(h[3+2*n]&15)
	return s, d.checkScan(s)
}

// checkScan checks the selection of coefficients and that the tables are there.
func (d *decoder) checkScan(s *scan) error {
	if !d.frame.Progressive {
		s.first, s.last, s.high, s.low = 0, blockArea-1, 0, 0 // as image/jpeg does
	} else {
		switch {
		case s.first > s.last || s.last >= blockArea, s.first == 0 && s.last != 0:
			return UnreadError("spectral selection")
		case s.first > 0 && len(s.parts) > 1:
			return UnreadError("interleaved AC coefficients")
		case s.high > 0 && s.high != s.low+1, s.low > 13:
			return UnreadError("successive approximation")
		}
	}
	for _, p := range s.parts {
		if s.first == 0 && s.high == 0 && p.dc == nil || s.last > 0 && p.ac == nil {
			return UnreadError("no Huffman table")
		}
	}
	return nil
}

// restart goes to the next part of the coded data where its time has come, before each
// MCU. It says when predictions begin anew (T.81, F.2.1.3.1).
func (d *decoder) restart(s *scan) (bool, error) {
	n := s.done
	s.done++
	if d.frame.restart == 0 || n == 0 || n%d.frame.restart != 0 {
		return false, nil
	}
	end := d.memory.ends[d.part]
	if divUp(d.bits.used(), 8) != end {
		return false, UnreadError("restart marker at the wrong place")
	}
	d.bits.seek(end)
	d.part++
	d.run = 0
	return true, nil
}

// endOfScan checks that no more was read than was there, and that no run of ended blocks
// leads beyond: other decoders would carry it into the next scan.
func (d *decoder) endOfScan(s *scan) error {
	if d.run > 0 {
		return UnreadError("run beyond the scan")
	}
	if s.done != s.mcus || d.bits.used() > 8*d.memory.ends[len(d.memory.ends)-1] {
		return UnreadError("coded data end too early")
	}
	return nil
}
