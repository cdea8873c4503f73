package wire

import (
	"encoding/binary"
	"unicode/utf16"
	"unicode/utf8"
)

// escapes are the characters that a backslash and a letter stand for in a JSON string.
var escapes = [256]byte{'"': '"', '\\': '\\', '/': '/', 'b': '\b', 'f': '\f', 'n': '\n', 'r': '\r', 't': '\t'}

// escapeSize is the number of bytes of the escape that text begins with; 0 if it is none.
func escapeSize(text []byte) int {
	if len(text) < 2 {
		return 0
	}
	if escapes[text[1]] != 0 {
		return 2
	}
	if _, ok := unit(text); ok {
		return 6
	}
	return 0
}

// unit reads an escape such as \u00e9 at the start of text: a unit of UTF-16.
func unit(text []byte) (u rune, ok bool) {
	if len(text) < 6 || text[0] != '\\' || text[1] != 'u' {
		return 0, false
	}
	for _, c := range text[2:6] {
		switch {
		case c >= '0' && c <= '9':
			u = u<<4 | rune(c-'0')
		case c >= 'a' && c <= 'f':
			u = u<<4 | rune(c-'a'+10)
		case c >= 'A' && c <= 'F':
			u = u<<4 | rune(c-'A'+10)
		default:
			return 0, false
		}
	}
	return u, true
}

// appendUnescaped appends what a JSON string stands for. Its escapes must be well-formed;
// half of a surrogate pair becomes U+FFFD, as encoding/json has it: see [loneSurrogate].
// It appends no more bytes than text has: no escape is shorter than its character.
func appendUnescaped(to, text []byte) []byte {
	for i := 0; i < len(text); i++ {
		if text[i] != '\\' {
			to = append(to, text[i])
			continue
		}
		if c := escapes[text[i+1]]; c != 0 {
			to = append(to, c)
			i++
			continue
		}
		r, _ := unit(text[i:])
		i += 5
		if utf16.IsSurrogate(r) {
			low, _ := unit(text[i+1:])
			if r = utf16.DecodeRune(r, low); r != utf8.RuneError {
				i += 6
			}
		}
		to = utf8.AppendRune(to, r)
	}
	return to
}

// loneSurrogate finds a \uD800..\uDFFF escape of a JSON string that is no half of a pair.
func loneSurrogate(text []byte) bool {
	for i := 0; i < len(text); i++ {
		if text[i] != '\\' {
			continue
		}
		r, ok := unit(text[i:])
		if !ok {
			i++ // the escaped character
			continue
		}
		i += 5
		if !utf16.IsSurrogate(r) {
			continue
		}
		low, _ := unit(text[i+1:])
		if utf16.DecodeRune(r, low) == utf8.RuneError {
			return true
		}
		i += 6
	}
	return false
}

// escapedEnd is the offset of the quote that ends a string which begins at text[at] and
// has escapes, or -1 if the string is no JSON.
func escapedEnd(text []byte, at int) int {
	for at < len(text) {
		switch text[at] {
		case '"':
			return at
		case '\\':
			size := escapeSize(text[at:])
			if size == 0 {
				return -1
			}
			at += size
		default:
			at++
		}
	}
	return -1
}

// isText says whether a string's bytes may stand in JSON: valid UTF-8, and no character
// below the space.
func isText(value []byte) bool {
	at := 0
	for ; at+8 <= len(value) && eightPlain(binary.LittleEndian.Uint64(value[at:])); at += 8 {
	}
	plain := true
	for _, c := range value[at:] {
		if c < ' ' {
			return false
		}
		plain = plain && c < utf8.RuneSelf
	}
	return plain || utf8.Valid(value)
}

// eightPlain says whether all bytes of chunk are from the space to the end of ASCII:
// taking a space away borrows into the high bit of a byte that is less, and of no other.
func eightPlain(chunk uint64) bool {
	const high, spaces = 0x8080808080808080, 0x2020202020202020
	return (chunk|(chunk-spaces))&high == 0
}
