package jpeg

import "slices"

// UnreadError says why a file is not read by this package. It says nothing about whether
// the file is good.
type UnreadError string

// Error implements error.
func (e UnreadError) Error() string { return "jpeg: not read here: " + string(e) }

// BlockSize is the side of a block in samples (T.81, A.1.1).
const BlockSize = 8

const (
	blockArea     = BlockSize * BlockSize
	maxComponents = 3
)

// Frame is what the header of a file says (T.81, B.2.2).
type Frame struct {
	// Width and Height are the picture's, in pixels.
	Width, Height int
	// Components are brightness alone, or three in the order of the file.
	Components []Component
	// RGB says that three components are red, green and blue and not Y, Cb and Cr.
	RGB bool
	// Progressive says that coefficients come in several scans (T.81, annex G).
	Progressive bool

	restart   int        // MCUs between restart markers, 0 for none
	quant     [4]*quants // by the number of the table
	parser    parser     // stands at the segment of the first scan
	mcusX     int        // MCUs of an interleaved scan in a row
	mcusY     int
	tables    *huffmanTables
	jfif      bool
	transform int // of the Adobe segment, -1 without one
}

// quants are the steps of quantisation in the order of the file, zigzag.
type quants [blockArea]int32

// Component is one channel of the picture.
type Component struct {
	// StepX and StepY are how many pixels of the picture a sample covers: 1, 2 or 4.
	StepX, StepY int
	// Width and Height count the samples that are picture.
	Width, Height int
	// BlocksX and BlocksY count the blocks that hold them.
	BlocksX, BlocksY int

	id      byte
	h, v    int // sampling factors: blocks in an MCU of an interleaved scan
	table   int // of quantisation
	storedX int // blocks in a row and a column, with those that only fill up MCUs
	storedY int
}

// Parse reads data up to the first scan. It keeps data, and does not write to it. The
// error is an [UnreadError].
func Parse(data []byte) (*Frame, error) {
	f := &Frame{parser: parser{data: data}, transform: -1, tables: new(huffmanTables)}
	if len(data) < 2 || data[0] != 0xff || data[1] != markerSOI {
		return nil, UnreadError("no start")
	}
	f.parser.at = 2
	for {
		marker, segment, err := f.parser.next()
		if err != nil {
			return nil, err
		}
		if marker == markerSOS {
			f.parser.at -= len(segment) + 4 // the scan begins with its header
			return f, f.complete()
		}
		if err := f.header(marker, segment); err != nil {
			return nil, err
		}
	}
}

// header takes in a segment that stands before the first scan.
func (f *Frame) header(marker byte, segment []byte) error {
	switch {
	case marker == markerSOF0 || marker == markerSOF1 || marker == markerSOF2:
		f.Progressive = marker == markerSOF2
		return f.frameHeader(segment)
	case marker == markerDQT:
		return f.quantisation(segment)
	case marker == markerAPP0:
		if len(segment) >= 5 { // a shorter one leaves what an earlier one said
			f.jfif = string(segment[:5]) == "JFIF\x00"
		}
		return nil
	case marker == markerAPP14:
		if len(segment) >= 12 && string(segment[:5]) == "Adobe" {
			f.transform = int(segment[11])
		}
		return nil
	default:
		return f.miscellaneous(marker, segment)
	}
}

// miscellaneous takes in a segment that may also stand between scans.
func (f *Frame) miscellaneous(marker byte, segment []byte) error {
	switch {
	case marker == markerDHT:
		return f.tables.define(segment)
	case marker == markerDRI:
		if len(segment) != 2 {
			return UnreadError("length of DRI")
		}
		f.restart = int(segment[0])<<8 | int(segment[1])
		return nil
	case marker > markerAPP0 && marker <= markerAPP15 && marker != markerAPP14, marker == markerCOM:
		return nil
	default:
		return UnreadError("unusual marker")
	}
}

// frameHeader reads SOF0, SOF1 or SOF2 (T.81, B.2.2).
func (f *Frame) frameHeader(s []byte) error {
	if f.Components != nil {
		return UnreadError("several frames")
	}
	if len(s) != 6+3 && len(s) != 6+3*3 || len(s) != 6+3*int(s[5]) {
		return UnreadError("number of components")
	}
	if s[0] != 8 {
		return UnreadError("precision")
	}
	f.Height, f.Width = int(s[1])<<8|int(s[2]), int(s[3])<<8|int(s[4])
	if f.Height == 0 || f.Width == 0 {
		return UnreadError("no size")
	}
	f.Components = make([]Component, s[5])
	for i := range f.Components {
		p := s[6+3*i:]
		f.Components[i] = Component{id: p[0], h: int(p[1] >> 4), v: int(p[1] & 15), table: int(p[2])}
		if p[2] >= byte(len(f.quant)) {
			return UnreadError("quantisation table")
		}
	}
	return f.sampling()
}

// factors are the usual numbers of blocks in an MCU along an axis.
var factors = []int{1, 2, 4}

// sampling checks the sampling factors and computes what follows from them (T.81, A.1.1
// and A.2). Chroma must have one block an MCU, as all common writers have it.
func (f *Frame) sampling() error {
	c := f.Components
	if len(c) == 1 {
		// A scan of one component is not interleaved, whatever its factors say (A.2.2).
		if !slices.Contains(factors, c[0].h) || !slices.Contains(factors, c[0].v) {
			return UnreadError("sampling factors")
		}
		c[0].h, c[0].v = 1, 1
	} else {
		plain := c[1].h == 1 && c[1].v == 1 && c[2].h == 1 && c[2].v == 1
		if !plain || !slices.Contains(factors, c[0].h) || !slices.Contains(factors[:2], c[0].v) {
			return UnreadError("sampling factors")
		}
		if c[0].id == c[1].id || c[0].id == c[2].id || c[1].id == c[2].id {
			return UnreadError("component named twice")
		}
	}
	f.mcusX, f.mcusY = divUp(f.Width, BlockSize*c[0].h), divUp(f.Height, BlockSize*c[0].v)
	for i := range c {
		p := &c[i]
		p.StepX, p.StepY = c[0].h/p.h, c[0].v/p.v
		p.Width, p.Height = divUp(f.Width, p.StepX), divUp(f.Height, p.StepY)
		p.BlocksX, p.BlocksY = divUp(p.Width, BlockSize), divUp(p.Height, BlockSize)
		p.storedX, p.storedY = f.mcusX*p.h, f.mcusY*p.v
	}
	return nil
}

// quantisation reads DQT (T.81, B.2.4.1).
func (f *Frame) quantisation(s []byte) error {
	for len(s) > 0 {
		table := s[0]
		if table >= byte(len(f.quant)) || len(s) < 1+blockArea { // or its steps have 16 bits
			return UnreadError("quantisation table")
		}
		q := new(quants)
		for i, step := range s[1 : 1+blockArea] {
			q[i] = int32(step)
		}
		f.quant[table] = q
		s = s[1+blockArea:]
	}
	return nil
}

// complete checks that everything is known that the scans need, and tells the colours as
// image/jpeg does: JFIF knows Y, Cb and Cr only; otherwise Adobe's segment decides, and
// then the names of the components.
func (f *Frame) complete() error {
	if f.Components == nil {
		return UnreadError("no frame")
	}
	for _, c := range f.Components {
		if f.quant[c.table] == nil {
			return UnreadError("no quantisation table")
		}
	}
	if c := f.Components; len(c) == 3 && !f.jfif {
		f.RGB = f.transform == 0 || c[0].id == 'R' && c[1].id == 'G' && c[2].id == 'B'
	}
	return nil
}

func divUp(a, b int) int { return (a + b - 1) / b }
