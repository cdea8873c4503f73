package scoring

import "math"

// Float16 reads an element of FP16, which is IEEE 754 binary16.
func Float16(u uint16) float64 {
	sign, exponent, fraction := 1.0, int(u>>10&0x1f), float64(u&0x3ff)
	if u&0x8000 != 0 {
		sign = -1
	}
	switch exponent {
	case 0:
		return sign * math.Ldexp(fraction, -24)
	case 0x1f:
		if fraction != 0 {
			return math.NaN()
		}
		return math.Inf(int(sign))
	default:
		return sign * math.Ldexp(1+fraction/1024, exponent-15)
	}
}
