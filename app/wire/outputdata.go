package wire

import (
	"encoding/binary"
	"math"
	"strconv"
	"unicode/utf8"

	"github.com/onda-serving/onda/app/scoring"
)

// askBinary says how to get what JSON cannot carry.
const askBinary = `ask for binary data, with the output parameter "binary_data": true or the request parameter "binary_data_output": true`

// appendData appends the elements of t as a flat JSON array.
func appendData(b []byte, t *scoring.Tensor) ([]byte, error) {
	size := t.Datatype.Size()
	le := binary.LittleEndian
	b = append(b, '[')
	first := len(b)
	switch t.Datatype {
	case scoring.Bytes:
		return appendStrings(b, t)
	case scoring.FP16, scoring.BF16:
		if len(t.Data) == 0 {
			break // no values, no form
		}
		return nil, scoring.Errorf(scoring.Unimplemented, "output %q is %s, which has no JSON form: %s", clip(t.Name), t.Datatype, askBinary)
	case scoring.FP32:
		for at := 0; at+size <= len(t.Data); at += size {
			f := float64(math.Float32frombits(le.Uint32(t.Data[at:])))
			if f-f != 0 {
				return nil, noJSON(t, at/size, f)
			}
			b = append(appendFloat(b, f, 32), ',')
		}
	case scoring.FP64:
		for at := 0; at+size <= len(t.Data); at += size {
			f := math.Float64frombits(le.Uint64(t.Data[at:]))
			if f-f != 0 {
				return nil, noJSON(t, at/size, f)
			}
			b = append(appendFloat(b, f, 64), ',')
		}
	case scoring.Bool:
		for _, v := range t.Data {
			b = append(strconv.AppendBool(b, v != 0), ',')
		}
	default:
		for at := 0; at+size <= len(t.Data); at += size {
			b = append(appendInteger(b, t.Datatype, t.Data[at:at+size]), ',')
		}
	}
	if len(b) > first {
		b[len(b)-1] = ']' // in the place of the last comma
		return b, nil
	}
	return append(b, ']'), nil
}

// noJSON is the error for a value that JSON has no form for.
func noJSON(t *scoring.Tensor, index int, f float64) error {
	what := "infinite"
	if math.IsNaN(f) {
		what = "not a number (NaN)"
	}
	return scoring.Errorf(scoring.Unimplemented, "output %q: value %d is %s, which has no JSON form: %s", clip(t.Name), index, what, askBinary)
}

// appendInteger appends an element of an integer type.
func appendInteger(b []byte, d scoring.Datatype, e []byte) []byte {
	le := binary.LittleEndian
	switch d {
	case scoring.Uint8:
		return strconv.AppendUint(b, uint64(e[0]), 10)
	case scoring.Uint16:
		return strconv.AppendUint(b, uint64(le.Uint16(e)), 10)
	case scoring.Uint32:
		return strconv.AppendUint(b, uint64(le.Uint32(e)), 10)
	case scoring.Uint64:
		return strconv.AppendUint(b, le.Uint64(e), 10)
	case scoring.Int8:
		return strconv.AppendInt(b, int64(int8(e[0])), 10)
	case scoring.Int16:
		return strconv.AppendInt(b, int64(int16(le.Uint16(e))), 10)
	case scoring.Int32:
		return strconv.AppendInt(b, int64(int32(le.Uint32(e))), 10)
	default:
		return strconv.AppendInt(b, int64(le.Uint64(e)), 10)
	}
}

// appendFloat appends the shortest text that reads back as the same value.
func appendFloat(b []byte, f float64, bits int) []byte {
	// Zeros and small whole numbers are common in what models give, and cheaper so. From a
	// million on, AppendFloat writes an exponent.
	if whole := int64(f); float64(whole) == f && whole > -1_000_000 && whole < 1_000_000 && (whole != 0 || !math.Signbit(f)) {
		return strconv.AppendInt(b, whole, 10)
	}
	return strconv.AppendFloat(b, f, 'g', -1, bits)
}

// appendStrings appends the elements of a BYTES tensor, behind the opening bracket.
func appendStrings(b []byte, t *scoring.Tensor) ([]byte, error) {
	for i, s := range t.Strings {
		if !utf8.Valid(s) {
			return nil, scoring.Errorf(scoring.Unimplemented, "output %q: value %d holds bytes that are no text, which have no JSON form: %s", clip(t.Name), i, askBinary)
		}
		if i > 0 {
			b = append(b, ',')
		}
		b = appendString(b, s)
	}
	return append(b, ']'), nil
}

// appendString appends a JSON string as [Marshal] writes it: with the escapes that JSON
// wants and none for HTML, and with U+FFFD for bytes that are not UTF-8.
func appendString[T string | []byte](b []byte, s T) []byte {
	b = append(b, '"')
	start := 0
	for i := 0; i < len(s); {
		c := s[i]
		if c >= ' ' && c != '"' && c != '\\' && c < utf8.RuneSelf {
			i++
			continue
		}
		if c < utf8.RuneSelf {
			b = appendEscape(append(b, s[start:i]...), c)
			i++
			start = i
			continue
		}
		size, replacement := unusual(s[i:])
		if replacement != "" {
			b = append(append(b, s[start:i]...), replacement...)
			start = i + size
		}
		i += size
	}
	b = append(b, s[start:]...)
	return append(b, '"')
}

// appendEscape appends the escape of a quote, a backslash or a control character.
func appendEscape(b []byte, c byte) []byte {
	const hex = "0123456789abcdef"
	switch c {
	case '"', '\\':
		return append(b, '\\', c)
	case '\b':
		return append(b, '\\', 'b')
	case '\f':
		return append(b, '\\', 'f')
	case '\n':
		return append(b, '\\', 'n')
	case '\r':
		return append(b, '\\', 'r')
	case '\t':
		return append(b, '\\', 't')
	default:
		return append(b, '\\', 'u', '0', '0', hex[c>>4], hex[c&0xF])
	}
}

// unusual looks at the character beyond ASCII that s begins with: its size, and what JSON
// has in its place, or "" where that is the character itself.
func unusual[T string | []byte](s T) (size int, replacement string) {
	r, size := utf8.DecodeRuneInString(string(s[:min(len(s), utf8.UTFMax)]))
	switch {
	case r == utf8.RuneError && size == 1:
		return size, `\ufffd`
	case r == '\u2028':
		return size, `\u2028` // a line end in JavaScript, which some still read JSON as
	case r == '\u2029':
		return size, `\u2029`
	default:
		return size, ""
	}
}
