package e2e_test

import (
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"hash/crc32"
	"image"
	"image/color"
	"image/gif"
	"image/jpeg"
	"math/rand/v2"
	"testing"
)

// gradient draws a picture that is the same every time.
func gradient(width, height int) *image.RGBA {
	img := image.NewRGBA(image.Rect(0, 0, width, height))
	for y := range height {
		for x := range width {
			img.SetRGBA(x, y, color.RGBA{uint8(255 * x / width), uint8(255 * y / height), uint8((x ^ y) & 255), 255})
		}
	}
	return img
}

// jpegPicture encodes a picture as a JPEG file.
func jpegPicture(t *testing.T, width, height int) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := jpeg.Encode(&b, gradient(width, height), &jpeg.Options{Quality: 90}); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// gifPicture encodes a picture as a GIF file.
func gifPicture(t *testing.T) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := gif.Encode(&b, gradient(320, 240), nil); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// webpPicture is a lossless WebP file of one pixel: the standard library encodes none.
func webpPicture(t *testing.T) []byte {
	t.Helper()
	data, err := base64.StdEncoding.DecodeString("UklGRhoAAABXRUJQVlA4TA0AAAAvAAAAEAcQERGIiP4HAA==")
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// noisyJPEG is a picture that takes long to decode and is large as a file.
func noisyJPEG(t *testing.T, width, height int) []byte {
	t.Helper()
	img := gradient(width, height)
	noise := rand.New(rand.NewPCG(1, 2))
	for i := range img.Pix {
		img.Pix[i] ^= byte(noise.Uint32() & 31)
	}
	var b bytes.Buffer
	if err := jpeg.Encode(&b, img, &jpeg.Options{Quality: 95}); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// pngClaiming is a PNG file of a few bytes whose header claims a size.
func pngClaiming(width, height uint32) []byte {
	header := binary.BigEndian.AppendUint32(nil, width)
	header = binary.BigEndian.AppendUint32(header, height)
	header = append(header, 8, 2, 0, 0, 0) // 8 bits, RGB
	file := []byte("\x89PNG\r\n\x1a\n")
	file = pngChunk(file, "IHDR", header)
	file = pngChunk(file, "IDAT", []byte{0x78, 0x9c, 3, 0, 0, 0, 0, 1})
	return pngChunk(file, "IEND", nil)
}

func pngChunk(file []byte, kind string, content []byte) []byte {
	file = binary.BigEndian.AppendUint32(file, uint32(len(content)))
	body := append([]byte(kind), content...)
	file = append(file, body...)
	return binary.BigEndian.AppendUint32(file, crc32.ChecksumIEEE(body))
}
