package dataref

import (
	"crypto/sha256"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/onda-serving/onda/app/scoring"
)

// TestRead takes what storages give: bytes one by one, an end with the last of them or after
// it, fewer bytes than announced, and more.
func TestRead(t *testing.T) {
	t.Parallel()
	const text = "0123456789"
	sum := sha256.Sum256([]byte(text))
	for _, tt := range []struct {
		name string
		r    io.Reader
		want string // of the error
	}{
		{"whole", strings.NewReader(text), ""},
		{"byte by byte", iotest.OneByteReader(strings.NewReader(text)), ""},
		{"end with the last byte", iotest.DataErrReader(strings.NewReader(text)), ""},
		{"more behind it", strings.NewReader(text + "more"), ""},
		{"too short", strings.NewReader(text[:4]), "the object broke off after 4 of its 10 bytes"},
		{"empty", strings.NewReader(""), "the object broke off after 0 of its 10 bytes"},
	} {
		got, err := read(tt.r, int64(len(text)), sum)
		switch {
		case tt.want == "" && (err != nil || string(got) != text):
			t.Errorf("%s: got %q, %v", tt.name, got, err)
		case tt.want != "" && (scoring.CodeOf(err) != scoring.Unavailable || scoring.AsError(err).Message != tt.want):
			t.Errorf("%s: got %v, want %s", tt.name, err, tt.want)
		}
	}
}
