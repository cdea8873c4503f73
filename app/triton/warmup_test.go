package triton_test

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"testing"

	"github.com/onda-serving/onda/app/scoring"
	"github.com/onda-serving/onda/app/triton"
)

// read is a folder of two files.
func read(name string) ([]byte, error) {
	switch name {
	case "numbers":
		return []byte{1, 2, 3, 4, 5}, nil
	case "texts":
		return []byte("\x02\x00\x00\x00hi\x00\x00\x00\x00"), nil
	default:
		return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrNotExist}
	}
}

func TestWarmUp(t *testing.T) {
	t.Parallel()
	s, err := triton.SettingsOf(parse(t, `max_batch_size: 8 model_warmup { name: "w" batch_size: 2
		inputs { key: "zeros" value { data_type: TYPE_INT16 dims: [2] zero_data: true } }
		inputs { key: "file" value { data_type: TYPE_UINT8 dims: [2, 2] input_data_file: "numbers" } }
		inputs { key: "texts" value { data_type: TYPE_STRING dims: [2] input_data_file: "texts" } }
		inputs { key: "empty" value { data_type: TYPE_STRING dims: [] random_data: true } } }
		model_warmup { inputs { key: "a" value { data_type: TYPE_BOOL zero_data: false } } }`))
	if err != nil {
		t.Fatal(err)
	}
	if s.WarmUp[0].Count != 1 || s.WarmUp[1].Rows != 1 {
		t.Errorf("got %+v, want one run of each, and a row", s.WarmUp)
	}
	got, err := s.WarmUp[0].Tensors(read)
	if err != nil {
		t.Fatal(err)
	}
	want := []scoring.Tensor{
		{Name: "empty", Datatype: scoring.Bytes, Shape: []int64{2}, Strings: [][]byte{nil, nil}},
		{Name: "file", Datatype: scoring.Uint8, Shape: []int64{2, 2, 2}, Data: []byte{1, 2, 3, 4, 1, 2, 3, 4}},
		{Name: "texts", Datatype: scoring.Bytes, Shape: []int64{2, 2}, Strings: [][]byte{[]byte("hi"), {}, []byte("hi"), {}}},
		{Name: "zeros", Datatype: scoring.Int16, Shape: []int64{2, 2}, Data: make([]byte, 8)},
	}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("got  %v\nwant %v", got, want)
	}
}

// TestWarmUpAtRandom wants numbers that every model can take, of every datatype.
func TestWarmUpAtRandom(t *testing.T) {
	t.Parallel()
	ones := map[scoring.Datatype][]byte{scoring.FP16: {0, 0x3c}, scoring.BF16: {0x80, 0x3f}, scoring.FP32: {0, 0, 0x80, 0x3f}, scoring.FP64: {0, 0, 0, 0, 0, 0, 0xf0, 0x3f}}
	for d := scoring.Bool; d < scoring.Bytes; d++ {
		w := triton.WarmUp{Inputs: []triton.WarmUpInput{{Name: "a", Datatype: d, Shape: []int64{100}, Random: true}}}
		got, err := w.Tensors(read)
		if err != nil {
			t.Fatal(err)
		}
		again, _ := w.Tensors(read)
		if !bytes.Equal(got[0].Data, again[0].Data) || !slices.Equal(got[0].Shape, []int64{100}) {
			t.Errorf("%s: got other numbers the second time, of shape %v", d, got[0].Shape)
		}
		one, zero := ones[d], make([]byte, d.Size())
		if one == nil {
			one = append([]byte{1}, zero[1:]...)
		}
		seen := map[string]int{}
		for element := range slices.Chunk(got[0].Data, d.Size()) {
			seen[string(element)]++
		}
		if len(seen) != 2 || seen[string(one)] < 20 || seen[string(zero)] < 20 {
			t.Errorf("%s: got %v, want both 0 and 1", d, seen)
		}
	}
}

func TestWarmUpRefuses(t *testing.T) {
	t.Parallel()
	one := func(d scoring.Datatype, file string, shape ...int64) triton.WarmUp {
		return triton.WarmUp{Name: "w", Inputs: []triton.WarmUpInput{{Name: "a", Datatype: d, Shape: shape, File: file}}}
	}
	tests := []struct {
		name string
		w    triton.WarmUp
		want string
	}{
		{"no file", one(scoring.FP32, "none", 1), `warm-up "w": input "a": open none: file does not exist`},
		{"short file", one(scoring.FP32, "numbers", 2), `warm-up "w": input "a": numbers has 5 bytes: want 8 for one row`},
		{"too few texts", one(scoring.Bytes, "texts", 3), `warm-up "w": input "a": texts ends before its last string: want a length of 4 bytes and the bytes of each`},
		{"text cut off", one(scoring.Bytes, "numbers", 1), `warm-up "w": input "a": numbers: string 0 has 67305985 bytes, and 1 are left`},
		{"too large", one(scoring.FP64, "", 1<<27), `warm-up "w": its inputs are larger than 536870912 bytes`},
		{"larger than any number", one(scoring.FP64, "", 1<<62, 1<<62), `warm-up "w": its inputs are larger than 536870912 bytes`},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			_, err := test.w.Tensors(read)
			refused(t, err, test.want)
		})
	}
	if _, err := one(scoring.FP32, "none", 1).Tensors(read); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("got %v, want %v in its chain", err, fs.ErrNotExist)
	}
}
