package conformance_test

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math"
	"slices"
)

// The tolerances of the corpus: |got-want| may be as large as absolute + relative*|want|.
const absolute, relative = 1e-7, 1e-3

// differ says where got is not what the corpus wants, or "".
func differ(got, want []tensor) string {
	if text := differForm(got, want); text != "" {
		return text
	}
	for i := range want {
		if text := differOne(got[i], want[i]); text != "" {
			return fmt.Sprintf("output %q: %s", want[i].name, text)
		}
	}
	return ""
}

// differForm is differ without the values.
func differForm(got, want []tensor) string {
	if len(got) != len(want) {
		return fmt.Sprintf("%d outputs, want %d", len(got), len(want))
	}
	for i, w := range want {
		if g := got[i]; g.name != w.name || g.datatype != w.datatype || !slices.Equal(g.shape, w.shape) {
			return fmt.Sprintf("output %q %s %v, want %q %s %v", g.name, g.datatype, g.shape, w.name, w.datatype, w.shape)
		}
	}
	return ""
}

func differOne(got, want tensor) string {
	if len(got.data) != len(want.data) && want.datatype != "BYTES" {
		return fmt.Sprintf("%d bytes, want %d", len(got.data), len(want.data))
	}
	toFloat, isFloat := floats[want.datatype]
	switch {
	case isFloat:
	case bytes.Equal(got.data, want.data):
		return ""
	case want.datatype == "BYTES":
		g, _ := got.strings()
		w, _ := want.strings()
		return fmt.Sprintf("%.16q, want %.16q", g[:min(len(g), 4)], w[:min(len(w), 4)])
	default:
		return fmt.Sprintf("%.32x, want %.32x", got.data, want.data)
	}
	size := sizeOf(want.datatype)
	for at := 0; at < len(want.data); at += size {
		g, w := toFloat(got.data[at:]), toFloat(want.data[at:])
		if !near(g, w) {
			return fmt.Sprintf("value %d is %v, want %v", at/size, g, w)
		}
	}
	return ""
}

// near compares as the corpus' own runner does: NaN equals NaN.
func near(got, want float64) bool {
	switch {
	case math.IsNaN(want) || math.IsNaN(got):
		return math.IsNaN(want) && math.IsNaN(got)
	case math.IsInf(want, 0) || math.IsInf(got, 0):
		return got == want
	default:
		return math.Abs(got-want) <= absolute+relative*math.Abs(want)
	}
}

// floats reads one element of each datatype that has a tolerance.
var floats = map[string]func([]byte) float64{
	"FP16": func(b []byte) float64 { return half(binary.LittleEndian.Uint16(b)) },
	"BF16": func(b []byte) float64 {
		return float64(math.Float32frombits(uint32(binary.LittleEndian.Uint16(b)) << 16))
	},
	"FP32": func(b []byte) float64 { return float64(math.Float32frombits(binary.LittleEndian.Uint32(b))) },
	"FP64": func(b []byte) float64 { return math.Float64frombits(binary.LittleEndian.Uint64(b)) },
}

// half gives the value of an IEEE 754 binary16.
func half(bits uint16) float64 {
	fraction, exponent := float64(bits&0x3ff), int(bits>>10&0x1f)
	var value float64
	switch {
	case exponent == 0x1f && fraction != 0:
		return math.NaN()
	case exponent == 0x1f:
		value = math.Inf(1)
	case exponent == 0:
		value = math.Ldexp(fraction, -24)
	default:
		value = math.Ldexp(1024+fraction, exponent-25)
	}
	if bits>>15 != 0 {
		return -value
	}
	return value
}
