package pipeline

import (
	"encoding/binary"
	"math"
)

// Two sums are made with one multiplication: a word of 64 bits holds two pixels, 32 bits
// apart, and a weight times the word adds to both. So much fits as long as no sum is
// negative, since it would borrow from its neighbour: hence the bias.
//
// Between the axes values have 16 bits, which are spareBits behind the point over a bias
// of 512. Filters undershoot and overshoot by a third of 255 at most, and the samples of
// smaller blocks by a little more, so that neither end is reached.
const (
	spareBits = 6
	valueBias = 512 << spareBits // 0 of a value

	fromBytes = 20                    // bits behind the point of a weight for bytes
	fromWords = fromBytes - spareBits // and for values of 16 bits, so that sums are alike

	sumShift = fromBytes - spareBits // from a sum to a value
	sumHalf  = 1 << (sumShift - 1)

	both     = 1<<32 + 1 // makes a number that is in both halves of a word
	lowHalf  = 1<<32 - 1
	highHalf = lowHalf << 32
)

// column is a share with its weights ready for words of two pixels.
type column struct {
	first   int
	weights []uint64 // two's complement
}

// columns rounds weights to bits behind the point, and counts the source from origin on.
func columns(s []share, origin, bits int) []column {
	result := make([]column, len(s))
	n := 0
	for _, share := range s {
		n += len(share.weights)
	}
	all := make([]uint64, 0, n)
	one := float64(int(1) << bits)
	for i, share := range s {
		from := len(all)
		for _, w := range share.weights {
			all = append(all, uint64(int64(math.Round(w*one))))
		}
		result[i] = column{share.first - origin, all[from:]}
	}
	return result
}

// eight are eight pixels or values in words of two: 0 and 4, 1 and 5, 2 and 6, 3 and 7.
type eight [4]uint64

// makeRows makes rows of n values, one for each of cs, of the columns of src. n
// divides by 8. Eight columns are taken at once and put into words first, in strip, since
// most pixels are needed for several rows.
func makeRows(dst, src []byte, stride, n int, cs []column, strip []eight) {
	const (
		mask  = 0xff * both
		begin = (valueBias<<sumShift + sumHalf) * both
	)
	low, high := cs[0].first, 0
	for _, c := range cs {
		high = max(high, c.first+len(c.weights))
	}
	strip = strip[:high-low]
	for x := 0; x+8 <= n; x += 8 {
		for y := range strip {
			v := binary.LittleEndian.Uint64(src[(low+y)*stride+x:])
			strip[y] = eight{v & mask, v >> 8 & mask, v >> 16 & mask, v >> 24 & mask}
		}
		for i := range cs {
			a, b, c, d := weigh(strip[cs[i].first-low:], cs[i].weights, begin)
			a, b, c, d = a>>sumShift&valueMask, b>>sumShift&valueMask, c>>sumShift&valueMask, d>>sumShift&valueMask
			to := dst[2*(i*n+x):][:16]
			binary.LittleEndian.PutUint64(to, a&lowHalf|b&lowHalf<<16|c<<32|d<<48)
			binary.LittleEndian.PutUint64(to[8:], a>>32|b>>32<<16|c&highHalf|d&highHalf<<16)
		}
	}
}

const valueMask = 0xffff * both

// gatherRows puts eight rows of n values, which divides by 4, into strip: an element for
// each column.
func gatherRows(strip []eight, src []byte, n int) {
	stride := 2 * n
	for j := range 4 {
		upper, lower := src[j*stride:][:stride], src[(j+4)*stride:][:stride]
		for x := 0; x+4 <= n; x += 4 {
			u, v := binary.LittleEndian.Uint64(upper[2*x:]), binary.LittleEndian.Uint64(lower[2*x:])
			a, b, c, d := u&valueMask, u>>16&valueMask, v&valueMask, v>>16&valueMask
			to := strip[x : x+4 : x+4]
			to[0][j], to[1][j] = a&lowHalf|c<<32, b&lowHalf|d<<32
			to[2][j], to[3][j] = a>>32|c&highHalf, b>>32|d&highHalf
		}
	}
}

// weigh makes eight sums, each of which begins with begin. Resizing spends its time here.
// The loop stands alone, because the compiler keeps the sums in registers only where
// little else is alive.
//
//go:noinline
func weigh(rows []eight, weights []uint64, begin uint64) (a, b, c, d uint64) {
	a, b, c, d = begin, begin, begin, begin
	rows = rows[:len(weights)]
	for j, w := range weights {
		row := &rows[j]
		a += row[0] * w
		b += row[1] * w
		c += row[2] * w
		d += row[3] * w
	}
	return a, b, c, d
}
