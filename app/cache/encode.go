package cache

import (
	"crypto/sha256"
	"encoding/binary"
	"hash"
	"sync"

	"github.com/onda-serving/onda/app/scoring"
)

// encoder feeds a request to SHA-256 without building the encoding in memory. The encoding
// can be read in one way only: numbers have eight bytes, and everything whose size varies
// follows its size. That, and not the hash, is what keeps [2,3] and [3,2] apart, and
// "ab","c" from "a","bc".
type encoder struct {
	hash hash.Hash
	// room[:n] was not hashed yet: names and shapes are too short for a call each.
	room [8 * sha256.BlockSize]byte
	n    int
}

// encoders saves the two allocations that a hash costs.
var encoders = sync.Pool{New: func() any { return &encoder{hash: sha256.New()} }}

// begin starts the encoding of a request to the version with this digest.
func begin(domain, digest string) *encoder {
	if digest == "" {
		panic("cache: a key needs the digest of its version") //nolint:forbidigo // a mistake in wiring, and answers of other models if it went on
	}
	e, _ := encoders.Get().(*encoder)
	e.hash.Reset()
	e.n = 0
	e.text(domain)
	e.text(digest)
	return e
}

func (e *encoder) free() { encoders.Put(e) }

// tensor covers every field; a test fails when one is added and not covered. Elements are
// in Data or in Strings, and both are covered whatever the datatype says.
func (e *encoder) tensor(t *scoring.Tensor) {
	e.text(t.Name)
	e.number(uint64(t.Datatype))
	e.number(uint64(len(t.Shape)))
	for _, d := range t.Shape {
		e.number(uint64(d))
	}
	e.bytes(t.Data)
	e.number(uint64(len(t.Strings)))
	for _, s := range t.Strings {
		e.bytes(s)
	}
}

func (e *encoder) number(v uint64) {
	if len(e.room)-e.n < 8 {
		e.flush()
	}
	binary.LittleEndian.PutUint64(e.room[e.n:], v)
	e.n += 8
}

func (e *encoder) text(s string) {
	e.number(uint64(len(s)))
	for s != "" {
		if e.n == len(e.room) {
			e.flush()
		}
		n := copy(e.room[e.n:], s)
		e.n += n
		s = s[n:]
	}
}

func (e *encoder) bytes(b []byte) {
	e.number(uint64(len(b)))
	if len(b) > len(e.room)-e.n {
		e.flush()
	}
	if len(b) > len(e.room) {
		e.hash.Write(b) // a hash never fails
		return
	}
	e.n += copy(e.room[e.n:], b)
}

func (e *encoder) flush() {
	e.hash.Write(e.room[:e.n])
	e.n = 0
}

func (e *encoder) sum() (sum [sha256.Size]byte) {
	e.flush()
	e.hash.Sum(e.room[:0])
	copy(sum[:], e.room[:])
	return sum
}
