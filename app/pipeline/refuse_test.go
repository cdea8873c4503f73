package pipeline

import (
	"bytes"
	"context"
	"encoding/binary"
	"hash/crc32"
	"image"
	"image/color"
	"io"
	"runtime"
	"strings"
	"testing"

	"github.com/onda-serving/onda/app/scoring"
)

const (
	wantPicture = `instances[0]: this model takes pictures: send {"b64": "..."} or the picture itself as image/jpeg, image/png, image/webp or image/gif`
	notRead     = ", which is not read here: convert it to JPEG, PNG, WebP or GIF"
)

func TestWhatIsNoPictureIsRefused(t *testing.T) {
	t.Parallel()
	const unsupported = scoring.UnsupportedMedia
	tests := []struct {
		name, data string
		code       scoring.Code
		want       string
	}{
		{"empty", "", scoring.Invalid, "the picture is empty"},
		{"words", "hello", scoring.Invalid, "the bytes are not a picture: send JPEG, PNG, WebP or GIF"},
		{"one byte", "\xff", scoring.Invalid, "the bytes are not a picture: send JPEG, PNG, WebP or GIF"},
		{"riff sound", "RIFF\x04\x00\x00\x00WAVE", scoring.Invalid, "the bytes are not a picture: send JPEG, PNG, WebP or GIF"},
		{"avif", "\x00\x00\x00\x1cftypavif\x00\x00\x00\x00", unsupported, "the picture is AVIF" + notRead},
		{"heic", "\x00\x00\x00\x1cftypheic\x00\x00\x00\x00", unsupported, "the picture is HEIC" + notRead},
		{"film", "\x00\x00\x00\x1cftypisom\x00\x00\x00\x00", scoring.Invalid, "the bytes are not a picture: send JPEG, PNG, WebP or GIF"},
		{"jxl", "\xff\x0a\x00\x00", unsupported, "the picture is JPEG XL" + notRead},
		{"jp2", "\x00\x00\x00\x0cjP  \r\n\x87\n", unsupported, "the picture is JPEG 2000" + notRead},
		{"tiff", "MM\x00*\x00\x00\x00\x08", unsupported, "the picture is TIFF" + notRead},
		{"bmp", "BM\x46\x00\x00\x00\x00\x00\x00\x00\x36\x00\x00\x00", unsupported, "the picture is BMP" + notRead},
		{"letters BM", "BMX is a kind of cycling", scoring.Invalid, "the bytes are not a picture: send JPEG, PNG, WebP or GIF"},
		{"ico", "\x00\x00\x01\x00\x01\x00", unsupported, "the picture is an icon (ICO)" + notRead},
		{"pdf", "%PDF-1.7", unsupported, "the picture is a PDF document" + notRead},
		{"svg", "\ufeff<?xml version='1.0'?>\n<SVG/>", unsupported, "the picture is SVG" + notRead},
		{"html", "\n<!DOCTYPE html><html>", unsupported, "the picture is an HTML page: send the picture itself and not a page that shows it"},
		{"data url", "data:image/png;base64,iVBOR", unsupported, `the picture is a data URL: send only what follows "base64,"`},
		{"base64 twice", "/9j/4AAQSkZJRg", unsupported, "the picture is still base64 after decoding: encode it once only, or not at all in a body of its own"},
	}
	p := newImage(t, imageSpec(4), Limits{})
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			_, err := p.Preprocess(context.Background(), binaries([]byte(tt.data)))
			refused(t, err, tt.code, "instances[0]: "+tt.want)
		})
	}
}

func TestTheWrongKindIsRefused(t *testing.T) {
	t.Parallel()
	_, err := newImage(t, imageSpec(4), Limits{}).Preprocess(context.Background(), texts("a cat"))
	refused(t, err, scoring.Invalid, wantPicture)
}

func TestErrorsNameTheInstance(t *testing.T) {
	t.Parallel()
	good := readTestdata(t, "pictures", "png-rgb.png")
	_, err := newImage(t, imageSpec(4), Limits{}).Preprocess(context.Background(), binaries(good, good, nil))
	refused(t, err, scoring.Invalid, "instances[2]: the picture is empty")
}

// Headers that claim 60000 x 60000 pixels or more than the file can hold. Not parallel:
// it counts what the process allocates.
func TestBombsAreRefusedByTheirHeader(t *testing.T) {
	const tooMany = "picture has 60000 x 60000 = 3600000000 pixels: at most 50000000 are allowed"
	tests := []struct {
		name string
		data []byte
		code scoring.Code
		want string
	}{
		{"jpeg", jpegHeader(60000, 60000), scoring.TooLarge, "the JPEG " + tooMany},
		{"png", pngHeader(60000, 60000), scoring.TooLarge, "the PNG " + tooMany},
		{"gif", gifHeader(60000, 60000), scoring.TooLarge, "the GIF " + tooMany},
		{"webp", webpHeader(60000, 60000), scoring.Invalid, "the WebP picture is damaged or cut off: its data do not decode"},
		{"webp, as large as it goes", webpHeader(16384, 16384), scoring.TooLarge, "the WebP picture has 16384 x 16384 = 268435456 pixels: at most 50000000 are allowed"},
		{"webp, extended", webpExtended(16384, 16384), scoring.TooLarge, "the WebP picture has 16384 x 16384 = 268435456 pixels: at most 50000000 are allowed"},
		{"webp, extended but small", append(webpExtended(8, 8), webpHeader(7000, 7000)[12:]...), scoring.Invalid, "the WebP picture is damaged or cut off: its data do not decode"},
		{"jpeg, few bytes", jpegHeader(7000, 7000), scoring.Invalid, "the JPEG picture is damaged or cut off: 37 bytes cannot hold 7000 x 7000 pixels"},
		{"png, few bytes", pngHeader(7000, 7000), scoring.Invalid, "the PNG picture is damaged or cut off: 33 bytes cannot hold 7000 x 7000 pixels"},
		{"jpeg, no height", jpegHeader(7, 0), scoring.Invalid, "the JPEG picture is damaged: its size is 7 x 0 pixels"},
		{"gif, no width", gifHeader(0, 5), scoring.Invalid, "the GIF picture is damaged: its size is 0 x 5 pixels"},
		{"png, no width", pngHeader(0, 5), scoring.Invalid, "the PNG picture is damaged or cut off: its data do not decode"},
	}
	p := newImage(t, imageSpec(4), Limits{})
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := p.Preprocess(context.Background(), binaries(tt.data))
			refused(t, err, tt.code, "instances[0]: "+tt.want)
			if n := allocated(func() { _, _ = p.Preprocess(context.Background(), binaries(tt.data)) }); n > 64<<10 {
				t.Errorf("allocated %d bytes", n)
			}
		})
	}
}

// allocated is the number of bytes that f allocates, when nothing else runs.
func allocated(f func()) uint64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	f()
	runtime.ReadMemStats(&after)
	return after.TotalAlloc - before.TotalAlloc
}

func TestManyScansAreRefused(t *testing.T) {
	t.Parallel()
	data := readTestdata(t, "pictures", "jpeg-progressive.jpg")
	at := bytes.LastIndex(data, []byte{0xff, markerSOS})
	scan := data[at : len(data)-2]
	data = append(data[:at:at], bytes.Repeat(scan, 200)...)
	_, err := newImage(t, imageSpec(4), Limits{}).Preprocess(context.Background(), binaries(append(data, 0xff, markerEOI)))
	refused(t, err, scoring.Invalid, "instances[0]: the JPEG picture is stored in an unreasonable number of scans: save it again")
}

func TestAnimatedWebPIsRefused(t *testing.T) {
	t.Parallel()
	_, err := newImage(t, imageSpec(4), Limits{}).Preprocess(context.Background(), binaries(readTestdata(t, "pictures", "webp-animated.webp")))
	refused(t, err, scoring.Invalid, "instances[0]: the WebP picture is animated: send one of its frames")
}

func TestRareJPEGIsRefused(t *testing.T) {
	t.Parallel()
	data := readTestdata(t, "pictures", "jpeg-cmyk.jpg")
	at := bytes.Index(data, []byte{0xff, 0xee}) // the Adobe marker, without which four channels mean nothing
	data = append(data[:at:at], data[at+16:]...)
	_, err := newImage(t, imageSpec(4), Limits{}).Preprocess(context.Background(), binaries(data))
	refused(t, err, scoring.Invalid, "instances[0]: the JPEG picture is of a rare kind that is not read here: save it again as an ordinary RGB JPEG")
}

// A picture cut off anywhere, or with a damaged byte, never panics. Cut off before its
// pixels end it is Invalid, and says so.
func TestDamagedPictures(t *testing.T) {
	t.Parallel()
	p := newImage(t, imageSpec(4), Limits{MaxPixels: 1 << 20})
	for _, name := range samples(t) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			data := readTestdata(t, "pictures", name)
			for n := 0; n < len(data)*3/4; n += 3 {
				_, err := p.Preprocess(context.Background(), binaries(data[:n]))
				if e := scoring.AsError(err); e == nil || e.Code != scoring.Invalid || !strings.HasPrefix(e.Message, "instances[0]: the ") {
					if strings.HasPrefix(name, "webp-exif") || name == "gif-frames.gif" {
						continue // the pixels end before the file
					}
					t.Fatalf("the first %d of %d bytes: got %v", n, len(data), err)
				}
			}
			for i := 0; i < len(data); i += 5 { // FuzzPicture tries the rest
				hurt := bytes.Clone(data)
				hurt[i] ^= 0x55
				_, err := p.Preprocess(context.Background(), binaries(hurt))
				if e := scoring.AsError(err); e != nil && e.Code == scoring.Internal {
					t.Fatalf("byte %d: got %v", i, err)
				}
			}
		})
	}
}

func TestAPanickingDecoderCostsTheRequestOnly(t *testing.T) {
	t.Parallel()
	f := format{decode: func(io.Reader) (image.Image, error) {
		return image.NewPaletted(image.Rectangle{}, color.Palette{}), []error{}[1]
	}}
	if _, err := f.decodeSafely(nil); err == nil {
		t.Error("got no error")
	}
}

func jpegHeader(w, h int) []byte {
	data := []byte("\xff\xd8\xff\xc0\x00\x11\x08\x00\x00\x00\x00\x03\x01\x22\x00\x02\x11\x01\x03\x11\x01" + "\xff\xda\x00\x0c\x03\x01\x00\x02\x11\x03\x11\x00\x3f\x00\xff\xd9")
	binary.BigEndian.PutUint16(data[7:], uint16(h))
	binary.BigEndian.PutUint16(data[9:], uint16(w))
	return data
}

func pngHeader(w, h int) []byte {
	data := []byte("\x89PNG\r\n\x1a\n\x00\x00\x00\x0dIHDR\x00\x00\x00\x00\x00\x00\x00\x00\x10\x06\x00\x00\x00")
	binary.BigEndian.PutUint32(data[16:], uint32(w))
	binary.BigEndian.PutUint32(data[20:], uint32(h))
	return binary.BigEndian.AppendUint32(data, crc32.ChecksumIEEE(data[12:]))
}

func gifHeader(w, h int) []byte {
	data := []byte("GIF89a\x00\x00\x00\x00\x00\x00\x00;")
	binary.LittleEndian.PutUint16(data[6:], uint16(w))
	binary.LittleEndian.PutUint16(data[8:], uint16(h))
	return data
}

// webpHeader is a lossless WebP, whose sizes have 14 bits; a larger one breaks the header.
func webpHeader(w, h int) []byte {
	data := []byte("RIFF\xff\x00\x00\x00WEBPVP8L\x06\x00\x00\x00\x2f\x00\x00\x00\x00\x00")
	bits := uint32(w-1) | uint32(h-1)<<14
	if w > 1<<14 {
		bits |= 7 << 29 // a version that does not exist
	}
	binary.LittleEndian.PutUint32(data[21:], bits)
	return data
}

func webpExtended(w, h int) []byte {
	data := []byte("RIFF\xff\x00\x00\x00WEBPVP8X\x0a\x00\x00\x00\x00\x00\x00\x00")
	for _, v := range []int{w - 1, h - 1} {
		data = append(data, byte(v), byte(v>>8), byte(v>>16))
	}
	return data
}
