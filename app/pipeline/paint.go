package pipeline

import (
	"image"
	"image/color"
)

// paint copies the square of a picture to RGB, 3 bytes a pixel, over a white ground.
func paint(p *picture, square image.Rectangle) []byte {
	width := square.Dx()
	pix := make([]byte, 3*width*square.Dy())
	for i := range pix {
		pix[i] = 255
	}
	// The first frame of a GIF may cover less than the picture: the rest stays white.
	part := square.Intersect(p.image.Bounds())
	if part.Empty() {
		return pix
	}
	row := painter(p)
	for y := part.Min.Y; y < part.Max.Y; y++ {
		at := 3 * ((y-square.Min.Y)*width + part.Min.X - square.Min.X)
		row(pix[at:at+3*part.Dx()], part.Min.X, y)
	}
	return pix
}

// painter gives the function that paints pixels of a row, from x on, for the type of the
// decoded picture. The types that decoders give have a function of their own, because
// going through color.Color allocates for each pixel.
func painter(p *picture) func(dst []byte, x, y int) {
	switch img := p.image.(type) {
	case *image.NRGBA:
		return func(dst []byte, x, y int) { paintNRGBA(dst, img.Pix[img.PixOffset(x, y):], 4, 1) }
	case *image.NRGBA64: // the high bytes of 16 bits
		return func(dst []byte, x, y int) { paintNRGBA(dst, img.Pix[img.PixOffset(x, y):], 8, 2) }
	case *image.Paletted:
		palette := paintPalette(img.Palette)
		return func(dst []byte, x, y int) {
			src := img.Pix[img.PixOffset(x, y):]
			for i := range len(dst) / 3 {
				copy(dst[3*i:3*i+3], palette[src[i]][:])
			}
		}
	case *image.CMYK:
		return func(dst []byte, x, y int) { paintCMYK(dst, img.Pix[img.PixOffset(x, y):]) }
	case *image.NYCbCrA:
		return func(dst []byte, x, y int) {
			for i := range len(dst) / 3 {
				c, a := img.COffset(x+i, y), img.A[img.AOffset(x+i, y)]
				r, g, b := p.toRGB(img.Y[img.YOffset(x+i, y)], img.Cb[c], img.Cr[c])
				dst[3*i], dst[3*i+1], dst[3*i+2] = overWhite(r, a), overWhite(g, a), overWhite(b, a)
			}
		}
	default:
		return func(dst []byte, x, y int) {
			for i := range len(dst) / 3 {
				rgb := paintColour(img.At(x+i, y))
				copy(dst[3*i:], rgb[:])
			}
		}
	}
}

// paintNRGBA reads pixels of step bytes with a channel every size bytes.
func paintNRGBA(dst, src []byte, step, size int) {
	for i := range len(dst) / 3 {
		s := src[i*step : (i+1)*step]
		a := s[3*size]
		dst[3*i], dst[3*i+1], dst[3*i+2] = overWhite(s[0], a), overWhite(s[size], a), overWhite(s[2*size], a)
	}
}

func paintCMYK(dst, src []byte) {
	for i := range len(dst) / 3 {
		s := src[4*i : 4*i+4]
		dst[3*i], dst[3*i+1], dst[3*i+2] = color.CMYKToRGB(s[0], s[1], s[2], s[3])
	}
}

// paintPalette covers all 256 indices, so that one beyond the palette is white.
func paintPalette(palette color.Palette) *[256][3]byte {
	var painted [256][3]byte
	for i := range painted {
		painted[i] = [3]byte{255, 255, 255}
		if i < len(palette) {
			painted[i] = paintColour(palette[i])
		}
	}
	return &painted
}

func paintColour(c color.Color) [3]byte {
	n := color.NRGBAModel.Convert(c).(color.NRGBA)
	return [3]byte{overWhite(n.R, n.A), overWhite(n.G, n.A), overWhite(n.B, n.A)}
}

// overWhite is what is seen of a value with opacity a in front of white, rounded.
func overWhite(value, a byte) byte {
	return byte((int(value)*int(a) + 255*(255-int(a)) + 127) / 255)
}
