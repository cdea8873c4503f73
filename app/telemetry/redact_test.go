package telemetry_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/onda-serving/onda/app/telemetry"
)

// logged gives the line of an error, in both formats.
func logged(t *testing.T, text string, secrets ...string) string {
	t.Helper()
	var lines bytes.Buffer
	for _, format := range []string{"json", "console"} {
		logger := telemetry.NewLogger(&lines, "info", format, secrets...)
		logger.Error().Err(errors.New(text)).Interface("more", map[string]string{"error": text}).Msg(text)
	}
	line, _, _ := strings.Cut(lines.String(), "\n")
	if !json.Valid([]byte(line)) {
		t.Errorf("%s: got %s, which is no JSON any more", text, line)
	}
	return lines.String()
}

func TestSecretsAreHidden(t *testing.T) {
	t.Parallel()
	const canary = "Kc7vQ9canaryZ3"
	for name, test := range map[string]struct{ text, kept string }{
		"Azure SAS":           {"GET https://acc.blob.core.windows.net/c/b?sv=2024-11-04&sr=b&sig=" + canary + "%2Fabc%3D&se=2026: 403", "sr=b&sig=REDACTED&se=2026: 403"},
		"Azure storage":       {"DefaultEndpointsProtocol=https;AccountName=acc;AccountKey=" + canary + "+/a==;EndpointSuffix=core.windows.net", "AccountName=acc;AccountKey=REDACTED;EndpointSuffix"},
		"Service Bus":         {"Endpoint=sb://ns.servicebus.windows.net/;SharedAccessKeyName=root;SharedAccessKey=" + canary + "=", "SharedAccessKeyName=root;SharedAccessKey=REDACTED"},
		"AWS":                 {"https://b.s3.amazonaws.com/k?X-Amz-Credential=" + canary + "%2Fus&X-Amz-Date=1&X-Amz-Signature=" + canary + "&x=1", "X-Amz-Date=1&X-Amz-Signature=REDACTED&x=1"},
		"Google":              {"https://storage.googleapis.com/b/k?X-Goog-Signature=" + canary, "X-Goog-Signature=REDACTED"},
		"password of a URL":   {"dial redis://user:" + canary + "@redis:6379/0: refused", "redis://REDACTED@redis:6379/0"},
		"password with an @":  {"dial redis://user:p@ss" + canary + "@redis:6379/0: refused", "redis://REDACTED@redis:6379/0"},
		"document in JSON":    {`got {"token_type":"x","access_token":"` + canary + `","client_secret": "` + canary + `"} of it`, "of it"},
		"user without one":    {"amqp://" + canary + "@rabbit:5672", "amqp://REDACTED@rabbit"},
		"database":            {"host=db user=onda password=" + canary + " sslmode=require", "user=onda password=REDACTED sslmode"},
		"password in quotes":  {"host=db password='two words " + canary + "' sslmode=require", "host=db password=REDACTED sslmode"},
		"in double quotes":    {`pwd="two words ` + canary + `"; server=db`, "server=db"},
		"cookies":             {"sent Cookie: a=b; session=" + canary, "sent Cookie: REDACTED"},
		"cookies in Go":       {"map[Set-Cookie:[a=b; session=" + canary + "; Secure] Accept:[*/*]]", "Accept:[*/*]"},
		"header":              {"request had Authorization: Bearer " + canary, "Authorization: REDACTED"},
		"header in Go":        {`map[Authorization:[Bearer ` + canary + `] Accept:[*/*]]`, "Accept:[*/*]"},
		"header in JSON":      {`{"dapr-api-token": "` + canary + `", "x": 1}`, `x`},
		"a bearer":            {"token was bearer " + canary + " and no other", "and no other"},
		"basic":               {"sent Basic " + canary + "==", "sent Basic REDACTED"},
		"JSON Web Token":      {"AADSTS: eyJhbGciOiJSUzI1NiIs.eyJhdWQiOiJ" + canary + "." + canary, "AADSTS: REDACTED"},
		"client secret":       {"grant_type=client_credentials&client_secret=" + canary + "&scope=x", "client_secret=REDACTED&scope=x"},
		"two in one":          {"?sig=" + canary + " and ?sig=" + canary, "?sig=REDACTED and ?sig=REDACTED"},
		"by value":            {"the sidecar says " + canary + " is wrong", "says REDACTED is wrong"},
		"by value and quoted": {`the sidecar says "` + canary + `"`, "REDACTED"},
	} {
		known := []string{"short"}
		if strings.HasPrefix(name, "by value") {
			known = append(known, canary)
		}
		line := logged(t, test.text, known...)
		if strings.Contains(line, "canary") {
			t.Errorf("%s: a secret is in\n%s", name, line)
		}
		if n := strings.Count(line, test.kept); n < 2 {
			t.Errorf("%s: want the rest to be left, with %q, in\n%s", name, test.kept, line)
		}
	}
}

// TestWhatIsNoSecretStays shows lines that are left as they are.
func TestWhatIsNoSecretStays(t *testing.T) {
	t.Parallel()
	for _, text := range []string{
		"model m@1 loaded from https://models.example.org/a?version=2&design=3",
		"message of user@example.org", "content type text/plain; charset=utf-8", "basic auth is wanted",
		"the header dapr-api-token is missing or wrong: call Onda through its sidecar", "a short word", "1 = 2; x=3 & y=4",
	} {
		if line := logged(t, text, "short"); strings.Contains(line, telemetry.Hidden) {
			t.Errorf("got %s of %q, want it as it is", line, text)
		}
	}
	for _, secret := range []string{`a"b\c` + "\n" + `d`, `a"b&c<d`, `a&bcd"`} { // as they stand in JSON
		if line := logged(t, "it is "+secret, secret); strings.Contains(line, `b\\c`) || strings.Contains(line, "&b") || strings.Contains(line, "b&c") || !strings.Contains(line, telemetry.Hidden) {
			t.Errorf("got %s, want a secret with special characters to be hidden", line)
		}
	}
}

// TestNoTrace logs without a trace: see app/lifecycle for lines with one.
func TestNoTrace(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	logger := telemetry.NewLogger(&out, "info", "json")
	logger.Info().Ctx(context.Background()).Msg("hello")
	logger.Info().Msg("hello")
	if strings.Contains(out.String(), "trace_id") {
		t.Errorf("got %s, want no ids of traces", out.String())
	}
}

func BenchmarkLog(b *testing.B) {
	for name, text := range map[string]string{"plain": "model loaded", "signed": "GET https://a.blob.core.windows.net/c/b?sv=1&sig=abcdef&se=2"} {
		b.Run(name, func(b *testing.B) {
			logger := telemetry.NewLogger(discard{}, "info", "json", "hunter2hunter2")
			for b.Loop() {
				logger.Info().Str("model", "m").Int("version", 1).Dur("took_ms", 12).Msg(text)
			}
		})
	}
}

type discard struct{}

func (discard) Write(p []byte) (int, error) { return len(p), nil }
