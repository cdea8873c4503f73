package pipeline

import (
	"strings"
	"unicode"

	"golang.org/x/text/cases"
	"golang.org/x/text/language"
	"golang.org/x/text/unicode/norm"
)

// normalisations are the steps that [TextSpec.Normalise] can name. Each does what the
// Python expression does that trainers use for it, on all characters that both sides'
// versions of Unicode know.
var normalisations = map[string]func(string) string{
	"nfkc":       norm.NFKC.String, // unicodedata.normalize("NFKC", s)
	"lower":      lower,            // s.lower()
	"whitespace": collapseSpace,    // " ".join(s.split())
}

// lower maps to lower case by the full rules of Unicode: İ becomes i and a combining dot,
// and Σ at the end of a word becomes ς. strings.ToLower knows neither. ASCII, which is
// most of what comes, does not pay for the rules. The one difference to Python: of a Σ
// right after a modifier letter, such as ᵃΣ, Python does not see the end of the word.
func lower(s string) string {
	if isASCII(s) {
		return strings.ToLower(s)
	}
	return cases.Lower(language.Und).String(s)
}

func isASCII(s string) bool {
	for i := range len(s) {
		if s[i] >= 0x80 {
			return false
		}
	}
	return true
}

// collapseSpace turns each run of white space into one space and removes it from both ends.
func collapseSpace(s string) string {
	return strings.Join(strings.FieldsFunc(s, isSpace), " ")
}

// isSpace is Python's str.isspace: Unicode's White_Space and the four information
// separators.
func isSpace(r rune) bool {
	return unicode.IsSpace(r) || r >= 0x1c && r <= 0x1f
}
