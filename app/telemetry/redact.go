package telemetry

import (
	"bytes"
	"encoding/json"
	"io"
	"regexp"
	"strings"
)

// Hidden stands in the log where a secret was.
const Hidden = "REDACTED"

// secrets finds what grants access, in what libraries and servers put into their errors: URLs
// that are signed or have a password, connection strings, and tokens. What follows a name is
// hidden up to the end of the value, and the name is left: it says what was there.
var secrets = regexp.MustCompile(`(?i)` + strings.Join([]string{
	// Signed URLs of Azure, AWS and Google, and parameters of the same kind.
	`([?&;](?:sig|x-amz-signature|x-amz-credential|x-amz-security-token|x-goog-signature|x-goog-credential|access_token|refresh_token|client_secret|api[-_]?key|token|password|secret|code)=)[^&\s"'<>\\]+`,
	// Connection strings.
	`((?:accountkey|sharedaccesskey|sharedaccesssignature|sharedsecretvalue|password|pwd|secretkey|aws_secret_access_key|client_secret)\s*=\s*)(?:'[^'"\\]*'?|\\?"[^"\\]*\\?"|[^;,\s"'\\]+)`,
	// Headers and documents. In a line of JSON the quotation marks of a value have backslashes.
	`((?:authorization|dapr-api-token|api-key|x-api-key|x-auth-token)\\?["']?\s*[:=]\s*\[?\\?["']?)[^\s"',;\]\\]+(?:\s+[^\s"',;\]\\]+)?`,
	// Cookies, of which one header has many.
	`(cookie\\?["']?\s*[:=]\s*\[?\\?["']?)[^"'\]\\]+`,
	`(\b(?:bearer|basic)\s+)[a-z0-9._~+/-]{8,}=*`,
	// Documents in JSON.
	`(\\?"(?:access_token|refresh_token|id_token|client_secret|secret|password|api[-_]?key)\\?"\s*:\s*\\?")[^"\\]+`,
	// User and password of a URL; the password may have an @ of its own.
	`(://)[^/?#\s"'\\]+@`,
}, "|") + `|\beyJ[\w-]{8,}\.[\w-]{8,}\.[\w-]*`) // JSON Web Tokens, which begin so whatever they say

// redactor hides secrets in all that is written through it: the last place that a line passes.
type redactor struct {
	out io.Writer
	// known are secrets by their values, as they stand in JSON.
	known [][]byte
}

// leastSecret is the length from which a value is hidden wherever it stands: a shorter one would
// be found in ordinary words.
const leastSecret = 6

// newRedactor hides secrets on their way to out: known values, and what looks like one.
func newRedactor(out io.Writer, known []string) *redactor {
	r := &redactor{out: out}
	for _, secret := range known {
		if len(secret) < leastSecret {
			continue
		}
		r.known = append(r.known, []byte(secret))
		if inner := inJSON(secret); string(inner) != secret {
			r.known = append(r.known, inner)
		}
	}
	return r
}

// inJSON is how a text stands between the quotation marks of a line of the log, which has &, <
// and > as they are.
func inJSON(text string) []byte {
	var out bytes.Buffer
	e := json.NewEncoder(&out)
	e.SetEscapeHTML(false)
	_ = e.Encode(text) // a text can always be written
	line := bytes.TrimSuffix(out.Bytes(), []byte("\n"))
	return line[1 : len(line)-1]
}

// Write implements io.Writer. Each call has whole lines: zerolog writes them so.
func (r *redactor) Write(line []byte) (int, error) {
	if _, err := r.out.Write(r.redact(line)); err != nil {
		return 0, err
	}
	return len(line), nil
}

// traits are what every match of [secrets] has one of, in lower case. To look for them takes a
// hundredth of the time, and hardly any line has one.
var traits = [...][]byte{
	[]byte("="), []byte("@"), []byte("bearer"), []byte("basic"), []byte("authorization"), []byte("token"), []byte("api-key"), []byte("cookie"), []byte("eyj"),
	[]byte("secret"), []byte("password"), []byte("api_key"),
}

func suspicious(line []byte) bool {
	lower := bytes.ToLower(line)
	for _, trait := range traits {
		if bytes.Contains(lower, trait) {
			return true
		}
	}
	return false
}

func (r *redactor) redact(line []byte) []byte {
	for _, secret := range r.known {
		if bytes.Contains(line, secret) {
			line = bytes.ReplaceAll(line, secret, []byte(Hidden))
		}
	}
	if !suspicious(line) {
		return line
	}
	return secrets.ReplaceAllFunc(line, func(found []byte) []byte {
		groups := secrets.FindSubmatch(found)
		if groups == nil { // it was one because of what stands before it
			return []byte(Hidden)
		}
		name := bytes.Join(groups[1:], nil) // all but one are empty
		kept := append([]byte{}, name...)
		kept = append(kept, Hidden...)
		if bytes.Equal(name, []byte("://")) {
			kept = append(kept, '@')
		}
		return kept
	})
}
