package pipeline

import (
	"image"
	"image/color"
)

// channels are the planes of a picture and the part of each to keep.
//
// JPEG and WebP store brightness and colour apart, colour mostly at half the resolution.
// Both steps that follow, resizing and the change to RGB, are linear, so their order
// makes no difference but for rounding: resizing first works on half the data, and turns
// 50,000 pixels into RGB instead of millions.
type channels struct {
	planes []plane // one for grey, three for colour
	x, y   []span  // of each plane
	toRGB  func(a, b, c byte) (red, green, blue byte)
}

// resizeRGB gives three planes of size*size bytes: red, green and blue.
func (c channels) resizeRGB(f filter, size int) [3][]byte {
	var rgb [3][]byte
	for i, p := range c.planes {
		rgb[i] = p.resize(f, c.x[i], c.y[i], size)
	}
	if len(c.planes) == 1 {
		return [3][]byte{rgb[0], rgb[0], rgb[0]}
	}
	if c.toRGB != nil {
		for i := range rgb[0] {
			rgb[0][i], rgb[1][i], rgb[2][i] = c.toRGB(rgb[0][i], rgb[1][i], rgb[2][i])
		}
	}
	return rgb
}

// channels finds the planes of the square in a decoded picture. What has alpha, another
// colour model or an incomplete first frame is first painted onto white, the square only.
func (p *picture) channels(square image.Rectangle) channels {
	if p.image.Bounds() == image.Rect(0, 0, p.width, p.height) {
		if c, ok := p.direct(square); ok {
			return c
		}
	}
	pix := paint(p, square)
	return interleaved(image.Rect(0, 0, square.Dx(), square.Dy()), pix, 3*square.Dx(), 3, 0, 1, 2)
}

// direct finds the planes where they can be read as the decoder left them.
func (p *picture) direct(square image.Rectangle) (channels, bool) {
	switch img := p.image.(type) {
	case *image.Gray:
		return interleaved(square, img.Pix, img.Stride, 1, 0), true
	case *image.Gray16: // the high byte comes first
		return interleaved(square, img.Pix, img.Stride, 2, 0), true
	case *image.YCbCr:
		return planar(img, square, p.toRGB), true
	case *image.RGBA: // as the decoders use it: without transparency
		return interleaved(square, img.Pix, img.Stride, 4, 0, 1, 2), true
	case *image.RGBA64:
		return interleaved(square, img.Pix, img.Stride, 8, 0, 2, 4), true
	case *image.NRGBA:
		return interleaved(square, img.Pix, img.Stride, 4, 0, 1, 2), img.Opaque()
	default:
		return channels{}, false
	}
}

// interleaved describes channels that lie between one another, at the given offsets
// within a pixel of step bytes.
func interleaved(square image.Rectangle, pix []byte, stride, step int, offsets ...int) channels {
	var c channels
	for _, offset := range offsets {
		c.add(plane{pix[offset:], stride, step}, square, 1, 1)
	}
	return c
}

// planar describes a picture with its colour in planes of their own.
func planar(img *image.YCbCr, square image.Rectangle, toRGB func(a, b, c byte) (r, g, bl byte)) channels {
	// By image.YCbCr, chroma has one pixel for each dx*dy of luma, at their centre.
	dx, dy := 1, 1
	switch img.SubsampleRatio {
	case image.YCbCrSubsampleRatio444:
	case image.YCbCrSubsampleRatio422:
		dx = 2
	case image.YCbCrSubsampleRatio420:
		dx, dy = 2, 2
	case image.YCbCrSubsampleRatio440:
		dy = 2
	case image.YCbCrSubsampleRatio411:
		dx = 4
	case image.YCbCrSubsampleRatio410:
		dx, dy = 4, 2
	}
	if toRGB == nil {
		toRGB = color.YCbCrToRGB
	}
	c := channels{toRGB: toRGB}
	c.add(plane{img.Y, img.YStride, 1}, square, 1, 1)
	c.add(plane{img.Cb, img.CStride, 1}, square, dx, dy)
	c.add(plane{img.Cr, img.CStride, 1}, square, dx, dy)
	return c
}

// add appends a plane with one pixel for each dx*dy pixels of the picture.
func (c *channels) add(p plane, square image.Rectangle, dx, dy int) {
	c.planes = append(c.planes, p)
	c.x = append(c.x, span{float64(square.Min.X) / float64(dx), float64(square.Max.X) / float64(dx)})
	c.y = append(c.y, span{float64(square.Min.Y) / float64(dy), float64(square.Max.Y) / float64(dy)})
}
