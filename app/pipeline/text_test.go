package pipeline

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/onda-serving/onda/app/scoring"
)

// Every step gives what Python gives, on characters of all planes.
func TestNormalisationsAgreeWithPython(t *testing.T) {
	t.Parallel()
	var rows [][4]*string // the text, then NFKC, lower case and white space; null: unchanged
	if err := json.Unmarshal(readTestdata(t, "text.json"), &rows); err != nil {
		t.Fatal(err)
	}
	if len(rows) < 2500 {
		t.Fatal("only", len(rows), "rows")
	}
	for _, row := range rows {
		text := *row[0]
		for i, name := range []string{"nfkc", "lower", "whitespace"} {
			want := text
			if row[i+1] != nil {
				want = *row[i+1]
			}
			if got := normalisations[name](text); got != want {
				t.Errorf("%s of %+q: got %+q, want %+q", name, text, got, want)
			}
		}
	}
}

func TestTextPreprocess(t *testing.T) {
	t.Parallel()
	p := newText(t, textSpec("nfkc", "lower", "whitespace"), Limits{})
	tensors, err := p.Preprocess(context.Background(), texts("  How do\tI\u3000ＬＯＧ in?\n", "ΟΔΟΣ"))
	if err != nil {
		t.Fatal(err)
	}
	got := fmt.Sprintf("%d %s %s %v %q", len(tensors), tensors[0].Name, tensors[0].Datatype, tensors[0].Shape, tensors[0].Strings)
	if want := `1 in BYTES [2 1] ["how do i log in?" "οδος"]`; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

// Steps run in the order of the manifest; without any, a text passes as it is.
func TestOrderOfSteps(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		steps []string
		want  string
	}{
		{nil, " K\u00a0ﬁ "}, // the first letter is the sign for kelvin
		{[]string{"lower"}, " k\u00a0ﬁ "},
		{[]string{"nfkc"}, " K fi "},
		{[]string{"whitespace", "nfkc"}, "K fi"},
	} {
		tensors, err := newText(t, textSpec(tt.steps...), Limits{}).Preprocess(context.Background(), texts(" \u212a\u00a0ﬁ "))
		if err != nil {
			t.Fatal(err)
		}
		want := strings.Replace(tt.want, "K", map[bool]string{true: "\u212a", false: "K"}[tt.steps == nil], 1)
		if got := string(tensors[0].Strings[0]); got != want {
			t.Errorf("%v: got %+q, want %+q", tt.steps, got, want)
		}
	}
}

func TestTextsThatAreRefused(t *testing.T) {
	t.Parallel()
	const wantText = `instances[0]: this model takes text: send a string, {"text": "..."} or the text itself as text/plain`
	tests := []struct {
		name      string
		instances []scoring.Instance
		code      scoring.Code
		want      string
	}{
		{"picture", binaries([]byte("\x89PNG")), scoring.Invalid, wantText},
		{"empty", texts(""), scoring.Invalid, "instances[0]: the text is empty"},
		{"white space", texts("a", " \t\u3000\x1f"), scoring.Invalid, "instances[1]: the text is empty"},
		{"not UTF-8", texts("caf\xe9"), scoring.Invalid, "instances[0]: the text is not UTF-8: send it in UTF-8"},
		{"NUL", texts("a\x00b"), scoring.Invalid, "instances[0]: the text holds the character U+0000: leave it out"},
		{"long", texts("12345678901"), scoring.TooLarge, "instances[0]: the text is 11 bytes long: at most 10 are allowed"},
	}
	p := newText(t, textSpec("nfkc"), Limits{MaxTextBytes: 10})
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			_, err := p.Preprocess(context.Background(), tt.instances)
			refused(t, err, tt.code, tt.want)
		})
	}
	if _, err := p.Preprocess(context.Background(), texts("1234567890")); err != nil {
		t.Error("at the limit:", err)
	}
}

func TestEndedContextStopsTexts(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithTimeout(context.Background(), -1)
	defer cancel()
	_, err := newText(t, textSpec(), Limits{}).Preprocess(ctx, texts("a"))
	refused(t, err, scoring.Expired, "the request's time budget was spent before there was an answer")
}

func FuzzText(f *testing.F) {
	for _, s := range []string{"How do I log in?", "ΟΔΟΣ", "İ", "\xff", "\x00", " ", "ﷺ", "e\u0301\u0301", "\u212a"} {
		f.Add([]byte(s))
	}
	p := newText(f, textSpec("nfkc", "lower", "whitespace"), Limits{MaxTextBytes: 4096})
	f.Fuzz(func(t *testing.T, data []byte) {
		tensors, err := p.Preprocess(context.Background(), []scoring.Instance{{Kind: scoring.Text, Data: data}})
		switch code := scoring.CodeOf(err); code {
		case 0:
			got := tensors[0].Strings[0]
			// NFKC grows a text 11-fold at most, lower case by half.
			if len(got) == 0 || !utf8.Valid(got) || len(got) > 17*len(data) || collapseSpace(string(got)) != string(got) {
				t.Fatalf("%+q became %+q", data, got)
			}
		case scoring.Invalid, scoring.TooLarge:
		default:
			t.Fatal(err)
		}
	})
}
