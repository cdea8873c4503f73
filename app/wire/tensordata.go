package wire

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"math"
	"strconv"
	"unicode/utf16"
	"unicode/utf8"

	"github.com/onda-serving/onda/app/scoring"
)

// maxDepth bounds the axes of a tensor and the nesting of its data. No model has as many;
// without a bound, an error text would repeat a shape of megabytes.
const maxDepth = 32

// decodeData reads the "data" of a tensor, nested or flat, into t and returns the number
// of elements. It walks the text once, without reflection: tensor data is nearly all of
// a large request. It looks at every element but keeps no more than want, which the shape
// says: a few bytes of text must not take many times as much memory.
func decodeData(t *scoring.Tensor, raw json.RawMessage, want int64) (int64, error) {
	d := dataDecoder{raw: raw, tensor: t, want: want}
	if len(raw) == 0 || raw[0] != '[' {
		return 0, scoring.Errorf(scoring.Invalid, `input %q: "data": want an array`, clip(t.Name))
	}
	// The claim of the shape is not trusted with more memory than the text can need: with
	// its comma, a string takes at least three characters and anything else two.
	if size := int64(t.Datatype.Size()); size > 0 {
		t.Data = make([]byte, 0, (min(want, int64(len(raw))/2)+1)*size) // one more to look at
	} else {
		t.Strings = make([][]byte, 0, min(want, int64(len(raw))/3))
	}
	if err := d.walk(); err != nil {
		return 0, scoring.Errorf(scoring.Invalid, `input %q: "data": %s at value %d`, clip(t.Name), err, d.count)
	}
	return d.count, nil
}

// dataDecoder walks JSON that encoding/json has already found to be well-formed, so it
// checks values, not syntax.
type dataDecoder struct {
	raw    []byte
	at     int
	depth  int
	count  int64
	want   int64
	tensor *scoring.Tensor
}

func (d *dataDecoder) walk() error {
	for d.at < len(d.raw) {
		switch c := d.raw[d.at]; c {
		case '[':
			if d.depth++; d.depth > maxDepth {
				return errors.New("nested too deeply")
			}
			d.at++
		case ']':
			d.depth--
			d.at++
		case ' ', '\t', '\n', '\r', ',':
			d.at++
		case '"':
			if err := d.text(); err != nil {
				return err
			}
		case '{':
			return errors.New("want numbers, got an object")
		default:
			if err := d.scalar(); err != nil {
				return err
			}
		}
	}
	return nil
}

// text reads a string, the element of a BYTES tensor.
func (d *dataDecoder) text() error {
	end := d.at + 1
	for d.raw[end] != '"' {
		if d.raw[end] == '\\' {
			end++
		}
		end++
	}
	end++
	if d.tensor.Datatype != scoring.Bytes {
		return errors.New("want " + d.tensor.Datatype.String() + ", got a string")
	}
	quoted := d.raw[d.at:end]
	value := quoted[1 : len(quoted)-1 : len(quoted)-1]
	if bytes.IndexByte(value, '\\') >= 0 {
		if loneSurrogate(value) {
			return errLoneSurrogate
		}
		value = unescape(value)
	}
	if d.count < d.want {
		d.tensor.Strings = append(d.tensor.Strings, value)
	}
	d.at = end
	d.count++
	return nil
}

// escapes are the characters that a backslash and a letter stand for in a JSON string.
var escapes = map[byte]byte{'b': '\b', 'f': '\f', 'n': '\n', 'r': '\r', 't': '\t'}

// unescape gives the text of a JSON string that encoding/json has found to be well-formed,
// in the place of that string: no escape is shorter than what it stands for. encoding/json
// itself takes a hundred times the memory of a short string.
func unescape(text []byte) []byte {
	out := text[:0]
	for i := 0; i < len(text); i++ {
		if text[i] != '\\' {
			out = append(out, text[i])
			continue
		}
		i++
		c := text[i]
		if c != 'u' {
			if plain, ok := escapes[c]; ok {
				c = plain
			}
			out = append(out, c)
			continue
		}
		unit, pair := surrogate(text[i-1:])
		i += 4
		r := rune(unit)
		if pair {
			low, _ := surrogate(text[i+1:])
			r = utf16.DecodeRune(r, rune(low))
			i += 6
		}
		out = utf8.AppendRune(out, r)
	}
	return out
}

// scalar reads a number or a literal up to the next delimiter.
func (d *dataDecoder) scalar() error {
	start := d.at
	for d.at < len(d.raw) {
		if c := d.raw[d.at]; c == ',' || c == ']' || c == ' ' || c == '\n' || c == '\r' || c == '\t' {
			break
		}
		d.at++
	}
	held := len(d.tensor.Data)
	if err := appendScalar(d.tensor, string(d.raw[start:d.at])); err != nil {
		return err
	}
	if d.count >= d.want {
		d.tensor.Data = d.tensor.Data[:held]
	}
	d.count++
	return nil
}

// appendScalar appends the value that text stands for to t's data.
func appendScalar(t *scoring.Tensor, text string) error {
	le := binary.LittleEndian
	switch t.Datatype {
	case scoring.Bool:
		b, err := parseBool(text)
		t.Data = append(t.Data, b)
		return err
	case scoring.FP32:
		f, err := strconv.ParseFloat(text, 32)
		t.Data = le.AppendUint32(t.Data, math.Float32bits(float32(f)))
		return numberError(t.Datatype, err)
	case scoring.FP64:
		f, err := strconv.ParseFloat(text, 64)
		t.Data = le.AppendUint64(t.Data, math.Float64bits(f))
		return numberError(t.Datatype, err)
	case scoring.Uint8, scoring.Uint16, scoring.Uint32, scoring.Uint64:
		size := t.Datatype.Size()
		u, err := strconv.ParseUint(text, 10, 8*size)
		t.Data = appendLow(t.Data, u, size)
		return numberError(t.Datatype, err)
	case scoring.Int8, scoring.Int16, scoring.Int32, scoring.Int64:
		size := t.Datatype.Size()
		i, err := strconv.ParseInt(text, 10, 8*size)
		t.Data = appendLow(t.Data, uint64(i), size)
		return numberError(t.Datatype, err)
	case scoring.FP16, scoring.BF16:
		return errors.New(t.Datatype.String() + " has no JSON form")
	case scoring.Bytes:
		return errors.New("want strings, got " + clip(text))
	default:
		return errors.New("unknown datatype")
	}
}

// appendLow appends the low size bytes of v, little-endian.
func appendLow(to []byte, v uint64, size int) []byte {
	var buf [8]byte
	binary.LittleEndian.PutUint64(buf[:], v)
	return append(to, buf[:size]...)
}

// parseBool takes JSON's literals, and 0 and 1, which Python clients send.
func parseBool(text string) (byte, error) {
	switch text {
	case "true", "1":
		return 1, nil
	case "false", "0":
		return 0, nil
	default:
		return 0, errors.New("want true or false")
	}
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

// encodeData writes the elements of t as a flat JSON array.
func encodeData(t *scoring.Tensor) (json.RawMessage, error) {
	if t.Datatype == scoring.Bytes {
		texts := make([]string, len(t.Strings))
		for i, s := range t.Strings {
			if err := checkUTF8("output "+t.Name, s); err != nil {
				return nil, scoring.Errorf(scoring.Unimplemented, "output %q holds bytes that are no text: JSON cannot carry them", t.Name)
			}
			texts[i] = string(s)
		}
		return Marshal(texts)
	}
	size := t.Datatype.Size()
	out := make([]byte, 1, 2+len(t.Data)/size*12)
	out[0] = '['
	for at := 0; at+size <= len(t.Data); at += size {
		if at > 0 {
			out = append(out, ',')
		}
		var ok bool
		if out, ok = encodeScalar(out, t.Datatype, t.Data[at:at+size]); !ok {
			return nil, scoring.Errorf(scoring.Unimplemented, "output %q, value %d: JSON has no form for this %s (NaN, infinity or 16-bit float)", t.Name, at/size, t.Datatype)
		}
	}
	return append(out, ']'), nil
}

// encodeScalar appends an element to out. ok is false where JSON has no form for it.
func encodeScalar(out []byte, datatype scoring.Datatype, e []byte) (_ []byte, ok bool) {
	le := binary.LittleEndian
	switch datatype {
	case scoring.Bool:
		return strconv.AppendBool(out, e[0] != 0), true
	case scoring.FP32:
		return appendFloat(out, float64(math.Float32frombits(le.Uint32(e))), 32)
	case scoring.FP64:
		return appendFloat(out, math.Float64frombits(le.Uint64(e)), 64)
	case scoring.Uint8:
		return strconv.AppendUint(out, uint64(e[0]), 10), true
	case scoring.Uint16:
		return strconv.AppendUint(out, uint64(le.Uint16(e)), 10), true
	case scoring.Uint32:
		return strconv.AppendUint(out, uint64(le.Uint32(e)), 10), true
	case scoring.Uint64:
		return strconv.AppendUint(out, le.Uint64(e), 10), true
	case scoring.Int8:
		return strconv.AppendInt(out, int64(int8(e[0])), 10), true
	case scoring.Int16:
		return strconv.AppendInt(out, int64(int16(le.Uint16(e))), 10), true
	case scoring.Int32:
		return strconv.AppendInt(out, int64(int32(le.Uint32(e))), 10), true
	case scoring.Int64:
		return strconv.AppendInt(out, int64(le.Uint64(e)), 10), true
	default:
		return out, false
	}
}

// appendFloat writes the shortest text that reads back as the same value.
func appendFloat(out []byte, f float64, bits int) ([]byte, bool) {
	if math.IsNaN(f) || math.IsInf(f, 0) {
		return out, false
	}
	return strconv.AppendFloat(out, f, 'g', -1, bits), true
}
