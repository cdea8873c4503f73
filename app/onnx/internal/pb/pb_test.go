package pb_test

import (
	"errors"
	"math"
	"slices"
	"testing"

	"github.com/onda-serving/onda/app/onnx/internal/pb"
)

// read collects the fields of a message.
func read(message []byte) (fields []pb.Field, err error) {
	for f, err := range pb.Fields(message) {
		if err != nil {
			return fields, err
		}
		fields = append(fields, f)
	}
	return fields, nil
}

func TestWriteAndRead(t *testing.T) {
	t.Parallel()
	b := pb.AppendInt(nil, 1, -1)
	b = pb.AppendFloat(b, 16, 1.5)
	b = pb.AppendBytes(b, 3, "name")
	b = pb.AppendBytes(b, 4, []byte{})
	b = append(b, 5<<3|1, 1, 0, 0, 0, 0, 0, 0, 0) // a fixed64, which ONNX reads but the tests never write
	got, err := read(b)
	if err != nil {
		t.Fatal(err)
	}
	want := []pb.Field{
		{Number: 1, Uint: math.MaxUint64},
		{Number: 16, Uint: uint64(math.Float32bits(1.5))},
		{Number: 3, Bytes: []byte("name")},
		{Number: 4, Bytes: []byte{}},
		{Number: 5, Uint: 1},
	}
	same := func(a, b pb.Field) bool {
		return a.Number == b.Number && a.Uint == b.Uint && slices.Equal(a.Bytes, b.Bytes)
	}
	if !slices.EqualFunc(got, want, same) {
		t.Errorf("got %v, want %v", got, want)
	}
}

func TestMalformed(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name    string
		message []byte
	}{
		{"field number 0", []byte{0, 1}},
		{"tag without end", []byte{0x80}},
		{"tag alone", []byte{8}},
		{"varint without end", []byte{8, 0x80}},
		{"varint of 11 bytes", append([]byte{8}, slices.Repeat([]byte{0xff}, 11)...)},
		{"string cut short", []byte{10, 5, 'a'}},
		{"length beyond 64 bits", append([]byte{10}, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1)},
		{"fixed32 cut short", []byte{13, 0, 0, 0}},
		{"fixed64 cut short", []byte{9, 0, 0, 0}},
		{"group", []byte{11, 12}},
		{"good, then bad", []byte{8, 1, 7}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if _, err := read(tt.message); !errors.Is(err, pb.ErrMalformed) {
				t.Errorf("got %v, want %v", err, pb.ErrMalformed)
			}
		})
	}
}

func TestFieldsStopsEarly(t *testing.T) {
	t.Parallel()
	for range pb.Fields([]byte{8, 1, 8, 2}) {
		break
	}
}

func FuzzFields(f *testing.F) {
	f.Add([]byte{8, 1, 18, 1, 'a'})
	f.Fuzz(func(t *testing.T, message []byte) {
		total := 0
		fields, _ := read(message)
		for _, field := range fields {
			total += len(field.Bytes)
		}
		if total > len(message) {
			t.Errorf("%d bytes of fields in a message of %d", total, len(message))
		}
	})
}
