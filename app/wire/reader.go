package wire

import (
	"bytes"
	"encoding/json"
	"errors"

	"github.com/onda-serving/onda/app/scoring"
)

// errSyntax says that the text is no JSON. It never leaves the package: see
// [reader.explain].
var errSyntax = errors.New("not JSON")

const (
	// maxEntries bounds the keys of a body and the elements of the arrays right below its
	// root ("instances", "inputs", "outputs"), which take many times the two bytes in
	// memory that they take in the text.
	maxEntries = 100_000
	// maxStrings bounds the strings of a body, which take three bytes in the text and at
	// least 24 in memory where they are the data of a tensor.
	maxStrings = 1 << 20
	// maxNesting is where encoding/json gives up.
	maxNesting = 10_000
)

// reader reads JSON text (RFC 8259) in one pass and without reflection. It accepts what
// encoding/json accepts, but no invalid UTF-8, no key that an object has twice, and no
// more entries than [maxEntries] or strings than [maxStrings].
//
// Each method begins at the first byte of what it reads and ends behind its last.
type reader struct {
	// where names the text in errors.
	where   string
	text    []byte
	at      int
	depth   int
	entries int
	strings int
}

// peek goes to the next byte that is no white space and gives it; 0 is the end. A zero
// byte in the text looks the same, and no JSON has one outside of a string.
func (r *reader) peek() byte {
	for r.at < len(r.text) {
		c := r.text[r.at]
		if c > ' ' {
			return c
		}
		if c != ' ' && c != '\n' && c != '\t' && c != '\r' {
			return 0
		}
		r.at++
	}
	return 0
}

// root reads the whole text, which must be an object, or null for one without keys. field
// is called as [reader.object] does.
func (r *reader) root(field func(key []byte) error) error {
	null, err := r.null()
	switch {
	case null || err != nil:
	case r.peek() == '{':
		err = r.object(field)
	default:
		start := r.at
		if _, err = r.skip(); err == nil {
			err = scoring.Errorf(scoring.Invalid, "%s is a JSON %s: want an object", r.where, kindOf(r.text[start]))
		}
	}
	if err != nil {
		return err
	}
	if r.peek(); r.at < len(r.text) {
		return errSyntax
	}
	return nil
}

// explain turns errSyntax into the public error. encoding/json finds the place once more
// and has the words for it: the price of a second look is paid by bad requests only.
func (r *reader) explain(err error) error {
	if !errors.Is(err, errSyntax) {
		return err
	}
	if err := checkUTF8(r.where, r.text); err != nil {
		return err
	}
	var value json.RawMessage
	if err := json.Unmarshal(r.text, &value); err != nil {
		return jsonError(r.where, r.text, err)
	}
	return scoring.Errorf(scoring.Invalid, "%s is not valid JSON near offset %d", r.where, r.at)
}

// enter counts an object or an array that begins.
func (r *reader) enter() error {
	r.at++
	if r.depth++; r.depth > maxNesting {
		return errSyntax
	}
	return nil
}

// next takes the comma or the end of a list: more is false behind the closing byte.
func (r *reader) next(closing byte) (more bool, err error) {
	switch c := r.peek(); c {
	case ',':
		r.at++
		r.peek()
		return true, nil
	case closing:
		r.at++
		r.depth--
		return false, nil
	default:
		return false, errSyntax
	}
}

// object reads an object. field is called at the value of each key, and must read it; the
// key is its own to keep.
func (r *reader) object(field func(key []byte) error) error {
	if err := r.enter(); err != nil {
		return err
	}
	if r.peek() == '}' {
		r.at++
		r.depth--
		return nil
	}
	var seen keys
	for more := true; more; {
		key, err := r.key(&seen)
		if err != nil {
			return err
		}
		if err := field(key); err != nil {
			return err
		}
		if more, err = r.next('}'); err != nil {
			return err
		}
	}
	return nil
}

// key reads a key and its colon, up to the value.
func (r *reader) key(seen *keys) ([]byte, error) {
	if r.peek() != '"' {
		return nil, errSyntax
	}
	key, escaped, err := r.str()
	if err != nil {
		return nil, err
	}
	if escaped {
		key = appendUnescaped(nil, key)
	}
	if !seen.add(key) {
		return nil, scoring.Errorf(scoring.Invalid, "%s has the key %q twice in one object: want it once", r.where, clip(string(key)))
	}
	if r.peek() != ':' {
		return nil, errSyntax
	}
	r.at++
	r.peek()
	return key, r.entry()
}

// array reads an array. element is called at each element, and must read it.
func (r *reader) array(element func() error) error {
	if err := r.enter(); err != nil {
		return err
	}
	if r.peek() == ']' {
		r.at++
		r.depth--
		return nil
	}
	for more := true; more; {
		// The elements right below the root are those that cost many times their text.
		if r.depth == 2 {
			if err := r.entry(); err != nil {
				return err
			}
		}
		err := element()
		if err != nil {
			return err
		}
		if more, err = r.next(']'); err != nil {
			return err
		}
	}
	return nil
}

func (r *reader) entry() error {
	if r.entries++; r.entries <= maxEntries {
		return nil
	}
	return scoring.Errorf(scoring.TooLarge, "%s has more than %d keys and array elements: split the request", r.where, maxEntries)
}

// skip reads a value that nobody wants, and gives its text.
func (r *reader) skip() ([]byte, error) {
	start := r.at
	var err error
	switch c := r.peek(); c {
	case '{':
		err = r.object(func([]byte) error { _, err := r.skip(); return err })
	case '[':
		err = r.array(func() error { _, err := r.skip(); return err })
	case '"':
		_, _, err = r.str()
	default:
		_, err = r.scalar()
	}
	return r.text[start:r.at], err
}

// scalar reads a number or a literal, and gives its text.
func (r *reader) scalar() ([]byte, error) {
	start := r.at
	switch c := r.peek(); c {
	case 't':
		return r.literal("true")
	case 'f':
		return r.literal("false")
	case 'n':
		return r.literal("null")
	default:
		_, end := decimal(r.text, r.at)
		if end < 0 {
			return nil, errSyntax
		}
		r.at = end
		return r.text[start:end:end], nil
	}
}

func (r *reader) literal(want string) ([]byte, error) {
	end := r.at + len(want)
	if end > len(r.text) || string(r.text[r.at:end]) != want {
		return nil, errSyntax
	}
	text := r.text[r.at:end:end]
	r.at = end
	return text, nil
}

// null reads a null, and says whether there was one.
func (r *reader) null() (bool, error) {
	if r.peek() != 'n' {
		return false, nil
	}
	_, err := r.literal("null")
	return true, err
}

// str reads a string. value is what stands between its quotes, a part of the text; where
// escaped is true, it still has its escapes.
func (r *reader) str() (value []byte, escaped bool, err error) {
	if r.strings++; r.strings > maxStrings {
		return nil, false, r.tooManyStrings()
	}
	start := r.at + 1
	// Pictures are strings of megabytes, so the closing quote is looked for first.
	length := bytes.IndexByte(r.text[start:], '"')
	if length < 0 {
		return nil, false, errSyntax
	}
	end := start + length
	if bytes.IndexByte(r.text[start:end], '\\') >= 0 {
		escaped = true
		if end = escapedEnd(r.text, start); end < 0 {
			return nil, false, errSyntax
		}
	}
	value = r.text[start:end:end]
	if !isText(value) {
		return nil, false, errSyntax
	}
	r.at = end + 1
	return value, escaped, nil
}

func (r *reader) tooManyStrings() error {
	return scoring.Errorf(scoring.TooLarge, "%s has more than %d strings: split the request", r.where, maxStrings)
}
