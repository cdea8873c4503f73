package wire

import (
	"bytes"
	"encoding/json"
	"strings"

	"github.com/onda-serving/onda/app/scoring"
)

const (
	// maxEntries bounds the keys of a body and the elements of the arrays right below its
	// root ("instances", "inputs", "outputs"). Each costs encoding/json many times the two
	// bytes that it takes in the text: 32 MiB of "1,1,1" would become gigabytes.
	maxEntries = 100_000
	// maxStrings bounds the strings of a body, which take three bytes in the text and at
	// least 24 in memory where they are the data of a tensor.
	maxStrings = 1 << 20
	// maxNesting is where encoding/json gives up by itself.
	maxNesting = 10_000
)

// survey walks JSON text before encoding/json makes anything of it, and refuses what is
// well-formed but no request: a key that an object has twice, of which encoding/json
// takes the last without a word, and more entries than [maxEntries] or strings than
// [maxStrings]. It does not check the syntax: encoding/json refuses malformed text
// afterwards.
func survey(where string, text []byte) error {
	s := surveyor{where: where}
	for i := 0; i < len(text); i++ {
		var err error
		switch c := text[i]; c {
		case '"':
			end := stringEnd(text, i)
			err = s.text(text[i:end])
			i = end - 1
		case '{', '[', '}', ']', ',':
			err = s.mark(c)
		}
		if err != nil || len(s.open) > maxNesting {
			return err
		}
	}
	return nil
}

// surveyor knows where in the text it is.
type surveyor struct {
	where string
	// open are the objects and arrays around the present place.
	open []container
	// key is true where the next string is a key.
	key     bool
	entries int
	strings int
}

// container is an object or an array.
type container struct {
	object bool
	// keys of an object so far, nil before the first.
	keys map[string]bool
}

// mark takes a structural character.
func (s *surveyor) mark(c byte) error {
	switch c {
	case '{', '[':
		s.key = c == '{'
		s.open = append(s.open, container{object: s.key})
	case '}', ']':
		s.key = false
		s.open = s.open[:max(len(s.open)-1, 0)]
	case ',':
		if len(s.open) == 0 {
			return nil
		}
		s.key = s.open[len(s.open)-1].object
		if !s.key && len(s.open) == 2 {
			return s.entry()
		}
	}
	return nil
}

// text takes a string with its quotes.
func (s *surveyor) text(quoted []byte) error {
	if s.strings++; s.strings > maxStrings {
		return scoring.Errorf(scoring.TooLarge, "%s has more than %d strings: split the request", s.where, maxStrings)
	}
	if !s.key {
		return nil
	}
	s.key = false
	object := &s.open[len(s.open)-1]
	if object.keys == nil {
		object.keys = map[string]bool{}
	}
	key := fold(quoted)
	if object.keys[key] {
		return scoring.Errorf(scoring.Invalid, "%s has the key %q twice in one object: want it once", s.where, clip(key))
	}
	object.keys[key] = true
	return s.entry()
}

func (s *surveyor) entry() error {
	if s.entries++; s.entries <= maxEntries {
		return nil
	}
	return scoring.Errorf(scoring.TooLarge, "%s has more than %d keys and array elements: split the request", s.where, maxEntries)
}

// stringEnd is the offset behind the string that starts at text[at]. Pictures are
// strings of megabytes, so it looks at quotes only: one ends the string unless an odd
// number of backslashes is before it.
func stringEnd(text []byte, at int) int {
	for i := at + 1; ; i++ {
		n := bytes.IndexByte(text[i:], '"')
		if n < 0 {
			return len(text)
		}
		i += n
		backslashes := 0
		for text[i-1-backslashes] == '\\' {
			backslashes++
		}
		if backslashes%2 == 0 {
			return i + 1
		}
	}
}

// fold gives keys that encoding/json takes for the same the same form: it does not tell
// upper from lower case, nor the long s and the Kelvin sign from letters.
func fold(quoted []byte) string {
	key := string(bytes.Trim(quoted, `"`))
	if bytes.IndexByte(quoted, '\\') >= 0 {
		var unescaped string
		if json.Unmarshal(quoted, &unescaped) == nil {
			key = unescaped
		}
	}
	return strings.ToLower(strings.ToUpper(key))
}
