package scoring

import "math"

// ToFloat16 converts to FP16, which is IEEE 754 binary16, rounding to nearest and ties to even, as NumPy
// and ONNX Runtime do. What is too large becomes an infinity; NaN stays NaN.
func ToFloat16(f float32) uint16 {
	bits := math.Float32bits(f)
	sign := uint16(bits >> 16 & 0x8000)
	abs := bits & 0x7fffffff
	switch {
	case abs > 0x7f800000: // NaN
		return sign | 0x7e00
	case abs >= 0x477ff000: // 65520 and more round to infinity
		return sign | 0x7c00
	case abs >= 0x38800000: // normal: rebias the exponent, round off 13 bits of fraction
		return sign | uint16(roundEven(abs-(112<<23), 13))
	case abs < 0x33000000: // below half of the smallest subnormal
		return sign
	default: // subnormal: the fraction counts steps of 2^-24
		fraction := abs&0x7fffff | 0x800000
		return sign | uint16(roundEven(fraction, 126-abs>>23))
	}
}

// roundEven divides by 2^shift and rounds to nearest, ties to even.
func roundEven(v, shift uint32) uint32 {
	return (v + (1<<(shift-1) - 1) + v>>shift&1) >> shift
}

// Float16 converts from FP16, which is IEEE 754 binary16. Every value has an exact float32.
func Float16(h uint16) float32 {
	sign := uint32(h&0x8000) << 16
	exponent, fraction := uint32(h>>10&0x1f), uint32(h&0x3ff)
	switch exponent {
	case 0:
		f := float32(fraction) * (1.0 / (1 << 24))
		return math.Float32frombits(sign | math.Float32bits(f))
	case 0x1f:
		return math.Float32frombits(sign | 0x7f800000 | fraction<<13)
	default:
		return math.Float32frombits(sign | (exponent+112)<<23 | fraction<<13)
	}
}
