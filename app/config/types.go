package config

import (
	"fmt"
	"io"
	"math"
	"slices"
	"strconv"
	"strings"
)

// Size is a number of bytes. It reads the notation of Kubernetes: "32Mi", "512Ki",
// "1Gi", or a plain number.
type Size int64

// units of a [Size], the longest ending first.
var units = []struct {
	suffix string
	bytes  int64
}{{"Ki", 1 << 10}, {"Mi", 1 << 20}, {"Gi", 1 << 30}}

// Decode reads s; it implements envconfig.Decoder.
func (s *Size) Decode(text string) error {
	number, factor := text, int64(1)
	for _, u := range units {
		if rest, ok := strings.CutSuffix(text, u.suffix); ok {
			number, factor = rest, u.bytes
			break
		}
	}
	n, err := strconv.ParseInt(number, 10, 64)
	if err != nil || n < 0 || n > math.MaxInt64/factor {
		return fmt.Errorf("size %q: want a number of bytes, or one with Ki, Mi or Gi", text)
	}
	*s = Size(n * factor)
	return nil
}

// String writes the largest unit that divides s.
func (s Size) String() string {
	for _, u := range slices.Backward(units) {
		if s > 0 && int64(s)%u.bytes == 0 {
			return strconv.FormatInt(int64(s)/u.bytes, 10) + u.suffix
		}
	}
	return strconv.FormatInt(int64(s), 10)
}

// Secret is a value that must not reach a log: every way of printing it hides it.
type Secret string

// String hides the value.
func (s Secret) String() string {
	if s == "" {
		return ""
	}
	return "(set)"
}

// Format hides the value from every verb of package fmt: with String alone, a wrong verb
// such as %d would print it.
func (s Secret) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, s.String()) }

// MarshalText hides the value from JSON and from loggers.
func (s Secret) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// Reveal gives the value, for the one place that needs it.
func (s Secret) Reveal() string { return string(s) }
