package jpeg

import (
	"bytes"
	"image"
	stdjpeg "image/jpeg"
	"testing"
)

// FuzzAgainstStandardLibrary holds that a file that is read is one that image/jpeg reads,
// and shows the same.
func FuzzAgainstStandardLibrary(f *testing.F) {
	for _, data := range samples(f) {
		f.Add(data)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		config, err := stdjpeg.DecodeConfig(bytes.NewReader(data))
		if err != nil || config.Width*config.Height > 1<<18 {
			return
		}
		frame, p, err := decodeWhole(data, BlockSize)
		if err != nil {
			return
		}
		defer p.Release()
		if frame.Progressive && frame.restart > 0 && frame.Components[0].h*frame.Components[0].v > 1 {
			return // see TestRestartsInAScanOfOneComponent
		}
		img, err := stdjpeg.Decode(bytes.NewReader(data))
		if err != nil {
			t.Fatal("the standard library declines this:", err)
		}
		if img.Bounds() != image.Rect(0, 0, frame.Width, frame.Height) {
			t.Fatal("sizes differ", img.Bounds(), frame.Width, frame.Height)
		}
		if mean, largest := difference(t, frame, p.Planes, img); tame(frame) && (mean > 0.5 || largest > 4) {
			t.Fatalf("differs by %.3f on average and by %d at most", mean, largest)
		}
	})
}

// tame says that no coefficient can be so large that the 32 bits of image/jpeg overflow.
func tame(f *Frame) bool {
	for _, c := range f.Components {
		for _, step := range f.quant[c.table] {
			if step > 8 {
				return false
			}
		}
	}
	return true
}
