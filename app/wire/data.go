package wire

import (
	"encoding/binary"
	"errors"
	"math"
	"strconv"

	"github.com/onda-serving/onda/app/scoring"
)

// maxDepth bounds the axes of a tensor and the nesting of its data. No model has as many;
// without a bound, an error text would repeat a shape of megabytes.
const maxDepth = 32

// dataReader reads the "data" of a tensor, nested or flat, in one walk: tensor data is
// nearly all of a large request. It looks at every element but keeps no more than want,
// which the shape says: a few bytes of text must not take many times as much memory.
type dataReader struct {
	*reader

	tensor *scoring.Tensor
	want   int64
	count  int64
	// spare is where strings with escapes are written to. It is shared by the tensor's
	// strings, because each allocation of its own would take many times a short string.
	spare []byte
}

// data reads the "data" at the reader's place into t and returns the number of elements.
func (r *reader) data(t *scoring.Tensor, want int64) (int64, error) {
	d := dataReader{reader: r, tensor: t, want: want}
	if r.peek() != '[' {
		return 0, scoring.Errorf(scoring.Invalid, `input %q: "data": want an array`, clip(t.Name))
	}
	// The claim of the shape is not trusted with more memory than the text can need: with
	// its comma, a string takes at least three characters and anything else two.
	left := int64(len(r.text) - r.at)
	switch size := int64(t.Datatype.Size()); {
	case size > 0:
		t.Data = make([]byte, 0, (min(want, left/2)+1)*size) // one more to look at
	case want > maxStrings:
		return 0, r.tooManyStrings()
	default:
		t.Strings = make([][]byte, 0, min(want, left/3))
	}
	err := d.walk()
	var limit *scoring.Error
	if err == nil || errors.Is(err, errSyntax) || errors.As(err, &limit) {
		return d.count, err
	}
	return 0, scoring.Errorf(scoring.Invalid, `input %q: "data": %s at value %d`, clip(t.Name), err, d.count)
}

// walk reads values and the brackets around them. Ragged nesting passes: what counts is
// the order of the values.
func (d *dataReader) walk() error {
	for depth := 0; ; {
		if d.peek() == '[' {
			if depth++; depth > maxDepth {
				return errors.New("nested too deeply")
			}
			d.at++
			if d.peek() != ']' {
				continue
			}
		} else if err := d.values(); err != nil {
			return err
		}
		for d.peek() == ']' {
			d.at++
			if depth--; depth == 0 {
				return nil
			}
		}
		if d.peek() != ',' {
			return errSyntax
		}
		d.at++
	}
}

// values reads elements up to the next bracket.
func (d *dataReader) values() error {
	for {
		held := len(d.tensor.Data)
		err := d.value()
		if err != nil {
			return err
		}
		if d.count >= d.want {
			d.tensor.Data = d.tensor.Data[:held]
		}
		d.count++
		if d.peek() != ',' {
			return nil
		}
		comma := d.at
		if d.at++; d.peek() == '[' {
			d.at = comma // for walk to take
			return nil
		}
	}
}

// value reads one element and appends it to the tensor's data.
func (d *dataReader) value() error {
	c := d.peek()
	if c == '"' {
		return d.str()
	}
	if c == '{' {
		return errors.New("want numbers, got an object")
	}
	start := d.at
	n, end := number{}, -1
	if c == '-' || c-'0' <= 9 {
		n, end = decimal(d.text, start)
	} else if _, err := d.scalar(); err == nil {
		return d.word(d.text[start:d.at])
	}
	if end < 0 {
		return errSyntax
	}
	d.at = end
	return d.number(n, d.text[start:end])
}

// number appends a number, which is written as text.
func (d *dataReader) number(n number, text []byte) error {
	t := d.tensor
	switch t.Datatype {
	case scoring.FP32:
		f, err := n.float32(text)
		t.Data = binary.LittleEndian.AppendUint32(t.Data, math.Float32bits(f))
		return numberError(t.Datatype, err)
	case scoring.FP64:
		f, err := n.float64(text)
		t.Data = binary.LittleEndian.AppendUint64(t.Data, math.Float64bits(f))
		return numberError(t.Datatype, err)
	case scoring.Uint8, scoring.Uint16, scoring.Uint32, scoring.Uint64:
		return d.unsigned(n, text)
	case scoring.Int8, scoring.Int16, scoring.Int32, scoring.Int64:
		return d.signed(n)
	case scoring.Bool:
		if len(text) != 1 || n.mantissa > 1 { // 0 and 1, which Python clients send
			return errNoBool
		}
		t.Data = append(t.Data, byte(n.mantissa))
		return nil
	case scoring.FP16, scoring.BF16:
		return errors.New(t.Datatype.String() + " has no JSON form: send binary data (binary_data_size and the header Inference-Header-Content-Length)")
	default:
		return errors.New("want strings, got " + clip(string(text)))
	}
}

// unsigned appends an UINT of any size.
func (d *dataReader) unsigned(n number, text []byte) error {
	t := d.tensor
	size := t.Datatype.Size()
	v := n.mantissa
	switch {
	case n.form&(whole|negative) != whole:
		return numberError(t.Datatype, strconv.ErrSyntax)
	case n.form&exact == 0:
		var err error
		if v, err = strconv.ParseUint(string(text), 10, 64); err != nil {
			return numberError(t.Datatype, err)
		}
	}
	if v>>(8*size-1)>>1 != 0 { // in two steps, for sizes of 64 bits
		return numberError(t.Datatype, strconv.ErrRange)
	}
	t.Data = appendLow(t.Data, v, size)
	return nil
}

// signed appends an INT of any size.
func (d *dataReader) signed(n number) error {
	t := d.tensor
	size := t.Datatype.Size()
	switch {
	case n.form&whole == 0:
		return numberError(t.Datatype, strconv.ErrSyntax)
	case n.form&exact == 0: // twenty digits are too many for every size
		return numberError(t.Datatype, strconv.ErrRange)
	}
	most := uint64(1)<<(8*size-1) - 1
	v := n.mantissa
	if n.form&negative != 0 {
		most++
		v = -v
	}
	if n.mantissa > most {
		return numberError(t.Datatype, strconv.ErrRange)
	}
	t.Data = appendLow(t.Data, v, size)
	return nil
}

// appendLow appends the low size bytes of v, little-endian.
func appendLow(to []byte, v uint64, size int) []byte {
	switch size {
	case 8:
		return binary.LittleEndian.AppendUint64(to, v)
	case 4:
		return binary.LittleEndian.AppendUint32(to, uint32(v))
	case 2:
		return binary.LittleEndian.AppendUint16(to, uint16(v))
	default:
		return append(to, byte(v))
	}
}

var errNoBool = errors.New("want true or false")

// word appends a literal: true and false are values of BOOL, and null is one of nothing.
func (d *dataReader) word(text []byte) error {
	t := d.tensor
	switch {
	case t.Datatype == scoring.Bytes:
		return errors.New("want strings, got " + string(text))
	case t.Datatype != scoring.Bool:
		return numberError(t.Datatype, strconv.ErrSyntax)
	case text[0] == 'n':
		return errNoBool
	}
	value := byte(0)
	if text[0] == 't' {
		value = 1
	}
	t.Data = append(t.Data, value)
	return nil
}

// str appends a string, the element of a BYTES tensor. One without escapes stays a part
// of the body.
func (d *dataReader) str() error {
	value, escaped, err := d.reader.str()
	if err != nil {
		return err
	}
	if d.tensor.Datatype != scoring.Bytes {
		return errors.New("want " + d.tensor.Datatype.String() + ", got a string")
	}
	if escaped && loneSurrogate(value) {
		return errLoneSurrogate
	}
	if d.count >= d.want {
		return nil
	}
	if escaped {
		value = d.unescape(value)
	}
	d.tensor.Strings = append(d.tensor.Strings, value)
	return nil
}

// unescape writes what value stands for into the spare memory.
func (d *dataReader) unescape(value []byte) []byte {
	const most = 64 << 10
	if cap(d.spare)-len(d.spare) < len(value) {
		// No more than the rest of the text can need, of which value itself is read already.
		left := len(d.text) - d.at + len(value)
		d.spare = make([]byte, 0, max(len(value), min(left, most)))
	}
	start := len(d.spare)
	d.spare = appendUnescaped(d.spare, value)
	return d.spare[start:len(d.spare):len(d.spare)]
}

func numberError(datatype scoring.Datatype, err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, strconv.ErrRange):
		return errors.New("does not fit into " + datatype.String())
	default:
		return errors.New("want " + datatype.String())
	}
}
