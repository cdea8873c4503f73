package pipeline

import "math"

// share is what makes one pixel of a result along an axis: a weighted sum of neighbouring
// pixels of the source.
type share struct {
	first   int       // the first source pixel
	weights []float64 // of it and the next ones, adding up to 1
}

// shares computes how s becomes size pixels. When it shrinks, the kernel is widened to
// cover all source pixels: that is the antialiasing. What is outside of s is not used.
func shares(f filter, s span, size int) []share {
	scale := (s.to - s.from) / float64(size)
	widen := max(scale, 1)
	reach := f.reach * widen
	low, high := int(math.Floor(s.from)), int(math.Ceil(s.to))
	result := make([]share, size)
	all := make([]float64, 0, size*(int(math.Ceil(reach))*2+1))
	for i := range result {
		centre := s.from + (float64(i)+0.5)*scale
		first := max(low, int(centre-reach+0.5))
		last := min(high, int(centre+reach+0.5))
		from, sum := len(all), 0.0
		for j := range last - first {
			w := f.weight((float64(first+j) - centre + 0.5) / widen)
			all = append(all, w)
			sum += w
		}
		for j := from; j < len(all); j++ {
			all[j] /= sum
		}
		result[i] = share{first, all[from:]}
	}
	return result
}

// stretch says what a pixel of a finer axis is made of on a coarser one: a weighted sum of
// pixels from first on. Neither first nor first+len(weights) may fall as i grows.
type stretch func(i int) (first int, weights []float64)

// fold gives the shares that lead to the same result from the coarser axis itself. Each of
// the steps between is linear, so that no step has to be made: stretching and then
// resizing is one sum, with as many terms as there are coarse pixels.
func fold(fine []share, s stretch) []share {
	coarse := make([]share, len(fine))
	var all []float64
	for i, f := range fine {
		first, _ := s(f.first)
		end, tail := s(f.first + len(f.weights) - 1)
		n := end + len(tail) - first
		if cap(all)-len(all) < n {
			all = make([]float64, 0, n*(len(fine)-i))
		}
		weights := all[len(all) : len(all)+n]
		all = all[:len(all)+n]
		for j, w := range f.weights {
			at, parts := s(f.first + j)
			for k, part := range parts {
				weights[at-first+k] += w * part
			}
		}
		coarse[i] = share{first, weights}
	}
	return coarse
}

// chromaStretch is how decoders enlarge chroma that has one sample for step pixels and n in
// all. By two they go with the triangle filter, weights of 3/4 and 1/4 ("fancy upsampling"
// in libjpeg), by more they repeat.
func chromaStretch(step, n int) stretch {
	left, right, alone := []float64{0.25, 0.75}, []float64{0.75, 0.25}, []float64{1}
	return func(i int) (int, []float64) {
		at := i / step
		switch {
		case step != 2, at == 0 && i%2 == 0, at == n-1 && i%2 == 1:
			return at, alone
		case i%2 == 0:
			return at - 1, left
		default:
			return at, right
		}
	}
}

// blockStretch is how an 8-point inverse DCT enlarges n samples of a block to 8: it keeps
// their waves, and adds none. (Samples from the n lowest coefficients of a block are thus
// as good as the whole block without its other coefficients.)
func blockStretch(n int) stretch {
	const whole = 8
	weights := make([]float64, whole*n)
	for p := range whole {
		for s := range n {
			sum := 1.0
			for k := 1; k < n; k++ {
				fine := math.Cos(float64((2*p+1)*k) * math.Pi / (2 * whole))
				coarse := math.Cos(float64((2*s+1)*k) * math.Pi / float64(2*n))
				sum += 2 * fine * coarse
			}
			weights[p*n+s] = sum / float64(n)
		}
	}
	return func(i int) (int, []float64) {
		p := i % whole
		return i / whole * n, weights[p*n : (p+1)*n]
	}
}
