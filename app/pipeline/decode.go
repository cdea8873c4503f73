package pipeline

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"image"
	"image/jpeg"
	"io"

	"github.com/onda-serving/onda/app/scoring"
)

// header is what is known of a picture before it is decoded.
type header struct {
	format *format
	// width and height are those of the picture in pixels, as it is stored.
	width, height int
	orientation   orientation
}

// picture is a decoded picture, as it is stored.
type picture struct {
	image image.Image
	// width and height are those of the picture in pixels. The bounds of image are
	// smaller where a GIF's first frame covers only a part.
	width, height int
	// toRGB turns brightness and colour into RGB, where image keeps them apart.
	toRGB func(y, cb, cr byte) (r, g, b byte)
}

// examine reads the header of an encoded picture, and refuses what is too large or not
// read.
func examine(ctx context.Context, data []byte, maxPixels int) (header, *scoring.Error) {
	f, err := recognise(data)
	if err != nil {
		return header{}, err
	}
	config, cause := f.config(&reader{ctx, bytes.NewReader(data)})
	if cause != nil {
		return header{}, damaged(ctx, f, cause)
	}
	if err := checkSize(f, config, len(data), maxPixels); err != nil {
		return header{}, err
	}
	seen := inspection{orientation: 1}
	if f.inspect != nil {
		seen = f.inspect(data)
	}
	if seen.refusal != "" {
		return header{}, scoring.Errorf(scoring.Invalid, "the %s picture %s", f.name, seen.refusal)
	}
	return header{f, config.Width, config.Height, seen.orientation}, nil
}

// decode decodes a picture that was examined.
func (h header) decode(ctx context.Context, data []byte) (*picture, *scoring.Error) {
	f := h.format
	img, cause := f.decodeSafely(&reader{ctx, bytes.NewReader(data)})
	if cause != nil {
		return nil, damaged(ctx, f, cause)
	}
	pic := &picture{image: img, width: h.width, height: h.height}
	if f.name == "WebP" {
		pic.toRGB = studioToRGB
	}
	if bounds := img.Bounds(); !bounds.In(image.Rect(0, 0, pic.width, pic.height)) {
		return nil, damaged(ctx, f, fmt.Errorf("decoded %v, header says %dx%d", bounds, pic.width, pic.height))
	}
	return pic, nil
}

// recognise tells the format by the first bytes.
func recognise(data []byte) (*format, *scoring.Error) {
	if len(data) == 0 {
		return nil, scoring.Errorf(scoring.Invalid, "the picture is empty")
	}
	for i := range formats {
		if formats[i].magic(data) {
			return &formats[i], nil
		}
	}
	for _, s := range strangers {
		if s.is(data) {
			return nil, scoring.Errorf(scoring.UnsupportedMedia, "the picture %s", s.advice)
		}
	}
	return nil, scoring.Errorf(scoring.Invalid, "the bytes are not a picture: send %s", accepted)
}

// checkSize holds the size in the header against the limit and against what a file of
// this length can contain.
func checkSize(f *format, c image.Config, length, maxPixels int) *scoring.Error {
	pixels := int64(c.Width) * int64(c.Height) // both have 32 bits at most, so this fits
	switch {
	case c.Width <= 0 || c.Height <= 0:
		return scoring.Errorf(scoring.Invalid, "the %s picture is damaged: its size is %d x %d pixels", f.name, c.Width, c.Height)
	case pixels > int64(maxPixels):
		return scoring.Errorf(scoring.TooLarge, "the %s picture has %d x %d = %d pixels: at most %d are allowed",
			f.name, c.Width, c.Height, pixels, maxPixels)
	case f.densest > 0 && pixels/int64(f.densest) > int64(length):
		return scoring.Errorf(scoring.Invalid, "the %s picture is damaged or cut off: %d bytes cannot hold %d x %d pixels",
			f.name, length, c.Width, c.Height)
	}
	return nil
}

// damaged is the error of a picture that does not decode. What the decoder said is for
// the log: it speaks of the format's insides.
func damaged(ctx context.Context, f *format, cause error) *scoring.Error {
	var unsupported jpeg.UnsupportedError
	switch {
	case ctx.Err() != nil:
		return scoring.AsError(ctx.Err())
	case errors.As(cause, &unsupported):
		return scoring.Errorf(scoring.Invalid,
			"the JPEG picture is of a rare kind that is not read here: save it again as an ordinary RGB JPEG").WithCause(cause)
	case errors.Is(cause, io.EOF) || errors.Is(cause, io.ErrUnexpectedEOF):
		return scoring.Errorf(scoring.Invalid, "the %s picture is damaged or cut off: it ends too early", f.name).WithCause(cause)
	default:
		return scoring.Errorf(scoring.Invalid, "the %s picture is damaged or cut off: its data do not decode", f.name).WithCause(cause)
	}
}

// decodeSafely turns a panic of a decoder into an error. Decoders meet bytes that anybody
// may send; an index out of range in one of them must cost a request and not the process.
func (f *format) decodeSafely(r io.Reader) (img image.Image, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("decoder panicked: %v", p)
		}
	}()
	return f.decode(r)
}

// reader stops a decoder when the request is over: decoders take no context, but they
// read on as they go.
type reader struct {
	ctx context.Context //nolint:containedctx // lives as long as one call of decode
	r   *bytes.Reader
}

// Read fails once the context has ended.
func (r *reader) Read(p []byte) (int, error) {
	if err := r.ctx.Err(); err != nil {
		return 0, err
	}
	return r.r.Read(p)
}

// studioToRGB is for WebP, whose brightness runs from 16 to 235 and colour from 16 to 240
// (ITU-R BT.601), while image.YCbCr means 0 to 255, as in JPEG. The constants are those
// of libwebp (src/dsp/yuv.h), 14 bits after the point.
func studioToRGB(y, cb, cr byte) (r, g, b byte) {
	const drop = 6 // bits that are left after the point once each product has lost 8
	luma := 19077 * int(y) >> 8
	u, v := int(cb), int(cr)
	return toByte((luma + 26149*v>>8 - 14234) >> drop),
		toByte((luma - 6419*u>>8 - 13320*v>>8 + 8708) >> drop),
		toByte((luma + 33050*u>>8 - 17685) >> drop)
}
