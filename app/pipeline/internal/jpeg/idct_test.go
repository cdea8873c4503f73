package jpeg

import (
	"image"
	"math"
	"testing"
)

// exact is the inverse DCT of T.81, A.3.3, for n*n samples from as many coefficients.
func exact(b *block, n int) []float64 {
	wave := func(k, x int) float64 {
		if k == 0 {
			return math.Sqrt(1.0 / 8)
		}
		return math.Cos(float64((2*x+1)*k)*math.Pi/float64(2*n)) / 2
	}
	out := make([]float64, n*n)
	for y := range n {
		for x := range n {
			for v := range n {
				for u := range n {
					out[y*n+x] += float64(b[8*v+u]) * wave(v, y) * wave(u, x)
				}
			}
			out[y*n+x] = max(0, min(255, out[y*n+x]+128))
		}
	}
	return out
}

func TestTransforms(t *testing.T) {
	t.Parallel()
	tests := []struct{ scale, last int }{{8, 63}, {8, 20}, {8, lastOfFour}, {8, 2}, {8, 0}, {4, 63}, {4, 0}, {2, 63}, {2, 0}, {1, 63}}
	for _, tt := range tests {
		random := uint32(1)
		for range 30 {
			var b block
			for k := range tt.last + 1 {
				random = random*1664525 + 1013904223
				b[unzig[k]] = int32(random>>16)%300 - 150
				if k > 0 && random>>8%3 > 0 {
					b[unzig[k]] = 0
				}
			}
			p := Plane{Window: Window{Scale: tt.scale, Blocks: image.Rect(0, 0, 1, 1)}, Pix: make([]byte, 64), Stride: 8}
			p.transform(0, 0, &b, tt.last)
			for i, want := range exact(&b, tt.scale) {
				got := float64(p.Pix[i/tt.scale*8+i%tt.scale])
				if math.Abs(got-want) > 1 {
					t.Fatalf("scale %d, up to %d: sample %d is %g, want %.2f", tt.scale, tt.last, i, got, want)
				}
			}
		}
	}
}
