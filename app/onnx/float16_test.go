package onnx

import (
	"encoding/binary"
	"math"
	"testing"

	"github.com/onda-serving/onda/app/onnx/onnxtest"
	"github.com/onda-serving/onda/app/scoring"
)

// TestEveryHalf sends every bit pattern of the 2-byte floats through a model. They pass
// through FP32 on the way back, which must not change any; a NaN stays a NaN.
func TestEveryHalf(t *testing.T) {
	t.Parallel()
	isNaN := map[scoring.Datatype]func(uint16) bool{
		scoring.FP16: func(h uint16) bool { return h&0x7fff > 0x7c00 },
		scoring.BF16: func(h uint16) bool { return h&0x7fff > 0x7f80 },
	}
	for d, nan := range isNaN {
		t.Run(d.String(), func(t *testing.T) {
			t.Parallel()
			s := load(t, onnxtest.Identity(d, []int64{-1}))
			in := scoring.Tensor{Name: "INPUT", Datatype: d, Shape: []int64{1 << 16}}
			for h := range 1 << 16 {
				in.Data = binary.LittleEndian.AppendUint16(in.Data, uint16(h))
			}
			out, err := s.Run(t.Context(), []scoring.Tensor{in}, nil)
			if err != nil {
				t.Fatal(err)
			}
			for h := range 1 << 16 {
				got := binary.LittleEndian.Uint16(out[0].Data[2*h:])
				if got != uint16(h) && !(nan(got) && nan(uint16(h))) {
					t.Fatalf("got %#04x, want %#04x", got, h)
				}
			}
		})
	}
}

func TestFloat16(t *testing.T) {
	t.Parallel()
	tests := []struct {
		in     float64
		fp, bf uint16
	}{
		{0, 0, 0},
		{math.Copysign(0, -1), 0x8000, 0x8000},
		{1, 0x3c00, 0x3f80},
		{-2, 0xc000, 0xc000},
		{65504, 0x7bff, 0x4780},
		{65519, 0x7bff, 0x4780},
		{65520, 0x7c00, 0x4780},
		{math.Inf(1), 0x7c00, 0x7f80},
		{math.Inf(-1), 0xfc00, 0xff80},
		{0x1p-24, 1, 0x3380},
		{0x1p-25, 0, 0x3300},
		{0x1.8p-25, 1, 0x3340},
		{0x1.8p-24, 2, 0x33c0},
		{0x1p-14, 0x400, 0x3880},
		{0x1.ffcp-15, 0x3ff + 1, 0x3880},
		{1 + 0x1p-11, 0x3c00, 0x3f80},
		{1 + 0x3p-11, 0x3c02, 0x3f80},
		{1 + 0x1p-8, 0x3c04, 0x3f80},
		{1 + 0x3p-8, 0x3c0c, 0x3f82},
	}
	for _, tt := range tests {
		if got := toFloat16(float32(tt.in)); got != tt.fp {
			t.Errorf("FP16 of %v: got %#04x, want %#04x", tt.in, got, tt.fp)
		}
		if got := toBFloat16(float32(tt.in)); got != tt.bf {
			t.Errorf("BF16 of %v: got %#04x, want %#04x", tt.in, got, tt.bf)
		}
	}
	nan := math.Float32frombits(0x7f800001)
	if fp, bf := toFloat16(nan), toBFloat16(nan); fp&0x7fff <= 0x7c00 || bf&0x7fff <= 0x7f80 {
		t.Errorf("NaN: got %#04x and %#04x, want NaNs", fp, bf)
	}
}
