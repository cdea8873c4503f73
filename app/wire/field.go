package wire

import (
	"strconv"

	"github.com/onda-serving/onda/app/scoring"
)

// kindOf names the kind of the JSON value that begins with c.
func kindOf(c byte) string {
	switch c {
	case '"':
		return "string"
	case '{':
		return "object"
	case '[':
		return "array"
	case 't', 'f':
		return "bool"
	case 'n':
		return "null"
	default:
		return "number"
	}
}

// wrongKind says that a value has another kind than the protocol wants, if it is a value
// at all.
func (r *reader) wrongKind(field, want string) error {
	start := r.at
	if _, err := r.skip(); err != nil {
		return err
	}
	return scoring.Errorf(scoring.Invalid, "%s: %q is a JSON %s: want %s", r.where, field, kindOf(r.text[start]), want)
}

// textField reads a string; null is "".
func (r *reader) textField(field string) (string, error) {
	if null, err := r.null(); null || err != nil {
		return "", err
	}
	if r.peek() != '"' {
		return "", r.wrongKind(field, "a string")
	}
	value, escaped, err := r.str()
	if err == nil && escaped {
		value = appendUnescaped(nil, value)
	}
	return string(value), err
}

// unknownKey is the error for a key of an object that may have no others than known.
func (r *reader) unknownKey(key []byte, known string) error {
	return scoring.Errorf(scoring.Invalid, "%s: unknown key %s: want %s", r.where, clip(strconv.Quote(string(key))), known)
}
