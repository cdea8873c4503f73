package pipeline

import (
	"context"
	"image"

	"github.com/onda-serving/onda/app/pipeline/internal/jpeg"
)

// scales are the smaller scales that blocks of 8 may be decoded at, with how many samples
// a pixel of the result must have along an axis then. A block without its finer waves
// differs from a picture without them, the more the fewer are left, so that the bounds
// differ; with these the result is within half a step of 255 on average of that of the
// whole, for photos full of detail (TestSmallerScalesAreCloseToTheWhole).
var scales = []struct {
	scale  int
	enough float64
}{{1, 6}, {2, 2.8}, {4, 1.9}}

// scaleFor is the smallest scale for a component with ratio samples for each pixel of the
// result.
func scaleFor(ratio float64) int {
	for _, s := range scales {
		if ratio*float64(s.scale)/jpeg.BlockSize >= s.enough {
			return s.scale
		}
	}
	return jpeg.BlockSize
}

// reduction is a JPEG that this module's own decoder reads, on its way to a square of size
// pixels.
type reduction struct {
	frame   *jpeg.Frame
	windows []jpeg.Window
	x, y    [][]column // of each component
	size    int
}

// newReduction plans which blocks are needed of each component, and the sums that lead from
// their samples to the result: those that resize the whole picture, folded.
func newReduction(
	frame *jpeg.Frame, square image.Rectangle, f filter, size int, scaleFor func(ratio float64) int,
) *reduction {
	p := &reduction{frame: frame, size: size}
	side := square.Dx()
	base := shares(f, span{0, float64(side)}, size) // the square has the same along both axes
	for i, c := range frame.Components {
		if i == 2 { // Cr is stored as Cb is, or blue as green
			p.windows, p.x, p.y = append(p.windows, p.windows[1]), append(p.x, p.x[1]), append(p.y, p.y[1])
			break
		}
		scale := scaleFor(float64(side) / float64(size*max(c.StepX, c.StepY)))
		x := foldAxis(base, square.Min.X, c.StepX, c.Width, scale)
		y := foldAxis(base, square.Min.Y, c.StepY, c.Height, scale)
		left, right := extent(x, scale)
		top, bottom := extent(y, scale)
		p.windows = append(p.windows, jpeg.Window{Scale: scale, Blocks: image.Rect(left, top, right, bottom)})
		p.x = append(p.x, columns(x, left*scale, fromWords))
		p.y = append(p.y, columns(y, top*scale, fromBytes))
	}
	return p
}

// foldAxis turns shares of a square's pixels into shares of a component's samples: n of
// step pixels each, where 8 are reduced to scale.
func foldAxis(base []share, from, step, n, scale int) []share {
	moved := make([]share, len(base))
	for i, s := range base {
		moved[i] = share{s.first + from, s.weights}
	}
	if step > 1 {
		moved = fold(moved, chromaStretch(step, n))
	}
	if scale < jpeg.BlockSize {
		moved = fold(moved, blockStretch(scale))
	}
	return moved
}

// extent is the range of blocks that shares of their samples need.
func extent(s []share, scale int) (low, high int) {
	last := s[len(s)-1]
	return s[0].first / scale, (last.first+len(last.weights)-1)/scale + 1
}

// resize decodes the photo, and gives red, green and blue as [channels.resizeRGB] does, in
// the memory of w.
func (p *reduction) resize(ctx context.Context, w *workspace) ([3][]byte, error) {
	decoded, err := p.frame.Decode(ctx, p.windows)
	if err != nil {
		return [3][]byte{}, err
	}
	defer decoded.Release()
	for i := range w.rgb {
		w.rgb[i] = grow(w.rgb[i], p.size*p.size)
	}
	for i, plane := range decoded.Planes {
		w.between[i] = grow(w.between[i], 8*2*plane.Stride)
		w.strips[i] = grow(w.strips[i], max(plane.Stride, plane.Scale*plane.Blocks.Dy()))
	}
	for y := 0; y < p.size; y += 8 { // so few rows that a cache holds what is between the axes
		rows := min(8, p.size-y)
		for i, plane := range decoded.Planes {
			makeRows(w.between[i], plane.Pix, plane.Stride, plane.Stride, p.y[i][y:y+rows], w.strips[i])
			gatherRows(w.strips[i], w.between[i], plane.Stride)
		}
		p.finish(w, y, rows)
	}
	if len(decoded.Planes) == 1 {
		return [3][]byte{w.rgb[0], w.rgb[0], w.rgb[0]}, nil
	}
	return w.rgb, nil
}

// finish resizes up to eight rows, from y on, along themselves, and turns them into bytes.
func (p *reduction) finish(w *workspace, y, rows int) {
	var sums [3]eight
	for i := range p.size {
		for c := range p.x {
			x := &p.x[c][i]
			s := &sums[c]
			s[0], s[1], s[2], s[3] = weigh(w.strips[c][x.first:], x.weights, sumHalf*both)
		}
		at := y*p.size + i
		switch {
		case len(p.x) == 1:
			toBytes(w.rgb[0][at:], p.size, rows, &sums[0])
		case p.frame.RGB:
			for c := range w.rgb {
				toBytes(w.rgb[c][at:], p.size, rows, &sums[c])
			}
		default:
			toRGB(&w.rgb, at, p.size, rows, &sums)
		}
	}
}

// toBytes rounds the values of sums, one for each row of dst.
func toBytes(dst []byte, stride, rows int, sums *eight) {
	const half = 1<<(spareBits-1) - valueBias
	for k := range rows {
		v := int(uint16(sums[k&3] >> (sumShift + 8*(k&4))))
		dst[k*stride] = clip((v + half) >> spareBits)
	}
}

// toRGB changes the Y, Cb and Cr of sums to red, green and blue, by the formula of JFIF
// 1.02 (ITU-T T.871, 7) with rgbBits after the point, two pixels at a time as everywhere.
// A bias keeps the halves of words positive here too.
func toRGB(rgb *[3][]byte, at, stride, rows int, sums *[3]eight) {
	red, green, blue := rgb[0][at:], rgb[1][at:], rgb[2][at:]
	for k := range 4 {
		y := sums[0][k] >> sumShift & valueMask << rgbBits
		cb, cr := sums[1][k]>>sumShift&valueMask, sums[2][k]>>sumShift&valueMask
		r := y + cr*crRed - redBias
		g := y - cb*cbGreen - cr*crGreen + greenBias
		b := y + cb*cbBlue - blueBias
		if k < rows {
			i := k * stride
			red[i], green[i], blue[i] = clipHalf(r), clipHalf(g), clipHalf(b)
		}
		if k+4 < rows {
			i := (k + 4) * stride
			red[i], green[i], blue[i] = clipHalf(r>>32), clipHalf(g>>32), clipHalf(b>>32)
		}
	}
}

// Factors of the formula, and what takes their biases away, rounds, and leaves rgbBias.
const (
	rgbBits  = 13
	rgbShift = rgbBits + spareBits
	rgbBias  = 1024

	crRed   = 11485 // 1.402
	cbGreen = 2819  // 0.344136
	crGreen = 5850  // 0.714136
	cbBlue  = 14516 // 1.772

	grey  = valueBias + 128<<spareBits // no colour
	lumaZ = rgbBias<<rgbShift + 1<<(rgbShift-1) - valueBias<<rgbBits

	redBias   = (grey*crRed - lumaZ) * both
	greenBias = (lumaZ + grey*(cbGreen+crGreen)) * both
	blueBias  = (grey*cbBlue - lumaZ) * both
)

// clipHalf makes a byte of the lower half of a word.
func clipHalf(v uint64) byte { return clip(int(uint32(v)>>rgbShift) - rgbBias) }

// clip is toByte for values that are mostly in range.
func clip(v int) byte {
	if uint(v) > 255 {
		return byte(^(v >> 63))
	}
	return byte(v)
}

// quick decodes and resizes a JPEG with this module's own decoder. It is false where that
// does not read the file, or the request is over: the decoder of the standard library then
// says what is wrong. It may also read the file after all: it forgives more.
func quick(
	ctx context.Context, data []byte, h header, square image.Rectangle, f filter, size int, w *workspace,
) (rgb [3][]byte, ok bool) {
	defer func() {
		if recover() != nil { // as in decodeSafely
			ok = false
		}
	}()
	frame, err := jpeg.Parse(data)
	if err != nil || frame.Width != h.width || frame.Height != h.height {
		return rgb, false
	}
	rgb, err = newReduction(frame, square, f, size, scaleFor).resize(ctx, w)
	return rgb, err == nil
}
