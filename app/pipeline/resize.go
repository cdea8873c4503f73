package pipeline

import "math"

// filter is a kernel for resizing: weight at a distance, in pixels of the smaller of the
// two pictures, and the distance beyond which it is 0.
type filter struct {
	weight func(x float64) float64
	reach  float64
}

// filters are the kernels that [ImageSpec.Resize] can name, as PIL has them.
var filters = map[string]filter{
	"bilinear": {weight: triangle, reach: 1},
	"bicubic":  {weight: cubic, reach: 2},
}

func triangle(x float64) float64 {
	return max(0, 1-math.Abs(x))
}

// cubic is the convolution kernel of Keys (1981) with a = -0.5.
func cubic(x float64) float64 {
	const a = -0.5
	switch x = math.Abs(x); {
	case x < 1:
		return ((a+2)*x-(a+3))*x*x + 1
	case x < 2:
		return (((x-5)*x+8)*x - 4) * a
	default:
		return 0
	}
}

// plane is one channel of a picture, 8 bits a pixel. Pixels of other channels may lie
// between its own.
type plane struct {
	pix    []byte
	stride int // bytes from a row to the next
	step   int // bytes from a pixel to the next in a row
}

// span is the part of an axis to resize: from one coordinate to another, in pixels. It
// may begin inside a pixel where a channel has fewer pixels than the picture.
type span struct{ from, to float64 }

// taps say how one axis is resized: each pixel of the result is a weighted sum of
// neighbouring source pixels.
type taps struct {
	first   []int   // the first source pixel of each sum
	weights [][]int // in units of 1/weightOne, adding up to about weightOne
}

// Weights are whole numbers as in PIL's ImagingResample, so that 8-bit results are the
// same bit for bit. 22 bits leave room for the sum of 8-bit values and a cubic's overshoot.
const (
	weightBits = 22
	weightOne  = 1 << weightBits
	weightHalf = weightOne / 2
)

// newTaps rounds the weights for resizing s to size pixels.
func newTaps(f filter, s span, size int) taps {
	t := taps{first: make([]int, size), weights: make([][]int, size)}
	var all []int
	for i, share := range shares(f, s, size) {
		if all == nil {
			all = make([]int, 0, size*(len(share.weights)+1)*2)
		}
		from := len(all)
		for _, w := range share.weights {
			all = append(all, int(math.Round(w*weightOne)))
		}
		t.first[i], t.weights[i] = share.first, all[from:]
	}
	return t
}

// resize gives the square of size*size pixels that the two spans of p become, row by row.
// It goes along the rows first: that leaves the least to do for the second direction, and
// only the rows needed are touched.
func (p plane) resize(f filter, x, y span, size int) []byte {
	across, down := newTaps(f, x, size), newTaps(f, y, size)
	low, high := int(math.Floor(y.from)), int(math.Ceil(y.to))
	rows := make([]byte, (high-low)*size)
	for row := low; row < high; row++ {
		resizeRow(rows[(row-low)*size:][:size], p.pix[row*p.stride:], p.step, across)
	}
	result := make([]byte, size*size)
	sums := make([]int, size)
	for i := range size {
		resizeColumns(result[i*size:][:size], sums, rows[(down.first[i]-low)*size:], down.weights[i])
	}
	return result
}

// resizeRow resizes one row along itself.
func resizeRow(dst, src []byte, step int, t taps) {
	for i := range dst {
		weights := t.weights[i]
		from := src[t.first[i]*step:]
		sum := weightHalf
		if step == 1 { // the usual JPEG: worth a loop without index arithmetic
			from = from[:len(weights)]
			for j, w := range weights {
				sum += w * int(from[j])
			}
		} else {
			for j, w := range weights {
				sum += w * int(from[j*step])
			}
		}
		dst[i] = toByte(sum >> weightBits)
	}
}

// resizeColumns makes one row of the result from len(weights) rows of the same length.
func resizeColumns(dst []byte, sums []int, rows []byte, weights []int) {
	for i := range sums {
		sums[i] = weightHalf
	}
	for j, w := range weights {
		row := rows[j*len(sums):][:len(sums)]
		for i, v := range row {
			sums[i] += w * int(v)
		}
	}
	for i, sum := range sums {
		dst[i] = toByte(sum >> weightBits)
	}
}

func toByte(v int) byte {
	return byte(max(0, min(255, v)))
}
