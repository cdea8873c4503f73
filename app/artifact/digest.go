package artifact

import (
	"crypto/sha256"
	"encoding/hex"
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
func sum(data []byte) string {
	s := sha256.Sum256(data)
	return hex.EncodeToString(s[:])
}
