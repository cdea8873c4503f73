package pipeline

import (
	"bytes"
	"context"
	"fmt"
	"image"
	"image/color"
	stdjpeg "image/jpeg"
	"math"
	"strings"
	"sync"
	"testing"

	"github.com/onda-serving/onda/app/pipeline/internal/jpeg"
)

// reduce decodes the centre of a JPEG with this module's decoder, at the scales that are
// chosen or at full scale.
func reduce(t testing.TB, data []byte, side, size int, full bool) [3][]byte {
	t.Helper()
	frame, err := jpeg.Parse(data)
	if err != nil {
		t.Fatal(err)
	}
	left, top := (frame.Width-side)/2, (frame.Height-side)/2
	square := image.Rect(left, top, left+side, top+side)
	choose := scaleFor
	if full {
		choose = func(float64) int { return jpeg.BlockSize }
	}
	rgb, err := newReduction(frame, square, filters["bicubic"], size, choose).resize(context.Background(), new(workspace))
	if err != nil {
		t.Fatal(err)
	}
	return rgb
}

// detailed is a picture with more detail at all scales than photos have.
func detailed(w, h int) *image.RGBA {
	img := photo(w, h)
	for y := range h {
		for x := range w {
			v := 127 * math.Sin(float64(x*x+y*y)/float64(4*w)) * math.Cos(float64(x*y)/900)
			c := img.RGBAAt(x, y)
			c.R, c.G, c.B = toByte(int(c.R)+int(v)), toByte(int(c.G)+int(v/2)), toByte(int(c.B)-int(v/3))
			img.SetRGBA(x, y, c)
		}
	}
	return img
}

func TestSmallerScalesAreCloseToTheWhole(t *testing.T) {
	t.Parallel()
	const w, h, side = 640, 480, 420
	var data bytes.Buffer
	if err := stdjpeg.Encode(&data, detailed(w, h), &stdjpeg.Options{Quality: 90}); err != nil {
		t.Fatal(err)
	}
	for _, size := range []int{99, 90, 64, 50, 32, 18, 8} {
		got, want := reduce(t, data.Bytes(), side, size, false), reduce(t, data.Bytes(), side, size, true)
		sum := 0.0
		for c := range got {
			for i := range got[c] {
				sum += math.Abs(float64(got[c][i]) - float64(want[c][i]))
			}
		}
		if mean := sum / float64(3*size*size); mean > 0.5 {
			t.Errorf("%d to %d pixels, scale %d: differs by %.3f on average", side, size, scaleFor(side/float64(size)), mean)
		}
	}
}

func TestScaleFor(t *testing.T) {
	t.Parallel()
	for ratio, want := range map[float64]int{0.5: 8, 1.46: 8, 3.7: 8, 3.9: 4, 11: 4, 11.7: 2, 47: 2, 48: 1} {
		if got := scaleFor(ratio); got != want {
			t.Errorf("%g samples for a pixel: got scale %d, want %d", ratio, got, want)
		}
	}
}

// All the JPEGs of testdata but those in CMYK take the quick way, and it leads to the same
// picture as the other one.
func TestQuickAgreesWithTheStandardDecoder(t *testing.T) {
	t.Parallel()
	for _, name := range samples(t) {
		if !strings.HasPrefix(name, "jpeg") {
			continue
		}
		data := readTestdata(t, "pictures", name)
		h, err := examine(context.Background(), data, 1e6)
		if err != nil {
			t.Fatal(err)
		}
		square := centreSquare(h.width, h.height, 0.875, 1)
		got, ok := quick(context.Background(), data, h, square, filters["bicubic"], 20, new(workspace))
		if cmyk := strings.Contains(name, "cmyk") || strings.Contains(name, "ycck"); ok == cmyk {
			t.Errorf("%s: quick is %v", name, ok)
		}
		if !ok {
			continue
		}
		pic, err := h.decode(context.Background(), data)
		if err != nil {
			t.Fatal(err)
		}
		want := pic.channels(square).resizeRGB(filters["bicubic"], 20)
		for c := range got {
			for i := range got[c] {
				if d := int(got[c][i]) - int(want[c][i]); d < -6 || d > 6 {
					t.Fatalf("%s: channel %d, pixel %d: got %d, want about %d", name, c, i, got[c][i], want[c][i])
				}
			}
		}
	}
}

// What this module's decoder declines, the standard library may still read.
func TestUnusualJPEGsAreRead(t *testing.T) {
	t.Parallel()
	p := newImage(t, imageSpec(8), Limits{})
	data := readTestdata(t, "pictures", "jpeg-420.jpg")
	at := bytes.Index(data, []byte{0xff, 0xdb})
	unusual := bytes.Join([][]byte{data[:at], []byte("stray"), data[at:]}, nil)
	if _, err := jpeg.Parse(unusual); err == nil {
		t.Fatal("the file is not unusual")
	}
	got, want := pixels(t, p, unusual), pixels(t, p, data)
	for i := range want {
		if math.Abs(float64(got[i]-want[i])) > 6 {
			t.Fatalf("value %d: got %g, want about %g", i, got[i], want[i])
		}
	}
}

// A size that eight does not divide, as well as grey and colours of one value: nothing of
// the arithmetic shows.
func TestFlatPicturesStayFlat(t *testing.T) {
	t.Parallel()
	for _, v := range []uint8{0, 1, 127, 254, 255} {
		img := image.NewGray(image.Rect(0, 0, 90, 70))
		for i := range img.Pix {
			img.Pix[i] = v
		}
		colour := image.NewRGBA(img.Rect)
		for i := range img.Pix {
			colour.Set(i%90, i/90, color.Gray{Y: v})
		}
		for _, m := range []image.Image{img, colour} {
			var data bytes.Buffer
			if err := stdjpeg.Encode(&data, m, &stdjpeg.Options{Quality: 100}); err != nil {
				t.Fatal(err)
			}
			for _, size := range []int{3, 13, 100} {
				for c, plane := range reduce(t, data.Bytes(), 60, size, false) {
					for i, got := range plane {
						if got != v {
							t.Fatalf("%T of %d, %d pixels: channel %d has %d at %d", m, v, size, c, got, i)
						}
					}
				}
			}
		}
	}
}

// Stretching keeps what is flat, and folding leads to the same as stretching first.
func TestFold(t *testing.T) {
	t.Parallel()
	for name, s := range map[string]stretch{
		"double": chromaStretch(2, 40), "fourfold": chromaStretch(4, 20), "half a block": blockStretch(4), "two of a block": blockStretch(2), "one of a block": blockStretch(1),
	} {
		coarse := make([]float64, 80)
		for i := range coarse {
			coarse[i] = float64(i * i % 37)
		}
		fine := make([]float64, 80)
		for i := range fine {
			first, weights := s(i)
			sum := 0.0
			for j, w := range weights {
				fine[i] += w * coarse[first+j]
				sum += w
			}
			if math.Abs(sum-1) > 1e-9 {
				t.Errorf("%s: weights of %d add up to %g", name, i, sum)
			}
		}
		all := shares(filters["bicubic"], span{3, 77}, 11)
		for i, folded := range fold(all, s) {
			if a, b := weighed(all[i], fine), weighed(folded, coarse); math.Abs(a-b) > 1e-9 {
				t.Errorf("%s: pixel %d is %g, folded %g", name, i, a, b)
			}
		}
	}
}

func weighed(s share, source []float64) float64 {
	sum := 0.0
	for i, w := range s.weights {
		sum += w * source[s.first+i]
	}
	return sum
}

func TestConcurrentPictures(t *testing.T) {
	t.Parallel()
	p := newImage(t, imageSpec(13), Limits{})
	var wg sync.WaitGroup
	for _, name := range samples(t) {
		data := readTestdata(t, "pictures", name)
		want := fmt.Sprint(pixels(t, p, data))
		wg.Go(func() {
			for range 10 {
				tensors, err := p.Preprocess(context.Background(), binaries(data))
				if err != nil || fmt.Sprint(floats(tensors[0])) != want {
					t.Error(name, "differs", err)
				}
			}
		})
	}
	wg.Wait()
}
