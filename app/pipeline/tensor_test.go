package pipeline

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"image"
	"image/color"
	"image/png"
	"math"
	"testing"

	"github.com/onda-serving/onda/app/scoring"
)

// fourColours is a PNG of 2 x 2 pixels.
func fourColours(t testing.TB) []byte {
	t.Helper()
	img := image.NewRGBA(image.Rect(0, 0, 2, 2))
	for i, c := range []color.RGBA{{1, 2, 3, 255}, {4, 5, 6, 255}, {7, 8, 9, 255}, {10, 11, 12, 255}} {
		img.Set(i%2, i/2, c)
	}
	var b bytes.Buffer
	if err := png.Encode(&b, img); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func TestLayoutAndColour(t *testing.T) {
	t.Parallel()
	tests := []struct{ layout, colour, shape, want string }{
		{"nhwc", "rgb", "[1 2 2 3]", "[1 2 3 4 5 6 7 8 9 10 11 12]"},
		{"nhwc", "bgr", "[1 2 2 3]", "[3 2 1 6 5 4 9 8 7 12 11 10]"},
		{"nchw", "rgb", "[1 3 2 2]", "[1 4 7 10 2 5 8 11 3 6 9 12]"},
		{"nchw", "bgr", "[1 3 2 2]", "[3 6 9 12 2 5 8 11 1 4 7 10]"},
	}
	for _, tt := range tests {
		spec := imageSpec(2)
		spec.Layout, spec.Colour = tt.layout, tt.colour
		tensors, err := newImage(t, spec, Limits{}).Preprocess(context.Background(), binaries(fourColours(t)))
		if err != nil {
			t.Fatal(err)
		}
		if got := fmt.Sprint(floats(tensors[0])); got != tt.want || fmt.Sprint(tensors[0].Shape) != tt.shape {
			t.Errorf("%s %s: got %v %s, want %s %s", tt.layout, tt.colour, tensors[0].Shape, got, tt.shape, tt.want)
		}
	}
}

// Mean and scale follow the order of the tensor's channels, not red, green, blue.
func TestMeanAndScale(t *testing.T) {
	t.Parallel()
	spec := imageSpec(2)
	spec.Colour = "bgr"
	spec.Mean, spec.Scale = [3]float64{3, 2, 1}, [3]float64{0.1, 1, 10}
	got := pixels(t, newImage(t, spec, Limits{}), fourColours(t))
	want := []float32{0, 0, 0, float32(3 * 0.1), 3, 30, float32(6 * 0.1), 6, 60, float32(9 * 0.1), 9, 90}
	for i := range want {
		if math.Abs(float64(got[i]-want[i])) > 1e-6 {
			t.Fatalf("got %v, want %v", got, want)
		}
	}
}

func TestHalfInput(t *testing.T) {
	t.Parallel()
	spec := imageSpec(2)
	spec.Layout, spec.Mean = "nchw", [3]float64{0.5, 104, 2}
	p, err := New(Spec{Image: &spec}, imageSignature(scoring.FP16), testFiles, Limits{})
	if err != nil {
		t.Fatal(err)
	}
	tensors, err := p.Preprocess(context.Background(), binaries(fourColours(t)))
	if err != nil {
		t.Fatal(err)
	}
	var got []float32
	for data := tensors[0].Data; len(data) > 0; data = data[2:] {
		got = append(got, scoring.Float16(binary.LittleEndian.Uint16(data)))
	}
	want := "FP16 [0.5 3.5 6.5 9.5 -102 -99 -96 -93 1 4 7 10]"
	if s := fmt.Sprint(tensors[0].Datatype, " ", got); s != want {
		t.Errorf("got %s, want %s", s, want)
	}
}

// The kernels keep a flat colour flat, whatever is made of what.
func TestResizeKeepsFlatColour(t *testing.T) {
	t.Parallel()
	for name, f := range filters {
		for _, from := range []int{1, 2, 3, 7, 100, 301} {
			for _, to := range []int{1, 2, 5, 64} {
				p := plane{bytes.Repeat([]byte{200}, from*from), from, 1}
				whole := span{0, float64(from)}
				for i, v := range p.resize(f, whole, whole, to) {
					if v != 200 {
						t.Fatalf("%s %d to %d: pixel %d is %d", name, from, to, i, v)
					}
				}
			}
		}
	}
}

// Values from PIL 13: Image.new("L", (4, 1)) with 10, 200, 30, 250, resized along x, as a
// square of four such rows.
func TestResizeAgreesWithPIL(t *testing.T) {
	t.Parallel()
	row := []byte{10, 200, 30, 250}
	p := plane{bytes.Repeat(row, 4), 4, 1}
	tests := []struct {
		filter string
		size   int
		want   string
	}{
		{"bilinear", 1, "[121]"},
		{"bilinear", 2, "[94 149]"},
		{"bilinear", 3, "[67 115 184]"},
		{"bilinear", 4, "[10 200 30 250]"},
		{"bilinear", 7, "[10 78 186 115 46 171 250]"},
		{"bicubic", 1, "[121]"},
		{"bicubic", 2, "[91 152]"},
		{"bicubic", 3, "[67 114 186]"},
		{"bicubic", 4, "[10 200 30 250]"},
		{"bicubic", 7, "[0 74 197 113 35 177 255]"},
	}
	for _, tt := range tests {
		got := p.resize(filters[tt.filter], span{0, 4}, span{0, 4}, tt.size)
		if s := fmt.Sprint(got[:tt.size]); s != tt.want {
			t.Errorf("%s to %d: got %s, want %s", tt.filter, tt.size, s, tt.want)
		}
	}
}

// Transparent pixels show white, opaque ones themselves.
func TestOverWhite(t *testing.T) {
	t.Parallel()
	for v := range 256 {
		if overWhite(byte(v), 255) != byte(v) || overWhite(byte(v), 0) != 255 {
			t.Fatal(v)
		}
	}
	if overWhite(0, 128) != 127 || overWhite(255, 77) != 255 {
		t.Error("half transparent")
	}
}

// libwebp's own conversion of the ends of the range and of the primary colours.
func TestStudioToRGB(t *testing.T) {
	t.Parallel()
	for in, want := range map[[3]byte][3]byte{
		{16, 128, 128}: {0, 0, 0}, {235, 128, 128}: {255, 255, 255}, {126, 128, 128}: {128, 128, 128},
		{82, 90, 240}: {255, 1, 0}, {0, 128, 128}: {0, 0, 0}, {255, 128, 128}: {255, 255, 255},
	} {
		r, g, b := studioToRGB(in[0], in[1], in[2])
		if got := [3]byte{r, g, b}; got != want {
			t.Errorf("%v: got %v, want %v", in, got, want)
		}
	}
}
