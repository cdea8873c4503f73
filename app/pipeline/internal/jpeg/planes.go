package jpeg

import "image"

// Window says what is wanted of a component.
type Window struct {
	// Scale is the side in samples that a block gets: 8, 4, 2 or 1.
	Scale int
	// Blocks is the part that is wanted, in blocks. It must lie within the component.
	Blocks image.Rectangle
}

// Plane holds the samples of one component.
type Plane struct {
	Window

	// Pix has a byte a sample: that in column x and row y of the whole component, counted
	// at the plane's scale, is at (y-Scale*Blocks.Min.Y)*Stride + x-Scale*Blocks.Min.X.
	Pix []byte
	// Stride is the distance of rows. It divides by 8, so that a row can be read eight
	// bytes at a time; what stands behind the samples has no meaning.
	Stride int
}

// has says whether the block in column x and row y is wanted.
func (p *Plane) has(x, y int) bool {
	b := &p.Blocks
	return x >= b.Min.X && x < b.Max.X && y >= b.Min.Y && y < b.Max.Y
}

// transform makes the samples of a block. All coefficients behind last, in zigzag order,
// are zero.
func (p *Plane) transform(x, y int, b *block, last int) {
	dst := p.Pix[((y-p.Blocks.Min.Y)*p.Stride+x-p.Blocks.Min.X)*p.Scale:]
	switch {
	case p.Scale == 1:
		dst[0] = flat(b[0])
	case last == 0:
		fill(dst, p.Stride, p.Scale, flat(b[0]))
	case p.Scale == 2:
		inverse2(dst, p.Stride, b)
	case p.Scale == 4:
		inverse4(dst, p.Stride, b)
	case last <= lastOfFour:
		inverse8of4(dst, p.Stride, b)
	default:
		inverse8(dst, p.Stride, b)
	}
}

// Planes are the components of a picture, in the order of the frame.
type Planes struct {
	Planes []Plane

	memory *memory
}

// Release gives the memory back for the next picture. The planes must not be used any
// more.
func (p *Planes) Release() {
	if p.memory != nil {
		p.memory.release()
		p.memory, p.Planes = nil, nil
	}
}
