package scoring_test

import (
	"math"
	"strings"
	"testing"

	"github.com/onda-serving/onda/app/scoring"
)

// refused checks code and public text of err.
func refused(t *testing.T, err error, want string) {
	t.Helper()
	if err == nil {
		t.Fatalf("got no error, want %q", want)
	}
	if got := scoring.AsError(err); got.Code != scoring.Invalid || got.Message != want {
		t.Errorf("got  %s: %s\nwant Invalid: %s", got.Code, got.Message, want)
	}
}

func TestParseModelRef(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name string
		in   string
		want scoring.ModelRef
	}{
		{"name", "faq-matching", scoring.ModelRef{Name: "faq-matching"}},
		{"every kind of character", "A-z_0.9", scoring.ModelRef{Name: "A-z_0.9"}},
		{"longest name", strings.Repeat("m", 128), scoring.ModelRef{Name: strings.Repeat("m", 128)}},
		{"version", "m/versions/3", scoring.ModelRef{Name: "m", Version: 3}},
		{"largest version", "m/versions/9223372036854775807", scoring.ModelRef{Name: "m", Version: math.MaxInt64}},
		{"label", "m/labels/canary", scoring.ModelRef{Name: "m", Label: "canary"}},
		{"model called versions", "versions/versions/1", scoring.ModelRef{Name: "versions", Version: 1}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			got, err := scoring.ParseModelRef(test.in)
			if err != nil || got != test.want {
				t.Fatalf("got %+v, %v, want %+v", got, err, test.want)
			}
			if text := got.String(); text != test.in {
				t.Errorf("String: got %q, want %q", text, test.in)
			}
		})
	}
}

func TestParseModelName(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]scoring.ModelRef{
		"faq": {Name: "faq"}, "faq:2": {Name: "faq", Version: 2}, "faq@2": {Name: "faq", Version: 2},
		"faq:live": {Name: "faq", Label: "live"}, "faq@2nd": {Name: "faq", Label: "2nd"},
		"faq/versions/2": {Name: "faq", Version: 2}, "faq/labels/2": {Name: "faq", Label: "2"},
	} {
		if got, err := scoring.ParseModelName(in); err != nil || got != want {
			t.Errorf("%s: got %+v, %v, want %+v", in, got, err, want)
		}
	}
	for in, want := range map[string]string{
		"faq:": `version "": want a positive whole number`, "faq@0": `version "0": want a positive whole number`,
		":2": "model name is empty", "faq:a:b": `label "a:b": use letters, digits, '.', '_' and '-', a letter or digit first`,
	} {
		_, err := scoring.ParseModelName(in)
		refused(t, err, want)
	}
}

func TestParseModelRefRefuses(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, in, want string
	}{
		{"nothing", "", "model name is empty"},
		{"no name", "/versions/1", "model name is empty"},
		{"bad name", "../m", `model name "..": use letters, digits, '.', '_' and '-', a letter or digit first`},
		{"nothing after the slash", "m/", `model reference "m/": want "model", "model/versions/N" or "model/labels/L"`},
		{"unknown kind", "m/version/1", `model reference "m/version/1": want "model", "model/versions/N" or "model/labels/L"`},
		{"no version", "m/versions", `version "": want a positive whole number`},
		{"version 0", "m/versions/0", `version "0": want a positive whole number`},
		{"more after the version", "m/versions/1/x", `version "1/x": want a positive whole number`},
		{"no label", "m/labels/", "label is empty"},
		{"more after the label", "m/labels/a/b", `label "a/b": use letters, digits, '.', '_' and '-', a letter or digit first`},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			got, err := scoring.ParseModelRef(test.in)
			refused(t, err, test.want)
			if got != (scoring.ModelRef{}) {
				t.Errorf("got %+v beside an error, want the zero value", got)
			}
		})
	}
}

func TestCheckName(t *testing.T) {
	t.Parallel()
	const rule = ": use letters, digits, '.', '_' and '-', a letter or digit first"
	tests := []struct {
		name, in, want string
	}{
		{"one letter", "m", ""},
		{"digit first", "3d", ""},
		{"longest", strings.Repeat("a", 128), ""},
		{"empty", "", "label is empty"},
		{"too long", strings.Repeat("a", 129), "label is 129 bytes long: at most 128 are allowed"},
		{"dot first", ".hidden", `label ".hidden"` + rule},
		{"hyphen first", "-rf", `label "-rf"` + rule},
		{"underscore first", "_x", `label "_x"` + rule},
		{"slash", "a/b", `label "a/b"` + rule},
		{"colon", "a:predict", `label "a:predict"` + rule},
		{"space", "a b", `label "a b"` + rule},
		{"line break", "a\n", `label "a\n"` + rule},
		{"zero byte", "a\x00", `label "a\x00"` + rule},
		{"letter outside ASCII", "modèle", `label "modèle"` + rule},
		{"invalid UTF-8", "a\xff", `label "a\xff"` + rule},
		{"shortened", "/" + strings.Repeat("a", 100), `label "/` + strings.Repeat("a", 63) + `..."` + rule},
		{"shortened between characters", "/" + strings.Repeat("é", 60), `label "/` + strings.Repeat("é", 31) + `..."` + rule},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			err := scoring.CheckName("label", test.in)
			if test.want == "" {
				if err != nil {
					t.Errorf("got %v, want none", err)
				}
				return
			}
			refused(t, err, test.want)
		})
	}
}

func TestParseVersion(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]int64{"1": 1, "42": 42, "9223372036854775807": math.MaxInt64} {
		if got, err := scoring.ParseVersion(in); err != nil || got != want {
			t.Errorf("%q: got %d, %v, want %d", in, got, err, want)
		}
	}
	for _, in := range []string{"", "0", "-1", "+1", " 1", "1 ", "1.0", "1e3", "0x1", "1_000", "01", "latest", "٣", "9223372036854775808"} {
		_, err := scoring.ParseVersion(in)
		refused(t, err, `version "`+in+`": want a positive whole number`)
	}
}

func TestModelIDString(t *testing.T) {
	t.Parallel()
	if got, want := (scoring.ModelID{Name: "m", Version: 3, Digest: "sha256:0"}).String(), "m@3"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func FuzzParseModelRef(f *testing.F) {
	for _, seed := range []string{"m", "m/versions/1", "m/labels/live", "m/versions/01", "m/", "/", "", "../../etc", "m/labels/a/b", "é"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, in string) {
		ref, err := scoring.ParseModelRef(in)
		if err != nil {
			if code := scoring.CodeOf(err); code != scoring.Invalid {
				t.Fatalf("%q: got code %s, want Invalid", in, code)
			}
			return
		}
		// One reference has one form: what was read is what is written.
		if got := ref.String(); got != in {
			t.Fatalf("%q became %q", in, got)
		}
		if ref.Version < 0 || ref.Version != 0 && ref.Label != "" {
			t.Fatalf("%q gave %+v, want at most one of a positive version and a label", in, ref)
		}
		for what, s := range map[string]string{"name": ref.Name, "label": ref.Label} {
			if strings.ContainsAny(s, "/\\:%? ") || strings.HasPrefix(s, ".") {
				t.Fatalf("%q gave the %s %q", in, what, s)
			}
		}
	})
}
