package onnx

import (
	"encoding/binary"
	"math"
	"unsafe"
)

// narrow turns 4-byte floats into 2-byte ones, with to for each.
func narrow(data []byte, to func(float32) uint16) []byte {
	floats := unsafe.Slice((*float32)(unsafe.Pointer(unsafe.SliceData(data))), len(data)/4)
	out := make([]byte, 2*len(floats))
	for i, f := range floats {
		binary.LittleEndian.PutUint16(out[2*i:], to(f))
	}
	return out
}

// toBFloat16 gives the upper half of f, rounded to the nearest, and to even on a tie.
func toBFloat16(f float32) uint16 {
	b := math.Float32bits(f)
	if f != f {
		// Rounding could carry a NaN into infinity.
		return uint16(b>>16) | 1<<6
	}
	return uint16((b + 0x7fff + b>>16&1) >> 16)
}

// toFloat16 gives f as IEEE 754 binary16, rounded to the nearest, and to even on a tie.
func toFloat16(f float32) uint16 {
	b := math.Float32bits(f)
	sign := uint16(b >> 16 & 0x8000)
	b &= 0x7fffffff
	switch {
	case b > 0x7f800000: // NaN: keep it quiet, and what fits of its payload
		return sign | 0x7e00 | uint16(b>>13&0x1ff)
	case b >= 0x477ff000: // rounds to a number that binary16 does not have
		return sign | 0x7c00
	case b >= 0x38800000: // normal: the exponent's bias is 15 rather than 127
		b -= (127 - 15) << 23
		return sign | uint16((b+0xfff+b>>13&1)>>13)
	case b < 0x33000000: // less than half of the smallest
		return sign
	}
	// Subnormal: a multiple of 2^-24.
	shift := 126 - b>>23
	mantissa := b&0x7fffff | 0x800000
	half := uint32(1)<<(shift-1) - 1
	return sign | uint16((mantissa+half+mantissa>>shift&1)>>shift)
}
