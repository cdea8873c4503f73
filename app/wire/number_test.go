package wire

import (
	"encoding/json"
	"math"
	"math/rand/v2"
	"strconv"
	"strings"
	"testing"
)

// checkNumber holds the fast ways to read a number against strconv and encoding/json.
func checkNumber(t *testing.T, text string) {
	t.Helper()
	n, end := decimal([]byte(text), 0)
	if valid := json.Valid([]byte(text)) && strings.Trim(text, " \t\r\n") == text && text != "" && (text[0] == '-' || text[0] >= '0' && text[0] <= '9'); valid != (end == len(text)) {
		t.Fatalf("%q: read up to %d, valid %v", text, end, valid)
	}
	if end != len(text) {
		return
	}
	got32, err32 := n.float32([]byte(text))
	want32, wantErr32 := strconv.ParseFloat(text, 32)
	if math.Float32bits(got32) != math.Float32bits(float32(want32)) || (err32 == nil) != (wantErr32 == nil) {
		t.Errorf("%s: got %v (%x), %v, want %v (%x), %v", text, got32, math.Float32bits(got32), err32, float32(want32), math.Float32bits(float32(want32)), wantErr32)
	}
	got64, err64 := n.float64([]byte(text))
	want64, wantErr64 := strconv.ParseFloat(text, 64)
	if math.Float64bits(got64) != math.Float64bits(want64) || (err64 == nil) != (wantErr64 == nil) {
		t.Errorf("%s: got %v, %v, want %v, %v", text, got64, err64, want64, wantErr64)
	}
}

func TestNumbers(t *testing.T) {
	t.Parallel()
	for _, text := range []string{
		"0", "-0", "0.0", "-0.0e5", "1", "9007199254740993", "9007199254740992", "18446744073709551615", "18446744073709551616",
		"0.00000000000000000000000000000000000000000000000000000000000000000001", "0.0012345678901234567", "0.00123456789012345678",
		"1e22", "1e23", "1e-22", "1e-23", "9999999999999999999e22", "3.4028235e38", "3.4028236e38", "1e39", "1e-45", "7e-46", "1e400", "1e-400",
		"1e2147483648", "1e-99999999999999999999", "16777217", "16777217.0000000000", "16777219", "0.5000000298023224", "0.50000002980232238769531250", "0.50000002980232238769531251",
		"12345678", "1234567.8", "0.12345678", "12345678.12345678", "01", "-", "+1", "1.", ".1", "1e", "1e+", "1E-2", "1x", "--1", "1-", "0x1", "1_0", "١",
	} {
		checkNumber(t, text)
	}
}

// TestNumbersNearTies walks the middles between two float32 and what is next to them: a
// number there may be rounded once only.
func TestNumbersNearTies(t *testing.T) {
	t.Parallel()
	r := rand.New(rand.NewPCG(3, 4))
	for range 20_000 {
		f := math.Float32frombits(uint32(r.IntN(0x3000_0000)) + 0x2800_0000)
		middle := (float64(f) + float64(math.Nextafter32(f, math.MaxFloat32))) / 2
		for _, v := range []float64{middle, math.Nextafter(middle, 0), math.Nextafter(middle, math.MaxFloat64), float64(f)} {
			for _, precision := range []int{-1, 9, 16, 17, 18, 19, 25} {
				checkNumber(t, strconv.FormatFloat(v, "eg"[r.IntN(2)], precision, 64))
			}
		}
	}
}

func TestRandomNumbers(t *testing.T) {
	t.Parallel()
	r := rand.New(rand.NewPCG(5, 6))
	for range 100_000 {
		text := strconv.FormatUint(r.Uint64()>>r.IntN(64), 10)
		if r.IntN(2) == 0 {
			text += "." + strconv.FormatUint(r.Uint64()>>r.IntN(64), 10)
		}
		if r.IntN(3) == 0 {
			text += "e" + strconv.Itoa(r.IntN(80)-40)
		}
		if r.IntN(2) == 0 {
			text = "-" + text
		}
		checkNumber(t, text)
	}
}

func FuzzNumber(f *testing.F) {
	f.Add("0.1")
	f.Add("-12345678.87654321e-12")
	f.Fuzz(checkNumber)
}

func TestLeadingDigits(t *testing.T) {
	t.Parallel()
	for c := range 256 {
		want := 3
		if c >= '0' && c <= '9' {
			want = 5
		}
		text := []byte("123" + string([]byte{byte(c)}) + "5x\xff\xcf")
		if _, end := digits(text, 0, 0); end != want {
			t.Errorf("%q: got %d digits, want %d", text, end, want)
		}
	}
}

func TestAppendString(t *testing.T) {
	t.Parallel()
	check := func(text string) {
		want, err := Marshal(text)
		if err != nil {
			t.Fatal(err)
		}
		if got := appendString(nil, text); string(got) != string(want) {
			t.Errorf("%q: got %s, want %s", text, got, want)
		}
		if got := appendString([]byte("x"), []byte(text)); string(got) != "x"+string(want) {
			t.Errorf("%q as bytes: got %s, want x%s", text, got, want)
		}
	}
	r := rand.New(rand.NewPCG(7, 8))
	for c := range rune(0x3000) {
		check(string(c))
	}
	for range 20_000 {
		text := make([]byte, r.IntN(12))
		for i := range text {
			text[i] = byte(r.Uint32())
		}
		check(string(text))
		check("\u2028" + string(text) + "\U0001f600")
	}
}

func TestAppendFloat(t *testing.T) {
	t.Parallel()
	check := func(f float64, bits int) {
		want := strconv.AppendFloat(nil, f, 'g', -1, bits)
		if got := appendFloat(nil, f, bits); string(got) != string(want) {
			t.Errorf("%v: got %s, want %s", f, got, want)
		}
	}
	for _, f := range []float64{0, math.Copysign(0, -1), 1, -1, 999_999, 1_000_000, -999_999, -1_000_000, 123_456, 100_000, 1e20, -1e300, math.MaxInt64, 1 << 63, .5} {
		check(f, 64)
		check(float64(float32(f)), 32)
	}
	for i := -2_000_000; i < 2_000_000; i += 7 {
		check(float64(i), 64)
		check(float64(i), 32)
	}
}

func TestKeys(t *testing.T) {
	t.Parallel()
	var k keys
	for i := range 100 {
		if !k.add([]byte(strconv.Itoa(i))) {
			t.Errorf("%d: a new key is said to be an old one", i)
		}
		for old := range i + 1 {
			if k.add([]byte(strconv.Itoa(old))) {
				t.Errorf("after %d: %d is said to be new", i, old)
			}
		}
	}
}
