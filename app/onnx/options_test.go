package onnx

import (
	"testing"

	"github.com/onda-serving/onda/app/scoring"
)

func TestOnlyBatchVaries(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name   string
		shapes [][]int64
		want   bool
	}{
		{"pictures", [][]int64{{-1, 3, 224, 224}}, true},
		{"fixed", [][]int64{{1, 3}, {}}, true},
		{"text of any length", [][]int64{{-1, 3}, {-1, -1}}, false},
		{"unknown rank", [][]int64{nil}, false},
	}
	for _, tt := range tests {
		var sig scoring.Signature
		for _, shape := range tt.shapes {
			sig.Inputs = append(sig.Inputs, scoring.TensorSpec{Shape: shape})
		}
		if got := onlyBatchVaries(sig); got != tt.want {
			t.Errorf("%s: got %v, want %v", tt.name, got, tt.want)
		}
	}
}
