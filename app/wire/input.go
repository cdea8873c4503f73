package wire

import (
	"encoding/json"
	"strconv"

	"github.com/onda-serving/onda/app/scoring"
)

// inputHead is an input while it is read: its keys can stand in any order.
type inputHead struct {
	tensor   scoring.Tensor
	datatype string
	// dimensions counts those of the shape, of which the tensor keeps the first few.
	dimensions int
	// dataAt is where the "data" begins; -1 before it was seen.
	dataAt int
	// read is true where the data was read on the way; count is the number of its elements.
	read  bool
	count int64
	// want is the number of elements of the shape, once it was checked.
	want    int64
	checked bool
	// size is that of the binary data, where binary is true.
	binary bool
	size   uint64
}

// input reads one element of "inputs".
func (d *inferDecoder) input() error {
	in := inputHead{dataAt: -1}
	if null, err := d.null(); null || err != nil {
		if err == nil {
			err = in.check()
		}
		return err
	}
	if d.peek() != '{' {
		return d.wrongKind("inputs", "an object")
	}
	err := d.object(func(key []byte) (err error) {
		switch string(key) {
		case "name":
			in.tensor.Name, err = d.textField("inputs.name")
		case "shape":
			err = d.shape(&in)
		case "datatype":
			in.datatype, err = d.textField("inputs.datatype")
		case "parameters":
			err = d.parameters("inputs.parameters", func(name string, value []byte) error {
				return d.inputParameter(&in, name, value)
			})
		case "data":
			err = d.dataField(&in)
		default:
			_, err = d.skip()
		}
		return err
	})
	if err == nil {
		err = d.finish(&in)
	}
	if err == nil {
		d.req.Inputs = append(d.req.Inputs, in.tensor)
	}
	return err
}

// dataField reads the data at once where the keys before it say how, and otherwise notes
// where it is.
func (d *inferDecoder) dataField(in *inputHead) (err error) {
	in.dataAt = d.at
	if in.tensor.Name == "" || in.tensor.Shape == nil || in.datatype == "" {
		_, err = d.skip()
		return err
	}
	if err := in.check(); err != nil {
		return err
	}
	in.read = true
	in.count, err = d.data(&in.tensor, in.want)
	return err
}

// check checks what an input must have beside its elements.
func (in *inputHead) check() (err error) {
	t := &in.tensor
	name := clip(t.Name)
	switch {
	case in.checked:
		return nil
	case t.Name == "":
		return scoring.Errorf(scoring.Invalid, `an input has no "name"`)
	case t.Shape == nil:
		return scoring.Errorf(scoring.Invalid, `input %q has no "shape"`, name)
	case in.dimensions > maxDepth:
		return scoring.Errorf(scoring.Invalid, "input %q: shape has %d dimensions: at most %d are allowed", name, in.dimensions, maxDepth)
	}
	if t.Datatype, err = scoring.ParseDatatype(in.datatype); err != nil {
		return scoring.Errorf(scoring.Invalid, "input %q: %s", name, scoring.AsError(err).Message)
	}
	var ok bool
	if in.want, ok = scoring.Elements(t.Shape); !ok {
		return scoring.Errorf(scoring.Invalid, "input %q: shape %s: want dimensions of 0 or more, and a product that fits 64 bits", name, scoring.FormatShape(t.Shape))
	}
	in.checked = true
	return nil
}

// finish reads the elements where that is not done, and counts them.
func (d *inferDecoder) finish(in *inputHead) (err error) {
	if err := in.check(); err != nil {
		return err
	}
	name := clip(in.tensor.Name)
	switch {
	case in.binary && in.dataAt >= 0:
		return scoring.Errorf(scoring.Invalid, `input %q has both "data" and binary_data_size: want one of them`, name)
	case in.binary:
		return d.takeBlob(in)
	case in.dataAt < 0:
		return scoring.Errorf(scoring.Invalid, `input %q has no "data"`, name)
	case !in.read:
		// What was counted when the data was skipped is not counted again.
		again := reader{where: d.where, text: d.text, at: in.dataAt}
		if in.count, err = again.data(&in.tensor, in.want); err != nil {
			return err
		}
	}
	if in.count != in.want {
		return scoring.Errorf(scoring.Invalid, "input %q has %d values, its shape %s wants %d", name, in.count, scoring.FormatShape(in.tensor.Shape), in.want)
	}
	return nil
}

// shape reads the "shape" of an input. It counts all dimensions and keeps few of them.
func (d *inferDecoder) shape(in *inputHead) error {
	if null, err := d.null(); null || err != nil {
		return err
	}
	if d.peek() != '[' {
		return d.notShape("an array")
	}
	in.tensor.Shape = []int64{}
	return d.array(func() error {
		if c := d.peek(); c != '-' && c-'0' > 9 {
			return d.notShape("a whole number")
		}
		text, err := d.scalar()
		if err != nil {
			return err
		}
		dimension, err := strconv.ParseInt(string(text), 10, 64)
		if err != nil {
			return shapeError(text, "a whole number")
		}
		if in.dimensions++; in.dimensions <= maxDepth {
			in.tensor.Shape = append(in.tensor.Shape, dimension)
		}
		return nil
	})
}

// notShape is the error for another kind of value in the place of a shape or a dimension.
func (d *inferDecoder) notShape(want string) error {
	start := d.at
	if _, err := d.skip(); err != nil {
		return err
	}
	return shapeError(d.text[start:d.at], want)
}

// shapeError says what stands where something else belongs in a shape.
func shapeError(raw []byte, want string) error {
	kind := kindOf(raw[0])
	if kind == "number" && want != "an array" {
		kind += " " + string(raw[:min(len(raw), 100)]) // enough for clip to see that there is more
	}
	return scoring.Errorf(scoring.Invalid, `the body: "inputs.shape" is a JSON %s: want %s`, clip(kind), want)
}

// parameters reads an object of parameters; null is one without any. note is called with
// the name and the JSON text of each.
func (d *inferDecoder) parameters(field string, note func(name string, value []byte) error) error {
	if null, err := d.null(); null || err != nil {
		return err
	}
	if d.peek() != '{' {
		return d.wrongKind(field, "an object")
	}
	return d.object(func(key []byte) error {
		value, err := d.skip()
		if err != nil {
			return err
		}
		return note(string(key), json.RawMessage(value))
	})
}
