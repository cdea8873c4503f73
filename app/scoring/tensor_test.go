package scoring_test

import (
	"math"
	"strings"
	"testing"

	"github.com/onda-serving/onda/app/scoring"
)

func TestElements(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name  string
		shape []int64
		want  int64
		ok    bool
	}{
		{"scalar", nil, 1, true},
		{"vector", []int64{7}, 7, true},
		{"picture", []int64{2, 3, 224, 224}, 301056, true},
		{"empty batch", []int64{0, 3}, 0, true},
		{"empty batch of a huge row", []int64{0, math.MaxInt64, math.MaxInt64}, 0, true},
		{"largest", []int64{math.MaxInt64}, math.MaxInt64, true},
		{"largest product", []int64{math.MaxInt64, 1, 1}, math.MaxInt64, true},
		{"just fits", []int64{1 << 31, 1<<32 - 1}, 1<<63 - 1<<31, true},
		{"just too large", []int64{1 << 31, 1 << 32}, 0, false},
		{"wraps to 0", []int64{1 << 32, 1 << 32}, 0, false},
		{"wraps to a small number", []int64{3, 6148914691236517206}, 0, false},
		{"unknown dimension", []int64{-1, 3}, 0, false},
		{"two negatives", []int64{-2, -2}, 0, false},
		{"negative after 0", []int64{0, -1}, 0, false},
		{"smallest", []int64{math.MinInt64}, 0, false},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			if got, ok := scoring.Elements(test.shape); got != test.want || ok != test.ok {
				t.Errorf("got %d, %v, want %d, %v", got, ok, test.want, test.ok)
			}
		})
	}
}

func TestDatatypes(t *testing.T) {
	t.Parallel()
	want := map[scoring.Datatype]struct {
		name string
		size int
	}{
		scoring.Bool: {"BOOL", 1}, scoring.Uint8: {"UINT8", 1}, scoring.Uint16: {"UINT16", 2}, scoring.Uint32: {"UINT32", 4},
		scoring.Uint64: {"UINT64", 8}, scoring.Int8: {"INT8", 1}, scoring.Int16: {"INT16", 2}, scoring.Int32: {"INT32", 4},
		scoring.Int64: {"INT64", 8}, scoring.FP16: {"FP16", 2}, scoring.BF16: {"BF16", 2}, scoring.FP32: {"FP32", 4},
		scoring.FP64: {"FP64", 8}, scoring.Bytes: {"BYTES", 0},
	}
	for d := scoring.Bool; d <= scoring.Bytes; d++ {
		if d.String() != want[d].name || d.Size() != want[d].size {
			t.Errorf("datatype %d: got %q of %d bytes, want %q of %d", d, d, d.Size(), want[d].name, want[d].size)
		}
		if got, err := scoring.ParseDatatype(d.String()); err != nil || got != d {
			t.Errorf("%s: got %v, %v, want it back", d, got, err)
		}
	}
	if n := len(constants(t, "tensor.go", "Bool")); n != len(want) {
		t.Errorf("got %d datatypes, want %d: give a new one its row in this test", n, len(want))
	}
}

func TestParseDatatypeRefuses(t *testing.T) {
	t.Parallel()
	const rule = ": want one of BOOL, UINT8, UINT16, UINT32, UINT64, INT8, INT16, INT32, INT64, FP16, BF16, FP32, FP64, BYTES"
	for _, in := range []string{"", "fp32", "FP8", "FLOAT", "STRING", " FP32"} {
		_, err := scoring.ParseDatatype(in)
		refused(t, err, `datatype "`+in+`"`+rule)
	}
	_, err := scoring.ParseDatatype(strings.Repeat("x", 1<<20))
	refused(t, err, `datatype "`+strings.Repeat("x", 64)+`..."`+rule)
}

func TestInstanceKindString(t *testing.T) {
	t.Parallel()
	if got := scoring.Text.String(); got != "text" {
		t.Errorf("got %q, want %q", got, "text")
	}
	if got := scoring.Binary.String(); got != "binary data" {
		t.Errorf("got %q, want %q", got, "binary data")
	}
}
