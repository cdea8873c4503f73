package pipeline

import (
	"bytes"
	"image"
	"image/gif"
	"image/jpeg"
	"image/png"
	"io"
	"slices"
	"strings"

	"golang.org/x/image/webp"
)

// accepted names the formats that are read, for errors.
const accepted = "JPEG, PNG, WebP or GIF"

// format is a kind of picture that is read.
type format struct {
	name   string
	magic  func(data []byte) bool
	config func(io.Reader) (image.Config, error)
	decode func(io.Reader) (image.Image, error)
	// inspect reads what the decoder does not tell; nil where there is nothing.
	inspect func(data []byte) inspection
	// densest bounds how many pixels a byte of the file can hold, so that a file of a few
	// bytes cannot claim the memory of a large picture; 0 where there is no bound.
	densest int
}

// inspection is what is known of a picture besides its pixels.
type inspection struct {
	orientation orientation
	// refusal says why the picture must not be decoded; "" if it may.
	refusal string
}

// formats are tried in this order. The package does not use the registry of image.Decode:
// any import of the program could add a decoder to it.
var formats = []format{
	{
		name: "JPEG", magic: startsWith("\xff\xd8\xff"), config: jpeg.DecodeConfig, decode: jpeg.Decode,
		inspect: inspectJPEG, densest: 64 * 8, // a block of 64 pixels takes a bit at least
	},
	{
		name: "PNG", magic: startsWith("\x89PNG\r\n\x1a\n"), config: png.DecodeConfig, decode: png.Decode,
		inspect: inspectPNG, densest: 8 * 1032, // deflate makes at most 1032 bytes of one
	},
	{
		name: "WebP", magic: isWebP, config: webp.DecodeConfig, decode: webp.Decode,
		inspect: inspectWebP, // lossless WebP needs no bits at all for a single colour
	},
	{
		name: "GIF", magic: startsWith("GIF87a", "GIF89a"), config: gif.DecodeConfig, decode: gif.Decode,
		// No bound: a small first frame may stand on a large canvas.
	},
}

func isWebP(data []byte) bool {
	return len(data) >= 12 && string(data[:4]) == "RIFF" && string(data[8:12]) == "WEBP"
}

// startsWith makes a test for one of several beginnings.
func startsWith(prefixes ...string) func([]byte) bool {
	return func(data []byte) bool {
		for _, p := range prefixes {
			if bytes.HasPrefix(data, []byte(p)) {
				return true
			}
		}
		return false
	}
}

// stranger is something that people send for a picture and that is not read.
type stranger struct {
	is func(data []byte) bool
	// advice completes the sentence "the picture ...".
	advice string
}

const convert = ", which is not read here: convert it to " + accepted

var strangers = []stranger{
	{brand("avif", "avis"), "is AVIF" + convert},
	{brand("heic", "heix", "heim", "heis", "hevc", "hevx"), "is HEIC" + convert},
	{brand("mif1", "msf1"), "is HEIF" + convert}, // which of the two above it holds, its brand does not say
	{startsWith("\xff\x0a", "\x00\x00\x00\x0cJXL \r\n\x87\n"), "is JPEG XL" + convert},
	{startsWith("\x00\x00\x00\x0cjP  \r\n\x87\n", "\xff\x4f\xff\x51"), "is JPEG 2000" + convert},
	{startsWith("II*\x00", "MM\x00*", "II+\x00", "MM\x00+"), "is TIFF" + convert},
	{isBMP, "is BMP" + convert},
	{startsWith("\x00\x00\x01\x00"), "is an icon (ICO)" + convert},
	{startsWith("%PDF-"), "is a PDF document" + convert},
	{isSVG, "is SVG" + convert},
	{isHTML, "is an HTML page: send the picture itself and not a page that shows it"},
	{startsWith("data:image/"), `is a data URL: send only what follows "base64,"`},
	{
		startsWith("/9j/", "iVBORw0KGgo", "UklGR", "R0lGOD"),
		"is still base64 after decoding: encode it once only, or not at all in a body of its own",
	},
}

// brand recognises the ISO media format (ISO/IEC 14496-12, 4.3) by its major brand.
func brand(brands ...string) func([]byte) bool {
	return func(data []byte) bool {
		if len(data) < 12 || string(data[4:8]) != "ftyp" {
			return false
		}
		return slices.Contains(brands, string(data[8:12]))
	}
}

// isBMP wants more than the letters BM: the reserved bytes 6 to 9 are 0 in practice.
func isBMP(data []byte) bool {
	return len(data) >= 14 && string(data[:2]) == "BM" && string(data[6:10]) == "\x00\x00\x00\x00"
}

func isSVG(data []byte) bool {
	head := beginning(data)
	return strings.HasPrefix(head, "<svg") || strings.HasPrefix(head, "<?xml") && strings.Contains(head, "<svg")
}

func isHTML(data []byte) bool {
	head := beginning(data)
	return strings.HasPrefix(head, "<!doctype html") || strings.HasPrefix(head, "<html")
}

// beginning is the start of a text file in lower case.
func beginning(data []byte) string {
	const enough = 1024
	data = bytes.TrimPrefix(data[:min(enough, len(data))], byteOrderMark)
	return strings.ToLower(string(bytes.TrimSpace(data)))
}
