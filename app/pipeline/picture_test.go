package pipeline

import (
	"context"
	"errors"
	"fmt"
	"image"
	"image/color"
	"math"
	"strings"
	"testing"

	"github.com/onda-serving/onda/app/scoring"
)

// Every kind of file that is read gives what PIL gives. Without loss nothing may differ;
// JPEG and WebP may, because colour is enlarged after it is resized and not before.
func TestPicturesAgreeWithPIL(t *testing.T) {
	t.Parallel()
	spec := imageSpec(16)
	spec.Crop = 0.875
	p := newImage(t, spec, Limits{})
	for _, name := range samples(t) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := pixels(t, p, readTestdata(t, "pictures", name))
			mean, largest := difference(got, readTestdata(t, "expected", name+".rgb"))
			lossy := strings.HasPrefix(name, "jpeg") || strings.HasPrefix(name, "webp-lossy") || strings.HasPrefix(name, "webp-exif")
			if !lossy && largest > 0 || mean > 0.7 || largest > 5 {
				t.Errorf("differs from PIL by %.3f on average and by %.0f at most", mean, largest)
			}
		})
	}
}

func difference(got []float32, want []byte) (mean, largest float64) {
	if len(got) != len(want) {
		return math.Inf(1), math.Inf(1)
	}
	for i := range want {
		d := math.Abs(float64(got[i]) - float64(want[i]))
		mean += d / float64(len(want))
		largest = max(largest, d)
	}
	return mean, largest
}

// Colour planes of any ratio are laid over the brightness without a shift: the result is
// that of the same picture in RGB.
func TestColourPlanesLieOverBrightness(t *testing.T) {
	t.Parallel()
	ratios := []image.YCbCrSubsampleRatio{
		image.YCbCrSubsampleRatio444, image.YCbCrSubsampleRatio422, image.YCbCrSubsampleRatio420,
		image.YCbCrSubsampleRatio440, image.YCbCrSubsampleRatio411, image.YCbCrSubsampleRatio410,
	}
	const w, h, size = 96, 64, 8
	for _, ratio := range ratios {
		img := image.NewYCbCr(image.Rect(0, 0, w, h), ratio)
		sums, counts := make([]int, 2*len(img.Cb)), make([]int, len(img.Cb))
		want := image.NewRGBA(img.Rect)
		for y := range h {
			for x := range w {
				c := color.YCbCr{Y: uint8(50 + x + y), Cb: uint8(60 + 2*x/3 + y/2), Cr: uint8(200 - x/2 - y)}
				at := img.COffset(x, y)
				img.Y[img.YOffset(x, y)] = c.Y
				sums[2*at], sums[2*at+1], counts[at] = sums[2*at]+int(c.Cb), sums[2*at+1]+int(c.Cr), counts[at]+1
				want.Set(x, y, c)
			}
		}
		for i, n := range counts {
			img.Cb[i], img.Cr[i] = uint8((sums[2*i]+n/2)/n), uint8((sums[2*i+1]+n/2)/n)
		}
		square := image.Rect(17, 1, 80, 64) // begins inside a pixel of the colour planes
		a := (&picture{image: img, width: w, height: h}).channels(square).resizeRGB(filters["bilinear"], size)
		b := (&picture{image: want, width: w, height: h}).channels(square).resizeRGB(filters["bilinear"], size)
		for c := range a {
			for i := range a[c] {
				if d := int(a[c][i]) - int(b[c][i]); d < -4 || d > 4 {
					t.Fatalf("%v: channel %d, pixel %d: got %d, want %d", ratio, c, i, a[c][i], b[c][i])
				}
			}
		}
	}
}

// The types that no decoder gives today are painted all the same.
func TestPaintAnyImage(t *testing.T) {
	t.Parallel()
	img := image.NewUniform(color.NRGBA{R: 200, A: 128})
	sub := &boundedUniform{img, image.Rect(0, 0, 4, 4)}
	rgb := (&picture{image: sub, width: 4, height: 4}).channels(image.Rect(0, 0, 4, 4)).resizeRGB(filters["bicubic"], 2)
	if got := fmt.Sprint(rgb); got != "[[227 227 227 227] [127 127 127 127] [127 127 127 127]]" {
		t.Error("got", got)
	}
}

type boundedUniform struct {
	*image.Uniform
	bounds image.Rectangle
}

func (b *boundedUniform) Bounds() image.Rectangle { return b.bounds }

func TestSeveralPicturesMakeOneTensor(t *testing.T) {
	t.Parallel()
	p := newImage(t, imageSpec(4), Limits{})
	a, b := readTestdata(t, "pictures", "png-rgb.png"), readTestdata(t, "pictures", "png-grey.png")
	tensors, err := p.Preprocess(context.Background(), binaries(a, b))
	if err != nil {
		t.Fatal(err)
	}
	if got := fmt.Sprintln(len(tensors), tensors[0].Name, tensors[0].Datatype, tensors[0].Shape); got != "1 in FP32 [2 4 4 3]\n" {
		t.Error("got", got)
	}
	want := append(pixels(t, p, a), pixels(t, p, b)...)
	if fmt.Sprint(floats(tensors[0])) != fmt.Sprint(want) {
		t.Error("rows differ from the pictures one by one")
	}
	if p.Kind() != scoring.Binary || p.MaxRows() != 0 || fmt.Sprint(p.Outputs()) != "[out]" {
		t.Error("got", p.Kind(), p.MaxRows(), p.Outputs())
	}
}

func TestNoInstancesMakeAnEmptyTensor(t *testing.T) {
	t.Parallel()
	tensors, err := newImage(t, imageSpec(4), Limits{}).Preprocess(context.Background(), nil)
	if err != nil || len(tensors[0].Data) != 0 || tensors[0].Shape[0] != 0 {
		t.Error("got", tensors, err)
	}
}

func TestEndedContextStopsDecoding(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	data := readTestdata(t, "pictures", "jpeg-420.jpg")
	_, err := newImage(t, imageSpec(4), Limits{}).Preprocess(ctx, binaries(data))
	refused(t, err, scoring.Canceled, "the caller closed the request before there was an answer")
	if _, err := examine(ctx, data, 1e6); err == nil || err.Code != scoring.Canceled || !errors.Is(err, context.Canceled) {
		t.Error("decode: got", err)
	}
}
