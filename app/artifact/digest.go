package artifact

import (
	"crypto/sha256"
	"encoding/hex"
	"runtime"
	"slices"
	"strings"
)

// Digest is "sha256:" and the SHA-256 over files, which maps names to SHA-256 sums. The
// text that is hashed is the sorted output of `sha256sum`, so that anybody can check it
// with standard tools; models/digest.py computes the same.
func Digest(files map[string]string) string {
	lines := make([]string, 0, len(files))
	for name, checksum := range files {
		lines = append(lines, checksum+"  "+name+"\n")
	}
	slices.Sort(lines)
	return "sha256:" + sum([]byte(strings.Join(lines, "")))
}

// sum is the SHA-256 of data in hexadecimal digits.
func sum(data []byte) string { return sumAt(data, nil) }

// piece is how much is read or hashed at a time, in bytes: half a millisecond's work. Nothing
// can interrupt the hash of one, be it the collector, who has everybody wait for it, or a
// request.
const piece = 512 << 10

// sumAt is sum with a pause after each piece; nil lets others go first all the same.
func sumAt(data []byte, pause func()) string {
	hash := sha256.New()
	for part := range slices.Chunk(data, piece) {
		hash.Write(part) // it never fails
		rest(pause)
	}
	return hex.EncodeToString(hash.Sum(nil))
}

func rest(pause func()) {
	if pause != nil {
		pause()
		return
	}
	runtime.Gosched()
}
