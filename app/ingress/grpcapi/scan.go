package grpcapi

import (
	"errors"
	"fmt"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/onda-serving/onda/app/scoring"
)

// The numbers of the fields that [scan] looks into.
const (
	requestParameters, requestInputs, requestOutputs            = 4, 5, 6
	inputName, inputShape, inputParameters, inputContents       = 1, 3, 4, 5
	outputParameters, entryValue                                = 2, 2
	contentsInt64s, contentsFP32s, contentsFP64s, contentsBytes = 5, 6, 7, 8
)

// scan walks the message of ModelInfer before anything is made of it, and refuses one that
// would take many times its size in memory: too many fields, and tensors of more values
// than their shapes say. It looks at no more than that takes: the rest is checked later.
func scan(data []byte) error {
	var s scanner
	return s.request(data)
}

// scanner counts what a message holds.
type scanner struct{ fields, strings int }

// each calls f for each field of a message. value is the field's content without its
// length where it has one, and as it is on the wire where it has none.
func each(data []byte, f func(number protowire.Number, kind protowire.Type, value []byte) error) error {
	for len(data) > 0 {
		number, kind, head := protowire.ConsumeTag(data)
		if head < 0 {
			return protowire.ParseError(head)
		}
		size := protowire.ConsumeFieldValue(number, kind, data[head:])
		if size < 0 {
			return protowire.ParseError(size)
		}
		value := data[head : head+size]
		if kind == protowire.BytesType {
			value, _ = protowire.ConsumeBytes(value)
		}
		if err := f(number, kind, value); err != nil {
			return err
		}
		data = data[head+size:]
	}
	return nil
}

// inside walks a message whose fields count. within are its own messages that do, too.
func (s *scanner) inside(data []byte, within map[protowire.Number]func([]byte) error) error {
	return each(data, func(number protowire.Number, kind protowire.Type, value []byte) error {
		if s.fields++; s.fields > maxFields {
			return fmt.Errorf("more than %d inputs, outputs and parameters", maxFields)
		}
		if look, ok := within[number]; ok && kind == protowire.BytesType {
			return look(value)
		}
		return nil
	})
}

func (s *scanner) request(data []byte) error {
	return s.inside(data, map[protowire.Number]func([]byte) error{
		requestParameters: s.parameter, requestInputs: s.input, requestOutputs: s.output,
	})
}

func (s *scanner) output(data []byte) error {
	return s.inside(data, map[protowire.Number]func([]byte) error{outputParameters: s.parameter})
}

// parameter walks an entry of a map of parameters.
func (s *scanner) parameter(data []byte) error {
	return s.inside(data, map[protowire.Number]func([]byte) error{
		entryValue: func(value []byte) error { return s.inside(value, nil) },
	})
}

// tensor is what is counted of an input. Its fields come in any order and more than once,
// and then count together.
type tensor struct {
	name   []byte
	shape  []int64
	rank   int
	values [contentsBytes + 1]int64 // by the number of the field
}

func (s *scanner) input(data []byte) error {
	t := tensor{shape: []int64{}} // nil is no shape
	err := s.inside(data, map[protowire.Number]func([]byte) error{
		inputName:       func(value []byte) error { t.name = value; return nil },
		inputParameters: s.parameter,
		inputContents:   t.contents,
	})
	if err != nil {
		return err
	}
	if err := each(data, t.dimensions); err != nil {
		return err
	}
	s.strings += int(t.values[contentsBytes])
	if s.strings > maxStrings {
		return fmt.Errorf("more than %d values in bytes_contents", maxStrings)
	}
	return t.check()
}

// dimensions takes the field of an input that is its shape, and no other.
func (t *tensor) dimensions(number protowire.Number, kind protowire.Type, value []byte) error {
	if number != inputShape || kind != protowire.BytesType && kind != protowire.VarintType {
		return nil
	}
	for len(value) > 0 {
		dimension, n := protowire.ConsumeVarint(value)
		if n < 0 {
			return protowire.ParseError(n)
		}
		if t.rank++; t.rank <= maxRank {
			t.shape = append(t.shape, int64(dimension))
		}
		value = value[n:]
	}
	return nil
}

// contents counts the values in each field of typed contents, packed or one by one.
func (t *tensor) contents(data []byte) error {
	return each(data, func(number protowire.Number, kind protowire.Type, value []byte) error {
		packed := kind == protowire.BytesType
		switch {
		case number > contentsBytes:
		case !packed, number == contentsBytes:
			t.values[number]++
		case number <= contentsInt64s:
			t.values[number] += varints(value)
		case number == contentsFP32s:
			t.values[number] += int64(len(value) / 4)
		case number == contentsFP64s:
			t.values[number] += int64(len(value) / 8)
		}
		return nil
	})
}

// varints counts the numbers in value: each ends with its only byte below 0x80.
func varints(value []byte) (n int64) {
	for _, b := range value {
		if b < 0x80 {
			n++
		}
	}
	return n
}

// check holds the values against the shape. Fewer of them than it says cost nothing.
func (t *tensor) check() error {
	of := scoring.Tensor{Name: string(t.name), Shape: t.shape}
	if t.rank > maxRank {
		return fmt.Errorf("input %q: a shape of %d dimensions: at most %d are allowed", clip(of.Name), t.rank, maxRank)
	}
	want, err := elements(&of)
	for _, got := range t.values {
		if err == nil && got > want {
			err = countError(&of, got, want)
		}
	}
	if err != nil {
		return errors.New(scoring.AsError(err).Message)
	}
	return nil
}
