package pipeline

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"image"
	"image/color"
	"image/jpeg"
	"testing"

	"github.com/onda-serving/onda/app/scoring"
)

// exif makes Exif data with a decoy tag and the orientation.
func exif(order binary.AppendByteOrder, value, kind uint16) []byte {
	data := []byte("Exif\x00\x00II*\x00")
	if order == binary.AppendByteOrder(binary.BigEndian) {
		data = []byte("Exif\x00\x00MM\x00*")
	}
	data = order.AppendUint32(data, 8)
	data = order.AppendUint16(data, 2)
	for _, tag := range [][3]uint16{{0x010f, 3, 8}, {0x0112, kind, value}} {
		data = order.AppendUint16(data, tag[0])
		data = order.AppendUint16(data, tag[1])
		data = order.AppendUint32(data, 1)
		data = order.AppendUint16(data, tag[2])
		data = order.AppendUint16(data, 0)
	}
	return order.AppendUint32(data, 0)
}

// withEXIF puts an APP1 segment behind the start of a JPEG.
func withEXIF(data, exif []byte) []byte {
	segment := binary.BigEndian.AppendUint16([]byte{0xff, markerAPP1}, uint16(len(exif)+2))
	return bytes.Join([][]byte{data[:2], segment, exif, data[2:]}, nil)
}

// upright turns a picture as Exif 2.32 words it: which side of the upright picture the
// stored first row and first column are.
func upright(stored *image.Gray, o int) *image.Gray {
	w, h := stored.Rect.Dx(), stored.Rect.Dy()
	place := map[int]func(x, y int) (int, int){ // where a stored pixel is seen
		1: func(x, y int) (int, int) { return x, y },                 // top, left
		2: func(x, y int) (int, int) { return w - 1 - x, y },         // top, right
		3: func(x, y int) (int, int) { return w - 1 - x, h - 1 - y }, // bottom, right
		4: func(x, y int) (int, int) { return x, h - 1 - y },         // bottom, left
		5: func(x, y int) (int, int) { return y, x },                 // left, top
		6: func(x, y int) (int, int) { return h - 1 - y, x },         // right, top
		7: func(x, y int) (int, int) { return h - 1 - y, w - 1 - x }, // right, bottom
		8: func(x, y int) (int, int) { return y, w - 1 - x },         // left, bottom
	}[o]
	size := image.Rect(0, 0, w, h)
	if o > 4 {
		size = image.Rect(0, 0, h, w)
	}
	seen := image.NewGray(size)
	for y := range h {
		for x := range w {
			sx, sy := place(x, y)
			seen.SetGray(sx, sy, stored.GrayAt(x, y))
		}
	}
	return seen
}

// A JPEG with an orientation gives what the same picture gives when it is stored upright,
// even where the square is not in the exact centre.
func TestOrientation(t *testing.T) {
	t.Parallel()
	stored := image.NewGray(image.Rect(0, 0, 23, 14))
	for y := range 14 {
		for x := range 23 {
			stored.SetGray(x, y, color.Gray{Y: uint8(9*x + 3*y)})
		}
	}
	spec := imageSpec(13) // as large as the square: nothing is resized, each pixel counts
	spec.Crop = 0.93
	p := newImage(t, spec, Limits{})
	var encoded bytes.Buffer
	if err := jpeg.Encode(&encoded, stored, &jpeg.Options{Quality: 100}); err != nil {
		t.Fatal(err)
	}
	decoded, err := jpeg.Decode(bytes.NewReader(encoded.Bytes()))
	if err != nil {
		t.Fatal(err)
	}
	for o := 1; o <= 8; o++ {
		seen := upright(decoded.(*image.Gray), o)
		square := centreSquare(seen.Rect.Dx(), seen.Rect.Dy(), spec.Crop, 1)
		var want []float32
		for y := square.Min.Y; y < square.Max.Y; y++ {
			for x := square.Min.X; x < square.Max.X; x++ {
				v := float32(seen.GrayAt(x, y).Y)
				want = append(want, v, v, v)
			}
		}
		for _, order := range []binary.AppendByteOrder{binary.LittleEndian, binary.BigEndian} {
			got := pixels(t, p, withEXIF(encoded.Bytes(), exif(order, uint16(o), 3)))
			if fmt.Sprint(got) != fmt.Sprint(want) {
				t.Errorf("orientation %d, %v: picture is not upright", o, order)
			}
		}
	}
}

// Exif data that make no sense mean "leave the picture as it is".
func TestExifOrientation(t *testing.T) {
	t.Parallel()
	good := exif(binary.BigEndian, 6, 3)
	far := bytes.Clone(good)
	binary.BigEndian.PutUint32(far[10:], 0xffffffff)
	tests := []struct {
		name string
		data []byte
		want orientation
	}{
		{"good", good, 6},
		{"without the prefix", good[6:], 6},
		{"empty", nil, 1},
		{"value 0", exif(binary.LittleEndian, 0, 3), 1},
		{"value 9", exif(binary.LittleEndian, 9, 3), 1},
		{"value 256+6", exif(binary.LittleEndian, 256+6, 3), 1},
		{"as a long", exif(binary.LittleEndian, 6, 4), 1},
		{"cut off", good[:len(good)-10], 1},
		{"tags beyond the end", far, 1},
		{"no TIFF", []byte("Exif\x00\x00XX*\x00\x08\x00\x00\x00"), 1},
	}
	for _, tt := range tests {
		if got := exifOrientation(tt.data); got != tt.want {
			t.Errorf("%s: got %d, want %d", tt.name, got, tt.want)
		}
	}
}

// A thumbnail inside the metadata is a JPEG with markers of its own, which do not count.
func TestMarkersInsideMetadataDoNotCount(t *testing.T) {
	t.Parallel()
	thumbnail := bytes.Repeat([]byte{0xff, markerSOS, 0, 2}, 2*maxScans)
	data := readTestdata(t, "pictures", "jpeg-420.jpg")
	data = withEXIF(data, append(exif(binary.BigEndian, 3, 3), thumbnail...))
	if got := inspectJPEG(data); got.orientation != 3 || got.refusal != "" {
		t.Errorf("got %+v", got)
	}
}

func TestCentreSquare(t *testing.T) {
	t.Parallel()
	tests := []struct {
		w, h int
		crop float64
		o    orientation
		want image.Rectangle
	}{
		{224, 224, 1, 1, image.Rect(0, 0, 224, 224)},
		{1280, 720, 0.875, 1, image.Rect(325, 45, 955, 675)},
		{301, 257, 0.875, 1, image.Rect(39, 17, 263, 241)},
		{4, 6, 0.9, 1, image.Rect(1, 2, 4, 5)}, // 3.6 becomes 3
		{9, 4, 1, 1, image.Rect(3, 0, 7, 4)},   // 2.5 pixels too many on each side
		{9, 4, 1, 2, image.Rect(2, 0, 6, 4)},
		{9, 4, 1, 8, image.Rect(2, 0, 6, 4)},
		{9, 4, 1, 6, image.Rect(3, 0, 7, 4)},
		{1, 5000, 0.1, 1, image.Rect(0, 2500, 1, 2501)},
	}
	for _, tt := range tests {
		if got := centreSquare(tt.w, tt.h, tt.crop, tt.o); got != tt.want {
			t.Errorf("%dx%d, %v, orientation %d: got %v, want %v", tt.w, tt.h, tt.crop, tt.o, got, tt.want)
		}
	}
}

func FuzzOrientation(f *testing.F) {
	f.Add(exif(binary.BigEndian, 6, 3))
	f.Add(exif(binary.LittleEndian, 3, 3)[6:])
	f.Add(withEXIF([]byte("\xff\xd8\xff\xd9"), exif(binary.LittleEndian, 8, 3)))
	f.Add(readTestdata(f, "pictures", "png-exif6.png"))
	f.Add(readTestdata(f, "pictures", "webp-exif8.webp"))
	f.Fuzz(func(t *testing.T, data []byte) {
		found := []orientation{exifOrientation(data), inspectJPEG(data).orientation}
		if formats[1].magic(data) {
			found = append(found, inspectPNG(data).orientation)
		}
		if isWebP(data) {
			found = append(found, inspectWebP(data).orientation)
		}
		for _, o := range found {
			if o < 1 || o > 8 {
				t.Errorf("got %d", o)
			}
		}
	})
}

func FuzzPicture(f *testing.F) {
	for _, name := range samples(f) {
		f.Add(readTestdata(f, "pictures", name))
	}
	f.Add(webpHeader(10, 10))
	f.Add(pngHeader(10, 10))
	p := newImage(f, imageSpec(8), Limits{MaxPixels: 1 << 20})
	f.Fuzz(func(t *testing.T, data []byte) {
		tensors, err := p.Preprocess(context.Background(), binaries(data))
		switch code := scoring.CodeOf(err); code {
		case 0:
			for _, v := range floats(tensors[0]) {
				if v < 0 || v > 255 {
					t.Fatal("got", v)
				}
			}
		case scoring.Invalid, scoring.UnsupportedMedia, scoring.TooLarge:
		default:
			t.Fatal(err)
		}
	})
}
