package jpeg

import (
	"bytes"
	"context"
	"errors"
	"image"
	stdjpeg "image/jpeg"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

// samples are the files of testdata, and the JPEGs of the pipeline's.
func samples(t testing.TB) map[string][]byte {
	t.Helper()
	files := map[string][]byte{}
	for _, pattern := range []string{"testdata/*.jpg", "../../testdata/pictures/*.jpg"} {
		paths, err := filepath.Glob(pattern)
		if err != nil || len(paths) < 8 {
			t.Fatal("samples are not complete", err)
		}
		for _, path := range paths {
			data, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			files[filepath.Base(path)] = data
		}
	}
	return files
}

// whole asks for all of every component at one scale.
func whole(f *Frame, scale int) []Window {
	windows := make([]Window, len(f.Components))
	for i, c := range f.Components {
		windows[i] = Window{Scale: scale, Blocks: image.Rect(0, 0, c.BlocksX, c.BlocksY)}
	}
	return windows
}

func decodeWhole(data []byte, scale int) (*Frame, *Planes, error) {
	f, err := Parse(data)
	if err != nil {
		return nil, nil, err
	}
	p, err := f.Decode(context.Background(), whole(f, scale))
	return f, p, err
}

// difference is the mean and greatest difference of the planes to what image/jpeg made of
// the same file.
func difference(t testing.TB, f *Frame, planes []Plane, img image.Image) (mean float64, largest int) {
	t.Helper()
	sum, n := 0, 0
	compare := func(i int, at func(x, y int) byte) {
		for y := range f.Components[i].Height {
			for x := range f.Components[i].Width {
				d := int(planes[i].Pix[y*planes[i].Stride+x]) - int(at(x, y))
				d = max(d, -d)
				largest, sum, n = max(largest, d), sum+d, n+1
			}
		}
	}
	switch img := img.(type) {
	case *image.Gray:
		compare(0, func(x, y int) byte { return img.Pix[y*img.Stride+x] })
	case *image.YCbCr:
		compare(0, func(x, y int) byte { return img.Y[y*img.YStride+x] })
		compare(1, func(x, y int) byte { return img.Cb[y*img.CStride+x] })
		compare(2, func(x, y int) byte { return img.Cr[y*img.CStride+x] })
	case *image.RGBA:
		for i := range 3 {
			c := f.Components[i]
			compare(i, func(x, y int) byte { return img.Pix[y*c.StepY*img.Stride+4*x*c.StepX+i] })
		}
	default:
		t.Fatalf("image/jpeg gave %T", img)
	}
	return float64(sum) / float64(n), largest
}

func TestAgreesWithTheStandardLibrary(t *testing.T) {
	t.Parallel()
	for name, data := range samples(t) {
		f, p, err := decodeWhole(data, BlockSize)
		if strings.Contains(name, "cmyk") || strings.Contains(name, "ycck") {
			if !errors.As(err, new(UnreadError)) {
				t.Errorf("%s: got %v, want an UnreadError", name, err)
			}
			continue
		}
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if name == "progressive-420-restart.jpg" {
			continue // which image/jpeg does not read: TestRestartsInAScanOfOneComponent
		}
		img, err := stdjpeg.Decode(bytes.NewReader(data))
		if err != nil {
			t.Fatal(name, err)
		}
		if mean, largest := difference(t, f, p.Planes, img); mean > 0.05 || largest > 1 {
			t.Errorf("%s: differs by %.3f on average and by %d at most", name, mean, largest)
		}
		p.Release()
	}
}

// Without interleaving, an MCU is one block, and restart intervals count those (T.81,
// A.2.2). The standard library counts otherwise for luma and declines the file; the
// picture is that of the same file without restarts.
func TestRestartsInAScanOfOneComponent(t *testing.T) {
	t.Parallel()
	files := samples(t)
	_, want, err := decodeWhole(files["progressive-420.jpg"], BlockSize)
	if err != nil {
		t.Fatal(err)
	}
	_, got, err := decodeWhole(files["progressive-420-restart.jpg"], BlockSize)
	if err != nil {
		t.Fatal(err)
	}
	for i := range want.Planes {
		if !bytes.Equal(got.Planes[i].Pix, want.Planes[i].Pix) {
			t.Error("component", i, "differs")
		}
	}
}

// A window gives what the whole gives there, at each scale.
func TestWindows(t *testing.T) {
	t.Parallel()
	for name, data := range samples(t) {
		for _, scale := range []int{1, 2, 4, 8} {
			f, all, err := decodeWhole(data, scale)
			if err != nil {
				continue
			}
			windows := whole(f, scale)
			for i := range windows {
				b := &windows[i].Blocks
				*b = image.Rect(b.Max.X/3, b.Max.Y/4, b.Max.X-b.Max.X/3, b.Max.Y-b.Max.Y/4)
			}
			again, err := Parse(data)
			if err != nil {
				t.Fatal(err)
			}
			part, err := again.Decode(context.Background(), windows)
			if err != nil {
				t.Fatal(name, err)
			}
			for i, p := range part.Planes {
				w := all.Planes[i]
				left, width := p.Blocks.Min.X*scale, p.Blocks.Dx()*scale
				for y := range p.Blocks.Dy() * scale {
					want := w.Pix[(y+p.Blocks.Min.Y*scale)*w.Stride+left:][:width]
					if !bytes.Equal(p.Pix[y*p.Stride:][:width], want) {
						t.Fatalf("%s, scale %d, component %d: row %d differs", name, scale, i, y)
					}
				}
			}
			part.Release()
			all.Release()
		}
	}
}

// What is cut off is declined at whatever byte. What a bit has fallen out of is declined
// too, or the standard library reads it as well: never does it panic or go on for ever.
func TestDamagedFilesAreDeclined(t *testing.T) {
	t.Parallel()
	for name, data := range samples(t) {
		for n := 0; n < len(data)-2; n += 13 {
			if _, _, err := decodeWhole(data[:n], BlockSize); !errors.As(err, new(UnreadError)) {
				t.Fatalf("%s, %d of %d bytes: got %v, want an UnreadError", name, n, len(data), err)
			}
		}
		for i := 0; i < len(data); i += 7 {
			hurt := bytes.Clone(data)
			hurt[i] ^= 1 << (i % 8)
			f, p, err := decodeWhole(hurt, 2)
			switch {
			case errors.As(err, new(UnreadError)):
				continue
			case err != nil:
				t.Fatalf("%s, byte %d: got %v", name, i, err)
			}
			p.Release()
			if f.Progressive && f.restart > 0 || f.Width*f.Height > 1<<16 {
				continue
			}
			if _, err := stdjpeg.Decode(bytes.NewReader(hurt)); err != nil {
				t.Errorf("%s, byte %d: read, but the standard library says %v", name, i, err)
			}
		}
	}
}

func TestEndedContext(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	for _, name := range []string{"baseline-420.jpg", "progressive-420.jpg", "progressive-grey.jpg"} {
		f, err := Parse(samples(t)[name])
		if err != nil {
			t.Fatal(err)
		}
		if _, err := f.Decode(ctx, whole(f, 1)); !errors.Is(err, context.Canceled) {
			t.Errorf("%s: got %v", name, err)
		}
	}
}

// same compares samples, and not what stands behind them in a row.
func same(a, b Plane) bool {
	width := a.Scale * a.Blocks.Dx()
	for y := range a.Scale * a.Blocks.Dy() {
		if !bytes.Equal(a.Pix[y*a.Stride:][:width], b.Pix[y*b.Stride:][:width]) {
			return false
		}
	}
	return a.Window == b.Window
}

// Memory goes from one picture to the next, and no picture sees another's.
func TestConcurrentUse(t *testing.T) {
	t.Parallel()
	var wg sync.WaitGroup
	for name, data := range samples(t) {
		_, want, err := decodeWhole(data, 4)
		if err != nil {
			continue
		}
		for range 2 {
			wg.Go(func() {
				for range 5 {
					_, got, err := decodeWhole(data, 4)
					if err != nil {
						t.Error(name, err)
						return
					}
					for i := range want.Planes {
						if !same(got.Planes[i], want.Planes[i]) {
							t.Errorf("%s: component %d differs", name, i)
						}
					}
					got.Release()
					got.Release() // does nothing
				}
			})
		}
	}
	wg.Wait()
}

func BenchmarkDecode(b *testing.B) {
	for _, name := range []string{"baseline-420.jpg", "baseline-444-fine.jpg", "progressive-420.jpg"} {
		data := samples(b)[name]
		b.Run(name, func(b *testing.B) {
			b.SetBytes(int64(len(data)))
			b.ReportAllocs()
			for b.Loop() {
				_, p, err := decodeWhole(data, BlockSize)
				if err != nil {
					b.Fatal(err)
				}
				p.Release()
			}
		})
	}
}
