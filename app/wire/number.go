package wire

import (
	"encoding/binary"
	"math"
	"math/bits"
	"strconv"
)

// number is a JSON number as it is written: ±mantissa · 10^exponent. It has so few fields
// that it travels in registers.
type number struct {
	mantissa uint64
	exponent int32
	form     form
}

// form says how a number is written.
type form uint32

const (
	// negative numbers have a minus.
	negative form = 1 << iota
	// exact says that the mantissa holds all digits: there are no more than 19.
	exact
	// whole numbers have neither fraction nor exponent.
	whole
)

// maxDigits is the most digits that always fit an uint64.
const maxDigits = 19

// decimal reads the number at text[at]. end is the offset behind it, or -1 if no JSON
// number is there.
func decimal(text []byte, at int) (n number, end int) {
	if at < len(text) && text[at] == '-' {
		n.form = negative
	}
	at += int(n.form) // negative is 1
	first := at
	if at+1 < len(text) && text[at+1] == '.' && text[at]-'0' <= 9 { // as most fractions are
		n.mantissa = uint64(text[at] - '0')
		at++
	} else {
		n.mantissa, at = digits(text, at, 0)
	}
	count := at - first
	if count == 0 || count > 1 && text[first] == '0' {
		return n, -1
	}
	n.form |= whole
	if at < len(text) && text[at] == '.' {
		n.form &^= whole
		start := at + 1
		n.mantissa, at = digits(text, start, n.mantissa)
		if at == start {
			return n, -1
		}
		n.exponent = int32(start - at)
		count += at - start
	}
	if count <= maxDigits || count-leadingZeros(text[first:at]) <= maxDigits {
		n.form |= exact
	}
	if at < len(text) && text[at]|0x20 == 'e' {
		n.form &^= whole
		shift, end := power(text, at+1)
		if end < 0 {
			return n, -1
		}
		n.exponent += shift
		at = end
	}
	return n, at
}

// leadingZeros counts the zeros before the first other digit of a number.
func leadingZeros(text []byte) int {
	zeros := 0
	for _, c := range text {
		switch c {
		case '0':
			zeros++
		case '.':
		default:
			return zeros
		}
	}
	return zeros
}

// digits reads digits from text[at] on, behind those that mantissa holds already. The
// mantissa of more than [maxDigits] is of no use. It takes eight bytes at a time and has
// no branch for how many of them are digits: in a tensor's numbers nobody can foresee it.
func digits(text []byte, at int, mantissa uint64) (_ uint64, end int) {
	for at+8 <= len(text) {
		chunk := binary.LittleEndian.Uint64(text[at:])
		n := leadingDigits(chunk)
		mantissa = mantissa*tens[n&15] + valueOfEight(chunk<<(64-8*n))
		at += int(n)
		if n < 8 {
			return mantissa, at
		}
	}
	for ; at < len(text); at++ {
		d := text[at] - '0'
		if d > 9 {
			break
		}
		mantissa = mantissa*10 + uint64(d)
	}
	return mantissa, at
}

// tens are powers of ten; the last are there so that an index needs no check.
var tens = [16]uint64{1, 10, 100, 1000, 10_000, 100_000, 1_000_000, 10_000_000, 100_000_000}

// leadingDigits counts the digits that chunk begins with, its lowest byte first. A byte
// less '0' is a digit where its high half is zero, and still is when 6 is added. What one
// byte carries over reaches only bytes behind the first that is no digit.
func leadingDigits(chunk uint64) uint {
	const high, zeros, six = 0xF0F0F0F0F0F0F0F0, 0x3030303030303030, 0x0606060606060606
	chunk ^= zeros
	return uint(bits.TrailingZeros64((chunk|(chunk+six))&high)) / 8
}

// valueOfEight gives the number that eight digits stand for, the first of them in the
// lowest byte; a zero byte counts as the digit 0. Each step joins neighbours: digits to pairs, pairs to fours, fours to all.
func valueOfEight(chunk uint64) uint64 {
	chunk &= 0x0F0F0F0F0F0F0F0F
	chunk = (chunk*10 + chunk>>8) & 0x00FF00FF00FF00FF
	chunk = (chunk*100 + chunk>>16) & 0x0000FFFF0000FFFF
	return (chunk*10_000 + chunk>>32) & 0x00000000FFFFFFFF
}

// power reads the exponent of a number, behind its letter. A huge one stays huge enough
// to be out of every range.
func power(text []byte, at int) (p int32, end int) {
	down := false
	if at < len(text) && (text[at] == '+' || text[at] == '-') {
		down = text[at] == '-'
		at++
	}
	start := at
	for ; at < len(text) && text[at]-'0' <= 9; at++ {
		if p < 1<<20 {
			p = p*10 + int32(text[at]-'0')
		}
	}
	if at == start {
		return 0, -1
	}
	if down {
		p = -p
	}
	return p, at
}

// maxPower is the largest power of ten that a float64 holds exactly.
const maxPower = 22

var powers = [maxPower + 1]float64{
	1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11,
	1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22,
}

// scaled multiplies the mantissa with its power of ten: two roundings at most, of the
// mantissa and of the result. ok is false where more would be needed.
func (n number) scaled() (f float64, ok bool) {
	if n.form&exact == 0 || n.exponent < -maxPower || n.exponent > maxPower {
		return 0, false
	}
	f = float64(n.mantissa)
	if n.exponent < 0 {
		f /= powers[-n.exponent]
	} else {
		f *= powers[n.exponent]
	}
	// No branch: the signs of a tensor's numbers follow no rule.
	return math.Float64frombits(math.Float64bits(f) | uint64(n.form&negative)<<63), true
}

// float64 gives the float64 nearest to n, which is written as text.
func (n number) float64(text []byte) (float64, error) {
	// A mantissa of 53 bits is a float64 as it is, so that there is one rounding only, and
	// the result is the nearest (W. D. Clinger, 1990).
	if n.mantissa <= 1<<53 {
		if f, ok := n.scaled(); ok {
			return f, nil
		}
	}
	return strconv.ParseFloat(string(text), 64)
}

// float32 gives the float32 nearest to n, which is written as text.
func (n number) float32(text []byte) (float32, error) {
	if f, ok := n.scaled(); ok && math.Abs(f) < 1e38 && !nearTie(f) {
		return float32(f), nil
	}
	f, err := strconv.ParseFloat(string(text), 32)
	return float32(f), err
}

// nearTie says whether f is so near to the middle between two float32 that its own error,
// of less than three units in its last place, could decide which of them it rounds to.
// Everywhere else rounding twice gives what rounding once does. Results of scaled are 0 or
// at least 1e-22, and so within the normal range of float32, where the 29 bits that it
// lacks are always these.
func nearTie(f float64) bool {
	const lost, middle, margin = 1<<29 - 1, 1 << 28, 4
	return math.Float64bits(f)&lost-(middle-margin) <= 2*margin
}
