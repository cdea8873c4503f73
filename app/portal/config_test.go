package portal_test

import (
	"bytes"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"github.com/onda-serving/onda/app/portal"
)

// clean takes the variables of the portal away, whatever the tests run in.
func clean(t *testing.T) {
	t.Helper()

	for _, variable := range []string{
		"PORTAL_LISTEN", "PORTAL_ONDA_APP_ID", "PORTAL_SIDECAR", "PORTAL_MAX_BODY", "PORTAL_TIMEOUT",
		"PORTAL_FAQ_MODEL", "PORTAL_IMAGE_MODEL", "LOG_LEVEL", "DAPR_HTTP_PORT", "DAPR_API_TOKEN",
	} {
		t.Setenv(variable, "") // so that it is put back afterwards
		if err := os.Unsetenv(variable); err != nil {
			t.Fatal(err)
		}
	}
}

func TestLoadConfigDefaults(t *testing.T) {
	clean(t)

	got, err := portal.LoadConfig()
	if err != nil {
		t.Fatal(err)
	}

	want := portal.Config{
		Listen: "127.0.0.1:8090", OndaAppID: "onda", Sidecar: "http://127.0.0.1:3501", MaxBody: 16 << 20,
		Timeout: 10 * time.Second, FAQModel: "faq-matching", ImageModel: "image-classification",
		LogLevel: zerolog.InfoLevel,
	}
	if got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
}

func TestLoadConfigFromEnvironment(t *testing.T) {
	clean(t)
	for variable, value := range map[string]string{
		"PORTAL_LISTEN": ":80", "PORTAL_ONDA_APP_ID": "scores", "PORTAL_MAX_BODY": "512KiB", "PORTAL_TIMEOUT": "3s",
		"PORTAL_FAQ_MODEL": "faq", "PORTAL_IMAGE_MODEL": "pictures", "LOG_LEVEL": "warn",
		"DAPR_HTTP_PORT": "3510", "DAPR_API_TOKEN": "secret",
	} {
		t.Setenv(variable, value)
	}

	got, err := portal.LoadConfig()
	if err != nil {
		t.Fatal(err)
	}

	want := portal.Config{
		Listen: ":80", OndaAppID: "scores", Sidecar: "http://127.0.0.1:3510", MaxBody: 512 << 10,
		Timeout: 3 * time.Second, FAQModel: "faq", ImageModel: "pictures",
		LogLevel: zerolog.WarnLevel, APIToken: "secret",
	}
	if got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
}

// TestWrongSetting is what an operator sees: one line with the variable and its
// value, and an exit code that says that starting again is of no use.
func TestWrongSetting(t *testing.T) {
	for _, test := range []struct{ variable, value, want string }{
		{"PORTAL_LISTEN", "8090", "want host:port"},
		{"PORTAL_LISTEN", "127.0.0.1:99999", "want host:port"},
		{"PORTAL_ONDA_APP_ID", "on/da", "want a name"},
		{"PORTAL_SIDECAR", "127.0.0.1:3501", "want the sidecar's address"},
		{"PORTAL_SIDECAR", "ftp://127.0.0.1", "want the sidecar's address"},
		{"PORTAL_SIDECAR", "http://127.0.0.1:3501/v1.0", "want the sidecar's address"},
		{"PORTAL_MAX_BODY", "lots", "want a size"},
		{"PORTAL_MAX_BODY", "1", "want 1KiB to 256MiB"},
		{"PORTAL_MAX_BODY", "4GiB", "want 1KiB to 256MiB"},
		{"PORTAL_TIMEOUT", "10", "missing unit"},
		{"PORTAL_TIMEOUT", "1h", "want 100ms to 5m0s"},
		{"PORTAL_FAQ_MODEL", "faq:predict", "want a name"},
		{"PORTAL_IMAGE_MODEL", "..", "want a name"},
		{"DAPR_HTTP_PORT", "http", "invalid syntax"},
		{"LOG_LEVEL", "loud", "want trace, debug"},
		{"LOG_LEVEL", "", "want trace, debug"},
	} {
		t.Run(test.variable+"="+test.value, func(t *testing.T) {
			clean(t)
			t.Setenv(test.variable, test.value)

			var out bytes.Buffer
			code := portal.Main(t.Context(), &out)

			if code != 2 {
				t.Errorf("exit code %d, want 2", code)
			}
			line := out.String()
			if strings.Count(line, "\n") != 1 || !strings.Contains(line, test.variable) || !strings.Contains(line, test.want) {
				t.Errorf("said %q, want one line with %s and %q", line, test.variable, test.want)
			}
		})
	}
}

func TestByteSize(t *testing.T) {
	t.Parallel()

	for _, test := range []struct {
		text string
		want portal.ByteSize
		back string
	}{
		{"0", 0, "0"},
		{"1000", 1000, "1000"},
		{"1024", 1 << 10, "1KiB"},
		{"16MiB", 16 << 20, "16MiB"},
		{"4 KiB", 4 << 10, "4KiB"},
		{"1536KiB", 1536 << 10, "1536KiB"},
		{"2GiB", 2 << 30, "2GiB"},
	} {
		t.Run(test.text, func(t *testing.T) {
			t.Parallel()

			var got portal.ByteSize
			if err := got.UnmarshalText([]byte(test.text)); err != nil {
				t.Fatal(err)
			}
			if got != test.want || got.String() != test.back {
				t.Errorf("got %d, %q, want %d, %q", got, got.String(), test.want, test.back)
			}
		})
	}

	for _, text := range []string{"", "MiB", "-1", "1.5MiB", "16MB", "99999999999GiB"} {
		var got portal.ByteSize
		if err := got.UnmarshalText([]byte(text)); err == nil {
			t.Errorf("%q was taken for %d", text, got)
		}
	}
}
