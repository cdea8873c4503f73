package pipeline

import (
	"bytes"
	"context"
	"image"
	"image/color"
	"image/jpeg"
	"image/png"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/onda-serving/onda/app/scoring"
)

// photo makes a picture that compresses like a photo: soft shapes with some noise.
func photo(w, h int) *image.RGBA {
	rng := rand.New(rand.NewPCG(3, 4))
	img := image.NewRGBA(image.Rect(0, 0, w, h))
	for y := range h {
		for x := range w {
			n := rng.IntN(12)
			img.SetRGBA(x, y, color.RGBA{
				R: uint8(n + 200*x/w + 40*(x/64%2)), G: uint8(n + 180*y/h + 40*(y/48%2)), B: uint8(n + 120 + 100*(x*y%997)/1500), A: 255,
			})
		}
	}
	return img
}

func jpegPhoto(b *testing.B, w, h int) []byte {
	b.Helper()
	var data bytes.Buffer
	if err := jpeg.Encode(&data, photo(w, h), &jpeg.Options{Quality: 85}); err != nil {
		b.Fatal(err)
	}
	return data.Bytes()
}

func pngPhoto(b *testing.B, w, h int) []byte {
	b.Helper()
	var data bytes.Buffer
	if err := png.Encode(&data, photo(w, h)); err != nil {
		b.Fatal(err)
	}
	return data.Bytes()
}

func BenchmarkPreprocess(b *testing.B) {
	for _, bb := range []struct {
		name   string
		resize string
		data   []byte
	}{
		{"jpeg-1280x720-bilinear", "bilinear", jpegPhoto(b, 1280, 720)},
		{"jpeg-1280x720-bicubic", "bicubic", jpegPhoto(b, 1280, 720)},
		{"jpeg-4000x3000-bilinear", "bilinear", jpegPhoto(b, 4000, 3000)},
		{"jpeg-4000x3000-bicubic", "bicubic", jpegPhoto(b, 4000, 3000)},
		{"png-1280x720-bilinear", "bilinear", pngPhoto(b, 1280, 720)},
	} {
		b.Run(bb.name, func(b *testing.B) {
			spec := imageSpec(224)
			spec.Layout, spec.Crop, spec.Resize = "nchw", 0.875, bb.resize
			p := newImage(b, spec, Limits{})
			b.ReportAllocs()
			b.SetBytes(int64(len(bb.data)))
			for b.Loop() {
				if _, err := p.Preprocess(context.Background(), binaries(bb.data)); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkAfterDecoding is what comes on top of the decoder of the standard library.
func BenchmarkAfterDecoding(b *testing.B) {
	for _, size := range []image.Point{{1280, 720}, {4000, 3000}} {
		b.Run(size.String(), func(b *testing.B) {
			img, err := jpeg.Decode(bytes.NewReader(jpegPhoto(b, size.X, size.Y)))
			if err != nil {
				b.Fatal(err)
			}
			pic := &picture{image: img, width: size.X, height: size.Y}
			square := centreSquare(size.X, size.Y, 0.875, 1)
			b.ReportAllocs()
			for b.Loop() {
				pic.channels(square).resizeRGB(filters["bilinear"], 224)
			}
		})
	}
}

func BenchmarkText(b *testing.B) {
	for name, text := range map[string]string{
		"ascii":     "How do I log in to my account when I have lost the telephone?",
		"greek":     "Πώς συνδέομαι στον λογαριασμό μου όταν έχω χάσει το τηλέφωνο;",
		"marks":     "a" + strings.Repeat("\u0301\u0327\u0345", 5000),
		"ligatures": strings.Repeat("\ufdfa", 10000),
	} {
		b.Run(name, func(b *testing.B) {
			p := newText(b, textSpec("nfkc", "lower", "whitespace"), Limits{})
			b.ReportAllocs()
			b.SetBytes(int64(len(text)))
			for b.Loop() {
				if _, err := p.Preprocess(context.Background(), texts(text)); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkPostprocess(b *testing.B) {
	scores := make([]float32, 1000)
	rng := rand.New(rand.NewPCG(5, 6))
	for i := range scores {
		scores[i] = rng.Float32()
	}
	output := scoreOutput{name: "out", classes: 1000, topK: 5, softmax: true}
	outputs := []scoring.Tensor{tensor("out", []int64{1, 1000}, scores...)}
	b.ReportAllocs()
	for b.Loop() {
		if err := output.best(outputs, 1, scoring.Parameters{}, func([]scored) {}); err != nil {
			b.Fatal(err)
		}
	}
}
