package jpeg

import (
	"context"
	"image"
)

// Decode decodes a file that [Parse] has seen, one window of each component. It looks at
// ctx between rows of blocks. The error is an [UnreadError], or that of ctx. A frame can
// be decoded once.
//
// It takes memory for the windows and as many bytes as the file has; a progressive file
// takes 2 bytes and a bit more for each sample of all components.
func (f *Frame) Decode(ctx context.Context, windows []Window) (*Planes, error) {
	d := &decoder{frame: f, memory: takeMemory()}
	d.allocate(windows)
	if err := d.decode(ctx); err != nil {
		d.memory.release()
		return nil, err
	}
	return &Planes{Planes: d.planes, memory: d.memory}, nil
}

// allocate makes room for the planes, and for the coefficients of a progressive file.
func (d *decoder) allocate(windows []Window) {
	d.planes = make([]Plane, len(windows))
	size := 0
	for i, w := range windows {
		c := &d.frame.Components[i]
		w.Blocks = w.Blocks.Intersect(image.Rect(0, 0, c.BlocksX, c.BlocksY))
		d.planes[i] = Plane{Window: w, Stride: BlockSize * divUp(w.Scale*w.Blocks.Dx(), BlockSize)}
		size += d.planes[i].Stride * w.Scale * w.Blocks.Dy()
	}
	pix := d.memory.bytes(size)
	for i := range d.planes {
		p := &d.planes[i]
		n := p.Stride * p.Scale * p.Blocks.Dy()
		p.Pix, pix = pix[:n:n], pix[n:]
	}
	if d.frame.Progressive {
		d.allocateCoefficients()
	}
}

func (d *decoder) allocateCoefficients() {
	blocks := 0
	for _, c := range d.frame.Components {
		blocks += c.storedX * c.storedY
	}
	all := d.memory.coefficients(blocks)
	for i, c := range d.frame.Components {
		n := c.storedX * c.storedY
		d.coefs[i], all = all[:n:n], all[n:]
	}
}
